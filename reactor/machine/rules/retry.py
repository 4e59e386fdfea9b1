"""An attempt failed: the next one waits, or the failure is final. Whether there is a next one was decided where the exception was alive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.machine.events import CallFailed, RollbackFailed
from reactor.machine.marks import (
    BACKOFF,
    COMPENSATE_BACKOFF,
    COMPENSATE_FAILED,
    FORWARD,
    OPEN,
    READY,
    UNDO_BACKOFF,
    UNDO_FAILED,
)

if TYPE_CHECKING:
    from reactor.machine.events import Call
    from reactor.machine.state import Scope, State

WAITING: dict[Call, int] = {"do": BACKOFF, "compensate": COMPENSATE_BACKOFF, "undo": UNDO_BACKOFF}


def failed(state: State, event: CallFailed) -> None:
    """Wait for the next attempt, or let the call fail for good."""
    scope, index = state.place(event.address)
    call = event.call
    if call == "do" and scope.marks[index] == READY:  # it never began: a resource would not open
        scope.in_flight += 1
        scope.unbegun.add(index)
    if event.next_in is not None and (call != "do" or scope.phase == FORWARD):
        scope.attempts[index, call] = event.attempt + 1
        scope.failures[index] = event.failure if call == "do" else scope.failures.get(index, event.failure)
        state.wait(scope, index, event.at + event.next_in, WAITING[call])
    elif call == "do":
        finally_failed(state, scope, index, event)
    else:
        scope.marks[index] = UNDO_FAILED if call == "undo" else COMPENSATE_FAILED
        state.fell_stuck(scope, index, RollbackFailed(event.address, call, event.failure))
        state.moves.append(("unanswered", scope, index))


def finally_failed(state: State, scope: Scope, index: int, event: CallFailed) -> None:
    """No attempt is left. A child whose output could not be kept fails in its own scope first."""
    if scope.marks[index] == OPEN and index in scope.children:
        child = scope.children[index]
        output: int = child.plan.output
        child.failures[output] = event.failure
        child.failed, child.failed_at = output, str(child.names[output])
        state.moves.append(("stop", child, -1))
    else:
        state.fail(scope, index, event.failure)


def due(state: State, scope: Scope, index: int) -> None:
    """A wait is over."""
    mark = scope.marks[index]
    if index in scope.due and mark in CALLS and scope.due[index] <= state.now:
        del scope.due[index]
        state.ready.append((scope, index, CALLS[mark]))


CALLS: dict[int, Call] = {mark: call for call, mark in WAITING.items()}
APPLY = {CallFailed: failed}
TIMERS = {"due": due}
