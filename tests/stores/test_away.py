"""An engine that closes while its store is away: it ends soon, says what it could not do, and nothing is lost."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from reactor import Engine, Reactor, StoreUnavailable, Succeeded, step
from reactor.record.store import Appended
from reactor.stores.redis import RedisStore
from reactor.stores.sqlite import SqliteStore
from tests.stores.filling import append_of, driven, held, opened, outside, record
from tests.stores.redis_server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

pytestmark = pytest.mark.anyio
RUNS = 30
PATIENCE = 0.5  # seconds: of the stores here
SOON = 8 * PATIENCE  # … in which an engine has closed: what it waits for, it waits for once
LEASE = 2.0
GATE: dict[str, asyncio.Event] = {}


@pytest.fixture
def anyio_backend() -> str:
    """The stores' own time."""
    return "asyncio"


class Shop(Reactor):
    """price → output, which waits at a gate."""

    @step
    async def price(self) -> int:
        return 1

    @step
    async def output(self, price: int = price.result) -> int:
        await GATE["open"].wait()
        return price + 1


class Place:
    """A store that can be taken away."""

    def __init__(self, kind: str, path: Any) -> None:
        self.kind = kind
        self.path = path
        self.server = Server() if kind == "redis" else None
        self._held: AbstractContextManager[None] | None = None

    def engine(self) -> Engine:
        """An engine that waits for its store as long as these tests do."""
        return Impatient(self, reactors=[Shop], lease=LEASE)

    def take_away(self) -> None:
        """It answers nobody from now on."""
        if self.server is not None:
            self.server.pause()
        else:
            self._held = held(self.path)
            self._held.__enter__()

    def bring_back(self) -> None:
        """It goes on where it was."""
        if self.server is not None:
            self.server.go_on()
        elif self._held is not None:
            self._held.__exit__(None, None, None)


class Impatient(Engine):
    """An engine on a place."""

    def __init__(self, place: Place, **options: Any) -> None:
        super().__init__("sqlite:///unused", **options)
        self._place = place

    async def _open_store(self, _site: Any) -> Any:
        if self._place.server is not None:
            return await RedisStore.open(f"{self._place.server.address}?namespace=a", timeout=PATIENCE / 2, patience=PATIENCE)
        return await SqliteStore.open(self._place.path, patience=PATIENCE)


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Place]:
    """A store of each kind."""
    GATE["open"] = asyncio.Event()
    made = Place(request.param, tmp_path / "runs.db")
    yield made
    if made.server is not None:
        made.server.remove()


async def in_flight(engine: Engine) -> list[Any]:
    """Runs whose last step is being made."""
    runs = [await engine.start(Shop(), id=str(number)) for number in range(RUNS)]
    for run in runs:
        async with asyncio.timeout(10):
            while (await engine._host.store.load(run.id)).seq < 4:  # noqa: ASYNC110  # a condition of the store
                await asyncio.sleep(0.01)
    return runs


@pytest.mark.parametrize("writes", [False, True])
async def test_an_engine_closes_soon_while_its_store_is_away(place, caplog, writes):
    """Whether calls are in flight, or their results wait to be written: it says what was left, and another process goes on with it."""
    before = asyncio.all_tasks()
    threads = threading.active_count()
    engine = place.engine()
    async with engine:
        await in_flight(engine)
        place.take_away()
        if writes:
            GATE["open"].set()
            await asyncio.sleep(PATIENCE / 10)  # the results are on their way
        began = time.monotonic()
        with caplog.at_level(logging.WARNING, "reactor"):
            async with asyncio.timeout(3 * SOON):
                await engine.__aexit__()
        assert time.monotonic() - began < SOON
    left = [one.getMessage() for one in caplog.records if "lease" in one.getMessage()]
    assert len([said for said in left if "Shop:" in said]) == RUNS
    assert all("runs out" in said for said in left)
    assert not [one for one in caplog.records if one.levelno > logging.WARNING]
    assert (asyncio.all_tasks(), threading.active_count()) == (before, threads)
    place.bring_back()
    GATE["open"].set()
    async with place.engine() as again:
        for number in range(RUNS):
            async with asyncio.timeout(10 * LEASE):
                assert await (await again.get(Shop, str(number))).outcome() == Succeeded(2, f"Shop:{number}")


async def test_an_idle_engine_closes_soon_while_its_store_is_away(place, caplog):
    """Its lease cannot be ended: it says so."""
    engine = place.engine()
    async with engine:
        place.take_away()
        began = time.monotonic()
        with caplog.at_level(logging.WARNING, "reactor"):
            await engine.__aexit__()
        assert time.monotonic() - began < SOON
    assert any("lease" in one.getMessage() for one in caplog.records)
    place.bring_back()


async def test_a_killed_server_keeps_no_engine_from_closing(tmp_path):
    """Nobody answers, and nobody will."""
    place = Place("redis", tmp_path)
    GATE["open"] = asyncio.Event()
    engine = place.engine()
    async with engine:
        await in_flight(engine)
        await asyncio.to_thread(place.server.kill)
        GATE["open"].set()
        began = time.monotonic()
        await engine.__aexit__()
        assert time.monotonic() - began < SOON
    place.server.remove()


# ---- a file -----------------------------------------------------------------------------------------------------


async def test_many_that_wait_for_a_file_wait_at_once(tmp_path):
    """The patience of each counts from when it was asked: a hundred are told after as long as one."""
    async with opened(tmp_path / "runs.db", patience=PATIENCE) as store:
        await store.now()
        with held(tmp_path / "runs.db"):
            began = time.monotonic()
            asked = [asyncio.ensure_future(store.create(record(f"shop:{number}"))) for number in range(100)]
            told = await asyncio.gather(*asked, return_exceptions=True)
            assert time.monotonic() - began < 3 * PATIENCE
        assert {getattr(error, "code", None) for error in told} == {"store-busy"}
        assert await store.counts() == {}


@pytest.mark.parametrize("other", [False, True])
async def test_a_file_that_was_taken_away_is_told_of(tmp_path, other):
    """SQLite would write on, to what nobody can open any more; brought back it goes on, and what was acknowledged is there."""
    path, aside = tmp_path / "runs.db", tmp_path / "aside.db"
    async with opened(path) as store:
        claimed = await driven(store)
        assert isinstance(await store.append(append_of(claimed, 0, b"one")), Appended)
        for name in ("", "-wal", "-shm"):
            (tmp_path / f"runs.db{name}").rename(tmp_path / f"aside.db{name}")
        if other:
            with outside(path) as file:
                file.execute("CREATE TABLE theirs (id)")
        await asyncio.sleep(0.05)  # as long as a file is taken to be there
        for _ in range(2):
            with pytest.raises(StoreUnavailable) as caught:
                await store.append(append_of(claimed, 1, b"two"))
            assert caught.value.code == "store-gone"
            assert str(path) in caught.value.what
        if other:
            path.unlink()
        for name in ("", "-wal", "-shm"):
            (tmp_path / f"aside.db{name}").rename(tmp_path / f"runs.db{name}")
        assert isinstance(await store.append(append_of(claimed, 1, b"two")), Appended)
    async with opened(path) as store:
        assert (await store.load("shop:1")).events == (b"one", b"two")
    assert not aside.exists()


async def test_closing_spares_the_file_that_lies_there_now(tmp_path):
    """A store whose file was replaced leaves the new one, and the log beside it, alone."""
    path = tmp_path / "runs.db"
    async with opened(path) as old:
        await old.create(record("shop:1"))
        for name in ("", "-wal", "-shm"):
            (tmp_path / f"runs.db{name}").unlink()
        async with opened(path) as new:
            await new.create(record("shop:2"))
            await old.close()
            await new.create(record("shop:3"))
            assert await new.counts() == {"queued": 2}
    async with opened(path) as new:
        assert await new.counts() == {"queued": 2}
