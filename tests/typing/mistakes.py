"""Mistakes that mypy --strict and pyright must both refuse, each on the line marked."""

from collections.abc import AsyncIterator

from checkout import CardPayment, Checkout, WirePayment
from reactor import Continue, Engine, Reactor, Results, Step, StepError, compose, map_over, source, step
from models import Approval, Card, Cart, Charge, Hold, Line, Parcel, Quote, Receipt


class Bad(Reactor):
    cart: Cart

    @step
    async def price(self) -> Quote:
        return Quote([], 1)

    @step
    async def wrong_type(self, quote: Hold = price.result) -> Hold:  # error
        return Hold("")

    @wrong_type.undo  # error
    async def undo_of_another(self, hold: Charge) -> None: ...

    @step
    async def misspelt(self, x: Quote = pricee.result) -> None: ...  # error

    @step
    async def flag(self) -> bool:
        return True

    @step(when=flag)
    async def maybe(self) -> str:
        return ""

    @step
    async def forgets_none(self, s: str = maybe.result) -> None: ...  # error

    @map_over(price.result.lines)  # error
    async def wrong_element(self, line: Quote) -> Parcel:
        return Parcel("")

    @map_over(price.result.lines)
    async def parcels(self, line: Line) -> Parcel:
        return Parcel("")

    @step
    async def wrong_results(self, ps: Results[Hold] = parcels.result) -> None: ...  # error

    @compose
    async def wrong_input(self, q: Quote = price.result) -> CardPayment:
        return CardPayment(amount=q, order_id="")  # error

    @step
    async def too_early(self, z: Receipt = later.result) -> None: ...  # error

    @step
    async def later(self) -> Receipt:
        return Receipt("", 0, None)

    @source
    async def rows(self) -> AsyncIterator[Line]:
        yield Line("")

    @map_over(rows)  # error
    async def wrong_row(self, row: Hold) -> Hold:
        return row

    @step(when=price)  # error
    async def not_a_flag(self) -> None: ...

    @compose
    async def pay(self) -> CardPayment | WirePayment:
        return WirePayment(amount=1)

    @step
    async def wrong_child(self, c: Card = pay.result) -> None: ...  # error

    @step
    async def reads_itself(self) -> Quote:
        return self.price.result  # error

    @price.compensate  # error
    async def recovers_wrongly(self, error: StepError) -> Continue[Hold]:
        return Continue(Hold(""))

    @step
    async def wrong_path(self, n: int = price.result.totall) -> None: ...  # error

    @step
    async def output(self) -> Receipt:
        return Receipt("", 0, None)


async def callers(engine: Engine) -> None:
    Checkout(order_id=1, cart=Cart([]))  # error
    Checkout(order_id="", cart=Cart([]), nope=1)  # error
    x: int = await Bad(cart=Cart([]))  # error
    run = await engine.start(Checkout(order_id="", cart=Cart([])))
    y: int = await run.result()  # error
    await engine.signal(Checkout.approval, Charge("x"), correlation_id="k")  # error
    await engine.signal(Checkout.price, Approval(True, ""), run_id="k")  # error
    z: int = await run.value(Checkout.price)  # error
    w: int = await (await engine.get(Checkout, "o")).result()  # error


class Recursive(Reactor):
    n: int

    @compose(when=Bad.flag)
    async def rest(self) -> "Recursive":
        return Recursive(n=1)

    @step
    async def told(self, rest: str | None = rest.result) -> str:  # error
        return rest or ""

    output: Step[int] = told  # error


class Misnamed(Reactor, verison=3):  # error
    @step
    async def output(self) -> int:
        return 1
