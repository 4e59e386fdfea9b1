"""Whoever can write to the store must not get code to run: a pickle in every place of it is an error, or nothing, and never loaded."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from reactor import Ask, Engine, Index, Reactor, ReactorError, Results, Secret, compose, interrupt, map_over, step
from tests.stores.redis_server import Server

pytestmark = pytest.mark.anyio

KEYS = [bytes(32)]
SHORT = 0.05  # seconds that a damaged run is waited for


@pytest.fixture
def anyio_backend() -> str:
    """The stores' own time."""
    return "asyncio"


class Bomb:
    """Makes a file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


class Item(msgspec.Struct):
    name: str
    key: Annotated[str, Secret()]


class Inner(Reactor):
    name: str

    @step
    async def output(self) -> str:
        return self.name


class Work(Reactor):
    name: Annotated[str, Index()]
    token: Annotated[str, Secret()]

    @step
    async def items(self) -> list[Item]:
        return [Item(f"i{at}", "k") for at in range(4)]

    @map_over(items.result, batch_size=2)
    async def sizes(self, item: Item) -> int:
        return len(item.name)

    @compose
    async def inner(self, sizes: Results[int] = sizes.result) -> Inner:
        return Inner(name=str(len(sizes)))

    @interrupt(after=[inner])
    async def approve(self) -> Ask[Item]:
        return Ask(f"ok-{self.name}", show={"who": self.name})

    @step
    async def output(self, item: Item = approve.result, sizes: Results[int] = sizes.result) -> str:
        return item.name + "".join([str(size) async for size in sizes])


def test_the_bomb_works(tmp_path):
    """Loaded, it makes its file: what the others look for."""
    pickle.loads(pickle.dumps(Bomb(tmp_path / "fired")))
    assert (tmp_path / "fired").exists()


# ---- a store with something in every place ------------------------------------------------------------------------


async def fill(url: str) -> None:
    """Runs that ended, wait, were superseded; mail that nobody read; ids, answers, tags, early payloads, definitions."""
    async with Engine(url, keys=KEYS) as engine:
        for name in ("a", "b", "c"):
            await engine.run(Work(name=name, token="t"), id=name, tags=["tag"])
        await engine.signal(Work.approve, Item("x", "k"), correlation_id="ok-a", delivery_id="d-1")
        done = await engine.get(Work, "a")
        await done.outcome()
        await (await done.restart(from_step="output")).outcome()
        await engine.signal(Work.approve, Item("x", "k"), correlation_id="ok-z", delivery_id="d-2")
        await engine.signal(Work.approve, Item("x", "k"), correlation_id="ok-y")


async def of(engine: Engine, run_id: str, act: Callable[[Any], Awaitable[Any]]) -> None:
    """Ask a run."""
    await act(await engine.get(run_id))


async def events(run: Any) -> None:
    """Read its record for a while."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SHORT):
            async for _ in run.events():
                pass


async def tries(engine: Engine) -> AsyncIterator[tuple[str, ReactorError | None]]:
    """All that a caller may ask; the error where there was one. Anything else than a ReactorError fails the test."""
    asked: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
        ("find", engine.find),
        ("find where", lambda: engine.find(where={"name": "a"})),
    ]
    asked.append(("early", lambda: engine.run(Work(name="z", token="t"), id="z")))
    for run_id in ("Work:a", "Work:a~2", "Work:b"):
        asked += [
            (f"status {run_id}", lambda run_id=run_id: of(engine, run_id, lambda run: run.status())),
            (f"outcome {run_id}", lambda run_id=run_id: of(engine, run_id, lambda run: run.outcome(timeout=SHORT))),
            (f"value {run_id}", lambda run_id=run_id: of(engine, run_id, lambda run: run.value(Work.items))),
            (f"results {run_id}", lambda run_id=run_id: of(engine, run_id, results)),
            (f"plan {run_id}", lambda run_id=run_id: of(engine, run_id, lambda run: run.undo_plan())),
            (f"events {run_id}", lambda run_id=run_id: of(engine, run_id, events)),
        ]
    asked += [
        ("join", lambda: engine.start(Work(name="b", token="t"), id="b")),
        ("signal", lambda: engine.signal(Work.approve, Item("x", "k"), correlation_id="ok-b")),
        ("again", lambda: engine.signal(Work.approve, Item("x", "k"), correlation_id="ok-a", delivery_id="d-1")),
        ("outcome", lambda: of(engine, "Work:b", lambda run: run.outcome(timeout=SHORT))),
        ("cancel", lambda: of(engine, "Work:c", lambda run: run.cancel("enough"))),
        ("undo", lambda: of(engine, "Work:a~2", lambda run: run.undo())),
        ("undone", lambda: of(engine, "Work:a~2", lambda run: run.outcome(timeout=SHORT))),
    ]
    for what, ask in asked:
        try:
            async with asyncio.timeout(10):
                await ask()
        except ReactorError as error:
            yield what, error
        except TimeoutError:
            yield what, None
        else:
            yield what, None


async def results(run: Any) -> None:
    """All that a map left."""
    await (await run.value(Work.sizes)).all()


async def probe(url: str, marker: Path, where: str) -> int:
    """Open an engine on a store where something was planted, and ask it everything. How many errors it told."""
    told = 0
    try:
        async with Engine(url, keys=KEYS, reactors=[Work], lease=1.0) as engine:
            async for what, error in tries(engine):
                assert not marker.exists(), (where, what)
                if error is not None:
                    told += 1
                    assert error.code, (where, what)
    except ReactorError:  # it does not open at all
        told += 1
    assert not marker.exists(), where
    return told


# ---- SQLite ---------------------------------------------------------------------------------------------------------


def columns(path: Path) -> Iterator[tuple[str, str]]:
    """Every place for text or bytes."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        for (table,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for _, name, kind, *_ in file.execute(f"PRAGMA table_info({table})").fetchall():
                if kind in ("TEXT", "BLOB") and file.execute(f"SELECT count({name}) FROM {table}").fetchone()[0]:
                    yield table, name


async def test_a_pickle_in_every_column_of_a_file(tmp_path):
    """As it is, and inside of msgpack: every column that holds text or bytes, in every row."""
    whole, marker = tmp_path / "whole.db", tmp_path / "fired"
    await fill(f"sqlite:///{whole}")
    bomb = pickle.dumps(Bomb(marker))
    told = {}
    places = list(columns(whole))
    for number, (table, column) in enumerate(places):
        for form, planted in (("raw", bomb), ("packed", msgspec.msgpack.encode(bomb))):
            path = tmp_path / f"{number}-{form}.db"
            shutil.copy(whole, path)
            with contextlib.closing(sqlite3.connect(path)) as file, file:
                file.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (planted,))
            told[table, column, form] = await probe(f"sqlite:///{path}", marker, f"{table}.{column}")
    missed = [place for place in [("bodies", "inputs"), ("bodies", "chunk"), ("events", "events")] if not told[*place, "raw"]]
    assert not missed, told
    assert len(places) > 20


# ---- Redis ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Server]:
    """One of its own."""
    made = Server()
    yield made
    made.remove()


def plants(client: Any, key: bytes, planted: bytes) -> Iterator[Callable[[], Any]]:
    """All that can be written into a key."""
    kind = client.type(key)
    if kind == b"string":
        yield lambda: client.set(key, planted, keepttl=True)
    elif kind == b"hash":
        for field in client.hkeys(key):
            yield lambda field=field: client.hset(key, field, planted)
        yield lambda: client.hset(key, planted, planted)
    elif kind == b"list":
        yield lambda: [client.lset(key, at, planted) for at in range(client.llen(key))]
    elif kind == b"zset":
        yield lambda: client.zadd(key, {planted: 0.0})
    elif kind == b"set":
        yield lambda: client.sadd(key, planted)
    elif kind == b"stream":
        yield lambda: client.xadd(key, {planted: planted, b"r": planted})


def family(client: Any, key: bytes) -> str:
    """What keys are alike: what a namespace and a shard make of their name left out, and what of a run's name."""
    return f"{key.rpartition(b'}:')[2].decode().partition(':')[0]} {client.type(key).decode()}"


async def test_a_pickle_in_every_kind_of_key(server, tmp_path):
    """One key of each kind at a time, every field of it: the others stay as they are."""
    marker = tmp_path / "fired"
    url = f"{server.address}?namespace=p"
    await fill(url)
    client = server.client()
    whole = {key: (client.dump(key), max(0, client.pttl(key))) for key in client.scan_iter(count=10_000)}
    families: dict[str, bytes] = {}
    for key in sorted(whole):
        families.setdefault(family(client, key), key)
    bomb = pickle.dumps(Bomb(marker))
    told: dict[str, int] = {}
    for name, key in families.items():
        for plant in list(plants(client, key, bomb)):
            plant()
            told[name] = told.get(name, 0) + await probe(url, marker, f"{name}: {key!r}")
            client.flushall()
            for restored, (data, lasts) in whole.items():
                client.restore(restored, lasts, data)
    client.close()
    assert len(families) > 8, families
    assert sum(map(bool, told.values())) > 3, told
