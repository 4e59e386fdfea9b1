"""A payment saga against Stripe's API: reserve, charge, ship; or leave no trace.

    python docs/examples/checkout.py

starts a fake Stripe of its own, takes three orders, and prints what became of them in both books, Stripe's and the shop's.
docs/checkout.md walks through it; `checkout_outside.py` holds Stripe's client and the shop.
"""

import asyncio
import tempfile
from functools import partial
from typing import Annotated

from checkout_outside import CardDeclined, Item, Payment, Shop, Stripe, StripeUnreachable, fake_stripe, stripe
from msgspec import Meta, Struct

from reactor import Engine, Failed, Reactor, Retry, StepError, Succeeded, step, step_context, use

PATIENT = Retry(4, base=0.2, on=(StripeUnreachable, TimeoutError))  # no answer: ask again; a declined card stays declined
STUBBORN = Retry(6, base=0.2)  # what gives money back tries harder, whatever the error


class Receipt(Struct, frozen=True):
    """What the customer is told."""

    order_id: str
    payment: str
    parcel: str


class Checkout(Reactor, name="checkout"):
    """One order: held in stock, paid and sent; or none of it."""

    order_id: str
    item: Item
    card: Annotated[str, Meta(pattern="^pm_")]  # a payment method, as Stripe's form in the browser hands it out
    country: str = "FR"

    @step  # a plain def: blocking work, done in a thread
    def reserve(self, shop: Shop = use(Shop)) -> str:
        return shop.reserve(self.item, step_context().run_id)

    @reserve.undo
    async def release(self, hold: str, shop: Shop = use(Shop)) -> None:
        await asyncio.to_thread(shop.release, hold)

    @step(after=[reserve], retry=PATIENT, timeout=10)  # needs no undo: it moves no money, and only `charge` confirms it
    async def payment(self, stripe: Stripe = use(stripe)) -> Payment:
        total = self.item.cents * self.item.quantity
        return await stripe.open(total, self.card, self.order_id, step_context().idempotency_key)

    @step(retry=PATIENT, timeout=10)
    async def charge(self, payment: Payment = payment.result, stripe: Stripe = use(stripe)) -> Payment:
        paid = await stripe.get(payment)  # an earlier attempt may have got through, and its answer lost
        if paid.status == "requires_confirmation":
            paid = await stripe.confirm(payment, step_context().idempotency_key)
        if paid.status != "succeeded":
            raise CardDeclined(paid.last_payment_error.message if paid.last_payment_error else f"the payment is {paid.status}")
        return paid

    @charge.undo(retry=STUBBORN, timeout=30)  # it succeeded, and something later failed
    async def refund(self, paid: Payment, stripe: Stripe = use(stripe)) -> None:
        await stripe.refund(paid, step_context().idempotency_key)

    @charge.compensate(retry=STUBBORN, timeout=30)  # it failed; that need not mean that nobody paid
    async def void(self, error: StepError, payment: Payment = payment.result, stripe: Stripe = use(stripe)) -> None:
        match (await stripe.get(payment)).status:
            case "succeeded":
                await stripe.refund(payment, step_context().idempotency_key)
            case "canceled":
                pass
            case _:  # a confirmation that is still on its way comes too late; was it quicker, then the next attempt refunds
                await stripe.cancel(payment)

    @step
    def ship(self, hold: str = reserve.result, paid: Payment = charge.result, shop: Shop = use(Shop)) -> Receipt:
        return Receipt(self.order_id, paid.id, shop.ship(hold, self.country))

    @ship.undo
    async def recall(self, receipt: Receipt, hold: str = reserve.result, shop: Shop = use(Shop)) -> None:
        await asyncio.to_thread(shop.recall, hold)

    output = ship


async def take(orders: list[Checkout], shop: Shop, url: str) -> None:
    """Run each order, say what became of it, and what the two books say afterwards."""
    connect = partial(stripe, url, "sk_test_checkout")
    async with Engine(resources={stripe: connect, Shop: lambda: shop}) as engine, connect() as client:
        for order in orders:
            match await engine.run(order, id=order.order_id):
                case Succeeded(receipt):
                    print(f"{order.order_id}: paid by {receipt.payment}, sent as {receipt.parcel}")
                case Failed(error, where):
                    print(f"{order.order_id}: failed at {where}: {error.message}")
                case other:
                    print(f"{order.order_id}: {other}")
        for charge in (await client.ask("GET", "charges"))["data"]:
            print(f"Stripe: {charge['payment_intent']} {charge['status']}: {charge['amount']}, refunded {charge['amount_refunded']}")
        print("shop:", shop.books())


async def main() -> None:
    """Three orders: a good one, one whose card is refused, one that nobody delivers once it is paid."""
    lamp, visa = Item("lamp", cents=4900), "pm_card_visa"
    orders = [
        Checkout(order_id="good", item=lamp, card=visa),
        Checkout(order_id="refused", item=lamp, card="pm_card_chargeCustomerFail"),
        Checkout(order_id="undeliverable", item=lamp, card=visa, country="AQ"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(f"{folder}/shop.db")
        shop.stock("lamp", 5)
        async with fake_stripe() as url:
            await take(orders, shop, url)


if __name__ == "__main__":
    asyncio.run(main())
