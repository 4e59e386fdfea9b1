"""A call begins and succeeds; a node that does nothing is skipped; a restart keeps a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.machine.events import CallStarted, CallSucceeded, Kept, Skipped
from reactor.machine.marks import COMPENSATING, DONE, READY, RUNNING, SKIPPED, UNDO_READY, UNDOING

if TYPE_CHECKING:
    from reactor.machine.state import Scope, State


def started(state: State, event: CallStarted) -> None:
    """The node is in flight from its first attempt on."""
    if event.address is state.at_address:  # as `state.place`, without a call
        scope, index = state.at_scope, state.at
    else:
        scope, index = state.place(event.address)
    if event.call == "do":
        marks = scope.marks
        if marks[index] == READY:
            scope.in_flight += 1
        marks[index] = RUNNING
        if event.attempt > 1 or scope.due or scope.answered:
            scope.unbegun.discard(index)
            scope.answered.discard(index)
            scope.due.pop(index, None)
    else:
        scope.marks[index] = COMPENSATING if event.call == "compensate" else UNDOING


def succeeded(state: State, event: CallSucceeded) -> None:
    """A step has its result."""
    if event.address is state.at_address:  # as `state.place`, without a call
        scope, index = state.at_scope, state.at
    else:
        scope, index = state.place(event.address)
    state.done(scope, index, event.value)


def skipped(state: State, event: Skipped) -> None:
    """Done without having done anything: never undone. A `when` that was false never began."""
    scope, index = state.place(event.address)
    if scope.marks[index] == READY:
        scope.in_flight += 1
    state.done(scope, index, event.value, SKIPPED)


def kept(state: State, event: Kept) -> None:
    """The result stands as if it had just come; elements are kept until their batch is made."""
    try:
        scope, index = state.place(event.address)
    except KeyError:
        address, _, index_of = event.address.rpartition("[")
        state.kept.setdefault(address, {})[int(index_of[:-1])] = event
        return
    scope.in_flight += 1
    state.done(scope, index, event.value, SKIPPED if event.skipped else DONE)
    adopt(state, scope, index, event)


def adopt(state: State, scope: Scope, index: int, event: Kept) -> None:
    """Take over what an undo of a kept compose or map will need."""
    if event.child is None:
        return
    if scope.plan.nodes[index].kind == "map":
        scope.maps[index] = event.child.clone()
    else:
        scope.children[index] = event.child.clone(scope, index)
        state.settle_in(scope.children[index])


def undo(state: State, scope: Scope, index: int) -> None:
    """Order the undo of a step that succeeded."""
    scope.marks[index] = UNDO_READY
    state.ready.append((scope, index, "undo"))


APPLY = {CallStarted: started, CallSucceeded: succeeded, Skipped: skipped, Kept: kept}
UNDO = {"step": undo}
