"""A map, performed: its source is open, batches are taken from it and driven, each as a record of its own, results become chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from reactor.define.reactor import definition_of
from reactor.errors import ReactorError
from reactor.machine.events import (
    BatchSettled,
    BatchStarted,
    BatchUndone,
    BatchUndoStarted,
    CallFailed,
    Kept,
    MapOpened,
    RollbackRetried,
    RunStarted,
    SourceEnded,
    StopRequested,
    UndoRequested,
)
from reactor.machine.machine import Machine
from reactor.machine.marks import DONE, FAILED, LEFT, OPEN, SKIPPED
from reactor.machine.state import KEPT_BATCH
from reactor.run.chunks import Chunk, Chunks
from reactor.run.context import call_counts
from reactor.run.failures import failure_of
from reactor.run.outcome import in_doubt_in
from reactor.run.pulling import Puller, RaisedInSource

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from reactor.machine.commands import CloseSource, Dispatch, OpenMap, StopBatch, UndoBatch
    from reactor.machine.state import Scope
    from reactor.plan.plan import PlanNode, Source
    from reactor.run.runner import Runner


class MapRun:
    """One map occurrence while its run is driven."""

    def __init__(self, runner: Runner, scope: Scope, index: int, *, opened: bool = True) -> None:
        self.runner = runner
        self.scope = scope
        self.index = index
        self.node: PlanNode = scope.plan.nodes[index]
        self.address: str = scope.names[index]
        self.extra: tuple[Any, ...] = ()  # what every element's call is handed past the element
        self.chunks = Chunks(element_type(self.node))
        self.children: dict[int, Runner] = {}  # batches in flight, and settled ones that an undo would need
        self.undoing: set[int] = set()
        self.undone: set[int] = set()
        self.told: dict[int, set[tuple[str, str]]] = {}  # what of a batch was stuck, and its run was told
        self.in_doubt: list[str] = []  # calls that an abandoned run left as they were
        self.sequence: Sequence[Any] | None = None
        self.puller: Puller | None = None
        self.batch_size, source = batching(self.node)
        if opened:
            self._open(source)

    def _open(self, source: Source) -> None:
        scope, resources = self.scope, self.runner.site.resources.opened
        self.extra = self.node.bind(scope.values, resources)
        if source.sequence is not None:
            self.sequence = as_sequence(source.sequence(scope.values), self)
        elif source.call is not None:
            more = {"after": None} if source.key is not None else {}
            args = source.bind(scope.values, resources)
            self.puller = Puller(partial(source.call, scope.reactor, *args, **more), self.runner.context.copy(), source.key)

    @property
    def total(self) -> int | None:
        """How many elements there are, where that is known."""
        return None if self.sequence is None else len(self.sequence)

    def moved(self, runner: Runner, scope: Scope) -> MapRun:
        """The same map in the run that keeps its results, so that they can still be undone."""
        other = copy(self)
        other.runner, other.scope = runner, scope
        other.children = {}
        for number, child in self.children.items():
            child.on_end = partial(_batch_ended, other, number)
            other.children[number] = child
        return other

    async def release(self) -> None:
        """Close the source and let go of the batches."""
        if self.puller is not None:
            await self.puller.close()
        for child in list(self.children.values()):
            await child.release()


class Elements:
    """What the elements of one batch have in common."""

    __slots__ = ("items", "map_run", "number")

    def __init__(self, map_run: MapRun, number: int, items: Sequence[Any]) -> None:
        self.map_run = map_run
        self.number = number
        self.items = items

    @property
    def deadline(self) -> float | None:
        """The run's."""
        return self.map_run.runner.deadline


def batching(node: PlanNode) -> tuple[int, Source]:
    """How many elements make a batch, and where they come from."""
    if node.map is None:
        raise AssertionError(f"`{node.name}` is no map")
    return node.map.batch_size, node.map.source


def as_sequence(elements: Any, map_run: MapRun) -> Sequence[Any]:
    """What a path led to, if it can be mapped over."""
    if isinstance(elements, str | bytes) or not isinstance(elements, Sequence):
        raise ReactorError(
            f"`{map_run.address}` maps over a {type(elements).__name__}, which is no sequence of elements",
            code="not-a-sequence",
            where=map_run.node.definition.span,
            fix="map over a list or tuple, or write a @source that yields the elements",
        )
    return elements if isinstance(elements, tuple | range) else list(elements)  # as it is now: a step may change its list


def element_type(node: Any) -> Any:
    """The declared type of an element's result: of several reactors, whatever one of them gives."""
    definitions = [definition_of(child) for child in node.children]
    outputs = {definition.nodes[definition.output].returns for definition in definitions} or {node.returns}
    declared = outputs.pop()
    return Any if outputs or declared is None else declared


def results_of(runner: Runner, address: str) -> Any:
    """What the map at an address left."""
    return runner.maps[address].chunks.results()


# ---- the orders ---------------------------------------------------------------------------------------------------


async def open_map(runner: Runner, order: OpenMap) -> None:
    """Open the source, unless something overtakes it. One that cannot be opened fails the map, which never began."""
    node = order.scope.plan.nodes[order.index]
    source = node.map.source
    try:
        await runner.site.resources.open((*node.providers, *source.providers))
        if runner.released or not runner.machine.is_due(order):
            return
        map_run = MapRun(runner, order.scope, order.index)
    except Exception as error:  # noqa: BLE001  # opening and binding may raise anything
        if not runner.released and runner.machine.is_due(order):
            runner.originals[order.address] = error
            runner.note(CallFailed(runner.site.now(), order.address, "do", 1, failure_of(error, 1, secrets=runner.secrets)))
        return
    runner.maps[order.address] = map_run
    runner.note(MapOpened(runner.site.now(), order.address, map_run.total))


def dispatch(runner: Runner, order: Dispatch) -> Coroutine[Any, Any, None] | None:
    """Take the next batch. Elements at hand are taken at once, a source is asked."""
    map_run = runner.maps[order.address]
    if map_run.sequence is None:
        return _pull(runner, map_run, order)
    first = order.scope.maps[order.index].first
    start_batch(map_run, order.batch, first, map_run.sequence[first : first + map_run.batch_size])
    return None


async def _pull(runner: Runner, map_run: MapRun, order: Dispatch) -> None:
    failure = None
    items: list[Any] = []
    try:
        if map_run.puller is not None:
            items = await map_run.puller.take(map_run.batch_size)
    except asyncio.CancelledError:
        items = []
    except Exception as error:  # noqa: BLE001  # an author's source may raise anything
        cause = error.__cause__ if isinstance(error, RaisedInSource) else error
        runner.originals[order.address] = error
        failure = failure_of(cause or error, 1, secrets=runner.secrets)
    if runner.released or not runner.machine.is_due(order):
        return  # stopped meanwhile: closing the source has answered
    if items:
        start_batch(map_run, order.batch, order.scope.maps[order.index].first, items)
    else:
        runner.note(SourceEnded(runner.site.now(), order.address, failure))


async def close_source(runner: Runner, order: CloseSource) -> None:
    """Take nothing more: the map goes on once its source is closed."""
    puller = runner.maps[order.address].puller
    if puller is not None:
        await puller.close()
    if not runner.released:
        runner.note(SourceEnded(runner.site.now(), order.address))


def start_batch(map_run: MapRun, number: int, first: int, items: Sequence[Any]) -> None:
    """Hand a batch to a runner of its own."""
    runner = map_run.runner
    child = _batch_runner(map_run, number, first, items)
    kept = runner.machine.state.kept.get(map_run.address, {})
    done = [kept[index] for index in range(first, first + len(items)) if index in kept] if kept else []
    runner.note(BatchStarted(runner.site.now(), map_run.address, number, first, len(items)))
    for fact in done:
        child.note(fact)
    child.pump()


def _batch_runner(map_run: MapRun, number: int, first: int, items: Sequence[Any]) -> Runner:
    parent = map_run.runner
    machine = Machine.of_batch(map_run.scope.plan, map_run.node, map_run.address, first, len(items))
    child = parent.fork(machine, Elements(map_run, number, items))
    child.counts_around = parent.counts_around + "".join(f"{count}." for count in call_counts(map_run.scope, map_run.index))
    child.on_end = partial(_batch_ended, map_run, number)
    map_run.children[number] = child
    now, settle = parent.site.now(), parent.machine.state.settle
    child.note(RunStarted(now, map_run.address, inputs=map_run.scope.reactor, settle=settle, first=first, size=len(items)))
    return child


def stop_batch(runner: Runner, order: StopBatch) -> None:
    """Tell a batch in flight to stop."""
    child = runner.maps[order.address].children[order.batch]
    child.tell(StopRequested(runner.site.now(), "", order.mode, runner.machine.state.reason))


def undo_batch(runner: Runner, order: UndoBatch) -> None:
    """Undo a batch's elements: where they were reactors by what is left of it, else from its chunk."""
    map_run = runner.maps.get(order.address) or _never_opened(runner, order)
    now = runner.site.now()
    runner.note(BatchUndoStarted(now, order.address, order.batch))
    map_run.undoing.add(order.batch)
    child = map_run.children.get(order.batch)
    if child is None:
        child = _revive(map_run, order.batch) if order.batch != KEPT_BATCH else _revive_kept(map_run)
    child.reopen()
    if order.again:
        map_run.told.pop(order.batch, None)
    child.tell(RollbackRetried(now, "") if order.again else UndoRequested(now, ""))


def _never_opened(runner: Runner, order: UndoBatch) -> MapRun:
    """A map that a restart had kept elements of, and that was not reached: it has no source, only what is to be undone."""
    map_run = runner.maps[order.address] = MapRun(runner, order.scope, order.index, opened=False)
    return map_run


def _revive_kept(map_run: MapRun) -> Runner:
    """The elements that a restart kept and whose batch was never made, as a batch of their own."""
    kept = map_run.runner.machine.state.kept[map_run.address]
    first, size = min(kept), max(kept) - min(kept) + 1
    child = _batch_runner(map_run, KEPT_BATCH, first, [None] * size)
    for fact in kept.values():
        child.note(fact)
    return child


def _revive(map_run: MapRun, number: int) -> Runner:
    """A batch that had been folded into its chunk, as it was when it settled."""
    chunk = map_run.chunks[number]
    child = _batch_runner(map_run, number, chunk.first, [None] * chunk.size)
    names, now = child.machine.state.root.names, map_run.runner.site.now()
    for index, kept in map_run.chunks.encoded(number):
        child.note(Kept(now, names[index - chunk.first], kept, index in chunk.skipped))
    return child


# ---- what a batch left --------------------------------------------------------------------------------------------


def _batch_ended(map_run: MapRun, number: int, child: Runner) -> None:
    parent = map_run.runner
    state = child.machine.state
    told = map_run.told.setdefault(number, set())
    stuck = tuple(one.what for one in state.stuck if (one.what.address, one.what.call) not in told)
    told.update((what.address, what.call) for what in stuck)
    now = parent.site.now()
    if number in map_run.undoing:
        map_run.undoing.discard(number)
        if state.undoing:  # else only what was stuck was called again: what succeeded may still have to be undone
            map_run.undone.add(number)
            if not state.stuck:
                map_run.children.pop(number, None)
        parent.tell(BatchUndone(now, map_run.address, number, stuck))
        return
    chunk = _fold(state.root)
    map_run.chunks.add(number, chunk)
    map_run.in_doubt += in_doubt_in(child)
    undoable = undoable_in(state.root)
    if not (stuck or (undoable and map_run.node.children)):
        map_run.children.pop(number, None)
    root = state.root
    failure = root.failures.get(root.failed) if root.failed >= 0 else None
    if failure is not None:
        parent.originals.setdefault(root.failed_at, child.originals.get(root.failed_at, child.originals.get(root.names[root.failed])))  # type: ignore[arg-type]
    halted = state.halted if state.ended == "halted" and state.halted is not None else None
    settled = BatchSettled(
        now, map_run.address, number, chunk.succeeded, len(chunk.failures), undoable, failure, root.failed_at, stuck, halted
    )
    parent.tell(settled)


def _fold(root: Scope) -> Chunk:
    first = root.plan.first
    marks = root.marks
    done = {first + at for at, mark in enumerate(marks) if mark in (DONE, SKIPPED)}
    everything = range(first, first + len(marks))
    if len(done) == len(marks):
        skipped = frozenset(first + at for at, mark in enumerate(marks) if mark == SKIPPED)
        return Chunk(first, root.values, {}, skipped, frozenset())
    failures = {
        index: f"{failure.kind}: {failure.message}"
        for index in everything
        if marks[index - first] == FAILED and (failure := root.failures.get(index - first)) is not None
    }
    skipped = frozenset(index for index in done if marks[index - first] == SKIPPED)
    return Chunk(first, root.values, failures, skipped, frozenset(everything) - done - failures.keys())


def undoable_in(root: Scope) -> int:
    """How many elements an undo would do something for."""
    node = root.plan.nodes[0] if root.plan.nodes else None
    if node is None:
        return 0
    if node.kind == "step":
        return sum(mark == DONE for mark in root.marks) if node.undo is not None else 0
    return sum(mark in (DONE, OPEN, LEFT) and _anything(root.children.get(at)) for at, mark in enumerate(root.marks))


def _anything(scope: Scope | None) -> bool:
    """Whether anything in a child would be undone, or compensated."""
    if scope is None:
        return False
    for at, mark in enumerate(scope.marks):
        node = scope.plan.nodes[at]
        if mark == DONE and (node.undo is not None or _anything(scope.children.get(at))):
            return True
        if mark in (OPEN, LEFT) and (node.compensate is not None or _anything(scope.children.get(at))):
            return True
        if at in scope.maps and any(batch.undoable for batch in scope.maps[at].batches.values()):
            return True
    return False
