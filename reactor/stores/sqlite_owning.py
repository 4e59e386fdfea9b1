"""Who may drive a run, as SQL: sessions, claims, refusals. It refuses to know what a run does."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

from reactor.record.store import Claimed, Served

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactor.stores.sqlite_lanes import Transaction

FITS = """
AND place = ? AND reactor = ? AND version <= ?
AND NOT EXISTS (SELECT 1 FROM refusals WHERE record = heads.id AND refusals.fingerprint = ?)
"""
DUE = f"SELECT due, id FROM heads WHERE due <= ? {FITS} ORDER BY due LIMIT ?"  # noqa: S608  # ours alone
LEFT = f"SELECT id FROM heads WHERE session = ? {FITS} LIMIT ?"  # noqa: S608  # ours alone
OWNERS = """
WITH RECURSIVE owner (name) AS (
    SELECT min(session) FROM heads WHERE session IS NOT NULL
    UNION ALL SELECT (SELECT min(session) FROM heads WHERE session > owner.name) FROM owner WHERE owner.name IS NOT NULL
)
SELECT owner.name, ifnull(sessions.until, 0.0) FROM owner LEFT JOIN sessions ON sessions.name = owner.name
WHERE owner.name IS NOT NULL AND ifnull(sessions.until, 0.0) <= ?
"""


def claim(tx: Transaction, session: str, serves: Sequence[Served], place: str, limit: int) -> list[Claimed]:
    """The port's `claim`."""
    if not alive(tx, session):
        return []
    left = tx.execute(OWNERS, (tx.now,)).fetchall()
    since: dict[int, float] = {}
    for served in serves:
        fits = (place, served.name, served.version, served.fingerprint, limit)
        since.update((record, due) for due, record in tx.execute(DUE, (tx.now, *fits)))
        for owner, until in left:
            since.update((record, until) for (record,) in tx.execute(LEFT, (owner, *fits)))
    return [_take(tx, session, record) for record in sorted(since, key=lambda record: since[record])[:limit]]


def claim_run(tx: Transaction, session: str, run: str) -> Claimed | None:
    """The port's `claim_run`."""
    there = tx.execute("SELECT id, session, ended_at FROM heads WHERE run = ?", (run,)).fetchone()
    if there is None or there[2] is not None or not alive(tx, session):
        return None
    if there[1] is not None and alive(tx, there[1]):
        return None
    return _take(tx, session, there[0])


def alive(tx: Transaction, session: str) -> bool:
    """Whether its lease holds."""
    return bool(tx.execute("SELECT 1 FROM sessions WHERE name = ? AND until > ?", (session, tx.now)).fetchone())


def _take(tx: Transaction, session: str, record: int) -> Claimed:
    run, root, reactor, last = tx.execute("SELECT run, root, reactor, fence FROM heads WHERE id = ?", (record,)).fetchone()
    token, fence = f"{session}:{token_hex(8)}", tx.fence_over(last)
    tx.execute("UPDATE heads SET token = ?, session = ?, fence = ?, due = NULL WHERE id = ?", (token, session, fence, record))
    return Claimed(run, root, reactor, token, fence)


REFUSE = """
UPDATE heads SET token = NULL, session = NULL, due = ?, status = 'incompatible' WHERE run = ? AND token = ? RETURNING id
"""


def refuse(tx: Transaction, run: str, token: str, fingerprint: str) -> bool:
    """The port's `refuse`."""
    given_back = tx.execute(REFUSE, (tx.now, run, token)).fetchone()
    if given_back is None:
        known = "SELECT 1 FROM refusals WHERE record = (SELECT id FROM heads WHERE run = ?) AND fingerprint = ?"
        return bool(tx.execute(known, (run, fingerprint)).fetchone())
    tx.execute("INSERT OR IGNORE INTO refusals (record, fingerprint) VALUES (?, ?)", (given_back[0], fingerprint))
    tx.touched.append(run)
    return True


# ---- sessions -------------------------------------------------------------------------------------------------


def open_session(tx: Transaction, session: str, lease: float) -> None:
    """The port's `open_session`."""
    tx.execute("INSERT OR REPLACE INTO sessions (name, until, lease) VALUES (?, ?, ?)", (session, tx.now + lease, lease))


def renew(tx: Transaction, session: str) -> bool:
    """The port's `renew`."""
    return tx.execute("UPDATE sessions SET until = ? + lease WHERE name = ?", (tx.now, session)).rowcount > 0


def close_session(tx: Transaction, session: str) -> int:
    """The port's `close_session`."""
    if not tx.execute("DELETE FROM sessions WHERE name = ?", (session,)).rowcount:
        return 0
    given_back = "UPDATE heads SET token = NULL, session = NULL, due = ? WHERE session = ? RETURNING run"
    runs = [run for (run,) in tx.execute(given_back, (tx.now, session)).fetchall()]
    tx.touched += runs
    return len(runs)


def held(tx: Transaction, session: str) -> list[Claimed]:
    """The port's `held`."""
    there = "SELECT run, root, reactor, token, fence FROM heads WHERE session = ? AND EXISTS (SELECT 1 FROM sessions WHERE name = ?)"
    return [Claimed(*row) for row in tx.execute(there, (session, session))]
