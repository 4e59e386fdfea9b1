"""A scope stops, settles and is undone: what succeeded, after all that depended on it; the failed node answers its own failure."""

import pytest

from reactor.machine.rules.rollback import TRY_AGAINS
from tests.machine.folding import Fold, boom
from tests.machine.plans import Chain, Diamond, Order, Payment, Wide

# ---- stopping and settling ------------------------------------------------------------------------------------------


def test_a_failure_that_stands_lets_nothing_begin():
    """Nodes that were ready, and orders that nobody has taken yet, are dropped."""
    fold = Fold(Wide)
    assert fold.broke("three").orders() == ["end failed"]
    assert fold.marks("one", "two") == ["ready", "ready"]


def test_the_rollback_waits_for_calls_in_flight():
    """What is in flight settles first: its late success is undone, its late failure compensated."""
    fold = Fold(Wide).began("one", "two").broke("three")
    assert fold.orders() == []
    assert fold.phase == "stopping"
    fold.succeeded("one", 1)
    assert fold.orders() == []
    fold.failed("two")
    assert fold.orders() == ["compensate two"]
    assert fold.compensated("two").orders() == ["undo one"]
    assert fold.undone("one").orders() == ["end failed"]


@pytest.mark.parametrize("verdict", ["continued", "try_again", "stands"])
def test_a_late_verdict_is_ignored(verdict):
    """Continue and TryAgain of a node that failed after another's failure stood: its failure stands too."""
    fold = Fold(Wide).began("one").broke("three")
    fold.failed("one").compensated("one", verdict, 7, 1.0)
    assert fold.mark("one") == "failed"
    assert fold.after(2).orders() == ["end failed"]


def test_the_first_failure_is_the_runs():
    """By the order of the facts; later ones change nothing."""
    fold = Fold(Wide).began("one", "two").broke("three")
    fold.failed("one", boom("late")).compensated("one")
    assert fold.root.failed_at == "three"


def test_a_failure_waits_for_its_compensate_before_it_stands():
    """Other branches go on meanwhile: whether it stands is not known yet."""
    fold = Fold(Wide)
    fold.orders()
    fold.broke("one")
    assert fold.orders() == ["compensate one"]
    assert fold.phase == "forward"
    assert fold.did("two").orders() == []
    fold.compensated("one", "continued", 3)
    assert fold.did("three").orders() == ["do output"]


def test_calls_that_do_not_settle_in_time_are_cancelled():
    """After `settle` seconds; a call with a timeout of its own has that instead."""
    fold = Fold(Wide, settle=10.0).began("one", "three").broke("two")
    fold.compensated("two")
    assert fold.after(9.9).orders() == []
    assert fold.after(0.1).orders() == ["cancel one"]
    fold.cancelled("one")
    assert fold.orders() == ["compensate one"]
    fold.compensated("one")
    assert fold.after(100).orders() == []
    assert fold.succeeded("three").orders() == ["undo three"]


def test_a_settled_scope_has_no_use_for_its_timer():
    """What settled in time is not cancelled later."""
    fold = Fold(Wide, settle=10.0).began("one").broke("three").succeeded("one")
    assert fold.orders() == ["undo one"]
    fold.began("one", call="undo")
    assert fold.after(20).orders() == []


# ---- the order of the rollback ----------------------------------------------------------------------------------------


def test_undo_runs_against_the_edges():
    """A node is undone after every node that depended on it; independent ones at once."""
    fold = Fold(Diamond).did("top", "left", "right").broke("output")
    assert sorted(fold.orders()) == ["undo left", "undo right"]
    assert fold.undone("left").orders() == []
    assert fold.undone("right").orders() == ["undo top"]
    assert fold.undone("top").orders() == ["end failed"]


def test_what_never_began_does_not_hold_up_the_rollback():
    """A branch that was never reached counts as undone at once."""
    fold = Fold(Diamond).did("top").began("left").broke("right")
    assert fold.orders() == []
    assert fold.succeeded("left").orders() == ["undo left"]
    assert fold.undone("left").orders() == ["undo top"]


def test_a_chain_of_nodes_without_undo_is_passed_through():
    """Where there is nothing to call, the parents' turn comes at once."""
    fold = Fold(Order).did("reserve", "beside").opened("pay", "Payment").did("pay.hold", "pay.output").closed("pay").did("output")
    assert fold.orders() == ["end succeeded"]
    fold.ended("succeeded").undo()
    assert sorted(fold.orders()) == ["undo beside", "undo pay.output"]


def test_a_failed_undo_counts_as_settled():
    """The rollback goes on to the parents; the run ends stuck."""
    fold = Fold(Diamond).did("top", "left", "right").broke("output")
    fold.orders()
    fold.undo_broke("left").undone("right")
    assert fold.orders() == ["undo top"]
    assert fold.undone("top").orders() == ["end stuck"]


# ---- what compensate says -----------------------------------------------------------------------------------------------


def test_continue_recovers_the_node():
    """Its value flows on, and it is never undone: it did not succeed by itself."""
    fold = Fold(Chain).did("a").broke("b").compensated("b", "continued", 7)
    assert fold.orders() == ["do output"]
    assert fold.root.values[1] == 7
    fold.broke("output")
    assert fold.mark("b") == "recovered"
    assert fold.orders() == ["undo a"]


@pytest.mark.parametrize("value", [None, False, 0, ""])
def test_continue_with_a_falsy_value_recovers_too(value):
    """None is a value."""
    assert Fold(Chain).did("a").broke("b").compensated("b", "continued", value).orders() == ["do output"]


def test_try_again_is_one_more_call_after_a_wait():
    """Outside the retry budget; then compensate is asked again."""
    fold = Fold(Chain).did("a").broke("b")
    fold.orders()
    fold.compensated("b", "try_again", after=3.0)
    assert fold.orders() == []
    assert fold.after(3).orders() == ["do b"]
    fold.broke("b")
    assert fold.orders() == ["compensate b"]
    assert fold.root.tries == {1: 1}


def test_try_again_at_once():
    """After no time at all."""
    fold = Fold(Chain).did("a").broke("b")
    fold.orders()
    assert fold.compensated("b", "try_again").orders() == ["do b"]


def test_try_again_ten_times_and_no_more():
    """The eleventh lets the failure stand."""
    fold = Fold(Chain).did("a")
    for _ in range(TRY_AGAINS + 1):
        fold.orders()
        fold.broke("b")
        assert fold.orders() == ["compensate b"]
        fold.compensated("b", "try_again")
    assert TRY_AGAINS == 10
    assert fold.orders() == ["undo a"]
    assert fold.mark("b") == "failed"


def test_compensate_has_its_attempts_anew_after_a_try_again():
    """Its second question begins with attempt one."""
    fold = Fold(Chain).did("a").broke("b").began("b", call="compensate").failed("b", call="compensate", next_in=1.0).after(1)
    [order] = fold.taken()
    assert order.attempt == 2
    fold.compensated("b", "try_again").orders()
    fold.broke("b")
    [order] = fold.taken()
    assert (order.call, order.attempt) == ("compensate", 1)


def test_a_node_that_waits_after_try_again_was_compensated_already():
    """If the scope stops during that wait it is not compensated twice: its failure stands."""
    fold = Fold(Wide).broke("one").compensated("one", "try_again", after=9.0)
    fold.began("two").failed("two").compensated("two")
    assert fold.mark("one") == "failed"
    assert fold.orders() == ["end failed"]


def test_a_call_that_try_again_gave_is_compensated_when_it_is_cut_off():
    """It began again: the answer before it does not count for it."""
    fold = Fold(Wide).broke("one").compensated("one", "try_again")
    fold.orders()
    fold.began("one").broke("three")
    fold.failed("one")
    assert fold.orders() == ["compensate one"]


def test_a_retry_after_try_again_is_compensated_when_it_is_dropped():
    """However the facts came about: a call that began after the answer, and waits for another attempt, has not been answered for."""
    fold = Fold(Wide).broke("one").compensated("one", "try_again")
    fold.orders()
    fold.began("one").failed("one", next_in=9.0).broke("three")
    assert fold.orders() == ["compensate one"]
    again = fold.replayed()
    assert again.next(fold.now).address == "one"


# ---- stuck, and tried again -----------------------------------------------------------------------------------------------


def stuck_diamond() -> Fold:
    """A run whose output failed, and where neither `left` nor `top` could be undone."""
    fold = Fold(Diamond).did("top", "left", "right").broke("output").undo_broke("left").undone("right").undo_broke("top")
    assert fold.orders() == ["end stuck"]
    return fold.ended("stuck")


def test_retry_rollback_calls_only_what_was_stuck():
    """One after the other, in the order of the rollback; what was undone is not undone again."""
    fold = stuck_diamond().retry_rollback()
    assert fold.orders() == ["undo left"]
    assert fold.undone("left").orders() == ["undo top"]
    assert fold.undone("top").orders() == ["end failed"]


def test_retry_rollback_can_be_stuck_again():
    """What fails again is listed again, alone."""
    fold = stuck_diamond().retry_rollback().undo_broke("left").undone("top")
    assert fold.orders() == ["end stuck"]
    fold.ended("stuck").retry_rollback()
    assert fold.orders() == ["undo left"]
    assert fold.undone("left").orders() == ["end failed"]


def test_a_retried_undo_has_all_its_attempts():
    """The budget of the first rollback is not held against it."""
    fold = stuck_diamond().retry_rollback()
    [order] = fold.taken()
    assert order.attempt == 1
    fold.began("left", call="undo").failed("left", call="undo", next_in=1.0)
    [order] = fold.after(1).taken()
    assert order.attempt == 2
    assert fold.undone("left").orders() == ["undo top"]


@pytest.mark.parametrize("verdict", ["stands", "continued", "try_again"])
def test_a_retried_compensate_only_answers(verdict):
    """The run is over: whatever it says, the failure stands."""
    fold = Fold(Chain).did("a").broke("b").undo_broke("b", "compensate").undone("a").ended("stuck").retry_rollback()
    assert fold.orders() == ["compensate b"]
    assert fold.compensated("b", verdict, 7).orders() == ["end failed"]
    assert fold.mark("b") == "failed"


def test_a_retried_compensate_can_fail_again():
    """The run is stuck as before."""
    fold = Fold(Chain).did("a").broke("b").undo_broke("b", "compensate").undone("a").ended("stuck").retry_rollback()
    assert fold.undo_broke("b", "compensate").orders() == ["end stuck"]


def test_a_retried_rollback_ends_as_the_first_would_have():
    """A cancelled run that was stuck ends cancelled once it is undone."""
    fold = Fold(Payment).did("hold").stop("cancel").undo_broke("hold")
    assert fold.orders() == ["end stuck"]
    fold.ended("stuck").retry_rollback()
    assert fold.undone("hold").orders() == ["end cancelled"]


# ---- in a child -------------------------------------------------------------------------------------------------------------


def test_what_is_stuck_in_a_child_cannot_be_recovered():
    """A person must look: Continue and TryAgain of its node are ignored, and the parent fails."""
    for verdict in ("continued", "try_again"):
        fold = Fold(Order).did("reserve").opened("pay", "Payment").did("pay.hold").broke("pay.output").compensated("pay.output")
        fold.undo_broke("pay.hold")
        assert "compensate pay" in fold.orders()
        fold.compensated("pay", verdict, 7)
        assert fold.orders() == ["undo reserve"]
        assert fold.undone("reserve").orders() == ["end stuck"]


def test_what_is_stuck_in_a_child_is_tried_again_by_the_run():
    """It is the run's stuck list, whatever the depth."""
    fold = Fold(Order).did("reserve").opened("pay", "Payment").did("pay.hold").broke("pay.output").compensated("pay.output")
    fold.undo_broke("pay.hold").compensated("pay").undone("reserve").ended("stuck").retry_rollback()
    assert fold.orders() == ["undo pay.hold"]
    assert fold.undone("pay.hold").orders() == ["end failed"]


# ---- ends -----------------------------------------------------------------------------------------------------------------------


def test_a_failed_run_ends_after_its_rollback():
    """Failed where all was undone, and its state says so at any time after."""
    fold = Fold(Chain).did("a", "b").broke("output").undone("b", "a")
    assert fold.orders() == ["end failed"]
    fold.ended("failed")
    assert fold.phase == "closed"
    assert fold.orders() == []
    assert fold.marks("a", "b", "output") == ["undone", "undone", "failed"]
