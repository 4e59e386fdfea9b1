"""The state of one run: scopes of integer nodes, the queues of what is due, and the few moves that every rule shares."""

import pytest

from reactor.machine.events import BatchSettled, RollbackFailed
from reactor.machine.marks import BACKOFF, COMPENSATE_READY, DONE, FAILED, FORWARD, IDLE, LEFT, READY, ROLLBACK, RUNNING, SKIPPED, STOPPING
from reactor.machine.state import MapState, Scope, State
from reactor.plan.compile import plan_of
from tests.machine.folding import BOOM
from tests.machine.plans import Diamond, Order, Payment, Wide


def diamond() -> State:
    """Nothing has begun."""
    return State(Scope(plan_of(Diamond)))


def names(state: State) -> list[str]:
    """What is in the queue of calls."""
    return [f"{call} {scope.names[index]}" for scope, index, call in state.ready]


def running(state: State, *indexes: int) -> Scope:
    """The root, with calls of these nodes in flight."""
    for index in indexes:
        state.root.marks[index] = RUNNING
        state.root.in_flight += 1
    return state.root


# ---- scopes and addresses --------------------------------------------------------------------------------------------


def test_a_scope_is_a_fresh_performance_of_a_plan():
    """It copies what changes and shares what does not: two runs of one plan are strangers."""
    plan = plan_of(Diamond)
    one, other = Scope(plan), Scope(plan)
    one.waiting[3] -= 1
    one.marks[0] = DONE
    assert other.waiting == plan.in_degrees == [0, 1, 1, 2]
    assert other.marks == [IDLE] * 4
    assert one.names is plan.names
    assert (one.left, one.in_flight, one.phase, one.failed) == (4, 0, FORWARD, -1)


def test_a_childs_addresses_are_paths():
    """Under its node's address, at any depth; the run's own are bare names."""
    root = Scope(plan_of(Order))
    child = Scope(plan_of(Payment), address="pay", parent=root, at=1)
    assert child.names == ["pay.hold", "pay.output"]
    assert Scope(plan_of(Payment), address="a.b[3].c", parent=child, at=0).names == ["a.b[3].c.hold", "a.b[3].c.output"]


def test_every_address_has_its_place():
    """The run's by its plan's index, a child's once it is settled in, with what it holds."""
    state = State(Scope(plan_of(Order)))
    child = Scope(plan_of(Payment), address="pay", parent=state.root, at=1)
    inner = Scope(plan_of(Payment), address="pay.hold", parent=child, at=0)
    child.children[0] = inner
    state.root.children[1] = child
    assert state.place("pay") == (state.root, 1)
    with pytest.raises(KeyError):
        state.place("pay.output")
    state.settle_in(child)
    assert state.place("pay.output") == (child, 1)
    assert state.place("pay.hold.output") == (inner, 1)
    assert list(state.scopes()) == [state.root, child, inner]


def test_a_kept_child_is_a_copy():
    """With all that it holds, under its new parent: what the new run does to it leaves the old one as it was."""
    root = Scope(plan_of(Order))
    child = Scope(plan_of(Payment), address="pay", parent=root, at=1, reactor="its reactor")
    inner = Scope(plan_of(Payment), address="pay.hold", parent=child, at=0)
    child.children[0], child.maps[1] = inner, MapState(2)
    child.marks[:] = [DONE, SKIPPED]
    child.values[:] = ["hold", "charge"]
    child.tries[0] = 2
    copy = child.clone(Scope(plan_of(Order)), 1)
    assert (copy.marks, copy.values, copy.tries, copy.reactor) == ([DONE, SKIPPED], ["hold", "charge"], {0: 2}, "its reactor")
    assert copy.children[0].parent is copy
    copy.marks[0] = copy.children[0].marks[0] = FAILED
    copy.maps[1].batches[0] = "a batch"
    assert (child.marks[0], inner.marks[0], child.maps[1].batches) == (DONE, IDLE, {})


def test_a_kept_map_is_a_copy():
    """Its batches and counts come along; nothing of it is open or being undone."""
    kept = MapState(10)
    kept.next_batch, kept.first, kept.ended, kept.stuck = 2, 10, True, True
    kept.batches = {0: BatchSettled(0.0, "ship", 0, 5, 0, 5), 1: BatchSettled(0.0, "ship", 1, 5, 0, 5)}
    copy = kept.clone()
    assert (copy.total, copy.next_batch, copy.first, copy.ended, copy.stuck, copy.batches) == (10, 2, 10, True, True, kept.batches)
    del copy.batches[0]
    assert sorted(kept.batches) == [0, 1]
    assert (copy.open, copy.undoing, copy.to_undo) == (set(), set(), None)


# ---- moves ------------------------------------------------------------------------------------------------------------------


def test_open_roots_begins_what_waits_for_nothing():
    """And leaves alone what a restart has kept."""
    state = State(Scope(plan_of(Wide)))
    state.root.marks[1] = DONE
    state.open_roots(state.root)
    assert names(state) == ["do one", "do three"]


def test_done_lets_followers_begin():
    """Each when the last that it waited for is done."""
    state = diamond()
    state.done(running(state, 0), 0, "value")
    assert state.root.values[0] == "value"
    assert names(state) == ["do left", "do right"]
    state.ready.clear()
    state.done(running(state, 1), 1, None)
    assert names(state) == []
    state.done(running(state, 2), 2, None)
    assert names(state) == ["do output"]
    assert (state.root.left, state.root.in_flight, list(state.moves)) == (1, 0, [])
    state.done(running(state, 3), 3, None)
    assert list(state.moves) == [("finish", state.root, -1)]


def test_done_lets_nothing_begin_where_the_scope_is_stopping():
    """It only says when the last call in flight has settled."""
    state = diamond()
    root = running(state, 0, 1)
    root.phase = STOPPING
    state.done(root, 0, None)
    assert (names(state), list(state.moves)) == ([], [])
    state.done(root, 1, None)
    assert (names(state), list(state.moves)) == ([], [("settle", root, -1)])


def test_done_keeps_the_mark_it_is_given():
    """Skipped and recovered nodes are done, and never undone."""
    state = diamond()
    state.done(running(state, 0), 0, None, SKIPPED)
    assert state.root.marks[0] == SKIPPED


def test_fail_asks_compensate_where_there_is_one():
    """The node stays in flight until it has answered."""
    state = State(Scope(plan_of(Wide)))
    state.fail(running(state, 0), 0, BOOM)
    assert names(state) == ["compensate one"]
    assert (state.root.marks[0], state.root.in_flight) == (COMPENSATE_READY, 1)


def test_fail_stands_where_there_is_none():
    """At once, and the first one stops the scope."""
    state = State(Scope(plan_of(Wide)))
    state.fail(running(state, 2), 2, BOOM)
    assert (state.root.marks[2], state.root.failed, state.root.failed_at) == (FAILED, 2, "three")
    assert list(state.moves) == [("stop", state.root, -1)]


def test_fail_is_not_compensated_where_nothing_began():
    """Bad arguments, a resource that would not open."""
    state = State(Scope(plan_of(Wide)))
    root = running(state, 0)
    root.unbegun.add(0)
    state.fail(root, 0, BOOM)
    assert root.marks[0] == FAILED


def test_fail_is_left_where_the_scope_is_quiet():
    """Halted or abandoned: neither compensated nor standing."""
    state = State(Scope(plan_of(Wide)))
    root = running(state, 0)
    root.quiet = True
    state.fail(root, 0, BOOM)
    assert (root.marks[0], root.in_flight) == (LEFT, 0)
    assert list(state.moves) == [("settle", root, -1)]


def test_a_failures_place_is_where_it_began():
    """Deeper than its node, if it came from a child or an element."""
    state = State(Scope(plan_of(Wide)))
    state.fail(running(state, 2), 2, BOOM, "three.deep[4]")
    assert state.root.failed_at == "three.deep[4]"


def test_the_second_failure_that_stands_stops_nothing():
    """The scope is stopping: it may only be the last in flight."""
    state = State(Scope(plan_of(Wide)))
    root = running(state, 1, 2)
    state.stand(root, 2)
    root.phase = STOPPING
    state.moves.clear()
    state.stand(root, 1)
    assert root.failed_at == "three"
    assert list(state.moves) == [("settle", root, -1)]


def test_failures_are_data_where_the_scope_collects():
    """They count as done; the last one finishes the scope."""
    state = State(Scope(plan_of(Wide)))
    root = running(state, 1, 2)
    root.collects, root.left = True, 2
    state.stand(root, 1)
    assert list(state.moves) == []
    state.stand(root, 2)
    assert list(state.moves) == [("finish", root, -1)]
    assert root.failed == -1


def test_wait_sets_a_timer():
    """A node goes on at a time; the heap gives the earliest first, and ties by age."""
    state = State(Scope(plan_of(Wide)))
    state.wait(state.root, 0, 5.0)
    state.wait(state.root, 1, 3.0)
    state.wait(state.root, 2, 3.0)
    assert state.root.due == {0: 5.0, 1: 3.0, 2: 3.0}
    assert state.root.marks[0] == BACKOFF
    assert sorted((when, index) for when, _, what, _, index in state.timers if what == "due") == [(3.0, 1), (3.0, 2), (5.0, 0)]
    assert state.timers[0][4] == 1


def test_what_is_stuck_is_known_to_every_scope_around():
    """So that no node around it can recover."""
    state = State(Scope(plan_of(Order)))
    child = Scope(plan_of(Payment), address="pay", parent=state.root, at=1)
    other = Scope(plan_of(Payment), address="beside", parent=state.root, at=2)
    what = RollbackFailed("pay.hold", "undo", BOOM)
    state.fell_stuck(child, 0, what)
    assert (child.stuck, state.root.stuck, other.stuck) == (True, True, False)
    assert state.stuck == [(what, child, 0, None)]


def test_a_scope_begins_forward():
    """The rollback's counters are made when it begins."""
    scope = Scope(plan_of(Diamond))
    assert scope.phase != ROLLBACK
    assert (scope.undo_left, scope.undo_open) == ([], 0)
    assert scope.marks.count(READY) == 0
