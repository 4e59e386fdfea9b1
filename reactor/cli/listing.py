"""`reactor runs ls`: runs in a table, or one JSON object a line; and the words for times that people say."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from reactor.cli.problems import Problem, teach
from reactor.cli.text import clean, duration
from reactor.define.outcomes import Status

if TYPE_CHECKING:
    from reactor.record.store import Row, Store

PAGE = 500  # rows asked for at a time
STATUSES: tuple[str, ...] = Status.__args__  # type: ignore[attr-defined]  # a Literal's
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def checked_status(status: str | None) -> str | None:
    """Raises `Problem` for what is no status."""
    if status is None or status in STATUSES:
        return status
    raise Problem(f"there is no status {clean(status, 60)}", *teach(status, list(STATUSES)), code="usage")


def time_from(text: str | None, option: str, now: float) -> float | None:
    """Seconds since the epoch: of `2h`, `3d` (before now), or of a date. Raises `Problem`.

    >>> time_from("2h", "--since", 10_000.0), time_from("2026-01-31T12:00:00+00:00", "--since", 0.0)
    (2800.0, 1769860800.0)
    """
    if text is None:
        return None
    span = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if span:
        return now - float(span[1]) * UNITS[span[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        said = f"{option} {clean(text, 60)!r} is no time"
        raise Problem(said, "fix: say 30m, 2h or 3d for so long ago, or a date: 2026-01-31T12:00", code="usage") from None


class Found(NamedTuple):
    """Some of the runs that match, how many do in all, and after what the next page begins; None is the last."""

    rows: list[Row]
    total: int
    cursor: str | None


async def find(store: Store, wanted: dict[str, Any], limit: int, cursor: str | None = None) -> Found:
    """The newest runs that match, from a cursor on; a `limit` of 0 is all. Raises ReactorError for what is no cursor."""
    rows: list[Row] = []
    while True:
        left = limit - len(rows) if limit else PAGE
        some, cursor, total = await store.find(**wanted, limit=min(left, PAGE), cursor=cursor)
        rows += some
        if cursor is None or (limit and len(rows) >= limit):
            return Found(rows, total, cursor)


def as_line(row: Row) -> dict[str, Any]:
    """A run for programs."""
    return {
        "run_id": row.run,
        "reactor": row.reactor,
        "status": row.status,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
        "tags": list(row.tags),
        "index": dict(row.index),
    }


def table(found: Found, now: float) -> list[str]:
    """Runs for people, newest first, and a last line that counts them and says how to see more."""
    rows, total, cursor = found
    cells = [("RUN", "STATUS", "BEGAN", "TOOK", "FOUND BY")]
    for row in rows:
        took = duration(row.ended_at - row.created_at) if row.ended_at is not None else ""
        by = [f"{clean(name, 40)}={clean(value, 60)}" for name, value in row.index.items()]
        by += [f"#{clean(tag, 40)}" for tag in row.tags]
        cells.append((clean(row.run, 120), row.status, ago(row.created_at, now), took, " ".join(by)))
    widths = [max(len(one[column]) for one in cells) for column in range(4)]
    lines = ["  ".join([*(text.ljust(width) for text, width in zip(one, widths, strict=False)), one[4]]).rstrip() for one in cells]
    counted = f"{len(rows):,} of {total:,} runs" if len(rows) < total else f"{total:,} run{'' if total == 1 else 's'}"
    return [*(lines if rows else []), counted + (f"; {more(cursor)}, or --limit 0 for all" if cursor else "")]


def more(cursor: str) -> str:
    """What is said to see the next page."""
    return f"more: --cursor {cursor}"


def ago(at: float, now: float) -> str:
    """How long ago, for people.

    >>> ago(0.0, 30.0), ago(0.0, 7200.0), ago(0.0, 200_000.0)
    ('30.0 s ago', '2:00:00 ago', '2 d ago')
    """
    spent = now - at
    return f"{spent // UNITS['d']:.0f} d ago" if spent >= 2 * UNITS["d"] else f"{duration(spent)} ago"
