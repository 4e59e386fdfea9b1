"""A reactor inside a reactor: its nodes live in the same record under the node's address, and its failure stands there first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.machine.commands import Close
from reactor.machine.constants import CUT_OFF
from reactor.machine.events import ChildOpened, Closed
from reactor.machine.marks import CLOSED, DONE, FORWARD, OPEN, QUIET, STOPPING, UNDONE
from reactor.machine.state import Scope
from reactor.plan.compile import child_plan

if TYPE_CHECKING:
    from reactor.machine.state import State


def opened(state: State, event: ChildOpened) -> None:
    """The node's own code returned a reactor: begin it, or, where the scope is stopping, let it end at once with nothing begun."""
    scope, index = state.place(event.address)
    owner, at = (scope.plan.owner, scope.plan.map_node.index) if scope.is_batch else (scope.plan, index)
    child = Scope(child_plan(owner, at, event.reactor), address=event.address, parent=scope, at=index, reactor=event.inputs)
    scope.marks[index] = OPEN
    scope.children[index] = child
    state.settle_in(child)
    if scope.phase == FORWARD:
        state.open_roots(child)
    else:
        child.quiet = scope.quiet
        state.moves.append(("stop", child, -1))


def closed(state: State, event: Closed) -> None:
    """The child's output is the node's result (a map's, and an element's, comes with the fact)."""
    scope, index = state.place(event.address)
    value = event.value
    child = scope.children.get(index)
    if child is not None and scope.plan.nodes[index].kind == "compose":
        child.phase = CLOSED
        value = value if scope.is_batch else child.values[child.plan.output]
    state.done(scope, index, value)


def finished(state: State, child: Scope) -> None:
    """Every node of the child is done."""
    if child.parent is not None:
        state.orders.append(Close(child.parent, child.at))


def rolled_back(state: State, child: Scope) -> None:
    """The child is undone: on its own, so its node has failed; or in its place, as part of its parent's rollback."""
    scope, index = child.parent, child.at
    if scope is None:
        return
    if scope.marks[index] == DONE:
        scope.marks[index] = UNDONE
        state.moves.append(("undone", scope, index))
    else:
        failure = child.failures[child.failed] if child.failed >= 0 else CUT_OFF
        state.fail(scope, index, failure, child.failed_at)


def stop(state: State, scope: Scope, index: int) -> None:
    """The scope around is stopping: so does the child, unless it is done or has failed by itself."""
    child = scope.children[index]
    if child.phase == FORWARD and child.left > 0:
        child.quiet = scope.quiet
        state.moves.append(("stop", child, -1))


def hushed(state: State, child: Scope) -> None:
    """A child of a halted or abandoned scope came to rest: it stays as it is."""
    if child.parent is not None:
        state.leave(child.parent, child.at, OPEN)


def undo(state: State, scope: Scope, index: int) -> None:
    """Undo the child's nodes in their own order."""
    child = scope.children[index]
    child.quiet = False  # a halt may have come between its last result and its end
    child.phase = STOPPING
    state.moves.append(("settle", child, -1))


def wake(state: State, scope: Scope, index: int) -> None:
    """An undo was asked for after a halt: a child that came to rest half-way rolls back and fails its node."""
    child = scope.children[index]
    if child.phase == QUIET:
        state.moves.append(("wake", child, -1))


APPLY = {ChildOpened: opened, Closed: closed}
STOP = {"compose": stop}
UNDO = {"compose": undo}
WAKE = {"compose": wake}
