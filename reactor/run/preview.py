"""What an undo would call, in order: a machine of its own is told that everything goes well, and nothing is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactor.machine.commands import Call, CancelCall, Close, CloseSource, End, StopBatch, UndoBatch
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
from reactor.machine.marks import COMPENSATING, DONE, UNDOING
from reactor.run.mapping import undoable_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reactor.machine.commands import Command
    from reactor.machine.events import Event
    from reactor.machine.state import Scope
    from reactor.run.live import Live
    from reactor.run.runner import Runner


def undo_plan(live: Live, keep: tuple[str, ...] = ()) -> list[str]:
    """The addresses that an undo would call. Of a run that is going on: as if what is in flight ended now, without success."""
    machine = Machine.replay(live.plan, live.record.facts)
    now = live.now()
    if machine.state.ended is None:
        machine.apply(StopRequested(now, "", "undo"))
    else:
        machine.apply(UndoRequested(now, "", keep))
    for answer in _backwards_in_flight(machine, now):
        machine.apply(answer)
    return list(_undo(machine, live.runner, now))


def _backwards_in_flight(machine: Machine, now: float) -> list[Event]:
    answers: list[Event] = []
    for scope in machine.state.scopes():
        for index, mark in enumerate(scope.marks):
            if mark == COMPENSATING:
                answers.append(Compensated(now, scope.names[index]))
            elif mark == UNDOING:
                answers.append(Undone(now, scope.names[index]))
        for index, elements in scope.maps.items():
            answers.extend(BatchUndone(now, scope.names[index], batch) for batch in elements.undoing)
    return answers


def _undo(machine: Machine, runner: Runner, now: float) -> Iterator[str]:
    while (order := machine.next(now)) is not None:
        if isinstance(order, Call) and order.call == "undo":
            yield order.address
        elif isinstance(order, UndoBatch):
            yield from _elements(runner, order)
        answer = _answer(order, runner, now)
        if answer is not None:
            machine.apply(answer)


def _answer(order: Command, runner: Runner, now: float) -> Event | None:
    answer = ANSWERS.get(type(order))
    return None if answer is None else answer(order, runner, now)


def _batch_stopped(order: StopBatch, runner: Runner, now: float) -> Event:
    root = runner.maps[order.address].children[order.batch].machine.state.root
    return BatchSettled(now, order.address, order.batch, 0, 0, undoable_in(root))


ANSWERS: dict[type[Any], Callable[[Any, Runner, float], Event]] = {
    Call: lambda order, _, now: (Undone if order.call == "undo" else Compensated)(now, order.address),
    CancelCall: lambda order, _, now: CallFailed(now, order.address, "do", 1, CUT_OFF),
    CloseSource: lambda order, _, now: SourceEnded(now, order.address),
    StopBatch: _batch_stopped,
    UndoBatch: lambda order, _, now: BatchUndone(now, order.address, order.batch),
    Close: lambda order, _, now: Closed(now, order.address),
    End: lambda order, _, now: RunEnded(now, "", order.status),
}


def _elements(runner: Runner, order: UndoBatch) -> Iterator[str]:
    """The addresses of a batch's elements, and of what is undone inside them."""
    map_run = runner.maps[order.address]
    child = map_run.children.get(order.batch)
    if child is None:
        chunk = map_run.chunks[order.batch]
        yield from (
            f"{order.address}[{index}]" for index, _ in map_run.chunks.values(order.batch)
            if index not in chunk.failures and index not in chunk.skipped
        )  # fmt: skip
    else:
        yield from _inside(child.machine.state.root)


def _inside(scope: Scope) -> Iterator[str]:
    for index in reversed(range(len(scope.marks))):
        if index in scope.children:
            yield from _inside(scope.children[index])
        elif scope.marks[index] == DONE and scope.plan.nodes[index].undo is not None:
            yield scope.names[index]
