"""The model reactor: price, then reserve beside approval, pay, ship each line; or leave no trace."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from models import Approval, Card, Cart, Charge, Hold, Line, Parcel, Quote, Receipt

from reactor import (
    Ask,
    Continue,
    Engine,
    Failed,
    Parked,
    Reactor,
    Results,
    Retry,
    StepError,
    Succeeded,
    compose,
    interrupt,
    map_over,
    source,
    step,
    use,
)


class Warehouse:
    async def hold(self, lines: list[Line]) -> Hold:
        return Hold("h")

    async def release(self, hold: Hold) -> None: ...


@asynccontextmanager
async def warehouse() -> AsyncIterator[Warehouse]:
    yield Warehouse()


class CardPayment(Reactor, name="card-payment"):
    amount: int
    order_id: str

    @step(retry=Retry(4), timeout=10)
    async def output(self) -> Charge:
        return Charge("ch")

    @output.undo(retry=Retry(8), timeout=30)
    async def refund(self, charge: Charge) -> None: ...


class WirePayment(Reactor, name="wire-payment"):
    amount: int

    @step
    async def output(self) -> Charge:
        return Charge("w")


class Checkout(Reactor, name="checkout", version=3):
    order_id: str
    cart: Cart
    wire: bool = False

    @step(timeout=5, retry=Retry(4))
    async def price(self) -> Quote:
        return Quote(self.cart.lines, 99)

    @step
    async def reserve(self, quote: Quote = price.result, stock: Warehouse = use(warehouse)) -> Hold:
        return await stock.hold(quote.lines)

    @reserve.undo  # it succeeded, and something later failed
    async def release(self, hold: Hold, stock: Warehouse = use(warehouse)) -> None:
        await stock.release(hold)

    @reserve.compensate  # it failed itself, perhaps half-way
    async def drop_partial_hold(self, error: StepError) -> None: ...

    @interrupt(timeout=timedelta(days=2), attempts=3)  # parks the run; costs nothing while it waits
    async def approval(self, quote: Quote = price.result) -> Ask[Approval]:
        return Ask(f"order:{self.order_id}", show=quote)

    @approval.compensate  # nobody answered in time
    async def assume_no(self, error: StepError) -> Continue[Approval] | None:
        return Continue(Approval(False, "clock")) if error.is_a(TimeoutError) else None

    @compose  # the union of return types is the switch; the child's undos join this saga
    async def payment(self, quote: Quote = price.result, ok: Approval = approval.result) -> CardPayment | WirePayment:
        return WirePayment(amount=quote.total) if self.wire else CardPayment(amount=quote.total, order_id=self.order_id)

    @step  # plain def: CPU or blocking work, in a thread
    def weigh(self, quote: Quote = price.result) -> float:
        return 0.5 * len(quote.lines)

    @step
    async def is_big(self, quote: Quote = price.result) -> bool:
        return quote.total > 50

    @step(when=is_big)
    async def gift(self, quote: Quote = price.result) -> Card:
        return Card("thanks")

    @map_over(price.result.lines, batch_size=50, in_flight=4, offload=True)
    async def ship(self, line: Line, paid: Charge = payment.result, hold: Hold = reserve.result) -> Parcel:
        return Parcel(line.sku)

    @ship.undo  # once for each element that succeeded
    async def unship(self, parcel: Parcel) -> None: ...

    @step
    async def output(
        self, parcels: Results[Parcel] = ship.result, card: Card | None = gift.result, weight: float = weigh.result
    ) -> Receipt:
        return Receipt(self.order_id, parcels.succeeded, card)


class ShipAll(Reactor):
    """A map whose source is lazy and whose element is a reactor of its own."""

    day: str

    @source
    async def open_orders(self) -> AsyncIterator[str]:
        yield "o-1"

    @map_over(open_orders, batch_size=500, in_flight=8, offload=True, on_error="collect")
    async def output(self, order_id: str) -> CardPayment:
        return CardPayment(amount=1, order_id=order_id)


async def main(engine: Engine, cart: Cart) -> Receipt | None:
    match await engine.run(Checkout(order_id="o-1", cart=cart), id="o-1"):
        case Parked(waiting):
            print("waiting for", [w.step for w in waiting])
        case Succeeded(receipt):
            return receipt
        case Failed(error):
            print("nothing was charged:", error.message)
    await engine.signal(Checkout.approval, Approval(True, "ann"), correlation_id="order:o-1", delivery_id="evt-7")
    run = await engine.start(Checkout(order_id="o-2", cart=cart), id="o-2", offload=True)
    async for event in run.events():
        print(event)
    quote: Quote = await run.value(Checkout.price)
    same = await engine.get(Checkout, "o-2")
    charge: Charge = await CardPayment(amount=1, order_id="o-3")
    hold: Hold = await Checkout(order_id="o-4", cart=cart).reserve(quote=quote, stock=Warehouse())  # a step alone, as in a unit test
    print(charge, hold)
    return await same.result()
