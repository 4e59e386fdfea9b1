"""What a loop commits itself, and what it leaves to the thread that writes."""

import asyncio
import threading

import pytest

from reactor.errors import StoreUnavailable
from reactor.record.store import Appended, Message
from reactor.stores import sqlite_quick
from tests.stores.filling import append_of, commits, driven, held, opened, outside

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path):
    """Where the store is."""
    return tmp_path / "runs.db"


@pytest.fixture
def threads(monkeypatch):
    """The names of the threads that committed, in order."""
    done = []
    together = sqlite_quick.QuickWriter.together

    def noted(self, *args, **more):
        answer = together(self, *args, **more)
        done.append("loop" if threading.current_thread() is threading.main_thread() else "thread")
        return answer

    monkeypatch.setattr(sqlite_quick.QuickWriter, "together", noted)
    monkeypatch.setattr(sqlite_quick, "SLOW", 60.0)  # whatever this machine does meanwhile
    return done


def kept(path, run="shop:1"):
    """How many events another program reads."""
    with outside(path) as connection:
        return connection.execute("SELECT seq FROM heads WHERE run = ?", (run,)).fetchone()[0]


async def test_a_chain_of_appends_waits_for_no_thread(path, threads):
    """Each is durable when it is answered: another program reads it then."""
    async with opened(path) as store:
        claimed = await driven(store)
        threads.clear()
        for seq in range(20):
            await store.append(append_of(claimed, seq, b"event"))
            assert kept(path) == seq + 1
        assert threads == ["loop"] * 20


async def test_many_at_once_share_the_threads_commit(path, threads):
    """The loop goes on meanwhile."""
    async with opened(path) as store:
        runs = [await driven(store, f"shop:{number}") for number in range(sqlite_quick.FEW + 1)]
        threads.clear()
        answers = await asyncio.gather(*[store.append(append_of(claimed, 0, b"event")) for claimed in runs])
        assert (set(map(type, answers)), set(threads)) == ({Appended}, {"thread"})


async def test_a_few_at_once_share_a_commit_of_the_loop(path, threads):
    """All or none of them would be there after a crash."""
    async with opened(path) as store:
        runs = [await driven(store, f"shop:{number}") for number in range(sqlite_quick.FEW)]
        threads.clear()
        await asyncio.gather(*[store.append(append_of(claimed, 0, b"event")) for claimed in runs])
        assert threads == ["loop"]


@pytest.mark.parametrize("events", [(b"x" * 100_000,), (b"x" * 20_000,) * 3])
async def test_what_is_large_is_the_threads(path, threads, events):
    """The loop writes no more than a page or few."""
    async with opened(path) as store:
        claimed = await driven(store)
        threads.clear()
        await store.append(append_of(claimed, 0, *events))
        assert threads == ["thread"]


async def test_with_full_durability_the_loop_never_waits_for_the_disk(path, threads):
    """Each commit is a sync there: it is the thread's."""
    async with opened(path, durability="full") as store:
        claimed = await driven(store)
        threads.clear()
        await store.append(append_of(claimed, 0, b"event"))
        assert threads == ["thread"]


async def test_a_file_that_another_holds_is_waited_for_by_the_thread(path, threads):
    """The loop tries once, and goes on; what was asked is done when the file is free."""
    async with opened(path) as store:
        claimed = await driven(store)
        threads.clear()
        with held(path):
            asked = asyncio.ensure_future(store.append(append_of(claimed, 0, b"event")))
            for _ in range(10):
                await asyncio.sleep(0)  # the loop is not kept
            assert (asked.done(), kept(path)) == (False, 0)
        assert (await asked, kept(path), threads) == (Appended(1), 1, ["thread"])


async def test_what_is_asked_behind_an_append_sees_it(path):
    """The order in which a caller asks is the order in which it is done."""
    async with opened(path) as store:
        claimed = await driven(store)
        append = asyncio.ensure_future(store.append(append_of(claimed, 0, b"event", ended=True, status="succeeded")))
        mail = asyncio.ensure_future(store.deliver("shop:1", Message("signal", b""), moves=True, operation="1"))
        assert (await append, await mail) == (Appended(1), "gone")


async def test_a_slow_disk_keeps_the_loop_a_tenth_of_its_time_at_most(path, threads, monkeypatch):
    """After a commit that took long the thread does what comes, for ten times as long."""
    monkeypatch.setattr(sqlite_quick, "SLOW", 0.0)
    monkeypatch.setattr(sqlite_quick, "TIMES", 1e9)
    async with opened(path) as store:
        claimed = await driven(store)
        threads.clear()
        for seq in range(3):
            await store.append(append_of(claimed, seq, b"event"))
        assert threads == ["loop", "thread", "thread"]


async def test_an_error_is_told_to_whoever_asked_and_to_nobody_else(path):
    """The thread tries what failed in the loop, each alone, and nothing of it is left behind."""
    async with opened(path) as store:
        good, bad = await driven(store), await driven(store, "shop:2")
        with outside(path) as connection:
            connection.execute("CREATE TRIGGER no BEFORE INSERT ON events WHEN new.record = 2 BEGIN SELECT RAISE(ABORT, 'no room'); END")
        answers = await asyncio.gather(
            store.append(append_of(good, 0, b"event")), store.append(append_of(bad, 0, b"event")), return_exceptions=True
        )
        assert answers[0] == Appended(1)
        assert isinstance(answers[1], StoreUnavailable)
        assert (kept(path), kept(path, "shop:2")) == (1, 0)


async def test_what_was_asked_before_the_end_is_answered(path):
    """Closing lets nobody wait for ever, whoever was to commit it."""
    async with opened(path) as store:
        claimed = await driven(store)
        asked = asyncio.ensure_future(store.append(append_of(claimed, 0, b"event")))
        await asyncio.sleep(0)
        await store.close()
        assert await asked == Appended(1)
        with pytest.raises(StoreUnavailable, match="was closed"):
            await store.append(append_of(claimed, 1, b"event"))


async def test_an_append_that_is_no_news_tells_no_other_process(path):
    """It writes nothing for them to read; a change of status does."""
    async with opened(path) as store:
        claimed = await driven(store)
        await store.append(append_of(claimed, 0, b"event"))  # it runs from here on
        before = commits(path)
        for seq in range(1, 5):
            await store.append(append_of(claimed, seq, b"event"))
        assert commits(path) == before
        await store.append(append_of(claimed, 5, b"event", status="rolling_back"))
        assert commits(path) == before + 1


async def test_the_log_begins_anew_while_somebody_writes(path, monkeypatch):
    """It does not grow for ever: most of it is folded beside who writes, the rest in a pause of a moment."""
    monkeypatch.setattr("reactor.stores.sqlite_writer.CHECKPOINT", 40)

    def salt():
        return path.with_name("runs.db-wal").read_bytes()[16:24]  # of SQLite's log: another each time that it begins

    async with opened(path) as store:
        store.watch(lambda _run: None)
        claimed = await driven(store)
        first, seq = salt(), 0
        async with asyncio.timeout(30):
            while salt() == first:
                await store.append(append_of(claimed, seq, b"event"))
                seq += 1
