"""What `checkout.py` deals with: Stripe over HTTP, the shop's own SQLite file, and a fake Stripe to try it on.

Nothing here knows that there are reactors. What makes it fit for a saga: each request carries a key that makes it count once,
each transaction changes nothing when it is repeated, and an error tells "no" from "no answer".
"""

import asyncio
import os
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from http import HTTPStatus
from typing import Annotated, Any

import aiohttp
import msgspec
from msgspec import Meta, Struct

# ---- Stripe ---------------------------------------------------------------------------------------------------


class Refusal(Struct, frozen=True):
    """Why the bank or Stripe said no."""

    code: str | None = None
    message: str = "no reason given"


class Payment(Struct, frozen=True):
    """What Stripe calls a PaymentIntent: to open one moves no money, to confirm it charges the card, and that at most once."""

    id: str
    status: str
    last_payment_error: Refusal | None = None


class StripeRefused(Exception):
    """Stripe said no: to ask again is no use."""


class CardDeclined(StripeRefused):
    """The bank said no."""


class StripeUnreachable(Exception):
    """No answer that counts: what was asked for may have been done, or not."""


class Stripe:
    """The requests that a checkout makes."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def open(self, cents: int, card: str, order_id: str, key: str) -> Payment:
        form = {"amount": str(cents), "currency": "eur", "payment_method": card, "payment_method_types[]": "card"}
        form["metadata[order_id]"] = order_id  # for the people who read Stripe's dashboard
        return msgspec.convert(await self.ask("POST", "payment_intents", form, key), Payment)

    async def get(self, payment: Payment) -> Payment:
        return msgspec.convert(await self.ask("GET", f"payment_intents/{payment.id}"), Payment)

    async def confirm(self, payment: Payment, key: str) -> Payment:
        return msgspec.convert(await self.ask("POST", f"payment_intents/{payment.id}/confirm", {}, key), Payment)

    async def cancel(self, payment: Payment) -> None:
        await self.ask("POST", f"payment_intents/{payment.id}/cancel")

    async def refund(self, payment: Payment, key: str) -> None:
        """All of it, once: an earlier attempt may have got through, and its answer lost."""
        if not (await self.ask("GET", f"refunds?payment_intent={payment.id}"))["data"]:
            await self.ask("POST", "refunds", {"payment_intent": payment.id}, key)

    async def ask(self, method: str, path: str, form: dict[str, str] | None = None, key: str = "") -> Any:
        """One request, `key` as its Idempotency-Key; the decoded answer, or one of the three errors above."""
        headers = {"Idempotency-Key": key} if key else {}
        try:
            async with self.session.request(method, f"/v1/{path}", data=form, headers=headers) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, ValueError) as error:
            raise StripeUnreachable(f"{method} {path}: {error!r}") from error
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR or response.status in {HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}:
            raise StripeUnreachable(f"{method} {path}: {response.status}")
        if response.status >= HTTPStatus.BAD_REQUEST:
            refusal = msgspec.convert(answer["error"], Refusal)
            raise (CardDeclined if refusal.code == "card_declined" else StripeRefused)(refusal.message)
        return answer


@asynccontextmanager
async def stripe(url: str = "https://api.stripe.com", api_key: str = os.environ.get("STRIPE_KEY", "")) -> AsyncIterator[Stripe]:
    """A client, with its pool of connections."""
    async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {api_key}"}) as session:
        yield Stripe(session)


@asynccontextmanager
async def fake_stripe() -> AsyncIterator[str]:
    """The URL of a `localstripe` server in a process of its own; requests wait in the socket's backlog until it is up."""
    serve = "w.run_app(s.app, sock=socket.socket(fileno=int(sys.argv[1])), print=None)"
    with socket.create_server(("127.0.0.1", 0)) as listener:  # loopback only: its own command would listen everywhere
        fd, port = listener.fileno(), listener.getsockname()[1]
        script = f"import socket, sys, aiohttp.web as w, localstripe.server as s; {serve}"
        server = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(fd), pass_fds=[fd])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        await server.wait()


# ---- the shop -------------------------------------------------------------------------------------------------


class Item(Struct, frozen=True):
    """So many of one thing, at so much each."""

    sku: str
    cents: Annotated[int, Meta(gt=0)]
    quantity: Annotated[int, Meta(gt=0)] = 1


class OutOfStock(Exception):
    """Somebody else has the last one."""


class Undeliverable(Exception):
    """Nobody carries parcels there."""


class Shop:
    """Stock, holds and parcels. Each method is one transaction, and changes nothing when it is called again."""

    def __init__(self, path: str = os.environ.get("SHOP_DB", "shop.db")) -> None:
        self.path = path
        with self.transaction() as db:
            db.execute("CREATE TABLE IF NOT EXISTS stock (sku PRIMARY KEY, free CHECK (free >= 0))")
            db.execute("CREATE TABLE IF NOT EXISTS holds (id PRIMARY KEY, sku, quantity)")
            db.execute("CREATE TABLE IF NOT EXISTS parcels (id PRIMARY KEY, sku, quantity)")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction: threads share no connection, and writers queue for the file."""
        with closing(sqlite3.connect(self.path, timeout=30)) as db, db:
            db.execute("BEGIN IMMEDIATE")
            yield db

    def stock(self, sku: str, free: int) -> None:
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO stock VALUES (?, ?)", [sku, free])

    def reserve(self, item: Item, hold: str) -> str:
        with self.transaction() as db:
            if db.execute("SELECT 1 FROM holds WHERE id = ?", [hold]).fetchone():
                return hold
            take = "UPDATE stock SET free = free - :quantity WHERE sku = :sku AND free >= :quantity"
            if not db.execute(take, {"sku": item.sku, "quantity": item.quantity}).rowcount:
                raise OutOfStock(f"fewer than {item.quantity} {item.sku} left")
            db.execute("INSERT INTO holds VALUES (?, ?, ?)", [hold, item.sku, item.quantity])
        return hold

    def release(self, hold: str) -> None:
        with self.transaction() as db:
            db.execute("UPDATE stock SET free = free + quantity FROM holds WHERE holds.id = ? AND holds.sku = stock.sku", [hold])
            db.execute("DELETE FROM holds WHERE id = ?", [hold])

    def ship(self, hold: str, country: str) -> str:
        if country not in {"AT", "CH", "DE", "FR"}:
            raise Undeliverable(f"no carrier goes to {country}")
        self._move(hold, "holds", "parcels")
        return f"parcel/{hold}"

    def recall(self, hold: str) -> None:
        self._move(hold, "parcels", "holds")

    def _move(self, hold: str, source: str, target: str) -> None:
        with self.transaction() as db:
            db.execute(f"INSERT INTO {target} SELECT * FROM {source} WHERE id = ?", [hold])  # noqa: S608 - two names of ours
            db.execute(f"DELETE FROM {source} WHERE id = ?", [hold])  # noqa: S608

    def books(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that is written in them."""
        with self.transaction() as db:
            return {table: db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in ("stock", "holds", "parcels")}  # noqa: S608
