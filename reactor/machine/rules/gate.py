"""Whether anything may begin: the run starts, is cancelled, halted, out of time, undone after its end, tried again, ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.define.failing import Failure
from reactor.machine.commands import CancelCall, End, Expire
from reactor.machine.constants import CUT_OFF, DEADLINE
from reactor.machine.events import CallCancelled, Halted, RollbackRetried, RunEnded, RunStarted, StopRequested, UndoRequested
from reactor.machine.marks import CLOSED, COMPENSATE_BACKOFF, COMPENSATE_READY, FORWARD, HALTED, LEFT, OPEN, QUIET, RUNNING, STOPPING

if TYPE_CHECKING:
    from reactor.machine.events import EndStatus, StopMode
    from reactor.machine.state import Scope, State

ENDINGS: dict[StopMode, EndStatus] = {"cancel": "cancelled", "undo": "undone", "deadline": "failed", "settle": "failed"}


def started(state: State, event: RunStarted) -> None:
    """Begin with what waits for nothing."""
    state.settle = event.settle
    state.root.reactor = event.inputs
    if event.deadline is not None:
        state.deadline = event.deadline
        state.set_timer(event.deadline, "deadline", state.root)
    state.open_roots(state.root)


def stop_requested(state: State, event: StopRequested) -> None:
    """A message from outside. A run that is rolling back already goes on rolling back; one that is halting is still cancelled."""
    root = state.root
    rouses = root.quiet and root.phase in (STOPPING, QUIET) and event.mode in ("cancel", "undo") and state.ended is None
    if root.phase != FORWARD and not (event.mode == "abandon" or rouses or (root.is_batch and root.phase == STOPPING)):
        return
    state.stop_mode = event.mode
    state.reason = event.reason
    if event.mode == "deadline":
        state.failure = DEADLINE
        root.failed_at = next((scope.names[index] for scope, index in in_flight(state)), "")
    if rouses:
        state.halted = None
        rouse(state)
    if event.mode in ("halt", "abandon"):
        hush(state, abandoned=event.mode == "abandon")
    else:
        state.ending = ENDINGS[event.mode]
    state.moves.append(("stop", root, -1))
    if event.mode not in ("settle", "halt"):
        cancel_calls(state, event.reason)


def in_flight(state: State) -> list[tuple[Scope, int]]:
    """The calls of nodes' own code that are running."""
    return [(scope, index) for scope in state.scopes() for index, mark in enumerate(scope.marks) if mark == RUNNING]


def cancel_calls(state: State, reason: str) -> None:
    """Cancel what runs, in children that are failing by themselves too, and what runs in batches."""
    state.orders.extend(CancelCall(scope, index, reason) for scope, index in in_flight(state))
    for scope in state.scopes():
        if scope.phase == STOPPING:
            state.moves.extend(("stop_open", scope, index) for index, mark in enumerate(scope.marks) if mark == OPEN)


def hush(state: State, *, abandoned: bool) -> None:
    """Nothing is compensated or undone from here on; a failure that stood before a halt is still answered."""
    for scope in list(state.scopes()):
        if scope.phase == FORWARD or (scope.phase == STOPPING and abandoned):
            scope.quiet = True
            for index, mark in enumerate(scope.marks):
                if mark in (COMPENSATE_READY, COMPENSATE_BACKOFF):
                    scope.due.pop(index, None)
                    state.leave(scope, index)


def rouse(state: State) -> None:
    """What was halted is to be undone after all: what came to rest is answered for, what is in flight settles as in any failure."""
    for scope in list(state.scopes()):
        if not scope.quiet:
            continue
        scope.quiet = False
        resting = scope.phase == QUIET
        scope.phase = STOPPING
        for index, mark in enumerate(scope.marks):
            if mark in (LEFT, HALTED):
                scope.in_flight += 1
                state.fail(scope, index, scope.failures.get(index, CUT_OFF))
            elif mark == OPEN and at_rest(scope, index):
                scope.in_flight += 1
                if index in scope.maps:
                    state.moves.append(("wake_open", scope, index))
        if resting:
            state.moves.append(("settle", scope, -1))


def at_rest(scope: Scope, index: int) -> bool:
    """Whether a child or a map came to rest with nothing undone: it is no longer counted as in flight."""
    child, elements = scope.children.get(index), scope.maps.get(index)
    if child is not None:
        return child.phase == QUIET
    return elements is not None and elements.ended and not elements.open and not elements.dispatching and elements.to_undo is None


def halted(state: State, event: Halted) -> None:
    """A call raised Halt: it wins over everything but a failure that stood before."""
    scope, index = state.place(event.address)
    scope.failures[index] = Failure("Halt", event.reason, ("reactor.define.outcomes.Halt",))
    if scope.phase == FORWARD or scope.quiet:
        state.leave(scope, index, HALTED)
    else:
        state.fail(scope, index, scope.failures[index])
    if scope.phase == FORWARD:
        state.reason = event.reason
        halt(state, scope, index)


def halt(state: State, _scope: Scope, _index: int) -> None:
    """Let calls in flight settle, begin nothing, undo nothing."""
    if state.root.phase == FORWARD:
        state.halted = state.reason
        state.stop_mode = "halt"
        hush(state, abandoned=False)
        state.moves.append(("stop", state.root, -1))


def undo_requested(state: State, event: UndoRequested) -> None:
    """After the end: first what a halt or abandon left half-way, then what succeeded."""
    state.keep = frozenset(event.keep)
    state.ending = event.then
    state.undoing = True
    state.halted = None
    state.ended = None
    wake(state, state.root, -1)


def wake(state: State, scope: Scope, _index: int) -> None:
    """Compensate what began and did not succeed, then roll back."""
    scope.quiet = False
    scope.phase = STOPPING
    scope.in_flight = 0
    for index, mark in enumerate(scope.marks):
        if mark in (LEFT, HALTED):
            scope.in_flight += 1
            state.fail(scope, index, scope.failures.get(index, CUT_OFF))
        elif mark == OPEN:
            scope.in_flight += 1
            state.moves.append(("wake_open", scope, index))
    state.moves.append(("settle", scope, -1))


def retried(state: State, _event: RollbackRetried) -> None:
    """Call again what could not be undone or compensated."""
    state.again = True
    state.ended = None
    state.retrying, state.stuck = state.stuck, []
    state.moves.append(("again", state.root, -1))


def finished(state: State, scope: Scope, _index: int) -> None:
    """Every node is done."""
    if scope.parent is None:
        state.orders.append(End(scope, -1, end_status(state)))


def closed(state: State, scope: Scope, _index: int) -> None:
    """The run is rolled back."""
    if scope.parent is None:
        state.orders.append(End(scope, -1, end_status(state)))


def tried(state: State, scope: Scope, _index: int) -> None:
    """All that was stuck was called again."""
    state.again = False
    closed(state, scope, -1)


def hushed(state: State, scope: Scope, _index: int) -> None:
    """The run came to rest with nothing undone."""
    if scope.parent is None:
        state.orders.append(End(scope, -1, end_status(state)))


def end_status(state: State) -> EndStatus:
    """What the run, or the batch, ends as, the way things stand."""
    root = state.root
    if root.phase == FORWARD:
        return "succeeded"
    if root.phase == QUIET and root.quiet:
        if state.stuck and not root.is_batch:  # a child, or a map, had been rolling back by itself
            return "stuck"
        return "halted" if state.stop_mode == "halt" else "cancelled"
    if root.phase == QUIET:
        return "failed"  # a batch, which its map undoes
    return "stuck" if state.stuck else state.ending


def ended(state: State, event: RunEnded) -> None:
    """The run, or the batch, is over."""
    state.ended = event.status
    state.root.phase = CLOSED if state.root.phase == FORWARD else state.root.phase
    state.keep = frozenset()


def call_cancelled(_state: State, _event: CallCancelled) -> None:
    """Said for those who watch: what follows is that the call fails."""


def expired(state: State, scope: Scope, _index: int) -> None:
    """The deadline has gone by."""
    if scope.phase == FORWARD:
        state.orders.append(Expire(scope, -1))


APPLY = {
    RunStarted: started,
    StopRequested: stop_requested,
    Halted: halted,
    UndoRequested: undo_requested,
    RollbackRetried: retried,
    RunEnded: ended,
    CallCancelled: call_cancelled,
}
MOVES = {"finish": finished, "closed": closed, "hushed": hushed, "tried": tried, "halt": halt, "wake": wake}
TIMERS = {"deadline": expired}
