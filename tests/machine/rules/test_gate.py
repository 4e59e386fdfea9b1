"""Whether anything may begin: the run starts, is cancelled, halted, out of time, undone after its end, tried again, ended."""

import pytest

from reactor.machine.constants import CUT_OFF, DEADLINE
from tests.machine.folding import BOOM, Fold
from tests.machine.plans import Chain, Diamond, Lazy, Optional, Order, Outer, Parcels, Payment, Ship, Wide

# ---- cancel ----------------------------------------------------------------------------------------------------------


def test_a_cancel_cancels_what_is_in_flight():
    """Then it is compensated, and what succeeded is undone."""
    fold = Fold(Wide).did("one").began("two")
    fold.orders()
    assert fold.stop("cancel").orders() == ["cancel two"]
    assert fold.cancelled("two").orders() == ["compensate two"]
    assert fold.compensated("two").orders() == ["undo one"]
    assert fold.undone("one").orders() == ["end cancelled"]
    assert fold.machine.state.reason == "because"


def test_a_cancelled_call_that_succeeded_all_the_same_is_undone():
    """Its value came before it felt the cancellation."""
    fold = Fold(Wide).began("two").stop("cancel").succeeded("two", 1)
    assert fold.orders() == ["undo two"]


def test_a_cancel_before_anything_began():
    """Nothing is called."""
    assert Fold(Wide).stop("cancel").orders() == ["end cancelled"]


def test_a_cancel_drops_retries_that_are_due():
    """They have failed for good."""
    fold = Fold(Wide).began("one").failed("one", next_in=60.0).stop("cancel")
    assert fold.orders() == ["compensate one"]


def test_a_cancel_while_compensate_runs_lets_it_answer():
    """Undo and compensate are never cut off; what it says is ignored by then."""
    fold = Fold(Wide).broke("one").began("one", call="compensate").stop("cancel")
    assert fold.orders() == []
    fold.compensated("one", "continued", 3)
    assert fold.mark("one") == "failed"
    assert fold.orders() == ["end cancelled"]


def test_a_cancel_reaches_every_depth():
    """Children's calls are cancelled too, children roll back, and so on outwards."""
    fold = Fold(Outer).opened("order", "Order").did("order.reserve").opened("order.pay", "Payment").did("order.pay.hold")
    fold.began("order.pay.output", "order.beside")
    fold.stop("cancel")
    assert sorted(fold.orders()) == ["cancel order.beside", "cancel order.pay.output"]
    fold.cancelled("order.beside").cancelled("order.pay.output")
    assert fold.orders() == ["compensate order.pay.output"]
    assert fold.compensated("order.pay.output").orders() == ["undo order.pay.hold"]
    assert fold.undone("order.pay.hold").orders() == ["compensate order.pay"]
    assert fold.compensated("order.pay").orders() == ["undo order.reserve"]
    assert fold.undone("order.reserve").orders() == ["end cancelled"]


def test_a_cancel_reaches_a_child_that_was_failing_by_itself():
    """Its calls in flight need not settle any more."""
    fold = Fold(Outer).opened("order", "Order").began("order.reserve").broke("order.beside")
    assert fold.orders() == []
    assert fold.stop("cancel").orders() == ["cancel order.reserve"]


def test_a_cancel_reaches_a_map_in_a_child_that_was_failing_by_itself():
    """Its batches had been told to settle: now they are told to stop."""
    fold = Fold(Parcels).opened("child", "Lazy").opened_map("child.lines").batch("child.lines", 0, 2).broke("child.beside")
    fold.source_ended("child.lines")
    assert fold.orders() == ["stop child.lines 0 settle"]
    assert fold.stop("cancel").orders() == ["stop child.lines 0 cancel"]
    assert fold.settled("child.lines", 0, undoable=1).orders() == ["undo_batch child.lines 0"]
    assert fold.batch_undone("child.lines", 0).orders() == ["end cancelled"]


def test_a_batch_of_a_run_that_is_rolling_back_is_told_once():
    """The run itself is stopping already: a second word changes nothing."""
    fold = Fold(Lazy).opened_map("lines").batch("lines", 0, 2).broke("beside").source_ended("lines")
    assert fold.orders() == ["stop lines 0 settle"]
    assert fold.stop("cancel").orders() == []


@pytest.mark.parametrize("mode", ["cancel", "undo", "deadline"])
def test_a_run_that_is_rolling_back_goes_on_rolling_back(mode):
    """The failure that stood first is what it ends with."""
    fold = Fold(Chain).did("a", "b").broke("output")
    assert fold.orders() == ["undo b"]
    assert fold.stop(mode).orders() == []
    assert fold.undone("b").orders() == ["undo a"]
    assert fold.undone("a").orders() == ["end failed"]


def test_an_undo_of_a_running_run_is_a_cancel_that_ends_undone():
    """The same way, another word for the end."""
    fold = Fold(Wide).did("one").began("two").stop("undo").cancelled("two").compensated("two")
    assert fold.orders() == ["undo one"]
    assert fold.undone("one").orders() == ["end undone"]


def test_a_cancel_when_all_is_done_but_the_end():
    """The end was not recorded yet: the run is cancelled, and undone."""
    fold = Fold(Payment).did("hold", "output")
    assert fold.orders() == ["end succeeded"]
    assert fold.stop("cancel").orders() == ["undo output"]
    assert fold.undone("output", "hold").orders() == ["end cancelled"]


# ---- abandon -----------------------------------------------------------------------------------------------------------


def test_a_cancel_without_undo_leaves_all_as_it_is():
    """Calls in flight are cancelled and neither compensated nor undone: they are in doubt."""
    fold = Fold(Wide).did("one").began("two").stop("abandon")
    assert fold.orders() == ["cancel two"]
    assert fold.cancelled("two").orders() == ["end cancelled"]
    assert fold.marks("one", "two") == ["done", "left"]


def test_an_abandoned_run_compensates_nothing():
    """Neither what was about to be, nor what waits for another attempt to be, nor a retry that was due."""
    fold = Fold(Wide).broke("one").began("two").failed("two", next_in=9.0).stop("abandon")
    assert fold.orders() == ["end cancelled"]
    assert fold.marks("one", "two") == ["left", "left"]
    fold = Fold(Wide).broke("one", "three").stop("abandon")
    assert fold.orders() == ["end cancelled"]
    assert fold.mark("one") == "left"


def test_a_compensate_in_flight_ends_in_an_abandoned_run():
    """It is never cut off; its failure stands, and nothing is undone."""
    fold = Fold(Wide).did("two").broke("one").began("one", call="compensate").stop("abandon")
    assert fold.orders() == []
    fold.compensated("one")
    assert fold.orders() == ["end cancelled"]
    assert fold.marks("one", "two") == ["failed", "done"]


def test_an_abandoned_compensate_is_not_tried_again():
    """It waits for its next attempt while its scope is failing: that is dropped."""
    fold = Fold(Wide).began("one").broke("three")
    fold.failed("one").began("one", call="compensate").failed("one", call="compensate", next_in=5.0).stop("abandon")
    assert fold.after(9).orders() == ["end cancelled"]
    assert fold.mark("one") == "left"


def test_an_abandoned_child_stays_as_it_is():
    """With its parent."""
    fold = Fold(Order).did("reserve").opened("pay", "Payment").did("pay.hold").began("pay.output").stop("abandon")
    assert fold.orders() == ["cancel pay.output"]
    assert fold.cancelled("pay.output").orders() == ["end cancelled"]
    assert fold.marks("reserve", "pay", "pay.hold", "pay.output") == ["done", "open", "done", "left"]


def test_an_abandoned_map_stays_as_it_is():
    """Its batches are told, and nothing is undone."""
    fold = Fold(Ship).did("first").opened_map("ship", 2).batch("ship", 0).stop("abandon")
    assert fold.orders() == ["close_source ship", "stop ship 0 abandon"]
    fold.source_ended("ship").settled("ship", 0, good=0)
    assert fold.orders() == ["end cancelled"]
    assert fold.mark("ship") == "open"


# ---- halt --------------------------------------------------------------------------------------------------------------


def test_a_halt_stops_without_a_rollback():
    """Calls in flight settle and are recorded; nothing begins."""
    fold = Fold(Wide).did("one").began("two", "three").halted("two")
    assert fold.orders() == []
    assert fold.succeeded("three", 3).orders() == ["end halted"]
    assert fold.marks("one", "two", "three") == ["done", "halted", "done"]
    assert fold.machine.state.halted == "enough"


def test_a_late_failure_of_a_halted_run_is_left():
    """Neither compensated nor undone; the run is halted all the same."""
    fold = Fold(Wide).began("one", "two").halted("two").failed("one")
    assert fold.orders() == ["end halted"]
    assert fold.mark("one") == "left"


def test_a_retry_of_a_halted_run_is_dropped():
    """Nothing begins."""
    fold = Fold(Wide).began("one").failed("one", next_in=5.0).began("two").halted("two")
    assert fold.orders() == ["end halted"]
    assert fold.after(9).orders() == []


def test_a_failure_that_stood_before_wins():
    """The run is rolling back: the halt is one more call that did not succeed."""
    fold = Fold(Wide).did("one").began("two").broke("three").halted("two")
    assert fold.orders() == ["compensate two"]
    assert fold.compensated("two").orders() == ["undo one"]
    assert fold.undone("one").orders() == ["end failed"]
    assert fold.machine.state.halted is None


def test_the_first_halt_says_why():
    """A second one, of a call that was in flight, changes nothing."""
    fold = Fold(Wide).began("one", "two").halted("two", "first").halted("one", "second")
    assert fold.orders() == ["end halted"]
    assert fold.machine.state.halted == "first"


def test_a_halt_in_a_child_halts_the_run():
    """At every depth."""
    fold = Fold(Outer).opened("order", "Order").did("order.reserve").opened("order.pay", "Payment").began("order.pay.hold", "order.beside")
    fold.halted("order.pay.hold")
    assert fold.orders() == []
    fold.succeeded("order.beside")
    assert fold.orders() == ["end halted"]
    assert fold.marks("order", "order.pay", "order.pay.hold") == ["open", "open", "halted"]


def test_a_halt_waits_for_a_child_that_is_rolling_back():
    """Its failure stood before in its own scope: it is answered there; then its node is left."""
    fold = Fold(Order).did("reserve").began("beside").opened("pay", "Payment").did("pay.hold").broke("pay.output")
    fold.compensated("pay.output").halted("beside")
    assert fold.orders() == ["undo pay.hold"]
    assert fold.undone("pay.hold").orders() == ["end halted"]
    assert fold.mark("pay") == "left"


def test_a_halt_while_compensate_is_about_to_run():
    """A failure that did not stand yet: in a halted scope it is left unless its compensate is in flight."""
    fold = Fold(Wide).broke("one")
    fold.orders()
    fold.began("one", call="compensate").began("two").halted("two")
    assert fold.orders() == []
    fold.compensated("one", "continued", 1)
    assert fold.orders() == ["end halted"]


# ---- a cancel, or an undo, that overtakes a halt ---------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "status"), [("cancel", "cancelled"), ("undo", "undone")])
def test_a_cancel_overtakes_a_halt(mode, status):
    """While calls in flight settle: they are cancelled, and what the halt would have left is answered and undone after all."""
    fold = Fold(Wide).did("one").began("two", "three").halted("two").stop(mode)
    assert sorted(fold.orders()) == ["cancel three", "compensate two"]
    fold.cancelled("three").compensated("two")
    assert fold.orders() == ["undo one"]
    assert fold.undone("one").orders() == [f"end {status}"]


def test_a_cancel_overtakes_a_halt_that_came_to_rest():
    """Its end was not recorded yet: only one end is given, the cancel's."""
    fold = Fold(Payment).began("hold").halted("hold")
    assert fold.orders() == ["end halted"]
    assert fold.stop("cancel").orders() == ["end cancelled"]


def test_a_cancel_after_a_halt_was_recorded_is_too_late():
    """The run is over; undo it instead."""
    fold = Fold(Payment).did("hold").began("output").halted("output").ended("halted")
    assert fold.stop("cancel").orders() == []
    assert fold.phase == "quiet"


def test_a_cancel_overtakes_a_halt_in_children():
    """What came to rest half-way rolls back, from the inside."""
    fold = Fold(Order).did("reserve").opened("pay", "Payment").did("pay.hold").began("pay.output", "beside").halted("pay.output")
    fold.stop("cancel").cancelled("beside")
    assert fold.orders() == ["compensate pay.output"]
    fold.compensated("pay.output")
    assert fold.orders() == ["undo pay.hold"]
    assert fold.undone("pay.hold").orders() == ["compensate pay"]
    assert fold.compensated("pay").orders() == ["undo reserve"]
    assert fold.undone("reserve").orders() == ["end cancelled"]


def test_a_cancel_overtakes_a_halt_beside_children_that_were_done():
    """They are undone in their place, like any other node that succeeded."""
    fold = Fold(Order).did("reserve").opened("pay", "Payment").did("pay.hold", "pay.output").closed("pay").began("beside", "output")
    fold.halted("beside").stop("cancel")
    assert fold.orders() == ["cancel output"]
    assert fold.cancelled("output").orders() == ["undo pay.output"]
    assert fold.undone("pay.output", "pay.hold").orders() == ["undo reserve"]


def test_a_cancel_overtakes_a_halt_in_maps_that_rest():
    """What their batches left is undone."""
    fold = Fold(Lazy).opened_map("lines").batch("lines", 0, 2).began("beside").source_ended("lines").stop("halt", "enough")
    fold.settled("lines", 0, undoable=1, halted="enough")
    assert fold.orders() == []
    fold.stop("cancel")
    assert sorted(fold.orders()) == ["cancel beside", "undo_batch lines 0"]
    fold.cancelled("beside").batch_undone("lines", 0)
    assert fold.orders() == ["end cancelled"]


def test_a_cancel_overtakes_a_halt_in_maps_that_do_not_rest():
    """Their batches are told to stop."""
    fold = Fold(Lazy).opened_map("lines").batch("lines", 0, 2).began("beside").halted("beside")
    assert fold.orders() == ["close_source lines", "stop lines 0 halt"]
    assert fold.stop("cancel").orders() == ["stop lines 0 cancel"]


def test_an_abandon_overtakes_a_halt():
    """Calls in flight need not settle: they are cancelled and left."""
    fold = Fold(Wide).did("one").began("two", "three").halted("two").stop("abandon")
    assert fold.orders() == ["cancel three"]
    assert fold.cancelled("three").orders() == ["end cancelled"]
    assert fold.marks("one", "two", "three") == ["done", "halted", "left"]


# ---- the deadline ------------------------------------------------------------------------------------------------------------


def test_the_deadline_is_ordered_when_it_has_gone_by():
    """Once; it is a fact when the runner records it."""
    fold = Fold(Wide, deadline=10.0)
    fold.orders()
    fold.did("one").began("two")
    assert fold.machine.wake_at == 10.0
    assert fold.after(9.9).orders() == []
    assert fold.after(0.1).orders() == ["expire"]
    assert fold.stop("deadline").orders() == ["cancel two"]
    fold.cancelled("two").compensated("two")
    assert fold.orders() == ["undo one"]
    assert fold.undone("one").orders() == ["end failed"]


def test_a_deadline_is_the_runs_failure():
    """Its place is a call that was in flight, if any was; the failure is no step's."""
    fold = Fold(Wide, deadline=1.0).began("two").stop("deadline")
    assert fold.machine.state.failure is DEADLINE
    assert fold.root.failed_at == "two"
    assert Fold(Wide, deadline=1.0).stop("deadline").root.failed_at == ""


@pytest.mark.parametrize("before", ["succeeded", "failing", "halting"])
def test_a_deadline_bounds_the_forward_phase_only(before):
    """A run that has ended, rolls back or is halting has none any more."""
    fold = Fold(Wide, deadline=10.0).began("two")
    if before == "succeeded":
        fold.succeeded("two").did("one", "three", "output").ended("succeeded")
    elif before == "failing":
        fold.broke("one").compensated("one")
    else:
        fold.began("one").halted("one")
    assert fold.after(11).orders() == []


# ---- undo after the end -----------------------------------------------------------------------------------------------------


def test_a_succeeded_run_is_undone():
    """In rollback order, and then ends undone."""
    fold = Fold(Diamond).did("top", "left", "right", "output").ended("succeeded").undo()
    assert sorted(fold.orders()) == ["undo left", "undo right"]
    fold.undone("left", "right", "top")
    assert fold.orders() == ["end undone"]


def test_an_undo_that_is_stuck_after_success():
    """Stuck, and undone once it was tried again."""
    fold = Fold(Payment).did("hold", "output").ended("succeeded").undo().undo_broke("output").undone("hold")
    assert fold.orders() == ["end stuck"]
    fold.ended("stuck").retry_rollback()
    assert fold.undone("output").orders() == ["end undone"]


def test_an_undo_leaves_alone_what_a_restart_keeps():
    """By address; then the run is superseded."""
    fold = Fold(Diamond).did("top", "left", "right", "output").ended("succeeded").undo(("top", "left"), "superseded")
    assert fold.orders() == ["undo right"]
    assert fold.undone("right").orders() == ["end superseded"]
    assert fold.ended("superseded").marks("top", "left") == ["done", "done"]


def test_what_was_skipped_stays_skipped():
    """An undo after success finds nothing to undo in it."""
    fold = Fold(Optional).did("flag", value=False).skipped("gift").did("output").ended("succeeded").undo()
    assert fold.orders() == ["end undone"]


def test_a_halted_run_is_undone():
    """First what it left half-way is answered: what raised Halt, what failed late; then what succeeded is undone."""
    fold = Fold(Wide).did("one").began("two").halted("two").ended("halted").undo()
    assert fold.orders() == ["compensate two"]
    assert fold.root.failures[1].kind == "Halt"
    fold.compensated("two", "continued", 3)
    assert fold.orders() == ["undo one"]
    assert fold.undone("one").orders() == ["end undone"]


def test_an_abandoned_run_is_undone():
    """Calls in doubt are compensated: they began and did not succeed."""
    fold = Fold(Wide).did("one").began("two").stop("abandon").cancelled("two").ended("cancelled").undo()
    assert fold.orders() == ["compensate two"]
    assert fold.compensated("two").orders() == ["undo one"]
    assert fold.undone("one").orders() == ["end undone"]


def test_a_halted_child_is_undone():
    """It rolls back alone, then its node has failed and is compensated."""
    fold = Fold(Order).did("reserve").opened("pay", "Payment").did("pay.hold").began("pay.output").halted("pay.output").ended("halted")
    fold.undo()
    assert fold.orders() == ["compensate pay.output"]
    assert fold.compensated("pay.output").orders() == ["undo pay.hold"]
    assert fold.undone("pay.hold").orders() == ["compensate pay"]
    assert fold.root.failures[1] == CUT_OFF
    assert fold.compensated("pay").orders() == ["undo reserve"]
    assert fold.undone("reserve").orders() == ["end undone"]


def test_a_child_that_was_done_when_the_run_halted_is_undone_in_its_place():
    """It succeeded."""
    fold = Fold(Order).did("reserve").began("beside").opened("pay", "Payment").did("pay.hold", "pay.output").closed("pay").halted("beside")
    fold.ended("halted").undo()
    assert fold.orders() == ["undo pay.output"]


# ---- ends --------------------------------------------------------------------------------------------------------------------


def test_after_its_end_a_run_gives_no_order():
    """Whatever its timers say."""
    fold = Fold(Chain, deadline=5.0).did("a", "b", "output").ended("succeeded")
    assert fold.after(100).orders() == []
    assert fold.machine.state.ended == "succeeded"


def test_a_run_that_was_ended_is_kept_as_it_was():
    """Its phase is closed, its values are there to be read."""
    fold = Fold(Chain).did("a", "b").did("output", value=3).ended("succeeded")
    assert fold.phase == "closed"
    assert fold.root.values == [None, None, 3]


@pytest.mark.parametrize("crash_after", ["stop", "compensated", "undone"])
def test_a_halted_and_undone_run_ends_undone_after_a_crash(crash_after):
    """A replay forgets the end that was overtaken: the run is not halted a second time."""
    fold = Fold(Wide).did("one").began("two").halted("two").ended("halted").undo()
    if crash_after != "stop":
        fold.compensated("two")
    if crash_after == "undone":
        fold.undone("one")
    fold.machine = fold.replayed()
    if crash_after == "stop":
        assert fold.orders() == ["compensate two"]
        fold.compensated("two")
    if crash_after != "undone":
        assert fold.orders() == ["undo one"]
        fold.undone("one")
    assert fold.orders() == ["end undone"]


def test_a_stuck_run_is_still_tried_again_after_a_crash():
    """The request was recorded and nothing had begun: a replay does not end it as it had ended before."""
    fold = Fold(Payment).did("hold").began("output").failed("output", BOOM).compensated("output").undo_broke("hold").ended("stuck")
    fold.retry_rollback()
    fold.machine = fold.replayed()
    assert fold.orders() == ["undo hold"]
    assert fold.undone("hold").orders() == ["end failed"]
