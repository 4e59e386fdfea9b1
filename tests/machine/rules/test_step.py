"""A call begins and succeeds; a node that does nothing is skipped; a restart keeps a result."""

import pytest

from reactor.machine.events import Kept
from tests.machine.folding import Fold
from tests.machine.plans import Chain, Diamond, Optional, Order, Payment, Ship


def test_what_waits_for_nothing_is_ordered_first():
    """The roots, in the order of the definition; nothing else."""
    assert Fold(Order).orders() == ["do reserve", "do beside"]


def test_a_step_is_ordered_once():
    """Whoever took an order answers it: asked again, the machine gives nothing."""
    fold = Fold(Chain)
    assert fold.orders() == ["do a"]
    assert fold.orders() == []
    fold.began("a")
    assert fold.orders() == []


def test_a_success_orders_what_waited_for_nothing_else():
    """One fact, one look at the followers: `right` does not wait for `left`, the output for both."""
    fold = Fold(Diamond)
    fold.orders()
    assert fold.did("top").orders() == ["do left", "do right"]
    assert fold.did("right").orders() == []
    assert fold.did("left").orders() == ["do output"]


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_falsy_values_are_values(value):
    """A step that returns nothing has succeeded, and will be undone like any other."""
    fold = Fold(Chain)
    fold.orders()
    assert fold.did("a", value=value).orders() == ["do b"]
    fold.broke("b").compensated("b")
    assert fold.orders() == ["undo a"]
    assert fold.root.values[0] == value


def test_the_last_success_ends_the_run():
    """When every node is done, and not before."""
    fold = Fold(Chain).did("a", "b")
    assert fold.orders() == ["do output"]
    assert fold.did("output", value=3).orders() == ["end succeeded"]
    assert fold.ended("succeeded").orders() == []
    assert fold.phase == "closed"


def test_a_when_that_is_false_skips_its_node():
    """The node never began, counts as done with None, and its followers go on."""
    fold = Fold(Optional)
    fold.orders()
    fold.did("flag", value=False)
    assert fold.orders() == ["skip gift"]
    assert fold.skipped("gift").orders() == ["do output"]
    assert fold.mark("gift") == "skipped"


def test_a_when_that_is_true_lets_its_node_begin():
    """As if there were none."""
    fold = Fold(Optional)
    fold.orders()
    assert fold.did("flag", value=True).orders() == ["do gift"]


@pytest.mark.parametrize("reason", ["when", "raised"])
def test_a_skipped_node_is_never_undone(reason):
    """It did nothing, whether it never began or raised Skip, with a value or without."""
    fold = Fold(Optional).did("flag", value=reason == "raised")
    if reason == "raised":
        fold.began("gift")
    fold.skipped("gift", "a card", reason)
    fold.broke("output")
    assert fold.orders() == ["end failed"]
    assert fold.root.values[1] == "a card"


def test_a_kept_result_stands_as_if_it_had_just_come():
    """A restart's first facts: what is kept is done, and only what is not kept is ordered."""
    fold = Fold(Chain)
    fold.note(Kept(0.0, "a", 7))
    assert fold.orders() == ["do b"]
    assert fold.broke("b").compensated("b").orders() == ["undo a"]


def test_a_kept_result_that_was_skipped_stays_skipped():
    """Skip, Continue and `when` leave nothing to undo, in the run that keeps them too."""
    fold = Fold(Chain)
    fold.note(Kept(0.0, "a", 7, skipped=True))
    fold.broke("b").compensated("b")
    assert fold.orders() == ["end failed"]


def test_a_run_that_keeps_all_ends_at_once():
    """Nothing is called."""
    fold = Fold(Chain)
    for address in ("a", "b", "output"):
        fold.note(Kept(0.0, address, 1))
    assert fold.orders() == ["end succeeded"]


def test_a_kept_element_waits_for_its_batch():
    """Its map is not open yet: the fact is held until the batch is made."""
    fold = Fold(Ship)
    kept = Kept(0.0, "ship[1]", b"\x01")
    fold.note(kept)
    assert fold.machine.state.kept == {"ship": {1: kept}}


def test_a_kept_child_can_still_be_undone():
    """Its scope comes along, with places of its own: the run that kept it undoes its nodes in their order."""
    before = Fold(Order).did("reserve", "beside").opened("pay", "Payment").did("pay.hold", "pay.output").closed("pay")
    fold = Fold(Order)
    for address, child in (("reserve", None), ("pay", before.root.children[1]), ("beside", None)):
        fold.note(Kept(0.0, address, 1, child=child))
    assert fold.orders() == ["do output"]
    fold.broke("output")
    assert sorted(fold.orders()) == ["undo beside", "undo pay.output"]
    fold.undone("pay.output")
    assert fold.orders() == ["undo pay.hold"]
    fold.undone("pay.hold", "beside")
    assert fold.orders() == ["undo reserve"]
    assert before.mark("pay.hold") == "done", "the run that it was kept from is not touched"


def test_a_kept_map_can_still_be_undone():
    """Its batches come along: they are undone by number."""
    before = Fold(Ship).did("first").opened_map("ship", 2).batch("ship", 0).batch("ship", 1)
    before.settled("ship", 0, undoable=1).settled("ship", 1, undoable=1).closed("ship")
    fold = Fold(Ship)
    fold.note(Kept(0.0, "first", [1, 2]))
    fold.note(Kept(0.0, "ship", "results", child=before.root.maps[1]))
    fold.broke("output")
    assert fold.orders() == ["undo_batch ship 1", "undo_batch ship 0"]
    fold.batch_undone("ship", 0)
    assert sorted(before.root.maps[1].batches) == [0, 1]
    assert before.root.maps[1].batches[0].undoable == 1, "the run that it was kept from is not touched"


def test_the_facts_of_a_child_are_found_by_their_address():
    """The same rules hold at every depth."""
    fold = Fold(Order).did("reserve").opened("pay", "Payment")
    assert fold.orders() == ["do beside", "do pay.hold"]
    assert fold.did("pay.hold").orders() == ["do pay.output"]


def test_an_unknown_address_is_a_loud_error():
    """A fact about a node that the plan does not have is never dropped in silence."""
    with pytest.raises(KeyError):
        Fold(Payment).began("nowhere")
