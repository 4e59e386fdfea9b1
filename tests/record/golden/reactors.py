"""The reactors of the golden runs. Never change one: what a release wrote was written by this code. Add another instead."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from reactor import Ask, Continue, Index, Reactor, Results, Retry, Secret, Skip, StepError, compose, interrupt, map_over, step

gate = asyncio.Event()
at_the_gate = asyncio.Event()


class Item(msgspec.Struct):
    """What is mapped over."""

    sku: str
    count: int = 1


class Word(msgspec.Struct):
    """What is answered."""

    fine: bool
    note: str = ""


class Carrier(Reactor, name="golden-carrier", version=2, aliases=["golden-van"]):
    """A child, and an element."""

    sku: str

    @step
    async def label(self) -> str:
        return f"label {self.sku}"

    @label.undo
    async def tear(self, label: str) -> None: ...

    @step
    async def output(self, label: str = label.result) -> str:
        return label.upper()


class Order(Reactor, name="golden-order", version=3):
    """Every kind of node."""

    order_id: Annotated[str, Index()]
    items: list[Item]
    token: Annotated[str, Secret()] = "sesame"

    @step
    async def price(self) -> dict[str, float]:
        return {item.sku: item.count * 1.5 for item in self.items}

    @step(retry=Retry(2, base=0.001, jitter=False))
    async def shaky(self) -> str:
        raise ConnectionError("no line")

    @shaky.compensate
    async def steady(self, error: StepError) -> Continue[str]:
        return Continue("by hand")

    @step
    async def gift(self) -> str:
        raise Skip("none")

    @step
    async def items_of(self, price: dict[str, float] = price.result) -> list[Item]:
        return self.items

    @map_over(items_of.result, batch_size=2, in_flight=2)
    async def pack(self, item: Item) -> str:
        return f"box of {item.sku}"

    @pack.undo
    async def unpack(self, box: str) -> None: ...

    @map_over(items_of.result, batch_size=2)
    async def ship(self, item: Item) -> Carrier:
        return Carrier(sku=item.sku)

    @compose
    async def receipt(self, gift: str = gift.result) -> Carrier:
        return Carrier(sku=gift)

    @interrupt(after=[receipt], timeout=10**9)
    async def approval(self, price: dict[str, float] = price.result) -> Ask[Word]:
        if self.order_id.startswith("quick"):
            raise Skip(Word(fine=True, note="quick"))
        return Ask(show=price)

    @step
    async def output(
        self,
        word: Word = approval.result,
        shaky: str = shaky.result,
        boxes: Results[str] = pack.result,
        labels: Results[str] = ship.result,
        receipt: str = receipt.result,
    ) -> list[str]:
        return [word.note, shaky, *await boxes.all(), *await labels.all(), receipt]


class Doomed(Reactor, name="golden-doomed"):
    """It fails, and is undone."""

    @step
    async def hold(self) -> int:
        return 7

    @hold.undo
    async def drop(self, held: int) -> None: ...

    @step
    async def output(self, held: int = hold.result) -> int:
        raise ValueError(f"not {held}")


class Slow(Reactor, name="golden-slow"):
    """It is let go of in the middle of a call."""

    @step
    async def first(self) -> int:
        return 1

    @step
    async def output(self, first: int = first.result) -> int:
        at_the_gate.set()
        await gate.wait()
        return first + 1


SERVED = (Order, Doomed, Slow)
ITEMS = [Item("a"), Item("b", 2), Item("c", 3)]
