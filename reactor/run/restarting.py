"""A restart: which results a new run keeps, what of the old one is undone first, and how the new record comes by the kept ones.

The new run's record is made at once and waits; the old run undoes what is not kept and, when that is done, lets the new one go; the new
one copies what it keeps into its own record before it begins. Each part is safe to do twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactor.errors import UnknownRun, WrongState
from reactor.machine.events import (
    BatchStarted,
    CallStarted,
    ChildOpened,
    Closed,
    Kept,
    MapOpened,
    RunStarted,
    SourceEnded,
    UndoRequested,
)
from reactor.machine.marks import DONE, RECOVERED, SKIPPED
from reactor.record import facts
from reactor.record.inputs import encode_inputs
from reactor.record.sealing import Whose, is_sealed
from reactor.record.words import Message, NewRecord
from reactor.run import commanding
from reactor.run.fitting import is_whole
from reactor.run.mailing import letter
from reactor.run.references import KeptResults, chunk_of, in_life, prefix_of, renamed
from reactor.run.refusing import tell_definition, why_not
from reactor.run.values import element_type
from reactor.run.view import HEAD, batch_of, view_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reactor.machine.state import Scope
    from reactor.record.words import Loaded
    from reactor.run.driver import Driver
    from reactor.run.hosting import Host
    from reactor.run.recorder import Recorder
    from reactor.run.view import View

SUCCEEDED = (DONE, SKIPPED, RECOVERED)
GO = "go"
COPIES = 50  # batches in one append


def life_after(run_id: str) -> str:
    """The name of the run that supersedes this one."""
    base, _, number = run_id.partition("~")
    return f"{base}~{int(number or 1) + 1}"


async def latest_life(host: Host, run_id: str) -> str:
    """The newest run of those that restarts made of this one."""
    while (loaded := await host.store.load(run_id, after=HEAD)) is not None:
        ended = loaded.ended_at is not None or loaded.status in ("rolling_back", "superseded", "stuck")
        if not ended or await host.store.load(life_after(run_id), after=HEAD) is None:
            break
        run_id = life_after(run_id)
    return run_id


async def life_there(host: Host, run_id: str) -> str | None:
    """The first life of a run that is not past retention, whatever name was used for it. None: there is none, or was none."""
    name = run_id
    while await host.store.load(name, after=HEAD) is None:
        if not await host.is_expired(name):
            return None
        name = life_after(name)
    return name


async def stuck_before(host: Host, run_id: str) -> str:
    """The run whose rollback is stuck: this one, or the one that it cannot begin for."""
    while "~" in run_id:
        loaded = await host.store.load(run_id, after=HEAD)
        if loaded is None or loaded.status != "queued" or await commanding.status_of(host, run_id) != "stuck":
            break
        run_id = commanding.life_before(run_id)
    return run_id


async def restart(host: Host, run_id: str, from_step: str | None) -> str:
    """Make the run that supersedes this one; it begins when what it does not keep is undone. Its name."""
    view = await view_of(host, run_id)
    plan, loaded, now = view.plan, view.loaded, host.site.now()
    why = None if loaded.fingerprint == plan.fingerprint else await why_not(host, loaded)
    if why is not None:
        raise why
    kept = kept_nodes(view, from_step)
    partial = partial_maps(view, kept, from_step)
    name, definition = life_after(run_id), plan.definition
    started = RunStarted(
        now,
        "",
        name,
        definition.name,
        definition.version,
        plan.fingerprint,
        settle=view.machine.state.settle,
        tags=loaded.tags,
        restarts=run_id,
        from_step=from_step,
    )
    record = NewRecord(
        run=name,
        root=name,
        reactor=loaded.reactor,
        version=definition.version,
        fingerprint=plan.fingerprint,
        due=None,
        inputs=encode_inputs(view.reactor, host.sealer, name),
        tags=loaded.tags,
        index=host.index_of(view.reactor),
        events=(facts.encode(started),),
    )
    await tell_definition(host, plan)
    answer = await host.store.create(record)
    if answer == "expired":
        raise UnknownRun(f"{name} was there, and is past retention")
    undo = UndoRequested(now, "", keep_addresses(view, kept, partial), "superseded")
    told = await host.store.deliver(run_id, letter("restart", undo), moves=True, operation=f"restart:{name}")
    if isinstance(told, str):
        raise WrongState(f"{run_id} cannot be restarted: it is {told}")
    host.wake(run_id)
    return name


async def let_go(driver: Recorder) -> bool:
    """All that the new run does not keep is undone: it may begin. Said before the old one's last fact, so that it is never lost."""
    name = life_after(driver.run_id)
    await driver.store.deliver(name, Message("restart", b""), moves=True, operation=GO)
    driver.after(lambda: driver.host.wake(name))
    return True


# ---- what is kept ---------------------------------------------------------------------------------------------


def kept_nodes(view: View, from_step: str | None) -> list[int]:
    """The nodes whose results stay: they succeeded, are not undone, are not `from_step` nor depend on it, and so do their ancestors."""
    plan, root = view.plan, view.machine.state.root
    if from_step is not None and from_step not in plan.index:
        said = f"{plan.name} has no node `{from_step}` to restart from"
        raise WrongState(said, code="unknown-node", known=plan.names, where=plan.definition.span)
    kept: set[int] = set()
    for index in plan.order:
        node = plan.nodes[index]
        stays = root.marks[index] in SUCCEEDED and node.name != from_step and kept.issuperset(node.parents)
        if stays and is_whole(root, index):  # what this code cannot read is called again
            kept.add(index)
    return [index for index in plan.order if index in kept]


def partial_maps(view: View, kept: list[int], from_step: str | None) -> list[int]:
    """Maps that were stopped half-way, or not reached again, and whose ancestors are all kept: they keep the elements that succeeded."""
    state, plan = view.machine.state, view.plan
    found, stays = [], set(kept)
    for index, node in enumerate(plan.nodes):
        half_way = index in state.root.maps or node.name in state.kept
        whole = index in stays or node.name == from_step or state.root.marks[index] == DONE
        if half_way and not whole and stays.issuperset(node.parents):
            found.append(index)
    return found


def keep_addresses(view: View, kept: list[int], partial: list[int]) -> tuple[str, ...]:
    """What an undo before the restart leaves alone."""
    nodes = view.plan.nodes
    return (*(nodes[index].name for index in kept), *(nodes[index].name for index in partial if not nodes[index].children))


# ---- how the new record comes by it ---------------------------------------------------------------------------


async def inherit(driver: Driver, started: RunStarted) -> None:
    """Copy what is kept into the new run's record, before anything of it begins."""
    host = driver.host
    view = await view_of(host, started.restarts, before_end=True)
    kept = kept_nodes(view, started.from_step)
    partial = partial_maps(view, kept, started.from_step)
    copying = _Copying(driver, view)
    for index in kept:
        await copying.batches_in(view.machine.state.root, index)
    elements = [one for index in partial for one in await copying.elements(index)]
    for fact in elements:
        driver.note_value(fact, fact.value)
    for index in kept:
        copying.node(view.machine.state.root, index)


class _Copying:
    """From the old record into the new one, which refers to nothing in the old: that is past retention before it."""

    def __init__(self, driver: Driver, view: View) -> None:
        self.driver = driver
        self.old = view.loaded.run
        self.view = view
        self.now = driver.site.now()
        self._copied: set[str] = set()

    # ---- records of batches: first, and without a fact, so that it may be done again --------------------------

    async def batches_in(self, scope: Scope, index: int) -> None:
        """The records of batches under a kept node."""
        child = scope.children.get(index)
        if child is not None:
            for inner in range(len(child.marks)):
                await self.batches_in(child, inner)
        elements = scope.maps.get(index)
        if elements is not None:
            for number in elements.batches:
                await self._batch(f"{prefix_of(self.old, scope, index)}#{number}", self.driver.record_name)

    async def _batch(self, record: str, parent: str) -> None:
        """One that may be undone, with all that is in it."""
        referred = await self._copy(record, parent)
        if referred is None:
            return
        machine, _ = await batch_of(self.driver.host, record)
        for scope in machine.state.scopes():
            for index, elements in scope.maps.items():
                for inner in elements.batches:
                    await self._batch(f"{prefix_of(self.old, scope, index)}#{inner}", renamed(record, self.driver.run_id))
        await self._referred(referred)

    async def _referred(self, records: Iterable[str]) -> None:
        """Those that are only read: what kept elements refer to, and what that does in turn."""
        for record in records:
            await self._referred(await self._copy(record, self.driver.record_name) or ())

    async def _copy(self, record: str, parent: str) -> list[str] | None:
        """Copy one; what the values in it refer to. None where it was, or is not there."""
        loaded = None if record in self._copied else await self.driver.store.load(record)
        if loaded is None:
            return None
        self._copied.add(record)
        events, referred = self._renamed(loaded)
        copy = NewRecord(
            run=renamed(record, self.driver.run_id),
            root=self.driver.run_id,
            parent=parent,
            reactor=loaded.reactor,
            version=loaded.version,
            fingerprint=loaded.fingerprint,
            status=loaded.status,
            due=None,
            elements=loaded.elements,
            events=events,
        )
        self.driver.writer.children.append(copy)
        if len(self.driver.writer.children) >= COPIES:
            await self.driver.write_children()
        return referred

    def _renamed(self, loaded: Loaded) -> tuple[tuple[bytes, ...], list[str]]:
        """The events of a batch with its references renamed, and to which records they led. A seal holds for all lives of a run."""
        sealer, events = self.driver.host.sealer, list(loaded.events)
        referred: list[str] = []
        for number, data in enumerate(events):
            fact, raw = facts.decode(data)
            whose = Whose(loaded.root, fact.address)
            moved, records = in_life(sealer.open(raw, whose) if is_sealed(raw) else raw, self.driver.run_id)
            if records:
                events[number] = facts.encode(fact, sealer.seal(moved, whose, loaded.version) if is_sealed(raw) else moved)
                referred += records
        return tuple(events), referred

    async def elements(self, index: int) -> list[Kept]:
        """Elements that an earlier restart kept and no batch took, then those of batches that settled and are not undone."""
        state, name = self.view.machine.state, self.view.plan.names[index]
        found = [await self._element(one.address, one.value, one.skipped) for one in state.kept.get(name, {}).values()]
        elements = state.root.maps.get(index)
        if elements is None:
            return found
        node = self.view.plan.nodes[index]
        for number, settled in elements.batches.items():
            undone = number in elements.undone
            if number < 0 or undone or (node.children and settled.undoable):
                continue
            chunk = await chunk_of(self.driver.host.shelf, f"{prefix_of(self.old, state.root, index)}#{number}")
            found += [await self._element(f"{name}[{element}]", raw, element in chunk.skipped) for element, raw in chunk.raws()]
        return found

    async def _element(self, address: str, raw: Any, skipped: bool) -> Kept:  # noqa: FBT001  # as the fact has it
        moved, records = in_life(raw, self.driver.run_id)
        await self._referred(records)
        return Kept(self.now, address, moved, skipped)

    # ---- facts ------------------------------------------------------------------------------------------------

    def node(self, scope: Scope, index: int) -> None:
        """One node that is kept, with all that is in it."""
        address, node = scope.names[index], scope.plan.nodes[index]
        mark, value = scope.marks[index], scope.values[index]
        if isinstance(value, KeptResults):
            value = value.in_life(self.driver.run_id)
        if mark == DONE and index in scope.children:
            self._child(scope, index)
        elif mark == DONE and index in scope.maps:
            self._map(scope, index)
        else:
            kept, raw = (None, b"") if value is None else self.driver.kept(node, value, optional=True)
            self.driver.note_value(Kept(self.now, address, kept, mark != DONE), raw)

    def _child(self, scope: Scope, index: int) -> None:
        child = scope.children[index]
        self.driver.note(CallStarted(self.now, child.address))
        self.driver.open_child(ChildOpened(self.now, child.address, child.plan.name, child.reactor))
        for inner in child.plan.order:
            self.node(child, inner)
        self.driver.note(Closed(self.now, child.address))

    def _map(self, scope: Scope, index: int) -> None:
        address, elements = scope.names[index], scope.maps[index]
        self.driver.note(MapOpened(self.now, address, elements.total, elements.occurrence))
        for fact in self._batches(address, elements):
            self.driver.note(fact)
        prefix, element = prefix_of(self.driver.run_id, scope, index), element_type(scope.plan.nodes[index])
        results = KeptResults.of_batches(self.driver.host.shelf, prefix, elements.batches, element)
        self.driver.note_value(Closed(self.now, address, results), results.reference())

    def _batches(self, address: str, elements: Any) -> Iterator[Any]:
        first = 0
        for number, settled in sorted(elements.batches.items()):
            if number >= 0:
                size = settled.succeeded + settled.failed
                yield BatchStarted(self.now, address, number, first, size)
                yield settled
                first += size
        if elements.total is None:
            yield SourceEnded(self.now, address)
