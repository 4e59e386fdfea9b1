"""A reactor inside a reactor: its nodes live in the same record under the node's address, and its failure stands there first."""

import pytest

from reactor import DefinitionError
from reactor.machine.constants import CUT_OFF
from tests.machine.folding import Fold, boom
from tests.machine.plans import Order, Outer


def paying() -> Fold:
    """A run whose child is open; what is beside it waits in its queue no more."""
    fold = Fold(Order).did("reserve").opened("pay", "Payment")
    fold.orders()
    return fold


def paid() -> Fold:
    """A run whose child is done."""
    return paying().did("pay.hold").did("pay.output", value=9)


def test_a_child_begins_with_its_own_roots():
    """Under the address of its node."""
    fold = Fold(Order).did("reserve")
    fold.orders()
    assert fold.opened("pay", "Payment").orders() == ["do pay.hold"]
    assert fold.mark("pay") == "open"


def test_a_childs_output_is_the_nodes_result():
    """When all its nodes are done the node is closed, and what waited for it begins."""
    fold = paid()
    assert fold.orders() == ["close pay"]
    assert fold.closed("pay").orders() == ["do output"]
    assert fold.root.values[1] == 9
    assert fold.mark("pay") == "done"


def test_children_in_children():
    """Addresses grow by a name a level; each level closes when its own nodes are done."""
    fold = Fold(Outer).opened("order", "Order")
    assert fold.orders() == ["do order.reserve", "do order.beside"]
    fold.did("order.reserve", "order.beside").opened("order.pay", "Payment")
    assert fold.orders() == ["do order.pay.hold"]
    fold.did("order.pay.hold", "order.pay.output")
    assert fold.orders() == ["close order.pay"]
    fold.closed("order.pay").did("order.output", value=5)
    assert fold.orders() == ["close order"]
    assert fold.closed("order").orders() == ["do output"]
    assert fold.root.values[0] == 5


def test_a_child_that_is_not_listed_is_refused():
    """A record that names a reactor the code does not know cannot be folded."""
    with pytest.raises(DefinitionError, match="does not list"):
        Fold(Order).did("reserve").opened("pay", "Elsewhere")


# ---- failing ------------------------------------------------------------------------------------------------------------


def test_a_childs_failure_stands_in_the_child_first():
    """It rolls back alone, while the parent's other branches go on; then its node has failed."""
    fold = paying().did("pay.hold").broke("pay.output").compensated("pay.output")
    assert fold.orders() == ["undo pay.hold"]
    assert fold.phase == "forward"
    fold.did("beside").undone("pay.hold")
    assert fold.orders() == ["compensate pay"]
    assert fold.phase == "forward"
    assert fold.compensated("pay").phase == "rollback"
    assert sorted(fold.orders()) == ["undo beside", "undo reserve"]


def test_the_failure_of_a_compose_is_the_childs():
    """With the address where it began."""
    fold = paying().broke("pay.hold").compensated("pay")
    assert fold.root.failures[1] == boom("pay.hold")
    assert fold.root.failed_at == "pay.hold"


def test_the_place_of_a_failure_is_the_deepest():
    """Through two levels, each of which let it stand."""
    fold = Fold(Outer).opened("order", "Order").did("order.reserve").opened("order.pay", "Payment").broke("order.pay.hold")
    fold.compensated("order.pay").undone("order.reserve")
    assert fold.root.failed_at == "order.pay.hold"


def test_compensate_may_continue_for_a_child():
    """The parent goes on with its value; the child is undone already and is not undone again."""
    fold = paying().did("pay.hold").broke("pay.output").compensated("pay.output").undone("pay.hold")
    fold.orders()
    assert fold.compensated("pay", "continued", 7).orders() == ["do output"]
    fold.broke("output")
    assert fold.orders() == ["undo reserve"]


def test_compensate_may_try_a_child_again():
    """A new child, from its first node on; the old one's facts do not count for it."""
    fold = paying().broke("pay.hold")
    fold.orders()
    fold.compensated("pay", "try_again", after=2.0).after(2)
    assert fold.orders() == ["do pay"]
    assert fold.opened("pay", "Payment").orders() == ["do pay.hold"]
    fold.did("pay.hold")
    assert fold.orders() == ["do pay.output"]


def test_a_childs_own_compensate_may_recover_in_the_child():
    """The parent never hears of it."""
    fold = paying().did("pay.hold").broke("pay.output").compensated("pay.output", "continued", 3)
    assert fold.orders() == ["close pay"]
    assert fold.closed("pay").root.values[1] == 3


def test_a_compose_whose_code_fails_has_no_child():
    """It is a failed node like any other."""
    fold = Fold(Order).did("reserve").broke("pay")
    assert "compensate pay" in fold.orders()
    assert fold.root.children == {}


# ---- when the parent stops ------------------------------------------------------------------------------------------------


def test_an_open_child_stops_with_its_parent():
    """Nothing new begins in it; what is in flight settles, it rolls back, and its node is compensated: it began and did not succeed."""
    fold = paying().did("pay.hold").began("pay.output", "beside").failed("beside")
    assert fold.phase == "stopping"
    assert fold.orders() == []
    fold.succeeded("pay.output", 1)
    assert fold.orders() == ["undo pay.output"]
    fold.undone("pay.output", "pay.hold")
    assert fold.orders() == ["compensate pay"]
    assert fold.root.failures[1] == CUT_OFF
    assert fold.compensated("pay").orders() == ["undo reserve"]


def test_a_child_that_is_opened_too_late_begins_nothing():
    """Its node's code was in flight when the parent stopped: the child ends at once."""
    fold = Fold(Order).did("reserve").began("pay", "beside").failed("beside")
    fold.opened("pay", "Payment")
    assert fold.orders() == ["compensate pay"]
    assert fold.marks("pay.hold", "pay.output") == ["idle", "idle"]


def test_a_child_that_is_done_is_closed_though_its_parent_stops():
    """It succeeded: then it is undone in its place."""
    fold = paid()
    fold.broke("beside")
    assert fold.orders() == ["close pay"]
    assert fold.closed("pay").orders() == ["undo pay.output"]


def test_a_child_that_was_failing_by_itself_goes_on_failing():
    """The parent's stop changes nothing of its rollback, and its failure is its own, not that it was cut off."""
    fold = paying().did("pay.hold").broke("pay.output").compensated("pay.output").broke("beside")
    assert fold.orders() == ["undo pay.hold"]
    assert fold.undone("pay.hold").orders() == ["compensate pay"]
    assert fold.root.failures[1] == boom("pay.output")
    assert fold.root.failed_at == "beside"


# ---- undone in its place ---------------------------------------------------------------------------------------------------


def test_a_child_is_undone_in_its_place():
    """After what depended on its node, in its own order, before what its node depended on."""
    fold = paid().closed("pay").did("beside").broke("output")
    assert sorted(fold.orders()) == ["undo beside", "undo pay.output"]
    assert fold.undone("pay.output").orders() == ["undo pay.hold"]
    assert fold.mark("pay") == "done"
    assert fold.undone("pay.hold").orders() == ["undo reserve"]
    assert fold.mark("pay") == "undone"


def test_children_in_children_are_undone_from_the_inside():
    """Each level in its place."""
    fold = Fold(Outer).opened("order", "Order").did("order.reserve", "order.beside").opened("order.pay", "Payment")
    fold.did("order.pay.hold", "order.pay.output").closed("order.pay").did("order.output").closed("order").broke("output")
    assert sorted(fold.orders()) == ["undo order.beside", "undo order.pay.output"]
    fold.undone("order.pay.output", "order.pay.hold", "order.beside")
    assert fold.orders() == ["undo order.reserve"]
    assert fold.undone("order.reserve").orders() == ["end failed"]
    assert fold.marks("order", "order.pay") == ["undone", "undone"]


def test_an_undo_that_is_stuck_in_a_child_lets_the_parent_go_on():
    """It counts as settled there as anywhere."""
    fold = paid().closed("pay").broke("output").undo_broke("pay.output").undone("pay.hold")
    assert fold.orders() == ["undo reserve"]
    assert fold.undone("reserve").orders() == ["end stuck"]


def test_a_child_with_nothing_to_undo_is_passed_through():
    """It is undone without a call."""
    fold = paying().did("pay.hold").broke("pay.output").compensated("pay.output", "continued", 3).closed("pay").broke("output")
    assert fold.orders() == ["undo pay.hold"]
    assert fold.undone("pay.hold").orders() == ["undo reserve"]


def test_a_halt_between_a_childs_last_result_and_its_end():
    """The child is done all the same: a later undo takes back what it did, in its order."""
    fold = Fold(Order).did("reserve").began("beside").opened("pay", "Payment").did("pay.hold", "pay.output")
    fold.halted("beside").closed("pay")
    assert fold.orders() == ["end halted"]
    assert fold.ended("halted").undo().orders() == ["undo pay.output"]
    assert fold.undone("pay.output").orders() == ["undo pay.hold"]
    assert fold.undone("pay.hold").orders() == ["undo reserve"]
    assert fold.undone("reserve").orders() == ["end undone"]
