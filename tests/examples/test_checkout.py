"""The checkout against a real Stripe-like server in a process of its own, judged by what that server and the shop have in their books."""

import asyncio
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from checkout import Checkout
from checkout_outside import (
    CardDeclined,
    Item,
    OutOfStock,
    Shop,
    Stripe,
    StripeRefused,
    StripeUnreachable,
    Undeliverable,
    fake_stripe,
    stripe,
)

from reactor import Engine, Event, Failed, InputInvalid, Succeeded

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "checkout.py"
LAMP = Item("lamp", cents=4900)
VISA, BROKE = "pm_card_visa", "pm_card_chargeCustomerFail"


# ---- a bad network ---------------------------------------------------------------------------------------------

Fate = Literal["arrives", "answer lost", "answer held", "request lost"]


@dataclass
class Wire:
    """A TCP relay between a client and a server: `fate` decides over each request, by its method and path; `seen` lists the requests."""

    upstream: int
    url: str = ""
    fate: Callable[[str], Fate] = lambda request: "arrives"
    seen: list[str] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)  # an answer is held back
    keys: dict[str, set[str]] = field(default_factory=dict)  # request -> the idempotency keys that it came with

    def lose_once(self, what: str, fate: Fate = "answer lost") -> None:
        """The first request that ends with `what` meets this fate; all others arrive."""
        left = [fate]
        self.fate = lambda request: left.pop() if left and request.endswith(what) else "arrives"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection; it is cut when something is lost."""
        try:
            while await self.relay(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False when it was lost."""
        head, body = await message(reader)
        request = " ".join(head.decode().split(" ")[:2])
        self.seen.append(request)
        for line in head.decode().splitlines():
            if line.lower().startswith("idempotency-key:"):
                self.keys.setdefault(request, set()).add(line.split(":", 1)[1].strip())
        fate = self.fate(request)
        if fate == "request lost":
            return False
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        up_writer.write(head + body)
        answer = b"".join(await message(up_reader))  # by now the server has done what was asked
        up_writer.close()
        if fate == "answer held":
            self.held.set()
            await reader.read()  # until the client hangs up
        if fate != "arrives":
            return False
        writer.write(answer)
        await writer.drain()
        return True


async def message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The head and the body of one HTTP/1.1 message that says its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    return head, await reader.readexactly(sum(lengths))


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """A relay to the server at `url`, on a free port."""
    relay = Wire(urlsplit(url).port or 80)
    async with await asyncio.start_server(relay.serve, "127.0.0.1", 0) as server:
        relay.url = "http://{}:{}".format(*server.sockets[0].getsockname())
        yield relay


# ---- the world -------------------------------------------------------------------------------------------------


@dataclass
class World:
    """A shop with lamps, Stripe behind a wire, and an engine between them."""

    shop: Shop
    wire: Wire
    stripe: Stripe  # past the wire
    engine: Engine
    facts: list[Event]  # what has happened in it

    async def charges(self) -> list[dict]:
        """Every charge that Stripe knows, oldest first."""
        return (await self.stripe.ask("GET", "charges?limit=100"))["data"]

    async def takings(self) -> int:
        """Cents that Stripe holds for us: charges less refunds."""
        return sum(entry["net"] for entry in (await self.stripe.ask("GET", "balance_transactions?limit=100"))["data"])

    def untouched(self) -> bool:
        """All lamps are free again: nothing is held and nothing was sent."""
        return self.shop.books() == {"stock": [("lamp", 2)], "holds": [], "parcels": []}


@pytest.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    """One server for this file."""
    async with fake_stripe() as url:
        yield url


@pytest.fixture
async def world(url: str, tmp_path: Path) -> AsyncIterator[World]:
    """Two lamps in stock, and a server that remembers nothing."""
    shop = Shop(str(tmp_path / "shop.db"))
    shop.stock("lamp", 2)
    async with wire(url) as relay, stripe(url, "sk_test_checkout") as client:
        await client.session.delete("/_config/data")
        facts: list[Event] = []
        connect = partial(stripe, relay.url, "sk_test_checkout")
        async with Engine(resources={stripe: connect, Shop: lambda: shop}, observers=[facts.append]) as engine:
            yield World(shop, relay, client, engine, facts)


def order(order_id: str, *, card: str = VISA, country: str = "FR", item: Item = LAMP) -> Checkout:
    """An order that is good unless it says otherwise."""
    return Checkout(order_id=order_id, item=item, card=card, country=country)


# ---- Stripe's client -------------------------------------------------------------------------------------------


async def test_a_declined_card_is_told_from_other_refusals(world: World) -> None:
    """The bank's no is CardDeclined, with the bank's words; Stripe's own no is StripeRefused and not that."""
    payment = await world.stripe.open(100, BROKE, "o", "k")
    with pytest.raises(CardDeclined, match="declined"):
        await world.stripe.confirm(payment, "k2")
    with pytest.raises(StripeRefused) as refused:
        await world.stripe.open(0, VISA, "o", "k3")
    assert not isinstance(refused.value, CardDeclined)


async def test_a_wrong_api_key_is_a_refusal(url: str) -> None:
    """Without the right key nothing is done, and asking again is no use."""
    async with stripe(url, "wrong") as client:
        with pytest.raises(StripeRefused, match="Unauthorized"):
            await client.open(100, VISA, "o", "k")


@pytest.mark.parametrize("fate", ["answer lost", "request lost"])
async def test_no_answer_is_no_refusal(world: World, fate: Fate) -> None:
    """A request or an answer that got lost leaves open what was done: StripeUnreachable."""
    world.wire.lose_once("payment_intents", fate)
    async with stripe(world.wire.url, "sk_test_checkout") as client:
        with pytest.raises(StripeUnreachable):
            await client.open(100, VISA, "o", "k")


async def test_nobody_there_is_no_refusal(unused_port: int) -> None:
    """A server that is down is unreachable."""
    async with stripe(f"http://127.0.0.1:{unused_port}", "sk_test_checkout") as client:
        with pytest.raises(StripeUnreachable):
            await client.ask("GET", "charges")


async def test_a_refund_is_made_once(world: World) -> None:
    """A refund whose answer was lost is not made again, though this server would."""
    payment = await world.stripe.open(100, VISA, "o", "k")
    await world.stripe.confirm(payment, "k2")
    world.wire.lose_once("POST /v1/refunds")
    async with stripe(world.wire.url, "sk_test_checkout") as client:
        with pytest.raises(StripeUnreachable):
            await client.refund(payment, "k3")
        await client.refund(payment, "k3")
    assert await world.takings() == 0


@pytest.fixture
async def unused_port() -> int:
    """A port where nobody listens."""
    async with await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0) as server:
        return server.sockets[0].getsockname()[1]


# ---- the shop --------------------------------------------------------------------------------------------------


def test_the_shop_does_each_thing_once(tmp_path: Path) -> None:
    """Reserving, shipping, recalling and releasing again change nothing."""
    shop = Shop(str(tmp_path / "shop.db"))
    shop.stock("lamp", 2)
    for _ in range(2):
        shop.reserve(LAMP, "h")
    assert shop.books() == {"stock": [("lamp", 1)], "holds": [("h", "lamp", 1)], "parcels": []}
    for _ in range(2):
        shop.ship("h", "FR")
    assert shop.books() == {"stock": [("lamp", 1)], "holds": [], "parcels": [("h", "lamp", 1)]}
    for _ in range(2):
        shop.recall("h")
    for _ in range(2):
        shop.release("h")
    assert shop.books() == {"stock": [("lamp", 2)], "holds": [], "parcels": []}


def test_the_shop_sells_what_it_has(tmp_path: Path) -> None:
    """More than there is cannot be reserved, and the attempt leaves the stock as it was."""
    shop = Shop(str(tmp_path / "shop.db"))
    shop.stock("lamp", 2)
    with pytest.raises(OutOfStock):
        shop.reserve(Item("lamp", 1, quantity=3), "h")
    with pytest.raises(OutOfStock):
        shop.reserve(Item("chair", 1), "h")
    assert shop.books() == {"stock": [("lamp", 2)], "holds": [], "parcels": []}


# ---- the three stories -----------------------------------------------------------------------------------------


async def test_a_good_order_is_paid_once_and_sent(world: World) -> None:
    """One charge of the whole sum, marked with the order; the goods have left the stock."""
    outcome = await world.engine.run(order("good", item=Item("lamp", 4900, quantity=2)), id="good")
    assert isinstance(outcome, Succeeded)
    (charge,) = await world.charges()
    assert (charge["status"], charge["amount"], charge["refunded"]) == ("succeeded", 9800, False)
    assert charge["payment_intent"] == outcome.value.payment
    intent = await world.stripe.ask("GET", f"payment_intents/{outcome.value.payment}")
    assert intent["metadata"] == {"order_id": "good"}
    assert await world.takings() == 9800
    assert world.shop.books() == {"stock": [("lamp", 0)], "holds": [], "parcels": [("checkout:good", "lamp", 2)]}


async def test_a_refused_card_leaves_no_hold(world: World) -> None:
    """The bank is asked once; nothing is held or taken, and nothing can be taken later."""
    outcome = await world.engine.run(order("refused", card=BROKE), id="refused")
    assert isinstance(outcome, Failed)
    assert (outcome.step, outcome.error.attempt) == ("charge", 1)
    assert outcome.error.is_a(CardDeclined)
    assert not outcome.rollback_failures
    assert world.untouched()
    (charge,) = await world.charges()
    assert charge["status"] == "failed"
    assert (await world.stripe.ask("GET", f"payment_intents/{charge['payment_intent']}"))["status"] == "canceled"
    assert await world.takings() == 0


async def test_a_card_that_wants_more_is_refused_and_cannot_pay_later(world: World) -> None:
    """A payment that waits for its owner's proof is no success: the order fails and the payment is canceled."""
    card = {"type": "card", "card[number]": "4000002500003155", "card[exp_month]": "12", "card[exp_year]": "2030", "card[cvc]": "123"}
    method = await world.stripe.ask("POST", "payment_methods", card)
    outcome = await world.engine.run(order("proof", card=method["id"]), id="proof")
    assert isinstance(outcome, Failed)
    assert outcome.error.is_a(CardDeclined)
    assert "requires_action" in outcome.error.message
    (intent,) = (await world.stripe.ask("GET", "payment_intents"))["data"]
    assert intent["status"] == "canceled"
    assert world.untouched()


async def test_a_failure_after_the_charge_refunds_it(world: World) -> None:
    """The charge is seen, refunded in full, in Stripe's own books; the goods are free again."""
    outcome = await world.engine.run(order("undeliverable", country="AQ"), id="undeliverable")
    assert isinstance(outcome, Failed)
    assert outcome.step == "ship"
    assert outcome.error.is_a(Undeliverable)
    (charge,) = await world.charges()
    assert (charge["status"], charge["refunded"], charge["amount_refunded"]) == ("succeeded", True, 4900)
    assert await world.takings() == 0
    assert world.untouched()


async def test_nothing_is_asked_of_stripe_where_the_shop_has_nothing(world: World) -> None:
    """Out of stock: no payment is even opened."""
    outcome = await world.engine.run(order("greedy", item=Item("lamp", 4900, quantity=3)), id="greedy")
    assert isinstance(outcome, Failed)
    assert outcome.error.is_a(OutOfStock)
    assert world.wire.seen == []
    assert world.untouched()


async def test_bad_inputs_touch_nothing(world: World) -> None:
    """A card that is no payment method is refused before anything begins."""
    with pytest.raises(InputInvalid, match="card"):
        await world.engine.run(order("bad", card="4242424242424242"), id="bad")
    assert world.wire.seen == []
    assert world.untouched()


# ---- the network fails in the middle ---------------------------------------------------------------------------


@pytest.mark.parametrize("fate", ["answer lost", "request lost"])
@pytest.mark.parametrize("what", ["POST /v1/payment_intents", "/confirm"])
async def test_a_lost_answer_does_not_charge_twice(world: World, what: str, fate: Fate) -> None:
    """Whether the request or its answer got lost, the retry ends with one charge, and its attempts share one key."""
    world.wire.lose_once(what, fate)
    assert isinstance(await world.engine.run(order("o"), id="o"), Succeeded)
    (charge,) = await world.charges()
    assert charge["amount"] == await world.takings() == 4900
    assert all(len(keys) == 1 for keys in world.wire.keys.values())
    assert len({key for keys in world.wire.keys.values() for key in keys}) == 2  # one for each request that changes something


async def test_a_lost_refusal_is_still_a_declined_card(world: World) -> None:
    """The second attempt finds what the bank said and does not ask it again."""
    world.wire.lose_once("/confirm")
    outcome = await world.engine.run(order("o", card=BROKE), id="o")
    assert isinstance(outcome, Failed)
    assert outcome.error.is_a(CardDeclined)
    assert outcome.error.attempt == 2
    assert len(await world.charges()) == 1
    assert world.untouched()


async def test_a_charge_that_nobody_heard_of_is_refunded(world: World) -> None:
    """The card was charged, the answer lost, and no later attempt got through: the compensation finds the charge and refunds it."""

    def dark_until_given_up(request: str) -> Fate:
        if request.endswith("/confirm"):
            return "answer lost"
        confirmed = any(seen.endswith("/confirm") for seen in world.wire.seen)
        given_up = any((fact.kind, fact.address, fact.attempt) == ("call_failed", "charge", 4) for fact in world.facts)
        return "request lost" if confirmed and not given_up else "arrives"

    world.wire.fate = dark_until_given_up
    outcome = await world.engine.run(order("o"), id="o")
    assert isinstance(outcome, Failed)
    assert (outcome.step, outcome.error.attempt) == ("charge", 4)
    assert outcome.error.is_a(StripeUnreachable)
    (charge,) = await world.charges()
    assert (charge["status"], charge["refunded"]) == ("succeeded", True)
    assert await world.takings() == 0
    assert world.untouched()


async def test_a_lost_refund_is_not_made_twice(world: World) -> None:
    """The answer to the refund got lost: the undo is called again and gives the money back once."""
    world.wire.lose_once("POST /v1/refunds")
    assert isinstance(await world.engine.run(order("o", country="AQ"), id="o"), Failed)
    (charge,) = await world.charges()
    assert charge["amount_refunded"] == 4900
    assert await world.takings() == 0
    assert world.untouched()


async def test_money_that_cannot_be_given_back_now_is_given_back_later(world: World) -> None:
    """Stripe is away during the whole rollback: the run is stuck and says so; `retry_rollback` refunds, and only that."""
    world.wire.fate = lambda request: "request lost" if "refunds" in request else "arrives"
    run = await world.engine.start(order("o", country="AQ"), id="o")
    outcome = await run.outcome()
    assert isinstance(outcome, Failed)
    assert [(failure.step, failure.kind) for failure in outcome.rollback_failures] == [("charge", "undo")]
    assert await run.status() == "stuck"
    assert world.untouched()  # the rest of the rollback went on
    assert await world.takings() == 4900
    world.wire.fate = lambda request: "arrives"
    await run.retry_rollback()
    await run.outcome()
    assert await run.status() == "failed"
    assert await world.takings() == 0


# ---- more than one ---------------------------------------------------------------------------------------------


async def test_two_orders_at_once_for_the_last_lamp(world: World) -> None:
    """One gets it and pays, the other pays nothing."""
    world.shop.stock("lamp", 1)
    outcomes = await asyncio.gather(*(world.engine.run(order(name), id=name) for name in ("ann", "bob")))
    (failed,) = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    assert failed.error.is_a(OutOfStock)
    assert sum(isinstance(outcome, Succeeded) for outcome in outcomes) == 1
    assert len(await world.charges()) == 1
    assert await world.takings() == 4900
    books = world.shop.books()
    assert (books["stock"], books["holds"], len(books["parcels"])) == ([("lamp", 0)], [], 1)


async def test_the_same_order_twice_is_one_order(world: World) -> None:
    """Whoever asks and how often: one run, one charge, the same receipt."""
    first, second = await asyncio.gather(*(world.engine.run(order("o"), id="o") for _ in range(2)))
    assert isinstance(first, Succeeded)
    assert isinstance(second, Succeeded)
    assert first.value == second.value
    assert await world.takings() == 4900


async def test_twenty_orders_at_once(world: World) -> None:
    """Good, refused and undeliverable ones side by side: both books add up."""
    world.shop.stock("lamp", 20)
    kinds = [{}, {"card": BROKE}, {"country": "AQ"}, {}]
    outcomes = await asyncio.gather(*(world.engine.run(order(f"o{n}", **kinds[n % 4]), id=f"o{n}") for n in range(20)))
    assert sum(isinstance(outcome, Succeeded) for outcome in outcomes) == 10
    assert await world.takings() == 10 * 4900
    books = world.shop.books()
    assert (books["stock"], books["holds"], len(books["parcels"])) == ([("lamp", 10)], [], 10)


# ---- changing one's mind ---------------------------------------------------------------------------------------


async def test_an_order_that_was_sent_can_be_undone(world: World) -> None:
    """The parcel is recalled, the money refunded, the goods are free again: in that order, and only once."""
    run = await world.engine.start(order("o"), id="o")
    await run.result()
    assert [*await run.undo_plan()] == ["ship", "charge", "reserve"]
    await run.undo()
    await run.outcome()
    assert await run.status() == "undone"
    (charge,) = await world.charges()
    assert charge["refunded"]
    assert await world.takings() == 0
    assert world.untouched()


async def test_an_order_canceled_while_the_bank_is_asked_takes_nothing(world: World) -> None:
    """Canceled when the card has been charged but nobody has heard of it yet: the charge is refunded and nothing is held."""
    world.wire.lose_once("/confirm", "answer held")
    run = await world.engine.start(order("o"), id="o")
    await world.wire.held.wait()
    await run.cancel("the customer called")
    await run.outcome()
    assert await run.status() == "cancelled"
    (charge,) = await world.charges()
    assert charge["refunded"]
    assert world.untouched()


# ---- as a script -----------------------------------------------------------------------------------------------


def test_the_script_tells_the_three_stories() -> None:
    """`python docs/examples/checkout.py` needs nothing else, and prints what both books say."""
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("good: paid by pi_")
    assert lines[1] == "refused: failed at charge: Your card was declined."
    assert lines[2] == "undeliverable: failed at ship: no carrier goes to AQ"
    assert [line.split(": ", 2)[2] for line in lines if line.startswith("Stripe")] == [
        "4900, refunded 0",
        "4900, refunded 0",
        "4900, refunded 4900",
    ]
    assert lines[-1] == "shop: {'stock': [('lamp', 4)], 'holds': [], 'parcels': [('checkout:good', 'lamp', 1)]}"


def test_the_guide_shows_the_example() -> None:
    """docs/checkout.md walks through the reactor as it is."""
    assert inspect.getsource(Checkout) in (EXAMPLE.parents[1] / "checkout.md").read_text(encoding="utf-8")
