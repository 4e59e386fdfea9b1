"""How a file and the work in it stand, as SQL: for `doctor`."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.record.standing import Due, SessionStanding, Standing
from reactor.stores.sqlite_file import VERSION, as_written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reactor.stores.sqlite_lanes import Transaction

DUE = "SELECT reactor, place, count(*), min(due) FROM heads WHERE due <= ? GROUP BY reactor, place ORDER BY min(due)"
SESSIONS = """
SELECT name, until, (SELECT count(*) FROM heads WHERE session = sessions.name) FROM sessions
UNION ALL
SELECT session, 0.0, count(*) FROM heads WHERE session IS NOT NULL AND session NOT IN (SELECT name FROM sessions) GROUP BY session
"""
_DUE: Any = tuple[str, str, int, float]
_SESSION: Any = tuple[str, float, int]
CHECKED = 256 << 20  # bytes of a file that is still looked through whole


class FileHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the file is. Sizes in bytes. `damage` is what SQLite finds, empty where it is sound, None where it was too big to look."""

    sqlite: str
    tables: int
    size: int
    wal: int
    damage: str | None


def standing(tx: Transaction) -> Standing:
    """What is due, and who holds what."""
    return Standing(
        now=tx.now,
        due=tuple(Due(*row) for row in _well(tx.execute(DUE, (tx.now,)), _DUE)),
        sessions=tuple(SessionStanding(*row) for row in _well(tx.execute(SESSIONS), _SESSION)),
    )


def _well(rows: Iterable[Any], declared: Any) -> Iterator[Any]:
    """Those that are as they were written: damage is not counted, it is told of elsewhere."""
    for row in rows:
        with suppress(msgspec.ValidationError):
            yield as_written(row, declared)


def health(tx: Transaction, path: str) -> FileHealth:
    """How the file is."""
    size, wal = _size(Path(path)), _size(Path(f"{path}-wal"))
    damage = None
    if size <= CHECKED:
        found = [str(row[0]) for row in tx.execute("PRAGMA quick_check(3)")]
        damage = "" if found == ["ok"] else "; ".join(found)
    return FileHealth(sqlite=sqlite3.sqlite_version, tables=VERSION, size=size, wal=wal, damage=damage)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
