"""A definition says all that a run is drawn from, is the same bytes for the same plan, and holds no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import pydantic
import pytest

from reactor import Incompatible, Reactor, Secret, compose, map_over, step
from reactor.plan.compile import compile_plan, plan_of
from reactor.record.definitions import SNIPPET, MapData, UseData, definition_data, read_definition
from tests.plan import shop
from tests.plan.shop import Checkout


class Token(msgspec.Struct):
    """A Struct with a secret that its author gave a default, and a field whose name is a word of JSON schema."""

    value: Annotated[str, Secret()] = "sesame"
    default: int = 7


class Money(pydantic.BaseModel):
    """A model inside a model."""

    amount: int


class Invoice(pydantic.BaseModel):
    """A model."""

    total: Money


class Odd:
    """A class that nobody knows how to describe."""


class Shapes(Reactor):
    """Types of all kinds."""

    token: Token
    folder: Path

    @step
    async def invoice(self) -> Invoice:
        return Invoice(total=Money(amount=1))

    @step
    async def odd(self) -> Odd:
        return Odd()

    @step
    async def output(self) -> list[Token]:
        return []


class Deeper(Reactor):
    """A reactor that contains itself."""

    left: int

    @compose
    async def output(self) -> Deeper:
        return Deeper(left=self.left - 1)


def twin() -> type[Reactor]:
    """A reactor of a name that another has, too."""

    class Twin(Reactor, name="card-payment"):
        @step
        async def output(self) -> int:
            return 1

    return Twin


Twin = twin()


class Both(Reactor):
    """Children of one name."""

    @compose
    async def one(self) -> shop.CardPayment:
        return shop.CardPayment(amount=1)

    @compose
    async def output(self) -> Twin:  # type: ignore[valid-type]
        return Twin()


def data_of(cls):
    """A definition, there and back."""
    return read_definition(definition_data(plan_of(cls)))


def test_a_definition_says_what_a_run_is_drawn_from():
    """Names, kinds, edges with their reasons, options, undos, children, places: with no code at hand."""
    found = data_of(Checkout)
    assert (found.name, found.version, found.fingerprint) == ("checkout", 3, plan_of(Checkout).fingerprint)
    nodes = {node.name: node for node in found.root.nodes}
    assert [*nodes] == [*plan_of(Checkout).names]
    assert nodes["price"].attempts == 4
    assert nodes["price"].timeout == 5
    assert (nodes["reserve"].has_undo, nodes["reserve"].has_compensate) == (True, False)
    assert (nodes["approval"].kind, nodes["approval"].attempts, nodes["approval"].has_compensate) == ("interrupt", 3, True)
    assert nodes["gift"].when == "is_big"
    assert nodes["gift"].parents == ("reserve", "is_big")
    assert nodes["gift"].type == "str | None"
    assert nodes["payment"].uses[0] == UseData("price", "data", "total", ".total")
    assert nodes["ship"].map == MapData("Line", 50, 2, "collect")
    assert found.root.output == "output"
    assert found.root.file == shop.__file__
    assert nodes["price"].line > found.root.line


def test_children_are_found_by_name_and_by_alias():
    """A record names a child as it called itself then."""
    found = data_of(Checkout)
    payment = found.root.node("payment")
    assert payment.children == ("card-payment", "wire-payment")
    assert found.child(payment, "card-payment") is found.child(payment, "card") is found.reactors["card-payment"]
    assert found.child(payment, "cash") is None
    assert found.root.node("cash") is None


def test_a_reactor_that_contains_itself_is_there_once():
    """Its node leads back to it."""
    found = data_of(Deeper)
    assert [*found.reactors] == ["Deeper"]
    assert found.child(found.root.node("output"), "Deeper") is found.root


def test_two_children_of_one_name_are_told_apart():
    """Each node leads to its own."""
    found = data_of(Both)
    assert [*found.reactors] == ["Both", "card-payment", "card-payment (2)"]
    assert found.child(found.root.node("one"), "card-payment").inputs
    assert not found.child(found.root.node("output"), "card-payment").inputs


def test_a_snippet_is_the_authors_code():
    """Decorators included, without the indent of the class, and not without end."""
    price = data_of(Checkout).root.node("price")
    assert price.snippet.splitlines()[:2] == ["@step(timeout=5, retry=Retry(4))", "async def price(self) -> Quote:"]
    assert all(len(node.snippet.splitlines()) <= SNIPPET for node in data_of(Checkout).root.nodes)


def test_types_have_a_shape_where_there_is_one():
    """JSON schema of inputs, results, payloads and elements; None of what cannot be said, and of what children give."""
    root = data_of(Checkout).root
    assert root.inputs[0].shape == {"type": "string"}
    assert root.node("approval").shape["$defs"]["Approval"]["properties"] == {"approved": {"type": "boolean"}}
    assert root.node("ship").shape == {"type": "string"}
    assert root.node("payment").shape is None
    odd = data_of(Shapes).root
    assert odd.node("odd").shape is None
    assert odd.inputs[1].shape == {"type": "string", "format": "path"}
    assert odd.node("invoice").shape["$defs"]["Money"]["properties"]["amount"]["type"] == "integer"


def test_no_constant_and_no_default_is_in_it():
    """A default may be a secret, the author's or a Struct's."""
    assert b"sesame" not in definition_data(plan_of(Checkout))
    assert b"sesame" not in definition_data(plan_of(Shapes))
    root = data_of(Shapes).root
    assert [*root.inputs[0].shape["$defs"]["Token"]["properties"]] == ["value", "default"]
    assert data_of(Checkout).root.inputs[1].secret


def test_it_is_made_once_for_a_plan():
    """And again for another plan of the same class: a harness has plans of its own."""
    plan = plan_of(Checkout)
    assert definition_data(plan) is definition_data(plan)
    other = compile_plan(plan.definition)
    assert definition_data(other) == definition_data(plan)


def test_fields_of_a_newer_release_are_passed_over():
    """A rolling upgrade reads what its newer neighbours wrote."""
    raw = msgspec.msgpack.decode(definition_data(plan_of(Deeper)))
    raw["newer"] = raw["reactors"]["Deeper"]["newer"] = {"x": 1}
    assert read_definition(msgspec.msgpack.encode(raw)) == data_of(Deeper)


DEEPER = definition_data(plan_of(Deeper))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"\x80", b"\x90", DEEPER[:-1], DEEPER.replace(b"Deeper", b"Deeps_", 1)],
    ids=["nothing", "no msgpack", "an empty map", "a list", "cut", "without its root"],
)  # fmt: skip
def test_what_is_no_definition_is_refused(data):
    """With an error of its own."""
    with pytest.raises(Incompatible, match="unreadable-definition"):
        read_definition(data)


class Mapped(Reactor):
    """A map of reactors."""

    @map_over([1, 2])
    async def output(self, n: int) -> shop.WirePayment:
        return shop.WirePayment(amount=n)


def test_a_map_of_reactors_leads_to_its_elements():
    """As a compose does."""
    found = data_of(Mapped)
    assert found.root.node("output").children == ("wire-payment",)
    assert found.root.node("output").type == "Results[str]"
