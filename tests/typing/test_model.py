"""The model reactor, made and planned with the real package."""

import importlib
import sys
from pathlib import Path

import pytest

from reactor.define.reactor import definition_of
from reactor.plan.compile import plan_of

HERE = Path(__file__).parent


@pytest.fixture
def checkout(monkeypatch):
    """The module, as its author imports it: beside its models."""
    monkeypatch.syspath_prepend(HERE)
    yield importlib.import_module("checkout")
    for name in ("checkout", "models"):
        sys.modules.pop(name, None)


def test_the_model_reactor_plans(checkout):
    """All its nodes, what they wait for, and that it may park."""
    plan = plan_of(checkout.Checkout)
    assert [node.name for node in plan.nodes] == ["price", "reserve", "approval", "payment", "weigh", "is_big", "gift", "ship", "output"]
    parents = {node.name: {plan.nodes[p].name for p in node.parents} for node in plan.nodes}
    assert parents == {
        "price": set(),
        "reserve": {"price"},
        "approval": {"price"},
        "payment": {"price", "approval"},
        "weigh": {"price"},
        "is_big": {"price"},
        "gift": {"price", "is_big"},
        "ship": {"price", "payment", "reserve"},
        "output": {"ship", "gift", "weigh"},
    }
    assert plan.may_park


def test_the_model_reactor_is_taken_down(checkout):
    """Name, version, handlers, switch, map, bounds."""
    definition = definition_of(checkout.Checkout)
    nodes = definition.nodes
    assert (definition.name, definition.version) == ("checkout", 3)
    assert nodes["payment"].children == (checkout.CardPayment, checkout.WirePayment)
    assert (nodes["reserve"].undo.fn, nodes["reserve"].compensate.fn) == (checkout.Checkout.release, checkout.Checkout.drop_partial_hold)
    assert (nodes["approval"].timeout, nodes["approval"].attempts) == (2 * 86400.0, 3)
    assert (nodes["ship"].map.batch_size, nodes["ship"].map.in_flight, nodes["ship"].offload) == (50, 4, True)
    assert not nodes["weigh"].is_async


def test_a_map_over_reactors_plans(checkout):
    """A lazy source, failures as data, children with undos of their own."""
    node = plan_of(checkout.ShipAll).nodes[0]
    assert node.map is not None
    assert (node.map.on_error, node.children) == ("collect", (checkout.CardPayment,))


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["recursion", "recursion_deferred"])
async def test_the_recursive_ones_run(monkeypatch, name):
    """What the checkers accept is what runs."""
    monkeypatch.syspath_prepend(HERE)
    module = importlib.import_module(name)
    sys.modules.pop(name)
    assert await module.Countdown(n=2) == "2 1 0 lift-off"
    assert await module.Tree(depth=3) == 11


def test_the_mistakes_are_refused_at_run_time_too(checkout):
    """Those that can be seen without types; the rest is the checkers' duty."""
    with pytest.raises(NameError):
        importlib.import_module("mistakes")
