"""Correlation ids, answers and definitions, as SQL. It refuses to know what a message says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from reactor.record.keeping import root_of, takes_over
from reactor.record.store import EARLY_KEPT, EARLY_LIMIT, ONCE_KEPT

if TYPE_CHECKING:
    from reactor.stores.sqlite_lanes import Transaction

_bodies = msgspec.msgpack.Decoder(list[bytes])

EARLY = "FROM early WHERE scope = ? AND correlation = ? AND until > ?"
OPEN = """
INSERT OR REPLACE INTO waits (scope, correlation, root, run, address, open, early) VALUES (?, ?, ?, ?, ?, 1, ?)
"""


def open_wait(tx: Transaction, scope: str, correlation_id: str, run: str, address: str) -> list[bytes] | Literal["taken"]:
    """The port's `open_wait`."""
    asked = "SELECT run, address, open, early FROM waits WHERE scope = ? AND correlation = ?"
    there = tx.execute(asked, (scope, correlation_id)).fetchone()
    if there is None or takes_over(run, there[0]):
        rows = tx.execute(f"SELECT body {EARLY} ORDER BY number", (scope, correlation_id, tx.now)).fetchall()
        early = [body for (body,) in rows]
        tx.execute("DELETE FROM early WHERE scope = ? AND correlation = ?", (scope, correlation_id))
        tx.execute(OPEN, (scope, correlation_id, root_of(run), run, address, msgspec.msgpack.encode(early)))
        return early
    if there[:2] != (run, address):
        return "taken"
    if not there[2]:
        tx.execute("UPDATE waits SET open = 1 WHERE scope = ? AND correlation = ?", (scope, correlation_id))
    return _bodies.decode(there[3])


def close_wait(tx: Transaction, scope: str, correlation_id: str, run: str, address: str) -> None:
    """The port's `close_wait`."""
    closed = "UPDATE waits SET open = 0 WHERE scope = ? AND correlation = ? AND run = ? AND address = ?"
    tx.execute(closed, (scope, correlation_id, run, address))


def find_waiting(tx: Transaction, scope: str, correlation_id: str) -> tuple[str, str, bool] | None:
    """The port's `find_waiting`."""
    asked = "SELECT run, address, open FROM waits WHERE scope = ? AND correlation = ?"
    there = tx.execute(asked, (scope, correlation_id)).fetchone()
    return None if there is None else (there[0], there[1], bool(there[2]))


def keep_early(
    tx: Transaction, scope: str, correlation_id: str, body: bytes, delivery_id: str | None
) -> Literal["kept", "duplicate", "full", "open"]:
    """The port's `keep_early`."""
    if find_waiting(tx, scope, correlation_id) is not None:
        return "open"
    lying = tx.execute(f"SELECT number, delivery, body {EARLY} ORDER BY number", (scope, correlation_id, tx.now)).fetchall()
    if any(other == delivery_id and (other is not None or there == body) for _, other, there in lying):
        return "duplicate"
    if len(lying) >= EARLY_LIMIT:
        return "full"
    tx.execute("DELETE FROM early WHERE scope = ? AND correlation = ? AND until <= ?", (scope, correlation_id, tx.now))
    number = lying[-1][0] + 1 if lying else 0
    kept = (scope, correlation_id, number, tx.now + EARLY_KEPT, delivery_id, body)
    tx.execute("INSERT INTO early (scope, correlation, number, until, delivery, body) VALUES (?, ?, ?, ?, ?, ?)", kept)
    return "kept"


def once(tx: Transaction, delivery_id: str, answer: bytes) -> bytes | None:
    """The port's `once`."""
    there = tx.execute("SELECT answer FROM answers WHERE delivery = ? AND until > ?", (delivery_id, tx.now)).fetchone()
    if there is not None:
        first: bytes = there[0]
        return first
    tx.execute("INSERT OR REPLACE INTO answers (delivery, until, answer) VALUES (?, ?, ?)", (delivery_id, tx.now + ONCE_KEPT, answer))
    return None


def put_definition(tx: Transaction, fingerprint: str, definition: bytes) -> None:
    """The port's `put_definition`."""
    tx.execute("INSERT OR IGNORE INTO definitions (fingerprint, definition) VALUES (?, ?)", (fingerprint, definition))


def definition(tx: Transaction, fingerprint: str) -> bytes | None:
    """The port's `definition`."""
    there = tx.execute("SELECT definition FROM definitions WHERE fingerprint = ?", (fingerprint,)).fetchone()
    return None if there is None else there[0]
