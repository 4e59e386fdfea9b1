"""What a run is, as SQL: create, append, deliver, load.

Each function is one step inside of a transaction, and writes nothing before it knows that it will not refuse. It refuses to know who
shares the transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from reactor.errors import StoreUnavailable
from reactor.record.keeping import session_of
from reactor.record.store import (
    MAIL_LIMIT,
    Append,
    Appended,
    Behind,
    Created,
    Delivered,
    Fenced,
    Loaded,
    Message,
    NewRecord,
    Refused,
    Unread,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from sqlite3 import Cursor

    from reactor.stores.sqlite_lanes import Transaction

SETTLED = "settled"  # the message that leaves a status as it is
REOPENING = frozenset({"undo", "restart", "retry_rollback"})  # what a record that has ended still takes

_encode = msgspec.msgpack.encode
_events = msgspec.msgpack.Decoder(list[bytes])
_texts = msgspec.msgpack.Decoder(tuple[str, ...])


# ---- create ---------------------------------------------------------------------------------------------------


def create(tx: Transaction, record: NewRecord) -> Created | Loaded | Literal["expired"]:
    """The port's `create`."""
    there = tx.execute("SELECT token, created_at, fence FROM heads WHERE run = ?", (record.run,)).fetchone()
    if there is not None:
        token, created_at, fence = there
        if record.token is not None and token == record.token:
            return Created(created_at, fence)
        found = head_of(tx, record.run)
        assert found is not None  # noqa: S101  # it was there, in this transaction
        return found.loaded(None, (), ())
    if buried(tx, record.run):
        return "expired"
    return Created(tx.now, insert(tx, record) or 0)


def buried(tx: Transaction, run: str) -> bool:
    """Whether a tombstone keeps the name."""
    return bool(tx.execute("SELECT 1 FROM tombstones WHERE run = ? AND until > ?", (run, tx.now)).fetchone())


INSERT = """
INSERT INTO heads (run, root, parent, reactor, version, fingerprint, place, status, due, token, session, fence, seq, at, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id
"""


def insert(tx: Transaction, new: NewRecord) -> int | None:
    """The fence of a record that is there now; None where its name is taken."""
    owned = new.token is not None
    fence, seq = tx.fence_over(0), len(new.events)
    about = (new.run, new.root, new.parent, new.reactor, new.version, new.fingerprint, new.place, new.status)
    who = (None if owned else new.due, new.token, session_of(new.token) if new.token is not None else None, fence)
    made = tx.execute(INSERT, (*about, *who, seq, tx.now, tx.now)).fetchone()
    if made is None:
        return None
    record: int = made[0]
    body = (record, _encode(new.tags), _encode(dict(new.index)), new.inputs, new.elements)
    tx.execute("INSERT INTO bodies (record, tags, indexed, inputs, elements) VALUES (?, ?, ?, ?, ?)", body)
    if new.events:
        tx.execute("INSERT INTO events (record, seq, events) VALUES (?, ?, ?)", (record, seq, _encode(new.events)))
    if new.parent is None:
        for tag in dict.fromkeys(new.tags):
            tx.execute("INSERT INTO tags (tag, record) VALUES (?, ?)", (tag, record))
        for name, value in labels(new.run, new.index).items():
            tx.execute("INSERT INTO found (name, value, record) VALUES (?, ?, ?)", (name, value, record))
    tx.touched.append(new.run)
    return fence


def labels(run: str, index: Mapping[str, str]) -> dict[str, str]:
    """What a run is found by: index values by "=" and their names, and under no name its id."""
    return {"": run.partition(":")[2], **{f"={name}": value for name, value in index.items()}}


# ---- append ---------------------------------------------------------------------------------------------------

# One statement that compares and sets: the hot path. `read` is up to where mail was consumed, and `mail` its highest number.
GO_ON = """
UPDATE heads SET seq = ?, op = ?, at = ?, read = max(read, ?) WHERE run = ? AND token = ? AND seq = ? AND op IS NOT ?
RETURNING id, status, mail > read
"""
GIVE_BACK = """
UPDATE heads SET seq = ?, op = ?, at = ?, read = max(read, ?), token = NULL, session = NULL, due = ?, ended_at = ?
WHERE run = ? AND token = ? AND seq = ? AND op IS NOT ? AND mail <= max(read, ?)
RETURNING id, status, 0
"""


def append(tx: Transaction, asked: Append) -> Appended | Unread | Fenced | Behind:
    """The port's `append`."""
    seq = asked.seq + len(asked.events)
    there = _advance(tx, asked, seq)
    if there is None:
        return _refusal(tx, asked)
    record, status, unread = there
    if asked.events:
        tx.execute("INSERT INTO events (record, seq, events) VALUES (?, ?, ?)", (record, seq, _encode(asked.events)))
    if status != asked.status:  # a column of indexes: written only when it changes
        tx.execute("UPDATE heads SET status = ? WHERE id = ?", (asked.status, record))
    if asked.read_up_to:
        tx.execute("DELETE FROM mail WHERE record = ? AND number <= ?", (record, asked.read_up_to))
    if asked.messages or asked.children:
        _send(tx, asked)
    if asked.chunk is not None or asked.snapshot is not None or asked.reactor_version is not None:
        _replace(tx, record, asked)
    tx.touched.append(asked.run)
    return Appended(seq, tx.now, bool(unread))


def _advance(tx: Transaction, asked: Append, seq: int) -> tuple[int, str, int] | None:
    """The record's number, its status so far, and whether there is unread mail; None where it must be refused."""
    written, expected = (seq, asked.op, tx.now, asked.read_up_to), (asked.run, asked.token, asked.seq, asked.op)
    if asked.ended:
        found = tx.execute(GIVE_BACK, (*written, None, tx.now, *expected, asked.read_up_to))
    elif asked.release:
        found = tx.execute(GIVE_BACK, (*written, asked.due, None, *expected, asked.read_up_to))
    else:
        found = tx.execute(GO_ON, (*written, *expected))
    there: tuple[int, str, int] | None = found.fetchone()
    return there


def _refusal(tx: Transaction, asked: Append) -> Appended | Unread | Fenced | Behind:
    there = tx.execute("SELECT op, seq, at, token, mail > max(read, ?) FROM heads WHERE run = ?", (asked.read_up_to, asked.run)).fetchone()
    if there is None:
        return Fenced()
    op, seq, at, token, unread = there
    if op == asked.op:
        return Appended(seq, at, bool(unread))
    if token != asked.token:
        return Fenced()
    return Behind(seq) if seq != asked.seq else Unread()


def _send(tx: Transaction, asked: Append) -> None:
    for child in asked.children:
        insert(tx, child)
    for run, message in asked.messages:
        there = tx.execute("SELECT id, token, mail, ended_at FROM heads WHERE run = ?", (run,)).fetchone()
        if there is not None and (there[3] is None or message.kind in REOPENING):
            _leave(tx, run, there[:3], message, moves=True)


def _replace(tx: Transaction, record: int, asked: Append) -> None:
    if asked.chunk is not None:
        tx.execute("UPDATE bodies SET chunk = ?, elements = x'' WHERE record = ?", (asked.chunk, record))
    if asked.snapshot is not None:
        tx.execute("INSERT OR REPLACE INTO snapshots (record, seq, state) VALUES (?, ?, ?)", (record, *asked.snapshot))
    if asked.reactor_version is not None:
        tx.execute("UPDATE heads SET version = ?, fingerprint = ? WHERE id = ?", (*asked.reactor_version, record))


# ---- deliver --------------------------------------------------------------------------------------------------


def deliver(tx: Transaction, run: str, message: Message, operation: str, *, moves: bool) -> Delivered | Refused:
    """The port's `deliver`."""
    there = tx.execute("SELECT id, token, mail, ended_at FROM heads WHERE run = ?", (run,)).fetchone()
    if there is None:
        return "gone" if buried(tx, run) else "unknown"
    record = there[0]
    known = tx.execute("SELECT number, moved FROM deliveries WHERE record = ? AND operation = ?", (record, operation)).fetchone()
    if known is not None:
        return Delivered(known[0], bool(known[1]))
    if there[3] is not None and message.kind not in REOPENING:
        return "gone"
    if message.kind == "signal":
        lying = tx.execute("SELECT count(*) FROM mail WHERE record = ? AND kind = 'signal'", (record,)).fetchone()[0]
        if lying >= MAIL_LIMIT:
            return "full"
    delivered = _leave(tx, run, there[:3], message, moves=moves)
    remembered = (record, operation, delivered.number, delivered.moved)
    tx.execute("INSERT INTO deliveries (record, operation, number, moved) VALUES (?, ?, ?, ?)", remembered)
    return delivered


def _leave(tx: Transaction, run: str, there: tuple[int, str | None, int], message: Message, *, moves: bool) -> Delivered:
    """Leave a message at a record that takes it."""
    record, token, last = there
    number, moved = last + 1, moves and token is None
    tx.execute("INSERT INTO mail (record, number, kind, body) VALUES (?, ?, ?, ?)", (record, number, message.kind, message.body))
    if not moved:
        tx.execute("UPDATE heads SET mail = ? WHERE id = ?", (number, record))
    elif message.kind == SETTLED:
        tx.execute("UPDATE heads SET mail = ?, due = ?, ended_at = NULL WHERE id = ?", (number, tx.now, record))
    else:
        tx.execute("UPDATE heads SET mail = ?, due = ?, ended_at = NULL, status = 'queued' WHERE id = ?", (number, tx.now, record))
    tx.touched.append(run)
    return Delivered(number, moved)


# ---- load -----------------------------------------------------------------------------------------------------

HEAD = """
SELECT id, run, root, parent, reactor, version, fingerprint, place, status, due, token, fence, seq, inputs, elements, chunk, tags,
    created_at, ended_at
FROM heads JOIN bodies ON record = id WHERE run = ?
"""


class Head(NamedTuple):
    """A record without its events and mail, as HEAD selects it."""

    id: int
    run: str
    root: str
    parent: str | None
    reactor: str
    version: int
    fingerprint: str
    place: str
    status: str
    due: float | None
    token: str | None
    fence: int
    seq: int
    inputs: bytes
    elements: bytes
    chunk: bytes | None
    tags: bytes
    created_at: float
    ended_at: float | None

    def loaded(self, snapshot: tuple[int, bytes] | None, events: Sequence[bytes], mail: Sequence[Message]) -> Loaded:
        """With these, all of it."""
        about = self._asdict()
        del about["id"]
        about["tags"] = _texts.decode(self.tags)
        return Loaded(**about, snapshot=snapshot, events=tuple(events), mail=tuple(mail))


def head_of(tx: Transaction, run: str) -> Head | None:
    """All of a record that is one row."""
    found = tx.execute(HEAD, (run,)).fetchone()
    return None if found is None else Head._make(found)


def load(tx: Transaction, run: str, after: int | None) -> Loaded | None:
    """The port's `load`."""
    head = head_of(tx, run)
    if head is None:
        return None
    snapshot = None
    if after is None:
        snapshot = tx.execute("SELECT seq, state FROM snapshots WHERE record = ?", (head.id,)).fetchone()
    first = after if after is not None else snapshot[0] if snapshot else 0
    rows = tx.execute("SELECT seq, events FROM events WHERE record = ? AND seq > ? ORDER BY seq", (head.id, first))
    return head.loaded(snapshot, _after(rows, run, first, head.seq), _mail(tx, head.id, 0))


def _after(rows: Cursor, run: str, first: int, last: int) -> list[bytes]:
    """The events with a higher seq than `first`, of all rows that reach beyond it."""
    events: list[bytes] = []
    try:
        for seq, data in rows:
            some = _events.decode(data)
            events += some[max(0, first - (seq - len(some))) :]
    except msgspec.MsgspecError as error:
        raise _damaged(run) from error
    if len(events) != max(0, last - first):
        raise _damaged(run)
    return events


def _damaged(run: str) -> StoreUnavailable:
    return StoreUnavailable(f"the events of `{run}` are damaged", code="store-corrupt", fix="keep a copy, and bring back a backup")


def mail(tx: Transaction, run: str, after: int) -> list[Message]:
    """The port's `mail`."""
    there = tx.execute("SELECT id FROM heads WHERE run = ?", (run,)).fetchone()
    return [] if there is None else _mail(tx, there[0], after)


def _mail(tx: Transaction, record: int, after: int) -> list[Message]:
    rows = tx.execute("SELECT kind, body, number FROM mail WHERE record = ? AND number > ? ORDER BY number", (record, after))
    return [Message(*row) for row in rows]
