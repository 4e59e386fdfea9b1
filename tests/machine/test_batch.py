"""A batch of a map as a plan of its own."""

from reactor.machine.batch import BatchPlan, element_of
from reactor.plan.compile import plan_of
from tests.machine.plans import Collecting, Ship

SHIP = plan_of(Ship)
NODE = SHIP.nodes[SHIP.index["ship"]]


def test_elements_are_named_by_their_place_in_the_source():
    """Element 5 of the second batch is `ship[5]`, wherever the batch is driven."""
    plan = BatchPlan(SHIP, NODE, "ship", 4, 3)
    assert plan.names == ("ship[4]", "ship[5]", "ship[6]")
    assert plan.index == {"ship[4]": 0, "ship[5]": 1, "ship[6]": 2}
    assert plan.first == 4


def test_no_element_waits_for_another():
    """All may begin at once, and nothing follows from one of them."""
    plan = BatchPlan(SHIP, NODE, "ship", 0, 3)
    assert list(plan.roots) == [0, 1, 2]
    assert plan.in_degrees == plan.out_degrees == [0, 0, 0]
    assert plan.feeds == ((), (), ())
    assert plan.output < 0


def test_an_element_is_a_step_with_the_maps_undo():
    """Its undo is called for each element; `compensate`, `when` and the map's edges are the map's alone."""
    element = element_of(NODE)
    assert (element.kind, element.map, element.parents, element.feeds, element.when) == ("step", None, (), (), -1)
    assert element.undo is NODE.undo
    assert element.compensate is None
    assert NODE.compensate is not None


def test_an_element_that_is_a_reactor_is_a_compose():
    """It opens a child; what is undone in it is the child's."""
    assert element_of(plan_of(Collecting).nodes[0]).kind == "compose"


def test_an_empty_batch_is_a_plan():
    """A source may be told to hand on nothing."""
    plan = BatchPlan(SHIP, NODE, "ship", 0, 0)
    assert plan.nodes == plan.names == plan.feeds == ()
