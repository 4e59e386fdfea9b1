"""A plan says what the definition says: edges, degrees, an order; children by name, once, and to any depth."""

import pytest
from hypothesis import given

from reactor import DefinitionError, Reactor, compose, step
from reactor.define.definition import FromNode, Items, Literally, MapDefinition, SourceDefinition
from reactor.define.reactor import definition_of
from reactor.plan.compile import child_plan, compile_plan, family_of, plan_of
from tests.plan.graphs import any_graph, growth
from tests.plan.making import SPAN, definition, graph, handler, node, param, perform
from tests.plan.shop import Asker, CardPayment, Checkout, Countdown, Parker, Sweep, WirePayment, warehouse


@given(any_graph())
def test_degrees_and_edges_are_those_of_the_graph(parents):
    """Parents and feeds mirror each other, degrees count them, roots have none, and the order runs along every edge."""
    plan = compile_plan(graph(parents))
    assert [list(n.parents) for n in plan.nodes] == parents
    edges = {(parent, n.index) for n in plan.nodes for parent in n.parents}
    assert edges == {(n.index, child) for n in plan.nodes for child in n.feeds}
    assert plan.in_degrees == [len(n.parents) for n in plan.nodes]
    assert plan.out_degrees == [len(n.feeds) for n in plan.nodes]
    assert plan.roots == tuple(n.index for n in plan.nodes if not n.parents)
    place = {at: position for position, at in enumerate(plan.order)}
    assert len(place) == len(parents)
    assert all(place[parent] < place[child] for parent, child in edges)
    assert plan.nodes[plan.output].name == f"n{len(parents) - 1}"
    assert plan.index == {f"n{at}": at for at in range(len(parents))}


def test_everything_that_a_node_waits_for_is_a_parent_once():
    """Data, data in containers, a flag, an order without data: a node that is needed four times is one parent."""
    both = Items("list", (FromNode("a"), Items("dict", (FromNode("c", ("x",)),), ("k",))))
    plan = compile_plan(definition(node("a"), node("b"), node("c"), node("d"), node("z", "b", both, "b", when="a", after=("d", "b"))))
    assert plan.nodes[4].parents == (0, 1, 2, 3)
    assert plan.nodes[4].when == 0
    assert plan.nodes[0].when == -1
    assert plan.in_degrees == [0, 0, 0, 0, 4]


def test_what_undo_and_compensate_read_orders_nothing():
    """A handler reads what is there anyway: its references are bound, but are no edges."""
    plan = compile_plan(
        definition(node("a"), node("b", "a"), node("c", undo=handler(param("x", "a")), compensate=handler(param("y", "b"))))
    )
    assert plan.nodes[2].parents == ()
    assert plan.nodes[2].undo.bind([7, 8, 9], {}) == (7,)
    assert plan.nodes[2].compensate.bind([7, 8, 9], {}) == (8,)


def test_a_cycle_is_a_broken_promise():
    """The class refuses cycles; should one come this far, it is not run."""
    with pytest.raises(AssertionError, match="cycle"):
        compile_plan(definition(node("a", "b"), node("b", "a")))


def mapped(elements):
    """The plan of a map over these elements, after a node `a`."""
    options = MapDefinition(elements, int, 10, 2, "fail")
    return compile_plan(definition(node("a"), node("each", kind="map", map=options)))


def test_a_map_over_a_reference_reads_its_sequence():
    """The elements are the result, or what its path leads to; the node is a parent."""
    plan = mapped(FromNode("a", ("lines", 0)))
    whole = mapped(FromNode("a"))
    assert plan.nodes[1].parents == whole.nodes[1].parents == (0,)
    assert whole.nodes[1].map.source.sequence([[1, 2], None]) == [1, 2]
    line = type("Q", (), {"lines": [[3]]})
    assert plan.nodes[1].map.source.sequence([line, None]) == [3]
    assert plan.nodes[1].map.source.call is None


def test_a_map_over_a_constant_has_no_parent():
    """A literal sequence is given as it is."""
    plan = mapped(Literally((1, 2)))
    assert plan.nodes[1].parents == ()
    assert plan.nodes[1].map.source.sequence([None, None]) == (1, 2)


def test_what_a_source_reads_the_map_waits_for():
    """The source's parameters are the map's parents, bound for the source's own call."""
    plan = mapped(SourceDefinition("rows", perform, (param("a", "a"),), None, int, SPAN))
    source = plan.nodes[1].map.source
    assert plan.nodes[1].parents == (0,)
    assert source.sequence is None
    assert source.call is perform
    assert source.bind([5, None], {}) == (5,)


def test_a_keyed_source_is_called_with_after():
    """What is bound goes by name, so that `after=` may stand anywhere."""
    source = plan_of(Sweep).nodes[1].map.source
    assert source.key is int
    stream = source.call(Sweep(), *source.bind(["today", None], {}), after=3)
    assert stream.ag_frame.f_locals["after"] == 3
    assert stream.ag_frame.f_locals["day"] == "today"


def test_a_class_has_one_plan_and_a_subclass_its_own():
    """The plan is kept on the class itself: a subclass with an override never gets its parent's."""

    class Base(Reactor):
        @step
        async def output(self) -> int:
            return 1

    class Sub(Base):
        @step
        async def output(self) -> int:
            return 2

    assert plan_of(Base) is plan_of(Base)
    assert plan_of(Sub) is not plan_of(Base)
    assert plan_of(Sub).definition.cls is Sub


def test_the_model_reactor_compiles():
    """Kinds, edges, calls and resources of a reactor with one of everything."""
    plan = plan_of(Checkout)
    named = {n.name: n for n in plan.nodes}

    def parents(name):
        return {plan.nodes[at].name for at in named[name].parents}

    assert (plan.name, plan.definition.version, plan.nodes[plan.output].name) == ("checkout", 3, "output")
    assert [plan.nodes[at].name for at in plan.roots] == ["price"]
    assert parents("payment") == {"price", "approval"}
    assert parents("gift") == {"is_big", "reserve"}
    assert parents("ship") == {"price", "payment", "reserve"}
    assert named["gift"].when == plan.index["is_big"]
    assert named["reserve"].providers == (warehouse,)
    assert named["reserve"].undo.providers == (warehouse,)
    assert named["reserve"].undo.retry.attempts == 5
    assert plan.may_park


def test_a_keyword_only_dependency_reaches_its_parameter():
    """`*, total=price.result.total` is read like any other."""
    plan = plan_of(Checkout)
    payment = plan.nodes[plan.index["payment"]]
    values = [None] * len(plan.nodes)
    values[plan.index["price"]] = type("Q", (), {"total": 7})
    values[plan.index["approval"]] = "yes"
    call = payment.call(Checkout(order_id="1"), *payment.bind(values, {}))
    assert call.cr_frame.f_locals["total"] == 7
    assert call.cr_frame.f_locals["ok"] == "yes"
    call.close()


def test_children_are_found_by_name_and_by_old_names():
    """The name that a record holds leads to the class, also when the reactor was renamed since."""
    plan = plan_of(Checkout)
    at = plan.index["payment"]
    assert child_plan(plan, at, "card-payment") is plan_of(CardPayment)
    assert child_plan(plan, at, "card") is plan_of(CardPayment)
    assert child_plan(plan, at, "wire-payment") is plan_of(WirePayment)


def test_a_child_that_the_annotation_does_not_list_is_taught():
    """The error says where, which are known, the nearest, and one fix."""
    plan = plan_of(Checkout)
    with pytest.raises(DefinitionError) as caught:
        child_plan(plan, plan.index["payment"], "card-paymnet")
    assert caught.value.code == "unknown-child"
    assert caught.value.known == ("card-payment", "wire-payment")
    assert caught.value.nearest == "card-payment"
    assert caught.value.where.file == __file__.replace("test_compile", "shop")
    assert caught.value.fix


def test_two_nodes_may_have_children_of_one_name():
    """The cache of children never mixes up two classes that share a name."""

    def child(result: int):
        class Same(Reactor, name="same"):
            @step
            async def output(self) -> int:
                return result

        return Same

    one, other = child(1), child(2)

    class Pair(Reactor):
        @compose
        async def first(self) -> one:
            return one()

        @compose
        async def output(self) -> other:
            return other()

    plan = plan_of(Pair)
    for _ in range(2):
        assert child_plan(plan, 0, "same").definition.cls is one
        assert child_plan(plan, 1, "same").definition.cls is other


def test_a_reactor_may_contain_itself():
    """Its child's plan is its own; nothing is compiled forever."""
    plan = plan_of(Countdown)
    assert child_plan(plan, plan.index["rest"], "Countdown") is plan
    assert not plan.may_park


def test_whether_it_may_park_is_seen_through_children():
    """An interrupt in any child that could be reached counts, in a ring of children too; one in no child does not."""
    assert plan_of(Parker).may_park
    assert plan_of(Asker).may_park
    assert not plan_of(CardPayment).may_park
    assert not plan_of(Sweep).may_park
    assert [d.cls for d in family_of(definition_of(Parker))] == [Parker, Asker]


def test_cost_grows_with_the_nodes_and_no_faster():
    """Eight times the steps compile in about eight times the time, far below the square."""

    def work(count):
        made = graph([[at - 1] if at else [] for at in range(count)])
        return lambda: compile_plan(made)

    assert growth(work) < 32
