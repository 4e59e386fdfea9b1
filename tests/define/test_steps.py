"""Nouns: a node on the class, and its own code on an instance."""

import copy
import inspect
from collections.abc import AsyncIterator

import pytest

from reactor.define.decorators import compose, interrupt, map_over, source, step
from reactor.define.reactor import Reactor
from reactor.define.sources import Ref, use
from reactor.define.steps import Ask, Bound
from reactor.errors import MissingArguments, NoSuchAttribute

pytestmark = pytest.mark.anyio


class Child(Reactor):
    @step
    async def output(self) -> int:
        return 1


class Shop(Reactor):
    rate: int = 2

    @step
    async def price(self) -> int:
        return self.rate * 10

    @step
    async def reserve(self, price: int = price.result, stock: dict[str, int] = use(dict), *, note: str = "plain") -> str:
        return f"{price} {sorted(stock)} {note}"

    @step
    def weigh(self, both: list[int] = [price.result, price.result]) -> float:  # noqa: B006 - how an author lists references
        return sum(both) / 2

    @map_over([1, 2])
    async def ship(self, n: int, price: int = price.result) -> int:
        return n * price

    @compose
    async def child(self) -> Child:
        return Child()

    @interrupt
    async def approval(self, price: int = price.result) -> Ask[bool]:
        return Ask("order", show=price)

    @source
    async def rows(self, price: int = price.result) -> AsyncIterator[int]:
        yield price

    @step
    async def output(self) -> int:
        return 1


SHOP = Shop()


def test_a_node_s_value_is_not_its_attribute(refuses):
    """`price.lines` forgets the result."""
    with refuses(code="no-such-node-attribute", line="Shop.price.lines", fix="price.result.lines", known="result", kind=NoSuchAttribute):
        _ = Shop.price.lines
    with refuses(code="no-such-node-attribute", line="Shop.price.reslut", fix="", nearest="result", kind=NoSuchAttribute):
        _ = Shop.price.reslut


def test_a_node_is_not_called_on_the_class(refuses):
    """Newcomers from other tools wire by calling."""
    with refuses(code="missing-arguments", line="Shop.price()", fix="`x: T = price.result`", kind=MissingArguments):
        Shop.price()


def test_nodes_know_their_name_and_owner():
    """What an engine needs of `Checkout.approval`."""
    assert (Shop.approval.name, Shop.approval.owner, Shop.approval.kind) == ("approval", Shop, "interrupt")
    assert [Shop.price.kind, Shop.ship.kind, Shop.child.kind] == ["step", "map", "compose"]
    assert repr(Shop.price) == "<step Shop.price>"
    assert repr(Shop.rows) == "<source Shop.rows>"
    assert repr(SHOP.price) == "<step price of Shop(rate=2)>"


def test_results_are_references():
    """Each a new one, to the same node."""
    assert isinstance(Shop.price.result, Ref)
    assert isinstance(SHOP.price, Bound)


def test_nodes_answer_protocols_that_ask():
    """Inspect and copy look for dunder names."""
    assert not inspect.isfunction(Shop.price)
    assert copy.copy(Shop.price).name == "price"


def test_ask_compares_and_prints():
    """An interrupt alone, in a unit test, is compared with what it should ask."""
    assert Ask("k", show=[1]) == Ask("k", show=[1])
    assert Ask("k") != Ask("j")
    assert repr(Ask()) == "Ask(None)"
    match Ask("k", show=1):
        case Ask(key, shown):
            assert (key, shown) == ("k", 1)
