"""The threads: what was asked is done, and nothing is left of them."""

import asyncio
import threading
from pathlib import Path

import pytest

from reactor.errors import StoreUnavailable
from reactor.record.store import Appended, Created
from reactor.stores.sqlite import SqliteStore
from tests.stores.filling import append_of, driven, held, opened, record

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path):
    """Where the store is."""
    return tmp_path / "runs.db"


def ours() -> list[str]:
    """The threads of stores."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("reactor")]


async def test_closing_leaves_no_thread_and_no_file_behind(path):
    """Neither threads, nor open files, nor the log beside the file."""
    open_files = list(Path("/dev/fd").iterdir())
    store = await SqliteStore.open(path)
    store.watch(lambda run: None)
    await store.create(record("shop:1"))
    assert len(ours()) == 2
    await store.close()
    assert ours() == []
    assert len(list(Path("/dev/fd").iterdir())) <= len(open_files)
    assert [file.name for file in path.parent.iterdir()] == ["runs.db"]


async def test_a_file_that_cannot_be_opened_leaves_no_thread(path):
    """An error at opening is the end of it."""
    path.write_bytes(b"to whom it may concern: " * 500)
    with pytest.raises(StoreUnavailable):
        await SqliteStore.open(path)
    assert ours() == []


async def test_closing_does_first_what_was_asked(path):
    """A write that waits is written and answered."""
    store = await SqliteStore.open(path)
    with held(path):
        waiting = asyncio.ensure_future(store.create(record("shop:1")))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(store.close())
        await asyncio.sleep(0)
    await closing
    assert isinstance(await waiting, Created)
    async with opened(path) as again:
        assert await again.counts() == {"queued": 1}


async def test_closing_twice_is_closing_once(path):
    """Also at the same time."""
    store = await SqliteStore.open(path)
    await asyncio.gather(store.close(), store.close())
    await store.close()
    assert ours() == []


async def test_a_closed_store_says_so(path):
    """Reading, writing and watching alike."""
    store = await SqliteStore.open(path)
    await store.close()
    for call in (lambda: store.create(record("shop:1")), lambda: store.load("shop:1")):
        with pytest.raises(StoreUnavailable) as caught:
            await call()
        assert caught.value.code == "store-closed"
    store.watch(lambda run: None)()


async def test_a_cancelled_close_goes_on_alone(path):
    """Whoever closes may be cancelled; the threads end all the same."""
    store = await SqliteStore.open(path)
    with held(path):
        waiting = asyncio.ensure_future(store.create(record("shop:1")))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(store.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
    await waiting
    await store.close()
    assert ours() == []


async def test_what_was_acknowledged_is_read(path):
    """Reading has a thread and a connection of its own, and sees every write that was answered."""
    async with opened(path) as store:
        claimed = await driven(store)
        for seq in range(50):
            assert isinstance(await store.append(append_of(claimed, seq, b"%d" % seq)), Appended)
            assert (await store.load("shop:1", after=seq)).events == (b"%d" % seq,)


async def test_who_reads_waits_for_no_writer(path):
    """A long write of somebody else keeps nobody from reading."""
    async with opened(path) as store:
        await store.create(record("shop:1"))
        with held(path):
            assert await store.counts() == {"queued": 1}


def test_a_loop_that_ended_harms_nobody(path):
    """A store that outlives its loop goes on in the next."""

    async def begin() -> SqliteStore:
        store = await SqliteStore.open(path)
        store.watch(lambda run: None)
        with held(path):
            waiting = asyncio.ensure_future(store.create(record("shop:1")))
            await asyncio.sleep(0)
        waiting.cancel()
        return store

    async def go_on(store: SqliteStore) -> None:
        assert isinstance(await store.create(record("shop:2")), Created)
        assert await store.counts() == {"queued": 2}
        await store.close()

    store = asyncio.run(begin())
    asyncio.run(go_on(store))
