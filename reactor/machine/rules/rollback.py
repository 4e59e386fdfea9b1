"""A scope stops, settles and is undone: what succeeded, after all that depended on it; the failed node answers its own failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.machine.commands import CancelCall, End
from reactor.machine.events import Compensated, Undone
from reactor.machine.marks import (
    BACKOFF,
    CLOSED,
    COMPENSATE_FAILED,
    COMPENSATE_READY,
    DONE,
    FAILED,
    FORWARD,
    OPEN,
    QUIET,
    RECOVERED,
    ROLLBACK,
    RUNNING,
    STOPPING,
    UNDO_FAILED,
    UNDO_READY,
    UNDONE,
)

if TYPE_CHECKING:
    from reactor.machine.state import Scope, State

TRY_AGAINS = 10  # a node's, outside its retry budget


def stop(state: State, scope: Scope, _index: int) -> None:
    """Nothing new begins in this scope; what waits for a retry has failed; what is in flight has `settle` seconds."""
    if scope.phase != FORWARD:
        return
    scope.phase = STOPPING
    running = False
    for index, mark in enumerate(scope.marks):
        if mark == BACKOFF:
            drop(state, scope, index)
        elif mark == OPEN:
            state.moves.append(("stop_open", scope, index))
        elif mark == RUNNING:
            running = True
    if running:
        state.set_timer(state.now + state.settle, "settle", scope)
    state.moves.append(("settle", scope, -1))


def drop(state: State, scope: Scope, index: int) -> None:
    """A retry that was due fails for good; one that compensate asked for was compensated already."""
    scope.due.pop(index, None)
    if index in scope.answered:
        scope.answered.discard(index)
        state.stand(scope, index)
    else:
        state.fail(scope, index, scope.failures[index])


def overdue(state: State, scope: Scope, _index: int) -> None:
    """Calls that did not settle in time are cancelled; those with a timeout of their own have that."""
    if scope.phase == STOPPING:
        for index, mark in enumerate(scope.marks):
            if mark == RUNNING and scope.plan.nodes[index].timeout is None:
                state.orders.append(CancelCall(scope, index, "it did not settle in time"))


def settle(state: State, scope: Scope, _index: int) -> None:
    """The last call in flight has settled: roll back, or rest where nothing is to be undone (now)."""
    if scope.phase != STOPPING or scope.in_flight:
        return
    if scope.quiet:
        scope.phase = QUIET
        state.moves.append(("hushed", scope, -1))
    elif scope.is_batch and not state.undoing:  # its map decides when it is undone
        scope.phase = QUIET
        state.orders.append(End(scope, -1, "failed"))
    else:
        begin(state, scope)


def begin(state: State, scope: Scope) -> None:
    """Undo from the ends of the graph backwards."""
    scope.phase = ROLLBACK
    scope.undo_left = list(scope.plan.out_degrees)
    scope.undo_open = len(scope.undo_left)
    visit(state, scope, [index for index, left in enumerate(scope.undo_left) if left == 0])


def visit(state: State, scope: Scope, todo: list[int]) -> None:
    """Order the undo of these nodes; where there is none to call, go on to the nodes they depended on."""
    while todo:
        index = todo.pop()
        if needs_undo(state, scope, index):
            state.moves.append(("undo", scope, index))
        else:
            todo.extend(release(scope, index))
    if scope.undo_open == 0 and scope.phase == ROLLBACK:
        scope.phase = CLOSED
        state.moves.append(("closed", scope, -1))


def release(scope: Scope, index: int) -> list[int]:
    """The undo of a node is settled: the parents that waited for nothing else."""
    scope.undo_open -= 1
    freed = []
    for parent in scope.plan.nodes[index].parents:
        scope.undo_left[parent] -= 1
        if scope.undo_left[parent] == 0:
            freed.append(parent)
    return freed


def needs_undo(state: State, scope: Scope, index: int) -> bool:
    """Whether something is to be called for it."""
    node = scope.plan.nodes[index]
    if scope.names[index] in state.keep:
        return False
    if node.kind == "map" and state.kept_undoable(scope, index):
        return True
    if scope.marks[index] != DONE:
        return False
    if node.kind == "map":
        return any(batch.undoable for batch in scope.maps[index].batches.values())
    return node.kind == "compose" or node.undo is not None


def undone(state: State, event: Undone) -> None:
    """An undo succeeded."""
    scope, index = state.place(event.address)
    scope.marks[index] = UNDONE
    after_undo(state, scope, index)


def after_undo(state: State, scope: Scope, index: int) -> None:
    """Go on with what waited for this undo."""
    if state.again:
        state.moves.append(("again", state.root, -1))
    else:
        visit(state, scope, release(scope, index))


def compensated(state: State, event: Compensated) -> None:
    """The failed node answered. Only a scope that still goes forward, and left nothing stuck, may recover."""
    scope, index = state.place(event.address)
    if state.again:
        scope.marks[index] = FAILED
        state.moves.append(("again", state.root, -1))
    elif event.verdict == "stands" or scope.phase != FORWARD or is_stuck(scope, index):
        state.stand(scope, index)
    elif event.verdict == "continued":
        state.done(scope, index, event.value, RECOVERED)
    elif scope.tries.get(index, 0) < TRY_AGAINS:
        scope.tries[index] = scope.tries.get(index, 0) + 1
        scope.attempts[index, "do"] = scope.attempts.get((index, "do"), 1) + 1
        scope.attempts.pop((index, "compensate"), None)
        scope.answered.add(index)
        state.wait(scope, index, event.at + event.after)
    else:
        state.stand(scope, index)


def is_stuck(scope: Scope, index: int) -> bool:
    """An undo inside this node finally failed: a person must look, so its failure stands."""
    child, elements = scope.children.get(index), scope.maps.get(index)
    return (child is not None and child.stuck) or (elements is not None and elements.stuck)


def unanswered(state: State, scope: Scope, index: int) -> None:
    """An undo or compensate finally failed: it counts as settled, and the rollback goes on."""
    if scope.marks[index] == UNDO_FAILED:
        after_undo(state, scope, index)
    elif state.again:
        state.moves.append(("again", state.root, -1))
    else:
        state.stand(scope, index, COMPENSATE_FAILED)


def again(state: State, _scope: Scope, _index: int) -> None:
    """A stuck rollback is tried again: one after the other, in the order in which they failed, which is the order of the rollback."""
    if not state.retrying:
        state.moves.append(("tried", state.root, -1))
        return
    stuck = state.retrying.pop(0)
    if stuck.batch is not None:
        state.retrying = [other for other in state.retrying if (other.scope, other.at, other.batch) != stuck[1:]]
        state.moves.append(("undo_again", stuck.scope, stuck.at))
        stuck.scope.maps[stuck.at].to_undo = [stuck.batch]
        return
    call = stuck.what.call
    stuck.scope.attempts.pop((stuck.at, call), None)
    stuck.scope.marks[stuck.at] = UNDO_READY if call == "undo" else COMPENSATE_READY
    state.ready.append((stuck.scope, stuck.at, call))


APPLY = {Undone: undone, Compensated: compensated}
MOVES = {"stop": stop, "settle": settle, "undone": after_undo, "unanswered": unanswered, "again": again}
TIMERS = {"settle": overdue}
