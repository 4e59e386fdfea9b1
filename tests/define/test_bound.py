"""A node on an instance: its own code, called alone, and never inside a running step."""

from collections.abc import AsyncIterator

import pytest

from reactor.define.decorators import compose, interrupt, map_over, source, step
from reactor.define.reactor import Reactor
from reactor.define.sources import use
from reactor.define.steps import Ask, in_call
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


async def test_a_step_is_callable_alone():
    """As in a unit test: no engine, dependencies by keyword or in place, constants by default."""
    assert await SHOP.price() == 20
    assert await SHOP.reserve(price=7, stock={"a": 1}) == "7 ['a'] plain"
    assert await SHOP.reserve(7, {}, note="x") == "7 [] x"


async def test_every_kind_is_callable_alone():
    """A plain def is awaited too; a map's code takes its element; a compose gives the child, an interrupt its Ask."""
    assert await SHOP.weigh(both=[1, 2]) == 1.5
    assert await SHOP.ship(3, price=4) == 12
    assert await SHOP.child() == Child()
    assert await SHOP.approval(price=5) == Ask("order", show=5)
    assert [row async for row in SHOP.rows(price=9)] == [9]


async def test_what_is_not_given_is_named(refuses):
    """A reference has no value outside a run: the error names each, and shows the call."""
    with refuses(
        code="missing-arguments",
        line="SHOP.reserve()",
        fix="await reactor.reserve(price=…, stock=…, note=…)",
        what="lacks `price`, `stock`",
        known="stock",
        kind=MissingArguments,
    ):
        SHOP.reserve()
    with refuses(code="missing-arguments", line="SHOP.weigh", fix="both=…", what="lacks `both`", kind=MissingArguments):
        SHOP.weigh()
    with refuses(code="missing-arguments", line="SHOP.ship", fix="n=…", what="'n'", kind=MissingArguments):
        SHOP.ship(price=1)


async def test_what_is_not_taken_gets_its_nearest(refuses):
    """A misspelt argument."""
    with refuses(code="missing-arguments", line="SHOP.reserve", fix="stock=…", nearest="stock", kind=MissingArguments):
        SHOP.reserve(price=1, stok={})
    with pytest.raises(TypeError):
        SHOP.price(1, 2)


async def test_a_step_is_not_called_inside_a_running_one(refuses):
    """The engine would not know of it: no record, no undo, no retry."""
    token = in_call.set((object(), object()))
    try:
        with refuses(code="step-called-in-step", line="SHOP.price()", fix="price.result"):
            SHOP.price()
    finally:
        in_call.reset(token)
    assert await SHOP.price() == 20


def test_an_instance_s_node_has_no_result(refuses):
    """`self.price.result` is the mistake everyone makes once."""
    with refuses(code="no-result-on-instance", line="SHOP.price.result", fix="x: T = price.result", kind=NoSuchAttribute):
        _ = SHOP.price.result
    assert not hasattr(SHOP.price, "result")
    assert not hasattr(SHOP.price, "__wrapped__")
