"""What an undo would call, in order: a machine of its own is told that everything goes well, and nothing is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactor.machine.commands import Call, Close, CloseSource, End, UndoBatch
from reactor.machine.constants import CUT_OFF
from reactor.machine.events import (
    BatchSettled,
    BatchUndone,
    CallFailed,
    Closed,
    Compensated,
    RunEnded,
    SourceEnded,
    StopRequested,
    Undone,
    UndoRequested,
)
from reactor.machine.machine import Machine
from reactor.machine.marks import COMPENSATING, DONE, RUNNING, UNDOING
from reactor.machine.rules.retry import CALLS
from reactor.machine.state import KEPT_BATCH
from reactor.run.mapping import undoable_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reactor.machine.commands import Command
    from reactor.machine.events import Event
    from reactor.machine.state import Scope
    from reactor.run.live import Live
    from reactor.run.mapping import MapRun
    from reactor.run.runner import Runner


def undo_plan(live: Live, keep: tuple[str, ...] = ()) -> list[str]:
    """The addresses that an undo would call. Of a run that is going on: as if what is in flight ended now, without success."""
    machine = Machine.replay(live.plan, live.record.facts)
    now = live.now()
    settled = _in_flight(machine, live.runner, now)
    if machine.state.ended is None:
        machine.apply(StopRequested(now, "", "undo"))
    else:
        machine.apply(UndoRequested(now, "", keep))
    for answer in settled:
        machine.apply(answer)
    for scope in machine.state.scopes():  # a wait for the next attempt is over at once
        scope.due.clear()
        for index, mark in enumerate(scope.marks):
            if mark in CALLS:
                machine.state.ready.append((scope, index, CALLS[mark]))
    return list(_undo(machine, live.runner, now))


def _in_flight(machine: Machine, runner: Runner, now: float) -> list[Event]:
    """How everything ends that was ordered and has not been answered."""
    answers: list[Event] = []
    for scope in machine.state.scopes():
        for index, mark in enumerate(scope.marks):
            if mark in ENDS:
                answers.append(ENDS[mark](now, scope.names[index]))
        for index, elements in scope.maps.items():
            address = scope.names[index]
            answers.extend(BatchUndone(now, address, batch) for batch in elements.undoing)
            answers.extend(_batch_settled(runner, address, batch, now) for batch in elements.open)
            if elements.dispatching:
                answers.append(SourceEnded(now, address))
    return answers


ENDS: dict[int, Callable[[float, str], Event]] = {
    RUNNING: lambda now, address: CallFailed(now, address, "do", 1, CUT_OFF),
    COMPENSATING: Compensated,
    UNDOING: Undone,
}


def _batch_settled(runner: Runner, address: str, batch: int, now: float) -> Event:
    return BatchSettled(now, address, batch, 0, 0, undoable_in(runner.maps[address].children[batch].machine.state.root))


def _undo(machine: Machine, runner: Runner, now: float) -> Iterator[str]:
    while (order := machine.next(now)) is not None:
        if isinstance(order, Call) and order.call == "undo":
            yield order.address
        elif isinstance(order, UndoBatch):
            yield from _elements(machine, runner, order)
        answer = _answer(order, runner, now)
        if answer is not None:
            machine.apply(answer)


def _answer(order: Command, runner: Runner, now: float) -> Event | None:
    answer = ANSWERS.get(type(order))
    return None if answer is None else answer(order, runner, now)


ANSWERS: dict[type[Any], Callable[[Any, Runner, float], Event]] = {
    Call: lambda order, _, now: (Undone if order.call == "undo" else Compensated)(now, order.address),
    CloseSource: lambda order, _, now: SourceEnded(now, order.address),
    UndoBatch: lambda order, _, now: BatchUndone(now, order.address, order.batch),
    Close: lambda order, _, now: Closed(now, order.address),
    End: lambda order, _, now: RunEnded(now, "", order.status),
}


def _elements(machine: Machine, runner: Runner, order: UndoBatch) -> Iterator[str]:
    if order.batch == KEPT_BATCH:
        kept = machine.state.kept[order.address]
        return (f"{order.address}[{index}]" for index, one in sorted(kept.items()) if not one.skipped)
    return _of_batch(runner.maps[order.address], order.batch)


def _of_batch(map_run: MapRun, batch: int) -> Iterator[str]:
    """The addresses of a batch's elements, or of what is undone inside them."""
    child = map_run.children.get(batch)
    if child is not None:
        yield from _inside(child, child.machine.state.root)
        return
    chunk = map_run.chunks[batch]
    for index, _ in map_run.chunks.encoded(batch):
        if index not in chunk.skipped:
            yield f"{map_run.address}[{index}]"


def _inside(runner: Runner, scope: Scope) -> Iterator[str]:
    """Backwards through a scope that is not in the run's own record."""
    order = range(len(scope.marks)) if scope.is_batch else scope.plan.order
    for index in reversed(order):
        if index in scope.children:
            yield from _inside(runner, scope.children[index])
        elif index in scope.maps:
            map_run = runner.maps[scope.names[index]]
            undoable = [number for number, batch in scope.maps[index].batches.items() if batch.undoable]
            for number in sorted(undoable, reverse=True):
                yield from _of_batch(map_run, number)
        elif scope.marks[index] == DONE and scope.plan.nodes[index].undo is not None:
            yield scope.names[index]
