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
from reactor.machine.marks import COMPENSATING, CUT, DONE, RUNNING, UNDOING
from reactor.machine.rules.retry import CALLS
from reactor.machine.state import KEPT_BATCH
from reactor.run.mapping import undoable_in
from reactor.run.references import prefix_of
from reactor.run.view import batch_of, view_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reactor.machine.commands import Command
    from reactor.machine.events import Event
    from reactor.machine.machine import Machine
    from reactor.machine.state import Scope
    from reactor.run.hosting import Host

Batches = dict[tuple[str, int], Any]


async def undo_plan(host: Host, run_id: str, keep: tuple[str, ...] = ()) -> list[str]:
    """The addresses that an undo would call. Of a run that is going on: as if what is in flight ended now, without success."""
    machine = (await view_of(host, run_id)).machine
    now = host.site.now()
    batches: Batches = {}
    await _read_batches(host, run_id, machine, batches)
    settled = _in_flight(machine, batches, now)
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
    return list(_undo(machine, batches, now))


async def _read_batches(host: Host, run_id: str, machine: Machine, found: Batches) -> None:
    """The machines of all batches that something would be undone of, those in their elements too."""
    for scope in machine.state.scopes():
        for index, elements in scope.maps.items():
            address = scope.names[index]
            undoable = [number for number, batch in elements.batches.items() if batch.undoable and number >= 0]
            for number in {*undoable, *elements.open}:
                inner, _ = await batch_of(host, f"{prefix_of(run_id, scope, index)}#{number}")
                found[address, number] = inner
                await _read_batches(host, run_id, inner, found)


def _in_flight(machine: Machine, batches: Batches, now: float) -> list[Event]:
    """How everything ends that was ordered and has not been answered."""
    answers: list[Event] = []
    for scope in machine.state.scopes():
        for index, mark in enumerate(scope.marks):
            if mark in ENDS:
                answers.append(ENDS[mark](now, scope.names[index]))
        for index, elements in scope.maps.items():
            address = scope.names[index]
            answers.extend(BatchUndone(now, address, batch) for batch in elements.undoing)
            answers.extend(_batch_settled(batches, address, batch, now) for batch in elements.open)
            if elements.dispatching:
                answers.append(SourceEnded(now, address))
    return answers


ENDS: dict[int, Callable[[float, str], Event]] = {
    RUNNING: lambda now, address: CallFailed(now, address, "do", 1, CUT_OFF),
    CUT: lambda now, address: CallFailed(now, address, "do", 1, CUT_OFF),
    COMPENSATING: Compensated,
    UNDOING: Undone,
}


def _batch_settled(batches: Batches, address: str, batch: int, now: float) -> Event:
    return BatchSettled(now, address, batch, 0, 0, undoable_in(batches[address, batch].state.root))


def _undo(machine: Machine, batches: Batches, now: float) -> Iterator[str]:
    while (order := machine.next(now)) is not None:
        if isinstance(order, Call) and order.call == "undo":
            yield order.address
        elif isinstance(order, UndoBatch):
            yield from _elements(machine, batches, order)
        answer = _answer(order, now)
        if answer is not None:
            machine.apply(answer)


def _answer(order: Command, now: float) -> Event | None:
    answer = ANSWERS.get(type(order))
    return None if answer is None else answer(order, now)


ANSWERS: dict[type[Any], Callable[[Any, float], Event]] = {
    Call: lambda order, now: (Undone if order.call == "undo" else Compensated)(now, order.address),
    CloseSource: lambda order, now: SourceEnded(now, order.address),
    UndoBatch: lambda order, now: BatchUndone(now, order.address, order.batch),
    Close: lambda order, now: Closed(now, order.address),
    End: lambda order, now: RunEnded(now, "", order.status),
}


def _elements(machine: Machine, batches: Batches, order: UndoBatch) -> Iterator[str]:
    if order.batch == KEPT_BATCH:
        kept = machine.state.kept[order.address]
        return (f"{order.address}[{index}]" for index, one in sorted(kept.items()) if not one.skipped)
    return _of_batch(batches, order.address, order.batch)


def _of_batch(batches: Batches, address: str, batch: int) -> Iterator[str]:
    """The addresses of a batch's elements, or of what is undone inside them."""
    found = batches.get((address, batch))
    if found is not None:
        yield from _inside(batches, found.state.root)


def _inside(batches: Batches, scope: Scope) -> Iterator[str]:
    """Backwards through a scope that is not in the run's own record."""
    order = range(len(scope.marks)) if scope.is_batch else scope.plan.order
    for index in reversed(order):
        if index in scope.children:
            yield from _inside(batches, scope.children[index])
        elif index in scope.maps:
            undoable = [number for number, batch in scope.maps[index].batches.items() if batch.undoable]
            for number in sorted(undoable, reverse=True):
                yield from _of_batch(batches, scope.names[index], number)
        elif scope.marks[index] == DONE and scope.plan.nodes[index].undo is not None:
            yield scope.names[index]
