"""Reactors with every kind of node, for what needs real classes: children, sources, inherited names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec

from reactor import Ask, Continue, Reactor, Results, Retry, Secret, StepError, compose, interrupt, map_over, source, step, use


class Line(msgspec.Struct):
    sku: str


class Quote(msgspec.Struct):
    lines: list[Line]
    total: int


class Approval(msgspec.Struct):
    approved: bool


def warehouse() -> dict[str, int]:
    """A resource."""
    return {}


class CardPayment(Reactor, name="card-payment", aliases=["card"]):
    amount: int

    @step(retry=Retry(4), timeout=10)
    async def output(self) -> str:
        return "charge"

    @output.undo(retry=Retry(8), timeout=30)
    async def refund(self, charge: str) -> None: ...


class WirePayment(Reactor, name="wire-payment"):
    amount: int

    @step
    async def output(self) -> str:
        return "wire"


class Checkout(Reactor, name="checkout", version=3):
    order_id: str
    token: Annotated[str, Secret()] = "sesame"
    wire: bool = False

    @step(timeout=5, retry=Retry(4))
    async def price(self) -> Quote:
        return Quote([Line("a")], 1)

    @step
    async def reserve(self, quote: Quote = price.result, stock: dict[str, int] = use(warehouse)) -> str:
        return "hold"

    @reserve.undo
    async def release(self, hold: str, stock: dict[str, int] = use(warehouse), quote: Quote = price.result) -> None: ...

    @interrupt(timeout=172800, attempts=3)
    async def approval(self, quote: Quote = price.result) -> Ask[Approval]:
        return Ask(self.order_id)

    @approval.compensate
    async def assume_no(self, error: StepError) -> Continue[Approval] | None:
        return Continue(Approval(approved=False))

    @compose
    async def payment(self, *, total: int = price.result.total, ok: Approval = approval.result) -> CardPayment | WirePayment:
        return WirePayment(amount=total) if self.wire else CardPayment(amount=total)

    @step
    async def is_big(self, total: int = price.result.total) -> bool:
        return total > 50

    @step(when=is_big, after=[reserve])
    async def gift(self) -> str:
        return "card"

    @map_over(price.result.lines, batch_size=50, in_flight=2, on_error="collect")
    async def ship(self, line: Line, charge: str = payment.result, both: list[str] = [reserve.result, payment.result]) -> str:  # noqa: B006
        return line.sku

    @step
    async def output(self, parcels: Results[str] = ship.result, card: str | None = gift.result) -> int:
        return len(parcels)


class Sweep(Reactor):
    """A map over a keyed source whose elements are reactors; `after` stands before the bound parameter."""

    @step
    async def day(self) -> str:
        return "today"

    @source(key=int)
    async def orders(self, after: int | None, day: str = day.result) -> AsyncIterator[int]:
        yield 1

    @map_over(orders)
    async def output(self, order: int) -> CardPayment:
        return CardPayment(amount=order)


class Countdown(Reactor):
    """A reactor that contains itself."""

    left: int

    @step
    async def is_over(self) -> bool:
        return self.left == 0

    @compose(when=is_over)
    async def rest(self) -> Countdown:
        return Countdown(left=self.left - 1)

    @step
    async def output(self, rest: int | None = rest.result) -> int:
        return rest or 0


class Parker(Reactor):
    """Two reactors that contain each other; the other one can park."""

    @compose
    async def output(self) -> Asker:
        return Asker()


class Asker(Reactor):
    @interrupt
    async def asks(self) -> Ask[int]:
        return Ask()

    @compose(after=[asks])
    async def output(self) -> Parker:
        return Parker()
