"""A store in a file with something in it, and a hand on it from outside, for the tests of what is SQLite's own."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from reactor.record.store import Append, Claimed, Created, NewRecord, Served
from reactor.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

LONG = 1000.0
SHOP = Served("shop", 1, "fp")


@asynccontextmanager
async def opened(path, **options) -> AsyncIterator[SqliteStore]:
    """A store that is closed at the end."""
    store = await SqliteStore.open(path, **options)
    try:
        yield store
    finally:
        await store.close()


@contextmanager
def outside(path) -> Iterator[sqlite3.Connection]:
    """A connection as another program has one, which is in nobody's way unless it says BEGIN."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def held(path) -> Iterator[None]:
    """Another program holds the file: who writes must wait."""
    with outside(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def commits(path) -> int:
    """How many commits of ours changed something so far."""
    with outside(path) as connection:
        return connection.execute("SELECT max(number) FROM commits").fetchone()[0] or 0


def record(run: str, **more) -> NewRecord:
    """A record of reactor `shop`."""
    return NewRecord(run=run, **{"root": run, "reactor": "shop", "fingerprint": "fp", **more})


async def driven(store: SqliteStore, run: str = "shop:1", **more) -> Claimed:
    """A record that was created, and is claimed."""
    assert isinstance(await store.create(record(run, **more)), Created)
    session = f"session of {run}"
    await store.open_session(session, LONG)
    claimed = await store.claim_run(session, run)
    assert claimed is not None
    return claimed


def append_of(claimed: Claimed, seq: int, *events: bytes, **more) -> Append:
    """An append of this token."""
    given = {"token": claimed.token, "op": f"op {seq}", "status": "running", **more}
    return Append(run=claimed.run, seq=seq, events=events, **given)
