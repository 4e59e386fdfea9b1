"""The rule of interrupts, fed fact by fact: asking, answering once, running out of time and payloads, being dropped, coming early."""

from __future__ import annotations

from functools import partial

import pytest

from reactor.machine.events import Asked, ChildOpened, Kept, Waited
from reactor.machine.machine import Machine
from reactor.machine.parking import is_parked, waiting_in
from reactor.plan.compile import plan_of
from tests.machine.folding import Fold
from tests.machine.plans import Approval, Asks, Contract, Contracts


def both_open(**more: object) -> Fold:
    """A run of Asks whose interrupts both ask, one for an hour."""
    fold = Fold(Asks)
    assert fold.orders() == ["do price"]
    fold.did("price", value=7)
    assert fold.orders() == ["do approval", "do risk"]
    return fold.asked("approval", deadline=3600.0, **more).asked("risk")


def parked(fold: Fold) -> bool:
    """Whether the machine says so, and a replay of its record too."""
    said = is_parked(fold.machine.state)
    assert is_parked(fold.replayed().state) == said
    return said


# ---- asking and answering ----------------------------------------------------------------------------------------


def test_an_interrupt_waits_until_it_is_answered():
    """What it asks keeps it open, with nothing to do; the payload is its result, and what depends on it may begin."""
    fold = both_open()
    assert fold.marks("approval", "risk") == ["open", "open"]
    assert not fold.orders()
    fold.answered("approval", value=True)
    assert fold.marks("approval", "risk") == ["done", "open"]
    assert not fold.orders()
    fold.answered("risk", value=3)
    assert fold.orders() == ["do output"]
    assert fold.root.values == [7, True, 3, None]


def test_answers_may_come_in_either_order():
    """Several open interrupts do not wait for each other."""
    fold = both_open().answered("risk", value=0).answered("approval", value=False)
    assert fold.orders() == ["do output"]
    assert fold.root.values == [7, False, 0, None]


def test_an_interrupt_that_skips_is_answered_without_asking():
    """Skip in its method: its value is the result, and nothing waits."""
    fold = Fold(Asks).did("price").asked("risk").began("approval").skipped("approval", True, reason="raised")
    assert fold.mark("approval") == "skipped"
    assert fold.answered("risk").orders() == ["do output"]


def test_a_method_that_fails_is_compensated():
    """An interrupt whose code raises has failed, without having asked; Continue gives it a result."""
    fold = Fold(Asks).did("price").asked("risk").broke("approval")
    assert fold.orders() == ["compensate approval"]
    assert not fold.machine.state.asks.get("approval")
    fold.compensated("approval", "continued", True).answered("risk")
    assert fold.mark("approval") == "recovered"
    assert fold.orders() == ["do output"]


def test_an_answer_is_never_undone():
    """A failure later undoes the steps around it and leaves the answer alone."""
    fold = both_open().answered("approval").answered("risk")
    fold.broke("output")
    assert fold.orders() == ["undo price"]
    assert fold.marks("approval", "risk") == ["done", "done"]
    assert fold.undone("price").orders() == ["end failed"]


# ---- out of time, out of payloads ---------------------------------------------------------------------------------


def test_nobody_answers_in_time():
    """At the deadline, and not before, the order to time out comes, once; its failure is compensated."""
    fold = both_open().after(3599)
    assert not fold.orders()
    assert fold.after(1).orders() == ["time_out approval"]
    assert not fold.orders()
    fold.failed("approval")
    assert fold.orders() == ["compensate approval"]


def test_a_timeout_with_a_default_goes_on():
    """Continue(default) is the result."""
    fold = both_open().after(3600).failed("approval").compensated("approval", "continued", False).answered("risk")
    assert fold.orders() == ["do output"]
    assert fold.root.values[1] is False


def test_a_timeout_that_stands_drops_the_other_and_rolls_back():
    """The run is failing: the other open interrupt is dropped, what succeeded is undone."""
    fold = both_open().after(3600).failed("approval").compensated("approval")
    assert fold.mark("risk") == "failed"
    assert fold.orders() == ["undo price"]
    assert fold.undone("price").orders() == ["end failed"]


def test_an_answer_in_time_stops_the_clock():
    """The deadline of an interrupt that was answered is nothing any more."""
    fold = both_open().answered("approval").after(9999)
    assert not fold.orders()


def test_a_machine_that_is_loaded_late_times_out_at_once():
    """The deadline went by while nobody looked."""
    fold = both_open().after(9999)
    again = fold.replayed()
    order = again.next(fold.now)
    assert order is not None
    assert order.address == "approval"


def test_trying_again_asks_again():
    """TryAgain calls the method once more; it asks anew, with a deadline of its own, and the old one no longer counts."""
    fold = Fold(Asks).did("price").asked("approval", deadline=3600.0).after(3600).failed("approval")
    fold.compensated("approval", "try_again", after=5.0)
    assert fold.mark("approval") == "backoff"
    assert fold.orders() == ["do risk"]
    assert fold.after(5).orders() == ["do approval"]
    fold.asked("approval", "1", attempt=2, deadline=9000.0)
    assert not fold.orders()
    assert [(one.address, one.occurrence) for one in waiting_in(fold.asked("risk").machine.state, "r")] == [
        ("approval", "1"),
        ("risk", "0"),
    ]
    assert fold.after(5395).orders() == ["time_out approval"]


def test_refused_payloads_are_counted():
    """The interrupt waits on; the runner fails it at its last."""
    fold = both_open().refused("risk", 1)
    assert fold.mark("risk") == "open"
    assert fold.machine.state.asks["risk"].refused == 1
    fold.refused("risk", 2).failed("risk")
    assert fold.marks("risk", "approval") == ["failed", "compensate_ready"]


# ---- dropped ------------------------------------------------------------------------------------------------------


def test_a_cancel_drops_what_is_open():
    """Open interrupts fail, those with a compensate are compensated, and what succeeded is undone."""
    fold = both_open().stop("cancel")
    assert fold.marks("approval", "risk") == ["compensate_ready", "failed"]
    assert fold.orders() == ["compensate approval"]
    fold.compensated("approval", "continued", True)
    assert fold.mark("approval") == "failed"
    assert fold.orders() == ["undo price"]
    assert fold.undone("price").orders() == ["end cancelled"]


def test_an_abandoned_run_leaves_it():
    """Without undo nothing is called: the run ends."""
    fold = both_open().stop("abandon")
    assert fold.marks("approval", "risk") == ["left", "left"]
    assert fold.orders() == ["end cancelled"]


def test_an_undo_after_a_halt_compensates_it():
    """A halt leaves it open-handed; an undo after the end answers for it and undoes the rest."""
    fold = both_open().stop("halt")
    assert fold.orders() == ["end halted"]
    fold.ended("halted").undo()
    assert fold.orders() == ["compensate approval"]
    assert fold.compensated("approval").orders() == ["undo price"]


def test_a_method_that_returns_too_late_asks_nothing():
    """The scope stopped while the method ran: it is dropped at once."""
    fold = Fold(Asks).did("price").began("risk").asked("approval").stop("undo")
    assert fold.orders() == ["cancel risk", "compensate approval"]
    fold.compensated("approval").note(Asked(fold.now, "risk"))
    assert fold.mark("risk") == "failed"
    assert fold.orders() == ["undo price"]


def test_a_restart_keeps_an_answer():
    """Kept, it has its value, and is not undone."""
    fold = Fold(Asks).note(Kept(0.0, "price", 7)).note(Kept(0.0, "approval", True))
    assert fold.orders() == ["do risk"]
    fold.asked("risk").answered("risk").broke("output")
    assert fold.orders() == ["undo price"]


# ---- early --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["approval", "*.Asks.approval"])
def test_a_payload_that_was_kept_is_taken_when_it_asks(address):
    """Under the occurrence's address, or under the interrupt's name: the order to accept it comes as soon as it asks."""
    fold = Fold(Asks).did("price").kept(address, b"\xc3").kept("risk", b"\x01").asked("approval", deadline=3600.0)
    assert fold.orders() == ["do risk", "accept approval"]
    assert not parked(fold.asked("risk"))
    fold.answered("approval", value=True)
    assert fold.orders() == ["accept risk"]
    assert not fold.answered("risk", value=1).machine.state.early


def test_payloads_are_kept_in_order_and_once():
    """The first is the one that is taken; the same delivery twice is one; what was kept besides is dropped with the answer."""
    fold = Fold(Asks).did("price").kept("risk", b"\x01", "a").kept("risk", b"\x02", "b").kept("risk", b"\x01", "a").asked("risk")
    early = fold.machine.state.early["risk"]
    assert [one.delivery for one in early] == ["a", "b"]
    fold.answered("risk", value=1, delivery="a")
    assert not fold.machine.state.early


def test_a_kept_payload_that_is_refused_makes_room_for_the_next():
    """One that does not fit any more is refused like any other, and the next is taken."""
    fold = Fold(Asks).did("price").kept("risk", b"x", "a").kept("risk", b"\x02", "b").asked("risk").refused("risk", 1, "a")
    assert "accept risk" in fold.orders(calls=False)
    assert not fold.refused("risk", 2, "b").machine.state.early


def test_a_payload_kept_by_name_goes_to_one_that_is_open():
    """Kept by the name of an interrupt that asks already, it is taken by that one."""
    fold = both_open().kept("*.Asks.risk", b"\x01")
    assert fold.orders() == ["accept risk"]


# ---- composed -----------------------------------------------------------------------------------------------------


def test_an_interrupt_in_a_child():
    """It lies in the parent's record under the child's address; its answer is the child's output."""
    fold = Fold(Contract).opened("sign", "Approval").did("sign.hold").asked("sign.output")
    assert fold.orders() == ["do beside"]
    fold.answered("sign.output", value=True)
    assert fold.orders(calls=False) == ["close sign"]
    assert fold.did("beside").closed("sign").orders() == ["do output"]
    assert fold.root.values[0] is True


def test_a_child_that_waits_is_dropped_and_undone_with_its_parent():
    """The parent fails: the child's interrupt is dropped, its hold released, then its compose node is compensated."""
    fold = Fold(Contract).opened("sign", "Approval").did("sign.hold").asked("sign.output").broke("beside")
    assert fold.mark("sign.output") == "failed"
    assert fold.orders() == ["undo sign.hold"]
    assert fold.undone("sign.hold").orders() == ["compensate sign"]


def test_trying_a_child_again_asks_again():
    """The child of the second call is a new one; the first one's answer is not its answer."""
    fold = Fold(Contract).did("beside").opened("sign", "Approval").did("sign.hold").asked("sign.output").failed("sign.output")
    fold.undone("sign.hold").compensated("sign", "try_again").after(0)
    assert fold.orders() == ["do sign"]
    fold.began("sign", attempt=2).note(ChildOpened(fold.now, "sign", "Approval")).did("sign.hold").asked("sign.output", "1.0")
    assert [one.occurrence for one in waiting_in(fold.machine.state, "r")] == ["1.0"]
    assert parked(fold)


# ---- parked -------------------------------------------------------------------------------------------------------


def test_a_run_is_parked_when_only_a_signal_moves_it():
    """No call, no wait, no order: the time to answer does not count as something to wait for."""
    fold = Fold(Asks)
    assert not parked(fold)
    fold.did("price").asked("approval", deadline=3600.0)
    assert not parked(fold), "risk's method is still to be called"
    fold.asked("risk")
    assert parked(fold)
    assert parked(fold.answered("risk"))
    assert not parked(fold.answered("approval"))
    assert not parked(fold.did("output").ended("succeeded"))


def test_a_run_that_waits_for_more_is_not_parked():
    """A call in flight, a retry's wait, a compensation, a rollback."""
    assert not parked(Fold(Contract).opened("sign", "Approval").did("sign.hold").asked("sign.output").began("beside"))
    assert parked(Fold(Contract).opened("sign", "Approval").did("sign.hold").asked("sign.output").did("beside"))
    fold = both_open().after(3600).failed("approval")
    assert not parked(fold)
    fold.compensated("approval", "try_again", after=9.0)
    assert not parked(fold)
    assert not parked(both_open().stop("undo"))


def test_what_it_waits_for_is_listed():
    """Record, address, correlation id, deadline and name of each open interrupt."""
    fold = both_open(correlation_id="o-1")
    assert waiting_in(fold.machine.state, "asks:1") == (
        Waited("asks:1", "approval", "o-1", 3600.0, "Asks.approval"),
        Waited("asks:1", "risk", None, None, "Asks.risk"),
    )
    assert [one.address for one in waiting_in(fold.answered("approval").machine.state, "asks:1")] == ["risk"]


def test_a_map_is_parked_with_its_batches():
    """All open batches are parked and no other may be taken: that is what is in flight, or all that the source had."""
    one, two = Waited("r/output#0", "output[0].output", "a"), Waited("r/output#1", "output[1].output", "b")
    fold = Fold(Contracts).opened_map("output").batch("output", 0).batch_parked("output", 0, one)
    assert fold.orders() == ["dispatch output 1"]
    assert not parked(fold)
    fold.batch("output", 1)
    assert not parked(fold)
    assert parked(fold.batch_parked("output", 1, two))
    assert not fold.orders()
    assert waiting_in(fold.machine.state, "r") == (one, two)
    assert not parked(fold.batch_woke("output", 0))
    assert waiting_in(fold.machine.state, "r") == (two,)
    fold.settled("output", 0)
    assert fold.orders() == ["dispatch output 2"]
    assert not parked(fold)
    assert parked(fold.source_ended("output"))
    assert fold.settled("output", 1).orders() == ["close output"]
    assert not parked(fold)


def test_a_map_that_is_stopped_is_not_parked():
    """Its batches are told, and settle."""
    fold = Fold(Contracts).opened_map("output").batch("output", 0).source_ended("output").batch_parked("output", 0)
    assert parked(fold)
    assert not parked(fold.stop("cancel"))
    assert fold.orders() == ["stop output 0 cancel"]
    fold.settled("output", 0, good=0, bad=1)
    assert not fold.machine.state.root.maps[0].parked


def test_a_batch_is_parked_with_its_elements():
    """Interrupts in the elements' reactors: the batch's own machine says so, past elements that are done, or failed where that is data."""
    plan = plan_of(Contracts)
    fold = Fold(partial(Machine.of_batch, plan, plan.nodes[0], "output", 0, 2))
    fold.opened("output[0]", "Approval").did("output[0].hold").asked("output[0].output")
    assert not parked(fold)
    fold.opened("output[1]", "Approval").did("output[1].hold").asked("output[1].output")
    assert parked(fold)
    assert [one.address for one in waiting_in(fold.machine.state, "r#0")] == ["output[0].output", "output[1].output"]
    fold.answered("output[0].output", True)
    assert not parked(fold)
    assert parked(fold.closed("output[0]"))


def test_a_lone_interrupt_is_a_whole_run():
    """It is the output itself."""
    fold = Fold(Approval).did("hold").asked("output")
    assert parked(fold)
    assert fold.answered("output", True).orders() == ["end succeeded"]
