"""Finding, counting and dropping runs, as SQL. What is asked for travels in parameters only: no text of a caller is ever SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from reactor.record.keeping import cursor_of
from reactor.record.store import Row
from reactor.stores.sqlite_records import labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reactor.stores.sqlite_lanes import Transaction

LAST = 0x10FFFF  # the highest character
SURROGATES = range(0xD800, 0xE000)  # no characters

_texts = msgspec.msgpack.Decoder(tuple[str, ...])
_index = msgspec.msgpack.Decoder(dict[str, str])


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
    page = f"""
        SELECT run, reactor, status, created_at, ended_at, tags, indexed FROM heads JOIN bodies ON record = id
        WHERE {conditions} ORDER BY created_at DESC, run DESC LIMIT ?
    """  # noqa: S608  # ours alone
    rows = tx.execute(page, (*given, limit + 1)).fetchall()
    found = [_row(*row) for row in rows[:limit]]
    more = cursor_of(found[-1].created_at, found[-1].run) if len(rows) > limit and found else None
    return found, more, total


def _row(*row: Any) -> Row:
    run, reactor, status, created_at, ended_at, tags, index = row
    about: dict[str, Any] = {"run": run, "reactor": reactor, "status": status, "created_at": created_at, "ended_at": ended_at}
    return Row(**about, tags=_texts.decode(tags), index=_index.decode(index))


def counts(tx: Transaction, reactor: str | None) -> dict[str, int]:
    """The port's `counts`."""
    of = "" if reactor is None else "AND reactor = ?"
    asked = f"SELECT status, count(*) FROM heads WHERE parent IS NULL {of} GROUP BY status"  # noqa: S608  # ours alone
    return dict(tx.execute(asked, () if reactor is None else (reactor,)).fetchall())


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
    run, tags, index = tx.execute("SELECT run, tags, indexed FROM heads JOIN bodies ON record = id WHERE id = ?", (record,)).fetchone()
    for tag in _texts.decode(tags):
        tx.execute("DELETE FROM tags WHERE tag = ? AND record = ?", (tag, record))
    for name, value in labels(run, _index.decode(index)).items():
        tx.execute("DELETE FROM found WHERE name = ? AND value = ? AND record = ?", (name, value, record))
    for table in OF_RECORD:
        tx.execute(f"DELETE FROM {table} WHERE record = ?", (record,))  # noqa: S608  # a name of ours
    tx.execute("DELETE FROM heads WHERE id = ?", (record,))


def tidy(tx: Transaction) -> None:
    """Drop what has run out by itself."""
    for table in ("tombstones", "early", "answers"):
        tx.execute(f"DELETE FROM {table} WHERE until <= ?", (tx.now,))  # noqa: S608  # a name of ours
    holds = "EXISTS (SELECT 1 FROM heads WHERE session = sessions.name)"
    tx.execute(f"DELETE FROM sessions WHERE until <= ? AND NOT {holds}", (tx.now,))  # noqa: S608
