"""A call was cut off by a crash or a release: it is made again under its key, in a failing run too; in a cancelled one it is not."""

import pytest

from reactor.machine.events import CallCut
from reactor.run.outcome import in_doubt_in
from tests.machine.folding import Fold
from tests.machine.plans import Chain, Order, Wide


def cut(fold, address, call="do", attempt=1, *, lost=True, until=0.0):
    """Whoever drove it is gone."""
    return fold.note(CallCut(fold.now, address, call, attempt, lost, until))


def attempt_of(fold):
    """Of the one call that is due."""
    [order] = fold.taken()
    return order.attempt


# ---- forward ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lost", "attempt"), [(True, 2), (False, 1)])
def test_it_is_called_again(lost, attempt):
    """A crash raises the attempt; a release counts nothing."""
    fold = cut(Fold(Chain).began("a"), "a", lost=lost)
    assert fold.mark("a") == "cut"
    [order] = fold.taken()
    assert (order.call, order.address, order.attempt) == ("do", "a", attempt)
    fold.began("a", attempt=attempt).succeeded("a", 1)
    assert fold.orders() == ["do b"]
    fold.did("b", "output")
    assert fold.orders() == ["end succeeded"]


def test_it_counts_as_in_flight():
    """Its run has not stopped before it has its end."""
    fold = cut(Fold(Wide).began("one", "two", "three"), "two")
    fold.failed("one").compensated("one").did("three")
    assert fold.phase == "stopping"
    fold.began("two", attempt=2).succeeded("two")
    assert fold.phase == "rollback"


@pytest.mark.parametrize("crashes", [1, 2])
def test_a_crash_spends_no_retry(crashes):
    """What it cut off is told from what failed: its runner asks with the attempts that are left."""
    fold = Fold(Chain).did("a").began("b")
    for attempt in range(1, crashes + 1):
        cut(fold, "b", attempt=attempt).began("b", attempt=attempt + 1)
    scope, index = fold.machine.state.place("b")
    assert scope.lost[index, "do"] == scope.cuts[index, "do"] == crashes
    fold.failed("b", attempt=crashes + 1, next_in=5.0).after(5)
    assert attempt_of(fold) == crashes + 2
    assert (index, "do") not in scope.cuts, "a failure ends what counts as in a row"
    assert scope.lost[index, "do"] == crashes


def test_a_release_is_no_crash():
    """It counts among neither."""
    fold = cut(Fold(Chain).began("a"), "a", lost=False)
    scope, index = fold.machine.state.place("a")
    assert not scope.lost.get((index, "do"))
    assert not scope.cuts.get((index, "do"))
    assert index not in scope.doubt


def test_the_child_of_a_call_that_was_cut_off_opens_once():
    """A compose whose reactor was not on record yet is asked for it again."""
    fold = cut(Fold(Order).did("reserve", "beside").began("pay"), "pay")
    assert fold.orders() == ["do pay"]
    fold.opened("pay", "Payment")
    assert fold.orders() == ["do pay.hold"]


def test_calls_in_a_child_are_cut_off_as_outside():
    """By their own address; the composes around them are open, not in flight."""
    fold = Fold(Order).did("reserve", "beside").opened("pay", "Payment").began("pay.hold")
    assert cut(fold, "pay.hold").orders() == ["do pay.hold"]
    assert fold.marks("pay", "pay.hold") == ["open", "cut"]


def test_several_calls_are_cut_off_at_once():
    """Each is made again."""
    fold = Fold(Wide).began("one", "two", "three")
    for address in ("one", "two", "three"):
        cut(fold, address)
    assert sorted(fold.orders()) == ["do one", "do three", "do two"]


# ---- while it fails -----------------------------------------------------------------------------------------------------


def test_in_a_failing_run_it_is_called_again_and_undone():
    """A success that comes late is undone like any other."""
    fold = cut(Fold(Wide).began("one", "two").failed("one").compensated("one"), "two")
    assert fold.orders() == ["do two"]
    fold.began("two", attempt=2).succeeded("two")
    assert fold.orders() == ["undo two"]
    fold.undone("two")
    assert fold.orders() == ["end failed"]


def test_one_that_was_cut_off_before_the_failure_stood_is_called_again_too():
    """It began: whether it had its effect is not known otherwise."""
    fold = cut(Fold(Wide).began("one", "two"), "two").failed("one").compensated("one")
    assert fold.orders() == ["do two"]


def test_nothing_new_begins_beside_it():
    """What had not begun when the failure stood never does."""
    fold = cut(Fold(Wide).began("one", "two").failed("one").compensated("one"), "two")
    assert fold.mark("three") == "ready"
    assert fold.orders() == ["do two"]


def test_what_settles_late_is_cancelled_as_any_other():
    """The time to settle counts from the failure, whoever drives it."""
    fold = cut(Fold(Wide, settle=10.0).began("one", "two").failed("one").compensated("one"), "two")
    fold.began("two", attempt=2).after(10)
    assert fold.orders() == ["cancel two"]


def test_in_a_halted_run_it_is_called_again_and_not_undone():
    """Calls in flight settle and are recorded."""
    fold = cut(Fold(Wide).began("one", "two").halted("one"), "two")
    assert fold.orders() == ["do two"]
    fold.began("two", attempt=2).succeeded("two")
    assert fold.orders() == ["end halted"]


# ---- cancelled ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["cut", "cancel"])
def test_a_cancelled_run_does_not_call_it_again(first):
    """It is compensated, and listed as in doubt, whichever comes first."""
    fold = Fold(Wide).did("one").began("two")
    if first == "cut":
        cut(fold, "two").stop("cancel")
    else:
        cut(fold.stop("cancel"), "two")
    assert fold.orders() == ["compensate two"]
    assert fold.machine.state.doubtful == ["two"]
    fold.compensated("two")
    assert fold.orders() == ["undo one"]
    fold.undone("one")
    assert fold.orders() == ["end cancelled"]


def test_an_abandoned_run_neither_calls_nor_compensates_it():
    """It is left, and listed as in doubt once."""
    fold = cut(Fold(Wide).did("one").began("two"), "two").stop("abandon")
    assert fold.orders() == ["end cancelled"]
    assert fold.mark("two") == "left"


# ---- compensate and undo --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lost", "attempt"), [(True, 2), (False, 1)])
def test_an_undo_is_called_again(lost, attempt):
    """Whatever the run's end will be."""
    fold = Fold(Chain).did("a").broke("b").compensated("b").began("a", call="undo")
    [order] = cut(fold, "a", "undo", lost=lost).taken()
    assert (order.call, order.address, order.attempt) == ("undo", "a", attempt)
    fold.began("a", call="undo", attempt=attempt).undone("a")
    assert fold.orders() == ["end failed"]


@pytest.mark.parametrize(("lost", "attempt"), [(True, 2), (False, 1)])
def test_a_compensate_is_called_again(lost, attempt):
    """In a cancelled run too: it takes back what may have been done."""
    fold = Fold(Chain).did("a").broke("b").began("b", call="compensate")
    [order] = cut(fold, "b", "compensate", lost=lost).taken()
    assert (order.call, order.address, order.attempt) == ("compensate", "b", attempt)


# ---- doubt --------------------------------------------------------------------------------------------------------------


def test_what_takes_back_waits_until_a_lost_call_cannot_be_at_work_any_more():
    """The owner that was lost may still be in it: neither its undo nor its compensate begins before its time is over."""
    fold = cut(Fold(Wide).began("one", "two"), "two", until=30.0).began("two", attempt=2).succeeded("two")
    fold.failed("one").compensated("one")
    assert fold.orders() == []
    assert fold.machine.wake_at == 30.0
    fold.after(29)
    assert fold.orders() == []
    fold.after(1)
    assert fold.orders() == ["undo two"]


def test_the_compensate_of_a_cancelled_one_waits_too():
    """As long."""
    fold = cut(Fold(Wide).began("two"), "two", until=30.0).stop("cancel")
    assert fold.orders() == []
    fold.after(30)
    assert fold.orders() == ["compensate two"]


def test_the_longest_doubt_counts():
    """Of several owners that were lost in one call, the one that may be at work longest."""
    fold = cut(Fold(Wide).began("two"), "two", until=30.0).began("two", attempt=2)
    cut(fold, "two", attempt=2, until=20.0).stop("cancel")
    fold.after(29)
    assert fold.orders() == []
    fold.after(1)
    assert fold.orders() == ["compensate two"]


def test_a_release_leaves_no_doubt():
    """Its owner saw the call end."""
    fold = cut(Fold(Wide).began("two"), "two", lost=False, until=30.0).stop("cancel")
    assert fold.orders() == ["compensate two"]


def test_what_follows_a_late_success_does_not_wait():
    """Only what takes back does."""
    fold = cut(Fold(Chain).began("a"), "a", until=30.0).began("a", attempt=2).succeeded("a")
    assert fold.orders() == ["do b"]


def test_what_is_in_doubt_is_listed_once():
    """Of an abandoned run, by the address of the call."""
    fold = cut(Fold(Wide).did("one").began("two", "three"), "two").stop("abandon")
    fold.cancelled("three")
    assert sorted(in_doubt_in(fold.machine.state)) == ["three", "two"]
