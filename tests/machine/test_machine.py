"""The machine as its runner meets it: what is next, when to ask again, what is still due, and the picture of it all."""

import pytest

from reactor.machine.commands import Call, Dispatch, End
from reactor.machine.events import CallStarted, CallSucceeded, MapOpened, RunStarted
from reactor.machine.machine import APPLY, MOVES, RULES, TIMERS, Machine
from reactor.plan.compile import plan_of
from tests.machine.folding import Fold, facts_of, word
from tests.machine.plans import Chain, Diamond, Lazy, Order, Payment, Ship, Wide

# ---- next --------------------------------------------------------------------------------------------------------------


def test_a_machine_that_has_not_started_gives_nothing():
    """The first fact opens the roots."""
    machine = Machine(plan_of(Wide))
    assert machine.next(0.0) is None
    machine.apply(RunStarted(0.0, ""))
    assert word(machine.next(0.0)) == "do one"


def test_other_orders_come_before_calls():
    """What ends, cancels, closes or hands on must not wait behind a thousand ready calls."""
    machine = Machine(plan_of(Lazy))
    machine.apply(RunStarted(0.0, ""))
    machine.apply(MapOpened(0.0, "lines"))
    assert [word(machine.next(0.0)) for _ in range(2)] == ["dispatch lines 0", "do beside"]


def test_orders_that_need_no_slot_can_be_asked_for_alone():
    """While every slot is taken calls stay in the queue; all else goes on."""
    fold = Fold(Lazy)
    assert fold.orders(calls=False) == []
    fold = Fold(Lazy)
    fold.machine.next(0.0)
    fold.opened_map("lines")
    assert fold.machine.next(0.0, False).address == "lines"


def test_a_call_that_was_not_begun_is_put_back():
    """It is the next again, before those that were behind it."""
    machine = Machine(plan_of(Wide))
    machine.apply(RunStarted(0.0, ""))
    order = machine.next(0.0)
    assert isinstance(order, Call)
    machine.put_back(order)
    assert [word(machine.next(0.0)) for _ in range(3)] == ["do one", "do two", "do three"]


def test_a_call_that_was_put_back_may_be_overtaken():
    """It is looked at again when its turn comes."""
    fold = Fold(Wide)
    order = fold.taken()[0]
    fold.broke("three")
    fold.machine.put_back(order)
    assert fold.orders() == ["end failed"]


def test_an_order_is_due_until_a_fact_answers_or_overtakes_it():
    """Whoever opened a resource meanwhile asks again before the call begins."""
    fold = Fold(Wide)
    one, two, _ = fold.taken()
    assert fold.machine.is_due(one)
    fold.began("one")
    assert not fold.machine.is_due(one)
    fold.broke("three")
    assert not fold.machine.is_due(two)


@pytest.mark.parametrize("story", ["started", "stopped", "ended source"])
def test_a_dispatch_is_due_until_its_batch_has_started(story):
    """Or the map was cut, or its source has ended: elements that come too late are dropped."""
    fold = Fold(Lazy)
    fold.orders()
    [dispatch] = fold.opened_map("lines").taken()
    assert isinstance(dispatch, Dispatch)
    assert fold.machine.is_due(dispatch)
    if story == "started":
        fold.batch("lines", 0)
    elif story == "stopped":
        fold.stop("cancel")
    else:
        fold.source_ended("lines")
    assert not fold.machine.is_due(dispatch)


def test_an_end_is_due_as_long_as_it_is_what_the_run_ends_as():
    """A cancel that comes before it was recorded makes it another one."""
    fold = Fold(Payment).did("hold", "output")
    [end] = fold.taken()
    assert isinstance(end, End)
    assert fold.machine.is_due(end)
    fold.stop("cancel")
    assert not fold.machine.is_due(end)


# ---- time ------------------------------------------------------------------------------------------------------------------


def test_the_earliest_timer_says_when_to_ask_again():
    """None while nothing waits for a time."""
    fold = Fold(Wide)
    assert fold.machine.wake_at is None
    fold.began("one").failed("one", next_in=5.0).began("two").failed("two", next_in=3.0)
    assert fold.machine.wake_at == 3.0
    fold.after(3)
    assert "do two" in fold.orders()
    assert fold.machine.wake_at == 5.0


def test_timers_that_are_due_at_once_go_by_age():
    """Who waited first goes first."""
    fold = Fold(Wide)
    fold.began("two").failed("two", next_in=3.0).began("one").failed("one", next_in=3.0)
    fold.orders()
    assert fold.after(3).orders() == ["do two", "do one"]


def test_time_that_goes_backwards_changes_nothing():
    """A clock may be set; facts are folded in their order, and a timer rings when its time has come."""
    fold = Fold(Wide).after(100).began("one").failed("one", next_in=5.0)
    fold.orders()
    fold.now = 50.0
    assert fold.did("two").orders() == []
    fold.now = 105.0
    assert fold.orders() == ["do one"]


# ---- replay ------------------------------------------------------------------------------------------------------------------


def test_a_replay_is_the_machine():
    """Facts alone make the state: orders that were given, and when, leave no trace in it."""
    fold = Fold(Diamond).did("top").began("left").broke("right").succeeded("left").undone("left")
    machine = Machine.replay(plan_of(Diamond), fold.facts)
    assert facts_of(machine) == facts_of(fold.machine)
    assert word(machine.next(0.0)) == "undo top"
    assert machine.next(0.0) is None


def test_a_replay_of_nothing_is_a_new_machine():
    """A record may be empty."""
    assert Machine.replay(plan_of(Diamond), []).snapshot() == Machine(plan_of(Diamond)).snapshot()


def test_a_replay_gives_again_what_no_fact_has_answered():
    """Each once, however often it had been queued; never what was answered."""
    fold = Fold(Wide).did("one").began("two").failed("two", next_in=1.0)
    fold.orders()
    machine = fold.replayed()
    given = []
    while (order := machine.next(1.0)) is not None:
        given.append(word(order))
    assert sorted(given) == ["do three", "do two"]


def test_forget_answered_twice_is_forget_answered():
    """It only drops what is not due."""
    fold = Fold(Ship).did("first").opened_map("ship", 4).batch("ship", 0)
    machine = fold.replayed()
    machine.forget_answered()
    assert word(machine.next(0.0)) == "dispatch ship 1"
    assert machine.next(0.0) is None


# ---- the picture ---------------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_plain_data():
    """Scopes by address, marks by word, what is stuck, what is due."""
    fold = Fold(Order).did("reserve").opened("pay", "Payment").began("pay.hold")
    shown = fold.machine.snapshot()
    assert shown["scopes"][""]["marks"] == {"reserve": "done", "pay": "open", "beside": "ready", "output": "idle"}
    assert shown["scopes"]["pay"]["marks"] == {"pay.hold": "running", "pay.output": "idle"}
    assert shown["scopes"]["pay"]["phase"] == "forward"
    assert shown["ends"] == (None, "failed", None, "", [])
    fold = Fold(Wide)
    assert fold.machine.snapshot()["due"] == [("one", "do"), ("three", "do"), ("two", "do")]


def test_a_snapshot_tells_machines_apart():
    """Any fact that matters shows."""
    chain = Fold(Chain)
    before = chain.machine.snapshot()
    for word_of_it in (lambda: chain.began("a"), lambda: chain.succeeded("a", 1), lambda: chain.broke("b"), lambda: chain.stop("cancel")):
        word_of_it()
        after = chain.machine.snapshot()
        assert after != before
        before = after


# ---- rules ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["APPLY", "MOVES", "TIMERS", "STOP", "UNDO", "WAKE"])
def test_each_key_belongs_to_one_rule(table):
    """Rules do not know each other: a fact, move, timer or kind that two of them claimed would go to the last in silence."""
    keys = [key for rule in RULES for key in getattr(rule, table, {})]
    assert len(keys) == len(set(keys))


def test_every_fact_has_its_rule():
    """A fact that no rule folds would be an error when it is first recorded."""
    kinds = {kind for kind in type(CallStarted(0.0, "")).__mro__[1].__subclasses__() if kind.__module__ == "reactor.machine.events"}
    assert set(APPLY) == kinds
    assert {"stop", "settle", "finish", "closed", "hushed"} <= set(MOVES)
    assert set(TIMERS) == {"due", "settle", "deadline"}


def test_a_fact_costs_what_follows_from_it():
    """A success in a run of 50,000 nodes looks at its followers only: neither state nor plan is gone through."""

    class Counted(list):
        reads = 0

        def __getitem__(self, index):
            Counted.reads += 1
            return super().__getitem__(index)

    machine = Machine(plan_of(Wide))
    machine.apply(RunStarted(0.0, ""))
    root = machine.state.root
    root.marks, root.values, root.waiting = Counted(root.marks), Counted(root.values), Counted(root.waiting)
    machine.apply(CallStarted(0.0, "one"))
    machine.apply(CallSucceeded(0.0, "one", 1))
    assert Counted.reads <= 4
