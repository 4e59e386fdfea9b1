"""An attempt failed: the next one waits, or the failure is final. Whether there is a next one stands in the fact."""

import pytest

from tests.machine.folding import BOOM, Fold, boom
from tests.machine.plans import Chain, Order, Payment, Wide


def test_the_next_attempt_is_ordered_when_it_is_due():
    """Not before its time, and with its number."""
    fold = Fold(Payment)
    fold.orders()
    fold.began("hold").failed("hold", next_in=5.0)
    assert fold.mark("hold") == "backoff"
    assert fold.orders() == []
    assert fold.machine.wake_at == 5.0
    fold.after(4.9)
    assert fold.orders() == []
    fold.after(0.1)
    [order] = fold.taken()
    assert (order.address, order.call, order.attempt) == ("hold", "do", 2)


def test_the_wait_counts_from_the_failure():
    """`next_in` is seconds from the fact's own time."""
    fold = Fold(Payment).after(100)
    fold.began("hold").after(3).failed("hold", next_in=5.0)
    assert fold.machine.wake_at == 108.0


def test_attempts_count_up():
    """Each order has the number after the attempt that failed."""
    fold = Fold(Payment)
    fold.orders()
    seen = []
    for attempt in range(1, 5):
        fold.began("hold", attempt=attempt).failed("hold", attempt=attempt, next_in=1.0).after(1)
        seen += [order.attempt for order in fold.taken()]
    assert seen == [2, 3, 4, 5]


def test_a_wait_counts_as_in_flight():
    """A node that waits for its next attempt is not done: its scope neither ends nor rolls back without it."""
    fold = Fold(Wide).did("one", "three").began("two").failed("two", next_in=9.0)
    fold.orders()
    assert fold.root.in_flight == 1
    assert fold.orders() == []


def test_a_success_after_a_failure_is_a_success():
    """The failed attempts leave no trace in the outcome."""
    fold = Fold(Payment)
    fold.orders()
    fold.began("hold").failed("hold", next_in=1.0).after(1)
    fold.orders()
    assert fold.began("hold", attempt=2).succeeded("hold", 3).orders() == ["do output"]
    assert fold.root.in_flight == 0


def test_without_a_next_attempt_the_failure_is_final():
    """Compensate is ordered where there is one, else the failure stands at once."""
    assert Fold(Chain).did("a").broke("b").orders() == ["compensate b"]
    fold = Fold(Chain).broke("a")
    assert fold.orders() == ["end failed"]
    assert fold.mark("a") == "failed"
    assert fold.root.failed_at == "a"


def test_the_last_failure_is_the_one_that_counts():
    """`compensate` is asked about the attempt that failed for good, not about the first."""
    fold = Fold(Chain).did("a").began("b").failed("b", boom("first"), next_in=1.0).after(1)
    fold.began("b", attempt=2).failed("b", boom("last"), attempt=2)
    assert fold.root.failures[1] == boom("last")


def test_a_due_retry_is_dropped_when_the_scope_stops():
    """Nothing new begins: the wait is over, the node has failed for good and is compensated."""
    fold = Fold(Wide)
    fold.orders()
    fold.began("one").failed("one", next_in=5.0).broke("three")
    assert fold.orders() == ["compensate one"]
    assert fold.after(10).orders() == [], "the wait that was dropped does not come back"


def test_an_attempt_that_fails_in_a_stopping_scope_has_no_next():
    """Even where its policy had one left."""
    fold = Fold(Wide).began("one").broke("three")
    fold.failed("one", next_in=5.0)
    assert fold.mark("one") == "compensate_ready"


def test_what_never_began_is_never_compensated():
    """A call that failed before it began (a resource would not open): the failure stands at once."""
    fold = Fold(Wide)
    fold.orders()
    fold.failed("one")
    assert fold.mark("one") == "failed"
    assert fold.orders() == ["end failed"]


def test_what_never_began_is_tried_again():
    """Opening counts as an attempt; a later attempt that did begin is compensated like any other."""
    fold = Fold(Wide).failed("one", next_in=1.0)
    assert fold.root.in_flight == 1
    fold.after(1)
    assert "do one" in fold.orders()
    fold.began("one", attempt=2).failed("one", attempt=2)
    assert fold.orders() == ["compensate one"]


def test_what_never_began_in_any_attempt_stays_so():
    """Two attempts that could not open a resource are counted in flight once, and compensated never."""
    fold = Fold(Wide).failed("one", next_in=1.0).after(1)
    fold.orders()
    fold.failed("one", attempt=2)
    assert fold.mark("one") == "failed"
    assert fold.root.in_flight == 0


@pytest.mark.parametrize(("call", "before"), [("compensate", "compensate_backoff"), ("undo", "undo_backoff")])
def test_undo_and_compensate_have_attempts_of_their_own(call, before):
    """They wait in the backward phase too, and their attempts count from one."""
    fold = Fold(Chain).did("a").broke("b")
    node = "b" if call == "compensate" else "a"
    if call == "undo":
        fold.compensated("b")
    fold.orders()
    fold.began(node, call=call).failed(node, call=call, next_in=2.0)
    assert fold.mark(node) == before
    assert fold.orders() == []
    [order] = fold.after(2).taken()
    assert (order.call, order.address, order.attempt) == (call, node, 2)


def test_a_retry_of_compensate_keeps_the_nodes_own_failure():
    """It answers the node's failure; its own failures are another matter."""
    fold = Fold(Chain).did("a").broke("b").began("b", call="compensate").failed("b", boom("its own"), call="compensate", next_in=1.0)
    assert fold.root.failures[1] == boom("b")


def test_an_undo_that_fails_for_good_is_stuck():
    """It is remembered with its call and failure, and the rollback goes on."""
    fold = Fold(Chain).did("a", "b").broke("output")
    fold.orders()
    fold.undo_broke("b")
    assert fold.mark("b") == "undo_failed"
    assert fold.orders() == ["undo a"]
    assert [(one.what.address, one.what.call) for one in fold.machine.state.stuck] == [("b", "undo")]


def test_a_compensate_that_fails_for_good_lets_the_failure_stand():
    """The run rolls back, and is stuck."""
    fold = Fold(Chain).did("a").broke("b")
    fold.orders()
    fold.undo_broke("b", "compensate")
    assert fold.mark("b") == "compensate_failed"
    assert fold.orders() == ["undo a"]
    assert fold.undone("a").orders() == ["end stuck"]
    assert fold.root.failures[1] == boom("b"), "the failure that stood is the step's own"


def test_a_child_whose_output_cannot_be_kept_fails_in_its_own_scope():
    """Its nodes are undone first; then its node has failed, and the failure's place is the child's output."""
    fold = Fold(Order).did("reserve", "beside").opened("pay", "Payment").did("pay.hold", "pay.output")
    assert fold.orders() == ["close pay"]
    fold.failed("pay", BOOM)
    assert fold.orders() == ["undo pay.output"]
    fold.undone("pay.output")
    assert fold.orders() == ["undo pay.hold"]
    fold.undone("pay.hold")
    assert fold.orders() == ["compensate pay"]
    assert fold.compensated("pay").root.failed_at == "pay.output"


def test_a_timer_that_was_overtaken_does_nothing():
    """A wait that is replaced by a longer one is over when the longer one is."""
    fold = Fold(Payment).began("hold").failed("hold", next_in=5.0).after(5)
    fold.orders()
    fold.began("hold", attempt=2).failed("hold", attempt=2, next_in=5.0)
    assert fold.after(4.9).orders() == []
    assert fold.after(0.1).orders() == ["do hold"]
