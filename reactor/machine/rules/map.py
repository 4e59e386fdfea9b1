"""A map takes batches from its source while fewer than `in_flight` are open, and undoes them newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.machine.commands import Close, CloseSource, Dispatch, StopBatch, UndoBatch
from reactor.machine.constants import CUT_OFF
from reactor.machine.events import BatchSettled, BatchStarted, BatchUndone, BatchUndoStarted, MapOpened, SourceEnded
from reactor.machine.marks import FORWARD, OPEN, READY, UNDONE
from reactor.machine.state import KEPT_BATCH, MapState

if TYPE_CHECKING:
    from reactor.machine.state import Scope, State


def opened(state: State, event: MapOpened) -> None:
    """The source is open."""
    scope, index = state.place(event.address)
    if scope.marks[index] == READY:
        scope.in_flight += 1
    scope.marks[index] = OPEN
    elements = scope.maps[index] = MapState(event.total)
    elements.ended = event.total == 0
    go_on(state, scope, index, elements)


def batch_started(state: State, event: BatchStarted) -> None:
    """A batch was taken and handed on."""
    scope, index = state.place(event.address)
    elements = scope.maps[index]
    elements.dispatching = False
    elements.open.add(event.batch)
    elements.next_batch = event.batch + 1
    kept = state.kept.get(event.address)
    if kept:
        for taken in range(event.first, event.first + event.size):
            kept.pop(taken, None)
    elements.first = event.first + event.size
    if elements.total is not None and elements.first >= elements.total:
        elements.ended = True
    if elements.cut:
        state.orders.append(StopBatch(scope, index, event.batch, state.stop_mode))
    go_on(state, scope, index, elements)


def source_ended(state: State, event: SourceEnded) -> None:
    """There is nothing more to take."""
    scope, index = state.place(event.address)
    elements = scope.maps[index]
    elements.dispatching = False
    elements.ended = True
    if event.failure is not None:
        fail(state, scope, index, elements, event.failure, event.address)
    go_on(state, scope, index, elements)


def batch_settled(state: State, event: BatchSettled) -> None:
    """A batch came to its end."""
    scope, index = state.place(event.address)
    elements = scope.maps[index]
    elements.open.discard(event.batch)
    elements.batches[event.batch] = event
    for what in event.stuck:
        state.fell_stuck(scope, index, what, event.batch)
        elements.stuck = True
    if event.halted is not None:
        state.reason = event.halted
        elements.cut = True
        state.moves.extend((("halt", scope, index), ("go_on", scope, index)))  # in this order: a halted map rests
        return
    if event.failure is not None:
        fail(state, scope, index, elements, event.failure, event.failed_at)
    elif event.stuck:
        fail(state, scope, index, elements, event.stuck[0].failure, event.stuck[0].address)
    go_on(state, scope, index, elements)


def fail(state: State, scope: Scope, index: int, elements: MapState, failure: object, at: str) -> None:
    """The first failure stops the map: nothing more is taken, batches in flight settle."""
    if elements.failure is None:
        elements.failure, elements.failed_at = failure, at  # type: ignore[assignment]  # a Failure: the events say so
        cut(state, scope, index, elements)


def cut(state: State, scope: Scope, index: int, elements: MapState) -> None:
    """Take nothing more and tell the batches in flight."""
    if elements.open or not elements.ended:
        elements.cut = True
    if not elements.ended:
        elements.ended = elements.dispatching = True  # until the source says that it is closed
        state.orders.append(CloseSource(scope, index))
    state.orders.extend(StopBatch(scope, index, batch, state.stop_mode) for batch in sorted(elements.open))


def go_on(state: State, scope: Scope, index: int, elements: MapState) -> None:
    """Take the next batch, or, when the last one has settled, close the map or undo what succeeded."""
    if not elements.ended:
        limit = scope.plan.nodes[index].map.in_flight
        if not elements.dispatching and len(elements.open) < limit and scope.phase == FORWARD:
            elements.dispatching = True
            state.orders.append(Dispatch(scope, index, elements.next_batch))
    elif not elements.open and not elements.dispatching and scope.marks[index] == OPEN:
        if elements.failure is None and not elements.cut:
            state.orders.append(Close(scope, index))
        elif scope.quiet:
            state.leave(scope, index, OPEN)
        else:
            undo(state, scope, index)


def stop(state: State, scope: Scope, index: int) -> None:
    """The scope around is stopping."""
    elements = scope.maps[index]
    if elements.to_undo is None and (elements.open or elements.dispatching or not elements.ended):
        cut(state, scope, index, elements)
        go_on(state, scope, index, elements)


def undo(state: State, scope: Scope, index: int) -> None:
    """Undo batch by batch, newest first, at most `in_flight` at a time."""
    elements = scope.maps.get(index)
    if elements is None:  # it was never opened: a restart had kept elements of it
        elements = scope.maps[index] = MapState(None)
    if elements.to_undo is None:
        kept = state.kept_undoable(scope, index)
        if kept:
            elements.batches[KEPT_BATCH] = BatchSettled(state.now, scope.names[index], KEPT_BATCH, kept, 0, kept)
        elements.to_undo = sorted(number for number, batch in elements.batches.items() if batch.undoable)
        undo_next(state, scope, index, elements)


def undo_next(state: State, scope: Scope, index: int, elements: MapState) -> None:
    """Order what fits, or go on when all is undone."""
    to_undo = elements.to_undo
    if to_undo is None:
        return
    while to_undo and len(elements.undoing) < scope.plan.nodes[index].map.in_flight:
        batch = to_undo.pop()
        elements.undoing.add(batch)
        state.orders.append(UndoBatch(scope, index, batch, state.again))
    if elements.undoing:
        return
    elements.to_undo = None
    if state.again:
        state.moves.append(("again", state.root, -1))
    elif scope.marks[index] == OPEN:
        if elements.failure is None and elements.next_batch == 0:  # stopped before any element could begin: there is nothing to answer for
            scope.unbegun.add(index)
        state.fail(scope, index, elements.failure or CUT_OFF, elements.failed_at)
    else:
        scope.marks[index] = UNDONE
        state.moves.append(("undone", scope, index))


def rest(state: State, scope: Scope, index: int) -> None:
    """The run has halted: the map goes on to its rest."""
    go_on(state, scope, index, scope.maps[index])


def undo_again(state: State, scope: Scope, index: int) -> None:
    """A batch whose undo was stuck is tried again."""
    undo_next(state, scope, index, scope.maps[index])


def batch_undone(state: State, event: BatchUndone) -> None:
    """A batch is undone; what could not be is stuck."""
    scope, index = state.place(event.address)
    elements = scope.maps[index]
    elements.undoing.discard(event.batch)
    if event.batch == KEPT_BATCH:
        state.kept.pop(event.address, None)
    settled = elements.batches[event.batch]
    if not state.again:  # else only what was stuck has been called: what succeeded may still have to be undone
        elements.batches[event.batch] = BatchSettled(settled.at, settled.address, settled.batch, settled.succeeded, settled.failed)
    for what in event.stuck:
        state.fell_stuck(scope, index, what, event.batch)
        elements.stuck = True
    undo_next(state, scope, index, elements)


def batch_undo_started(_state: State, _event: BatchUndoStarted) -> None:
    """Said for those who watch: the order was given when the undo began."""


def wake(state: State, scope: Scope, index: int) -> None:
    """An undo was asked for after a halt: what succeeded is undone, unless a restart keeps it."""
    if scope.names[index] in state.keep:
        state.leave(scope, index, OPEN)
    else:
        undo(state, scope, index)


APPLY = {
    MapOpened: opened,
    BatchStarted: batch_started,
    SourceEnded: source_ended,
    BatchSettled: batch_settled,
    BatchUndone: batch_undone,
    BatchUndoStarted: batch_undo_started,
}
MOVES = {"undo_again": undo_again, "go_on": rest}
STOP = {"map": stop}
UNDO = {"map": undo}
WAKE = {"map": wake}
