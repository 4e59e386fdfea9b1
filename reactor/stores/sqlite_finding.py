"""Finding, counting and dropping runs, as SQL. What is asked for travels in parameters only: no text of a caller is ever SQL."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from reactor.record.keeping import DAMAGED, cursor_of, damaged_row
from reactor.record.store import Row
from reactor.stores.sqlite_file import Moment, as_written, is_damage
from reactor.stores.sqlite_records import labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reactor.stores.sqlite_lanes import Transaction

SHOWN = "run, reactor, status, created_at, ended_at, tags, indexed"
LAST = 0x10FFFF  # the highest character
SURROGATES = range(0xD800, 0xE000)  # no characters

_texts = msgspec.msgpack.Decoder(tuple[str, ...])
_index = msgspec.msgpack.Decoder(dict[str, str])
_ROW: Any = tuple[str, str, str, Moment, Moment | None, bytes, bytes]
_LABELS: Any = tuple[str, bytes, bytes]

log = logging.getLogger("reactor.stores.sqlite")


class Wanted(NamedTuple):
    """What is looked for; None and empty are for anything."""

    reactor: str | None
    status: str | None
    tag: str | None
    since: float | None
    until: float | None
    where: Mapping[str, str]
    text: str

    def conditions(self) -> tuple[str, list[Any]]:
        """As SQL, and its parameters."""
        plain = (
            ("reactor = ?", self.reactor),
            ("status = ?", self.status),
            ("created_at >= ?", self.since),
            ("created_at < ?", self.until),
            ("id IN (SELECT record FROM tags WHERE tag = ?)", self.tag),
        )
        given = [(sql, [value]) for sql, value in plain if value is not None]
        for name, value in self.where.items():
            given.append(("id IN (SELECT record FROM found WHERE name = ? AND value = ?)", [f"={name}", value]))
        if self.text:
            (runs, runs_in), (values, values_in) = _begins("run", self.text), _begins("value", self.text)
            ids = f"id IN (SELECT id FROM heads WHERE {runs} UNION ALL SELECT record FROM found WHERE {values})"  # noqa: S608  # ours alone
            given.append((ids, [*runs_in, *values_in]))
        return " AND ".join(["parent IS NULL", *(sql for sql, _ in given)]), [value for _, values in given for value in values]


def _begins(column: str, text: str) -> tuple[str, list[str]]:
    """A condition that an index answers, and its parameters: the column begins with this text."""
    rest = text.rstrip(chr(LAST))
    if not rest:
        return f"{column} >= ?", [text]
    following = ord(rest[-1]) + 1
    if following in SURROGATES:
        following = SURROGATES.stop
    return f"{column} >= ? AND {column} < ?", [text, rest[:-1] + chr(following)]


def find(tx: Transaction, wanted: Wanted, limit: int, after: tuple[float, str] | None) -> tuple[list[Row], str | None, int]:
    """The port's `find`; `after` is what its cursor says."""
    conditions, given = wanted.conditions()
    total: int = tx.execute(f"SELECT count(*) FROM heads WHERE {conditions}", given).fetchone()[0]  # noqa: S608  # ours alone
    if after is not None:
        at, run = after
        conditions, given = f"{conditions} AND created_at <= ? AND (created_at < ? OR run < ?)", [*given, at, at, run]
    rest = f"FROM heads LEFT JOIN bodies ON record = id WHERE {conditions} ORDER BY created_at DESC, run DESC LIMIT ?"
    given = [*given, limit + 1]
    try:
        rows = tx.execute(f"SELECT {SHOWN} {rest}", given).fetchall()  # ours alone
    except sqlite3.OperationalError as error:
        if not is_damage(error):
            raise
        ids = tx.execute(f"SELECT id {rest}", given).fetchall()  # ours alone
        rows = [_alone(tx, record) for (record,) in ids]
    found = [row for row in map(_row_or_none, rows[:limit]) if row is not None]
    more = cursor_of(found[-1].created_at, found[-1].run) if len(rows) > limit and found else None
    return found, more, total


def _alone(tx: Transaction, record: int) -> tuple[Any, ...]:
    """A row of a page on which the driver stumbles over text that is none: what of it can be read."""
    try:
        row: tuple[Any, ...] = tx.execute(f"SELECT {SHOWN} FROM heads LEFT JOIN bodies ON record = id WHERE id = ?", (record,)).fetchone()  # noqa: S608
    except sqlite3.OperationalError:
        run, created_at = tx.execute("SELECT CAST(run AS BLOB), created_at FROM heads WHERE id = ?", (record,)).fetchone()
        row = (str(run, "utf-8", "replace"), None, None, created_at, None, b"", b"")
    return row


def _row_or_none(row: tuple[Any, ...]) -> Row | None:
    """A damaged run hides no other; where its name can be read, it is shown itself."""
    try:
        return _row(*row)
    except msgspec.MsgspecError as error:
        run, created_at = row[0], row[3]
        log.warning("a run that was found is damaged: %.200s (%s)", run, error)
        return damaged_row(run, created_at if isinstance(created_at, float) else 0.0) if isinstance(run, str) else None


def _row(*row: Any) -> Row:
    run, reactor, status, created_at, ended_at, tags, index = as_written(row, _ROW)
    about: dict[str, Any] = {"run": run, "reactor": reactor, "status": status, "created_at": created_at, "ended_at": ended_at}
    return Row(**about, tags=_texts.decode(tags), index=_index.decode(index))


def counts(tx: Transaction, reactor: str | None) -> dict[str, int]:
    """The port's `counts`."""
    of = "" if reactor is None else "AND reactor = ?"
    asked = f"SELECT status, count(*) FROM heads WHERE parent IS NULL {of} GROUP BY status"  # noqa: S608  # ours alone
    found: dict[str, int] = {}
    for status, count in tx.execute(asked, () if reactor is None else (reactor,)).fetchall():
        name = status if isinstance(status, str) else DAMAGED
        found[name] = found.get(name, 0) + count
    return found


# ---- dropping -------------------------------------------------------------------------------------------------

OF_RECORD = ("events", "mail", "deliveries", "refusals", "snapshots", "bodies")


def expire(tx: Transaction, retention: float, tombstones: float, limit: int) -> int:
    """Drop so many runs that ended long ago, children with their root."""
    old = "SELECT run FROM heads WHERE parent IS NULL AND ended_at IS NOT NULL AND ended_at <= ? ORDER BY ended_at, run LIMIT ?"
    runs = [run for (run,) in tx.execute(old, (tx.now - retention, limit)).fetchall()]
    for run in runs:
        whose = "SELECT id FROM heads WHERE run = ? UNION ALL SELECT id FROM heads WHERE parent IS NOT NULL AND root = ?"
        for (record,) in tx.execute(whose, (run, run)).fetchall():
            _drop(tx, record)
        tx.execute("DELETE FROM waits WHERE root = ?", (run,))
        tx.execute("INSERT OR REPLACE INTO tombstones (run, until) VALUES (?, ?)", (run, tx.now + tombstones))
    return len(runs)


def _drop(tx: Transaction, record: int) -> None:
    found = tx.execute("SELECT run, tags, indexed FROM heads LEFT JOIN bodies ON record = id WHERE id = ?", (record,)).fetchone()
    try:
        run, tags, index = as_written(found, _LABELS)
        listed, named = _texts.decode(tags), labels(run, _index.decode(index))
    except msgspec.MsgspecError:  # what it is found by cannot be read: every row is looked at
        tx.execute("DELETE FROM tags WHERE record = ?", (record,))
        tx.execute("DELETE FROM found WHERE record = ?", (record,))
    else:
        for tag in listed:
            tx.execute("DELETE FROM tags WHERE tag = ? AND record = ?", (tag, record))
        for pair in named.items():
            tx.execute("DELETE FROM found WHERE name = ? AND value = ? AND record = ?", (*pair, record))
    for table in OF_RECORD:
        tx.execute(f"DELETE FROM {table} WHERE record = ?", (record,))  # noqa: S608  # a name of ours
    tx.execute("DELETE FROM heads WHERE id = ?", (record,))


def tidy(tx: Transaction) -> None:
    """Drop what has run out by itself."""
    for table in ("tombstones", "early", "answers"):
        tx.execute(f"DELETE FROM {table} WHERE until <= ?", (tx.now,))  # noqa: S608  # a name of ours
    holds = "EXISTS (SELECT 1 FROM heads WHERE session = sessions.name)"
    tx.execute(f"DELETE FROM sessions WHERE until <= ? AND NOT {holds}", (tx.now,))  # noqa: S608
