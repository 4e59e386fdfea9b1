"""A map takes batches from its source while fewer than `in_flight` are open, and undoes them newest first."""

import pytest

from reactor.machine.constants import CUT_OFF
from reactor.machine.events import Kept, RollbackFailed
from reactor.machine.machine import Machine
from reactor.plan.compile import plan_of
from tests.machine.folding import BOOM, Fold, boom
from tests.machine.plans import Collecting, Lazy, Ship, Shipping


def shipping(total: int | None = 4) -> Fold:
    """A run whose map is open, with its first batch asked for."""
    fold = Fold(Ship).did("first")
    assert fold.orders() == ["open ship"]
    return fold.opened_map("ship", total)


def shipped(undoable: int = 1) -> Fold:
    """A run whose map of two batches is closed, and whose output is asked for."""
    fold = shipping(2).batch("ship", 0).batch("ship", 1)
    fold.settled("ship", 0, undoable=undoable).settled("ship", 1, undoable=undoable)
    assert fold.orders() == ["close ship"]
    return fold.closed("ship", "results")


# ---- taking --------------------------------------------------------------------------------------------------------


def test_a_map_is_opened_when_its_parents_are_done():
    """Its own code is an element's: what is ordered first is its source."""
    fold = Fold(Ship)
    assert fold.orders() == ["do first"]
    assert fold.did("first").orders() == ["open ship"]
    assert fold.opened_map("ship", 4).orders() == ["dispatch ship 0"]


def test_batches_are_taken_one_by_one_up_to_in_flight():
    """The next is asked for when the last was handed on, and only while fewer than `in_flight` are open: back pressure."""
    fold = shipping()
    assert fold.orders() == ["dispatch ship 0"]
    assert fold.batch("ship", 0).orders() == ["dispatch ship 1"]
    assert fold.batch("ship", 1).orders() == []
    assert fold.settled("ship", 1).orders() == ["dispatch ship 2"]
    assert fold.batch("ship", 2).orders() == []
    assert fold.settled("ship", 0).orders() == ["dispatch ship 3"]


def test_a_batch_begins_where_the_last_ended():
    """Elements are numbered by their place in the source, batches may be of different size."""
    fold = Fold(Lazy)
    fold.orders()
    fold.opened_map("lines").batch("lines", 0, 2).batch("lines", 1, 2)
    assert fold.root.maps[0].first == 4


def test_elements_at_hand_end_by_their_number():
    """Where the total is known nothing more is asked for once all were taken; the map closes when the last batch has settled."""
    fold = shipping(2).batch("ship", 0).batch("ship", 1)
    assert fold.settled("ship", 0).orders() == []
    assert fold.settled("ship", 1).orders() == ["close ship"]
    assert fold.closed("ship").orders() == ["do output"]


def test_a_source_ends_when_it_says_so():
    """What is open then still has to settle."""
    fold = Fold(Lazy)
    fold.orders()
    fold.opened_map("lines").batch("lines", 0, 2)
    assert fold.orders() == ["dispatch lines 1"]
    assert fold.source_ended("lines").orders() == []
    assert fold.settled("lines", 0, good=2).orders() == ["close lines"]


def test_a_source_that_ends_at_once():
    """No element: the map is done."""
    fold = Fold(Lazy)
    fold.orders()
    fold.opened_map("lines")
    assert fold.orders() == ["dispatch lines 0"]
    assert fold.source_ended("lines").orders() == ["close lines"]


def test_nothing_to_map_over():
    """A total of none closes the map without asking for a batch."""
    assert shipping(0).orders() == ["close ship"]


def test_nothing_is_asked_for_twice():
    """A batch that settles while another one is being taken asks for nothing more."""
    fold = Fold(Lazy)
    fold.orders()
    fold.opened_map("lines").batch("lines", 0, 2)
    assert fold.orders() == ["dispatch lines 1"]
    assert fold.settled("lines", 0, good=2).orders() == []


# ---- failing ---------------------------------------------------------------------------------------------------------


def test_the_first_failure_stops_the_map():
    """Nothing more is taken, the source is closed, batches in flight are told to settle."""
    fold = shipping().batch("ship", 0).batch("ship", 1).settled("ship", 0, good=0, bad=1, failure=boom("0"), failed_at="ship[0]")
    assert fold.orders() == ["close_source ship", "stop ship 1 settle"]
    assert fold.source_ended("ship").orders() == []
    assert fold.settled("ship", 1).orders() == ["compensate ship"]
    assert fold.root.failures[1] == boom("0")
    assert fold.compensated("ship").root.failed_at == "ship[0]"


def test_what_succeeded_is_undone_before_the_map_is_compensated():
    """Its elements, newest batch first."""
    fold = shipping().batch("ship", 0).batch("ship", 1).settled("ship", 0, undoable=1)
    fold.batch("ship", 2).settled("ship", 2, good=0, bad=1, failure=BOOM, failed_at="ship[2]").source_ended("ship")
    fold.settled("ship", 1, undoable=1)
    assert fold.orders() == ["undo_batch ship 1", "undo_batch ship 0"]
    fold.batch_undone("ship", 0)
    assert fold.orders() == []
    assert fold.batch_undone("ship", 1).orders() == ["compensate ship"]
    assert fold.compensated("ship").orders() == ["undo first"]


def test_the_first_of_several_failures_counts():
    """By the order of the facts."""
    fold = shipping().batch("ship", 0).batch("ship", 1)
    fold.settled("ship", 1, good=0, bad=1, failure=boom("1"), failed_at="ship[1]").source_ended("ship")
    fold.settled("ship", 0, good=0, bad=1, failure=boom("0"), failed_at="ship[0]")
    assert fold.root.failures[1] == boom("1")


def test_a_failure_in_the_last_batch_needs_no_stop():
    """All were taken: there is no source to close, and no batch to tell."""
    fold = shipping(1).batch("ship", 0).settled("ship", 0, good=0, bad=1, failure=BOOM, failed_at="ship[0]")
    assert fold.orders() == ["compensate ship"]


def test_a_source_that_fails_fails_the_map():
    """What was taken settles and is undone; the failure's place is the map."""
    fold = Fold(Lazy).did("beside")
    fold.orders()
    fold.opened_map("lines").batch("lines", 0, 2).source_ended("lines", BOOM)
    assert fold.orders() == ["stop lines 0 settle"]
    fold.settled("lines", 0, good=2, undoable=2)
    assert fold.orders() == ["undo_batch lines 0"]
    fold.batch_undone("lines", 0)
    assert fold.root.failed_at == "lines"
    assert fold.orders() == ["undo beside"]


def test_a_source_that_cannot_be_opened():
    """The map never began: it is not compensated."""
    fold = Fold(Ship).did("first")
    fold.orders()
    assert fold.failed("ship").orders() == ["undo first"]
    assert fold.mark("ship") == "failed"


def test_compensate_may_continue_for_a_map():
    """With results of its own; no element of it is undone any more."""
    fold = shipping(1).batch("ship", 0).settled("ship", 0, good=0, bad=1, failure=BOOM, failed_at="ship[0]")
    fold.orders()
    assert fold.compensated("ship", "continued", "results").orders() == ["do output"]
    assert fold.broke("output").orders() == ["undo first"]


def test_compensate_may_try_a_map_again():
    """From its first element on; the batches before do not count."""
    fold = shipping(1).batch("ship", 0).settled("ship", 0, good=0, bad=1, failure=BOOM, failed_at="ship[0]")
    fold.orders()
    fold.compensated("ship", "try_again")
    assert fold.orders() == ["open ship"]
    fold.opened_map("ship", 1)
    assert fold.orders() == ["dispatch ship 0"]
    assert fold.batch("ship", 0).settled("ship", 0).orders() == ["close ship"]
    assert fold.root.in_flight == 1


# ---- when the scope around stops -------------------------------------------------------------------------------------


def test_an_open_map_is_cut_when_its_scope_stops():
    """The source is closed, batches are told; what succeeded is undone, and the map is compensated: it began and did not succeed."""
    fold = Fold(Lazy).opened_map("lines").batch("lines", 0, 2).batch("lines", 1, 2).settled("lines", 0, good=2, undoable=2)
    fold.broke("beside")
    assert fold.orders() == ["close_source lines", "stop lines 1 settle"]
    fold.source_ended("lines")
    fold.settled("lines", 1, good=1, undoable=1)
    assert fold.orders() == ["undo_batch lines 1", "undo_batch lines 0"]
    fold.batch_undone("lines", 1).batch_undone("lines", 0)
    assert fold.root.failures[0] == CUT_OFF
    assert fold.orders() == ["end failed"]


def test_a_map_that_was_stopped_before_any_element_is_not_compensated():
    """Nothing of it began: there is nothing to answer for."""
    fold = shipping().stop("cancel")
    assert fold.orders() == ["close_source ship"]
    assert fold.source_ended("ship").orders() == ["undo first"]
    assert fold.mark("ship") == "failed"


def test_a_map_that_was_stopped_after_an_element_is_compensated():
    """Even where no element succeeded."""
    fold = shipping().batch("ship", 0).stop("cancel")
    assert sorted(fold.orders()) == ["close_source ship", "stop ship 0 cancel"]
    fold.source_ended("ship")
    assert fold.settled("ship", 0, good=0).orders() == ["compensate ship"]


def test_a_map_that_is_done_is_closed_though_its_scope_stops():
    """Its last batch had settled: it succeeded, and is undone in its place."""
    fold = Fold(Lazy).opened_map("lines").batch("lines", 0, 2).source_ended("lines").settled("lines", 0, good=2, undoable=2)
    fold.broke("beside")
    assert fold.orders() == ["close lines"]
    assert fold.closed("lines").orders() == ["undo_batch lines 0"]


def test_a_map_that_fails_by_itself_is_not_stopped_twice():
    """Its scope stops while it is undoing its elements: that goes on."""
    fold = Fold(Lazy).opened_map("lines").batch("lines", 0, 2).batch("lines", 1, 2).settled("lines", 0, good=2, undoable=2)
    fold.settled("lines", 1, good=1, bad=1, failure=BOOM, failed_at="lines[3]").source_ended("lines")
    assert "undo_batch lines 0" in fold.orders()
    assert fold.broke("beside").orders() == []
    assert fold.batch_undone("lines", 0).orders() == ["end failed"]
    assert fold.root.failed_at == "beside"


def test_a_batch_in_flight_is_told_again_when_the_run_is_cancelled():
    """It was told to settle by its own map's failure; a cancel is stronger."""
    fold = shipping().batch("ship", 0).batch("ship", 1).settled("ship", 0, good=0, bad=1, failure=BOOM, failed_at="ship[0]")
    assert fold.orders() == ["close_source ship", "stop ship 1 settle"]
    assert fold.stop("cancel").orders() == ["stop ship 1 cancel"]


def test_a_stronger_stop_is_not_forgotten_by_a_replay():
    """Of two orders about one batch the later one counts."""
    fold = shipping().batch("ship", 0).batch("ship", 1).settled("ship", 0, good=0, bad=1, failure=BOOM, failed_at="ship[0]")
    fold.source_ended("ship").stop("cancel")
    again = fold.replayed()
    order = again.next(fold.now)
    assert order is not None
    assert (order.address, order.batch, order.mode) == ("ship", 1, "cancel")
    assert again.next(fold.now) is None


# ---- undone in its place -----------------------------------------------------------------------------------------------


def test_a_map_is_undone_newest_batch_first_within_in_flight():
    """At most `in_flight` batches at once; the next older one when one of them is undone."""
    fold = shipping(4)
    for number in range(4):
        fold.batch("ship", number).settled("ship", number, undoable=1)
    fold.closed("ship").broke("output")
    assert fold.orders() == ["undo_batch ship 3", "undo_batch ship 2"]
    assert fold.batch_undone("ship", 2).orders() == ["undo_batch ship 1"]
    assert fold.batch_undone("ship", 1).orders() == ["undo_batch ship 0"]
    assert fold.batch_undone("ship", 0).orders() == []
    assert fold.batch_undone("ship", 3).orders() == ["undo first"]
    assert fold.mark("ship") == "undone"


def test_batches_with_nothing_to_undo_are_passed_over():
    """Where no element of any has something to undo the map's turn is over at once."""
    fold = shipping(3).batch("ship", 0).settled("ship", 0, undoable=1).batch("ship", 1).settled("ship", 1, good=0)
    fold.batch("ship", 2).settled("ship", 2, undoable=1).closed("ship").broke("output")
    assert fold.orders() == ["undo_batch ship 2", "undo_batch ship 0"]
    assert shipped(undoable=0).broke("output").orders() == ["undo first"]


def test_what_cannot_be_undone_in_a_batch_leaves_the_run_stuck():
    """It counts as settled, as anywhere; the addresses are the elements'."""
    fold = shipped().broke("output").batch_undone("ship", 1, "ship[1]").batch_undone("ship", 0)
    assert fold.orders() == ["undo first"]
    assert fold.undone("first").orders() == ["end stuck"]
    assert [(one.what.address, one.batch) for one in fold.machine.state.stuck] == [("ship[1]", 1)]


def test_a_stuck_batch_is_tried_again_as_one():
    """However many of its elements were stuck; the order says that only those are meant."""
    fold = shipped().broke("output").batch_undone("ship", 1, "ship[1]", "ship[2]").batch_undone("ship", 0, "ship[0]").undone("first")
    fold.ended("stuck").retry_rollback()
    assert fold.orders() == ["undo_batch ship 1 again"]
    assert fold.batch_undone("ship", 1).orders() == ["undo_batch ship 0 again"]
    assert fold.batch_undone("ship", 0, "ship[0]").orders() == ["end stuck"]
    assert [one.what.address for one in fold.ended("stuck").machine.state.stuck] == ["ship[0]"]


def test_batches_and_steps_are_tried_again_in_the_order_they_failed_in():
    """Which is the order of the rollback."""
    fold = shipped().broke("output").batch_undone("ship", 1, "ship[1]").batch_undone("ship", 0).undo_broke("first")
    fold.ended("stuck").retry_rollback()
    assert fold.orders() == ["undo_batch ship 1 again"]
    assert fold.batch_undone("ship", 1).orders() == ["undo first"]
    assert fold.undone("first").orders() == ["end failed"]


def test_a_batch_whose_element_could_not_clean_up_fails_its_map():
    """An element that failed and left something stuck: a person must look, so the map cannot be recovered."""
    stuck = (RollbackFailed("ship[0].hold", "undo", boom("stuck")),)
    fold = shipping(1).batch("ship", 0).settled("ship", 0, good=0, bad=1, stuck=stuck)
    assert fold.orders() == ["compensate ship"]
    assert fold.root.failures[1] == boom("stuck")
    fold.compensated("ship", "continued", "results")
    assert fold.mark("ship") == "failed"
    assert fold.undone("first").orders() == ["end stuck"]


# ---- halted ------------------------------------------------------------------------------------------------------------


def test_a_halt_in_a_batch_halts_the_run():
    """The other batches are told; nothing is undone."""
    fold = shipping().batch("ship", 0).batch("ship", 1).settled("ship", 0, undoable=1, halted="enough")
    assert fold.orders() == ["close_source ship", "stop ship 1 halt"]
    fold.source_ended("ship").settled("ship", 1, undoable=1)
    assert fold.orders() == ["end halted"]
    assert fold.ended("halted").machine.state.halted == "enough"


def test_a_map_that_a_batch_halted_is_not_done():
    """Its last batch halted, with nothing left to stop: elements are missing, so it is not closed."""
    fold = shipping(1).batch("ship", 0).settled("ship", 0, good=0, halted="enough")
    assert fold.orders() == ["end halted"]
    assert fold.mark("ship") == "open"


def test_a_halted_map_is_undone_when_that_is_asked_for():
    """Its batches, newest first, then it is compensated: it did not succeed."""
    fold = shipping(2).batch("ship", 0).batch("ship", 1)
    fold.settled("ship", 0, undoable=1, halted="enough").settled("ship", 1, undoable=1)
    assert fold.orders() == ["end halted"]
    fold.ended("halted").undo()
    assert fold.orders() == ["undo_batch ship 1", "undo_batch ship 0"]
    fold.batch_undone("ship", 1).batch_undone("ship", 0)
    assert fold.orders() == ["compensate ship"]
    assert fold.compensated("ship").orders() == ["undo first"]
    assert fold.undone("first").orders() == ["end undone"]


def test_a_restart_keeps_the_elements_of_a_halted_map():
    """Its address is among those that the undo before the restart leaves alone: it is neither undone nor compensated."""
    fold = shipping(2).batch("ship", 0).settled("ship", 0, undoable=1, halted="enough").source_ended("ship").ended("halted")
    fold.undo(("ship", "first"), "superseded")
    assert fold.orders() == ["end superseded"]


def test_kept_elements_that_no_batch_took_are_undone():
    """A restart kept them, and the run failed before it came to their map: they are undone as one more batch."""
    fold = Fold(Ship)
    fold.note(Kept(0.0, "ship[1]", b"\x01")).note(Kept(0.0, "ship[2]", b"\x02", skipped=True))
    fold.broke("first")
    assert fold.orders() == ["undo_batch ship -1"]
    assert fold.batch_undone("ship", -1).orders() == ["end failed"]


def test_kept_elements_that_a_batch_took_are_its_own():
    """They are undone with it, once."""
    fold = Fold(Ship)
    fold.note(Kept(0.0, "ship[0]", b"\x01")).note(Kept(0.0, "ship[1]", b"\x02"))
    fold.did("first").opened_map("ship", 2).batch("ship", 0).settled("ship", 0, undoable=1).stop("cancel").source_ended("ship")
    assert fold.orders() == ["undo_batch ship 0", "undo_batch ship -1"]
    fold.batch_undone("ship", 0)
    assert fold.orders() == []
    assert fold.batch_undone("ship", -1).orders() == ["compensate ship"]


def test_kept_elements_that_a_further_restart_keeps_are_left_alone():
    """Their map's address is kept."""
    fold = Fold(Ship)
    fold.note(Kept(0.0, "ship[1]", b"\x01"))
    fold.began("first").halted("first").ended("halted").undo(("ship",), "superseded")
    assert fold.orders() == ["end superseded"]


# ---- in a child, and by itself -----------------------------------------------------------------------------------------


def test_a_map_in_a_child_is_told_by_its_own_scope():
    """Cut when the parent stops, undone in its child's place."""
    fold = Fold(Shipping).opened("child", "Ship").did("child.first").opened_map("child.ship", 2).batch("child.ship", 0)
    fold.stop("cancel")
    assert fold.orders() == ["close_source child.ship", "stop child.ship 0 cancel"]
    fold.source_ended("child.ship").settled("child.ship", 0, undoable=1)
    assert fold.orders() == ["undo_batch child.ship 0"]
    fold.batch_undone("child.ship", 0)
    assert fold.orders() == ["compensate child.ship"]
    assert fold.compensated("child.ship").orders() == ["undo child.first"]


def batch_of(reactor, *, first=0, size=2):
    """A batch of the reactor's first map as a machine of its own."""
    plan = plan_of(reactor)
    node = next(node for node in plan.nodes if node.kind == "map")
    return Fold(lambda: Machine.of_batch(plan, node, node.name, first, size))


def test_a_batch_begins_all_its_elements_at_once():
    """Its own record names them by their place in the source."""
    assert batch_of(Ship, first=3).orders() == ["do ship[3]", "do ship[4]"]


def test_a_batch_that_is_done_has_ended_and_undoes_nothing():
    """What becomes of it later is for its map to say."""
    fold = batch_of(Ship).did("ship[0]", "ship[1]")
    assert fold.orders() == ["end succeeded"]


def test_a_failing_batch_rests():
    """Its other elements settle; nothing is undone before its map says so: then each element, with no order between them."""
    fold = batch_of(Ship, size=3).began("ship[0]", "ship[2]").broke("ship[1]")
    assert fold.orders() == []
    fold.succeeded("ship[0]").succeeded("ship[2]")
    assert fold.orders() == ["end failed"]
    fold.ended("failed").undo()
    assert sorted(fold.orders()) == ["undo ship[0]", "undo ship[2]"]
    assert fold.undone("ship[0]", "ship[2]").orders() == ["end undone"]


def test_an_element_is_not_compensated():
    """`compensate` is the map's."""
    assert batch_of(Ship, size=1).broke("ship[0]").orders() == ["end failed"]


def test_a_collecting_batch_goes_on_after_a_failure():
    """Failures are data: the batch succeeds when its last element has settled."""
    fold = batch_of(Collecting)
    fold.orders()
    fold.broke("output[0]")
    assert fold.orders() == []
    fold.opened("output[1]", "Payment").did("output[1].hold", "output[1].output")
    assert fold.orders() == ["close output[1]"]
    assert fold.closed("output[1]", b"\x01").orders() == ["end succeeded"]
    assert fold.marks("output[0]", "output[1]") == ["failed", "done"]


def test_a_collecting_batch_may_be_failures_only():
    """It has succeeded all the same."""
    assert batch_of(Collecting).broke("output[0]", "output[1]").orders() == ["end succeeded"]


def test_an_element_that_is_a_reactor_rolls_back_alone():
    """Its nodes are undone before it counts as failed."""
    fold = batch_of(Collecting, size=1).opened("output[0]", "Payment").did("output[0].hold").broke("output[0].output")
    fold.compensated("output[0].output")
    assert fold.orders() == ["undo output[0].hold"]
    assert fold.undone("output[0].hold").orders() == ["end succeeded"]
    assert fold.root.failures[0] == boom("output[0].output")


@pytest.mark.parametrize(("mode", "status"), [("settle", "failed"), ("cancel", "failed"), ("deadline", "failed"), ("halt", "halted")])
def test_a_batch_is_stopped_by_its_map(mode, status):
    """However it is told: nothing begins, what is in flight settles (or is cancelled), and it rests."""
    fold = batch_of(Ship).began("ship[0]")
    fold.orders()
    fold.stop(mode)
    assert fold.orders() == (["cancel ship[0]"] if mode in ("cancel", "deadline") else [])
    assert fold.succeeded("ship[0]").orders() == [f"end {status}"]
    assert fold.mark("ship[1]") == "ready"


def test_a_failing_batch_can_still_be_cancelled():
    """What is in flight is cancelled then."""
    fold = batch_of(Ship).began("ship[0]").broke("ship[1]").stop("cancel")
    assert fold.orders() == ["cancel ship[0]"]


def test_a_halting_batch_can_still_be_cancelled():
    """It is then undone by its map, like any other."""
    fold = batch_of(Ship, size=3).began("ship[0]", "ship[1]").halted("ship[0]").stop("cancel")
    assert fold.orders() == ["cancel ship[1]"]
    fold.cancelled("ship[1]")
    assert fold.orders() == ["end failed"]


def test_kept_elements_are_done_before_the_others_begin():
    """The first facts of a batch that a restart makes."""
    fold = batch_of(Ship)
    fold.note(Kept(0.0, "ship[1]", b"\x01"))
    assert fold.orders() == ["do ship[0]"]
    assert fold.did("ship[0]").orders() == ["end succeeded"]
