"""The least that a durable step can cost: one round trip to a Redis, or one commit to a file, and nothing else.

The argument is as long as the two facts of a step. `return 1` writes nothing: what the server does for us beyond a round trip is
already ours to answer for.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from secrets import token_hex
from typing import Any

from benchmarks.measure import expect

Act = Callable[[], Awaitable[list[float]]]  # one turn of a contestant: what it measured

ARGUMENT = b"x" * 150
KEY = "limit"
SCRIPT = "return 1"
TURN = 100  # round trips, or commits, a turn: as many as a chain has steps


async def per_one(did: Callable[[], Awaitable[object]]) -> float:
    """Microseconds that one of a turn took."""
    began = time.perf_counter()
    for _ in range(TURN):
        await did()
    return (time.perf_counter() - began) / TURN * 1e6


@contextlib.asynccontextmanager
async def evalsha_by_redis_py(url: str) -> AsyncIterator[Act]:
    """The round trip by redis-py's own client, with hiredis, as anybody would use it."""
    from redis.asyncio import Redis

    async with Redis.from_url(url) as client:
        digest = await client.script_load(SCRIPT)

        async def act() -> list[float]:
            expect(await client.evalsha(digest, 1, KEY, ARGUMENT), 1)
            return [await per_one(lambda: client.evalsha(digest, 1, KEY, ARGUMENT))]

        yield act


@contextlib.asynccontextmanager
async def evalsha_by_wire(url: str) -> AsyncIterator[Act]:
    """The round trip by the client that our own store uses: the same code, loop and kind of connection."""
    from reactor.stores.redis_scripts import Script
    from reactor.stores.redis_server import connections
    from reactor.stores.redis_wire import Wire

    wire = Wire(connections(url, timeout=5.0), url, timeout=5.0, patience=10.0)
    script = Script("limit", SCRIPT)
    expect(script.digest, sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest())

    async def act() -> list[float]:
        expect(await wire.call(script, KEY, ARGUMENT), 1)
        return [await per_one(lambda: wire.call(script, KEY, ARGUMENT))]

    try:
        yield act
    finally:
        await wire.close()


def opened(path: str, synchronous: str) -> sqlite3.Connection:
    """A file with one table, and a log."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("CREATE TABLE IF NOT EXISTS steps (at INTEGER PRIMARY KEY, fact BLOB)")
    return connection


def commit(connection: sqlite3.Connection) -> None:
    """One row, one commit."""
    execute = connection.execute
    execute("BEGIN IMMEDIATE")
    execute("INSERT INTO steps (fact) VALUES (?)", (ARGUMENT,))
    execute("COMMIT")


@contextlib.asynccontextmanager
async def wal_commit(path: str, synchronous: str) -> AsyncIterator[Act]:
    """The commit where it is asked for, while the loop stands still: no engine can do that, and none can be quicker."""
    connection = opened(path, synchronous)

    async def act() -> list[float]:
        began = time.perf_counter()
        for _ in range(TURN):
            commit(connection)
        return [(time.perf_counter() - began) / TURN * 1e6]

    yield act
    connection.close()


@contextlib.asynccontextmanager
async def wal_commit_on_thread(path: str, synchronous: str) -> AsyncIterator[Act]:
    """The commit on a thread of its own, awaited: the least that leaves the loop free."""
    connection, loop = opened(path, synchronous), asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as thread:

        async def act() -> list[float]:
            return [await per_one(lambda: loop.run_in_executor(thread, commit, connection))]

        yield act
    connection.close()


@contextlib.asynccontextmanager
async def append(url: str) -> AsyncIterator[Act]:
    """One append of a step's two facts to one record, by our own store and no engine: what of a step is the store's."""
    from reactor.record.store import Append, Appended, NewRecord

    store = await store_at(url)
    await store.open_session("limit", 60.0)
    facts = (ARGUMENT[:75], ARGUMENT[:75])

    async def act() -> list[float]:
        run, token = f"Limit:{token_hex(8)}", f"limit:{token_hex(4)}"
        await store.renew("limit")
        await store.create(NewRecord(run=run, root=run, reactor="Limit", status="running", due=None, token=token))
        began = time.perf_counter()
        for at in range(TURN):
            answer = await store.append(Append(run=run, token=token, seq=2 * at, op=f"{at:08x}", events=facts, status="running"))
        took = time.perf_counter() - began
        expect((type(answer), answer.seq), (Appended, 2 * TURN))
        return [took / TURN * 1e6]

    try:
        yield act
    finally:
        await store.close()


async def store_at(url: str) -> Any:
    """A store without an engine."""
    if url.startswith("redis:"):
        from reactor.stores.redis import RedisStore

        return await RedisStore.open(url)
    from reactor.stores.sqlite import SqliteStore

    return await SqliteStore.open(url.removeprefix("sqlite:///"))
