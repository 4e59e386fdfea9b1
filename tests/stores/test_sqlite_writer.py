"""The writing thread: groups, other processes, and who watches."""

import asyncio
import sqlite3

import pytest

from reactor.errors import StoreUnavailable
from reactor.record.store import Appended, Created, Fenced, Message
from tests.stores.filling import append_of, commits, driven, held, opened, outside, record

pytestmark = pytest.mark.anyio
FULL_GROUP = 10  # commits that a hundred writes may take where the machine is slow


@pytest.fixture
def path(tmp_path):
    """Where the store is."""
    return tmp_path / "runs.db"


async def queued(store, calls):
    """These calls, begun while another program holds the file, so that they wait together."""
    with held(store.path):
        waiting = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)  # each hands over what it asks
    return await asyncio.gather(*waiting, return_exceptions=True)


async def answer_of(call):
    """What is answered, or the error that was raised."""
    return (await asyncio.gather(call, return_exceptions=True))[0]


# ---- groups ---------------------------------------------------------------------------------------------------


async def test_one_that_is_alone_has_a_commit_of_its_own(path):
    """It waits for nobody."""
    async with opened(path) as store:
        claimed = await driven(store)
        before = commits(path)
        for seq in range(5):
            await store.append(append_of(claimed, seq, b"event"))
        assert commits(path) == before + 5


async def test_those_that_come_together_share_a_commit(path):
    """A hundred runs cost a few commits, not a hundred."""
    async with opened(path) as store:
        runs = [await driven(store, f"shop:{number}") for number in range(100)]
        before = commits(path)
        answers = await queued(store, [store.append(append_of(claimed, 0, b"event")) for claimed in runs])
        assert all(isinstance(answer, Appended) for answer in answers)
        assert commits(path) - before <= FULL_GROUP


async def test_what_changes_nothing_commits_nothing(path):
    """A refused append leaves no trace."""
    async with opened(path) as store:
        claimed = await driven(store)
        before = commits(path)
        assert await store.append(append_of(claimed, 0, b"event", token="another's:1")) == Fenced()
        assert commits(path) == before


async def test_a_refusal_undoes_nobody_elses_write(path):
    """In one group: one is fenced, one cannot be written at all, the others are written."""
    async with opened(path) as store:
        one, two = await driven(store, "shop:1"), await driven(store, "shop:2")
        wrong = store.create(record("shop:\ud800"))  # no text that anything could keep
        answers = await queued(
            store,
            [
                store.append(append_of(one, 0, b"first")),
                store.append(append_of(one, 1, b"event", token="another's:1")),
                wrong,
                store.append(append_of(two, 0, b"second")),
            ],
        )
        assert [type(answer) for answer in answers] == [Appended, Fenced, UnicodeEncodeError, Appended]
        assert (await store.load("shop:1")).events == (b"first",)
        assert (await store.load("shop:2")).events == (b"second",)


async def test_what_is_alike_in_a_group_is_done_once(path):
    """The same append twice in one group, as after a lost reply."""
    async with opened(path) as store:
        claimed = await driven(store)
        first, second = await queued(store, [store.append(append_of(claimed, 0, b"event")) for _ in range(2)])
        assert first == second
        assert (await store.load("shop:1")).events == (b"event",)


# ---- waiting --------------------------------------------------------------------------------------------------


async def test_cancelling_who_waits_loses_no_write(path):
    """The write is done, and counts, though nobody waits for its answer."""
    async with opened(path) as store:
        claimed = await driven(store)
        with held(path):
            waiting = asyncio.ensure_future(store.append(append_of(claimed, 0, b"event")))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert (await store.append(append_of(claimed, 0, b"event"))).seq == 1  # that one's answer, asked for again
        assert (await store.load("shop:1")).events == (b"event",)


async def test_a_claim_that_nobody_waits_for_is_found(path):
    """`held` is answered behind what was asked before it."""
    async with opened(path) as store:
        await store.create(record("shop:1"))
        await store.open_session("mine", 1000)
        with held(path):
            waiting = asyncio.ensure_future(store.claim_run("mine", "shop:1"))
            await asyncio.sleep(0)
            waiting.cancel()
        assert [claimed.run for claimed in await store.held("mine")] == ["shop:1"]


async def test_waiting_for_another_program_is_bounded(path):
    """A write that cannot be had in time raises, changes nothing, and may be asked again."""
    async with opened(path, patience=0.05) as store:
        claimed = await driven(store)
        with held(path):
            for _ in range(2):
                with pytest.raises(StoreUnavailable) as caught:
                    await store.append(append_of(claimed, 0, b"event"))
                assert caught.value.code == "store-busy"
            assert (await store.load("shop:1")).events == ()  # who reads does not wait
        assert isinstance(await store.append(append_of(claimed, 0, b"event")), Appended)


async def test_a_full_disk_loses_nothing_that_was_acknowledged(path):
    """Writes raise until there is room; then the same call goes through."""
    async with opened(path) as store:
        claimed = await driven(store)
        room = await store._writer.do(lambda tx: tx.execute("PRAGMA page_count").fetchone()[0] + 200)
        await store._writer.do(lambda tx: tx.execute(f"PRAGMA max_page_count = {room}").fetchone())
        answers = [await answer_of(store.append(append_of(claimed, seq, bytes(100_000)))) for seq in range(20)]
        written = sum(isinstance(answer, Appended) for answer in answers)
        assert 0 < written < 20
        assert answers[written].code == "store-full"
        assert len((await store.load("shop:1")).events) == written
        await store._writer.do(lambda tx: tx.execute("PRAGMA max_page_count = 100000").fetchone())
        assert isinstance(await store.append(append_of(claimed, written, bytes(100_000))), Appended)
    async with opened(path) as store:
        assert len((await store.load("shop:1")).events) == written + 1


async def test_in_a_group_only_what_does_not_fit_is_refused(path):
    """A full disk refuses the big one of a group, and writes the small one beside it."""
    async with opened(path) as store:
        big, small = await driven(store, "shop:big"), await driven(store, "shop:small")
        room = await store._writer.do(lambda tx: tx.execute("PRAGMA page_count").fetchone()[0] + 50)
        await store._writer.do(lambda tx: tx.execute(f"PRAGMA max_page_count = {room}").fetchone())
        refused, written = await queued(
            store, [store.append(append_of(big, 0, bytes(1_000_000))), store.append(append_of(small, 0, b"event"))]
        )
        assert isinstance(refused, StoreUnavailable)
        assert isinstance(written, Appended)


# ---- watching -------------------------------------------------------------------------------------------------


class Heard:
    """A watcher that can be awaited."""

    def __init__(self, store):
        self.names = []
        self.some = asyncio.Event()
        self.stop = store.watch(self)

    def __call__(self, run):
        self.names.append(run)
        self.some.set()

    async def until(self, run):
        while run not in self.names:
            self.some.clear()
            await asyncio.wait_for(self.some.wait(), 10)


async def test_who_watches_hears_of_other_processes(path):
    """Another handle's write is heard of without asking; its own, too."""
    async with opened(path) as store, opened(path) as other:
        heard = Heard(store)
        await other.create(record("shop:theirs"))
        await heard.until("shop:theirs")
        await store.create(record("shop:ours"))
        await heard.until("shop:ours")
        await other.deliver("shop:ours", Message("signal", b"hello"), moves=True, operation="1")
        heard.names.clear()
        await heard.until("shop:ours")
        heard.stop()


async def test_a_stopped_watcher_hears_nothing(path):
    """Also not of what was on its way."""
    async with opened(path) as store:
        heard = Heard(store)
        creating = asyncio.ensure_future(store.create(record("shop:1")))
        await asyncio.sleep(0)
        heard.stop()
        await creating
        await store.create(record("shop:2"))
        assert heard.names == []


async def test_a_watcher_that_fails_keeps_nobody_from_the_answer(path):
    """Its error is the loop's to tell."""
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    async with opened(path) as store:
        stop = store.watch(lambda run: 1 / 0)
        assert isinstance(await store.create(record("shop:1")), Created)
        stop()
    asyncio.get_running_loop().set_exception_handler(None)
    assert [type(error) for error in told] == [ZeroDivisionError]


async def test_commits_are_remembered_for_a_while_only(path):
    """What others look for does not grow with the runs."""
    async with opened(path) as store:
        await store.open_session("mine", 1000)
        for _ in range(1600):
            await store.renew("mine")
        assert commits(path) > 1600
    with outside(path) as connection:
        assert connection.execute("SELECT count(*) FROM commits").fetchone()[0] <= 1536


async def test_time_does_not_go_back_with_the_wall(path):
    """Neither in this process, nor for one that opens the file later, with a clock that is behind."""
    wall = [1000.0]
    async with opened(path, clock=lambda: wall[0]) as store:
        await store.open_session("mine", 1000)
        wall[0] = 10.0
        assert await store.now() == 1000.0
    async with opened(path, clock=lambda: wall[0]) as store:
        assert await store.now() == 1000.0
        assert (await store.create(record("shop:1"))).at == 1000.0


async def test_a_lost_connection_is_no_silence(path):
    """What SQLite cannot do is an error to the caller, and the thread lives on."""
    async with opened(path) as store:
        with pytest.raises(sqlite3.ProgrammingError):
            await store._writer.do(lambda tx: tx.execute("SELECT ?", (object(),)))
        with pytest.raises(StoreUnavailable) as caught:
            await store._writer.do(lambda tx: tx.execute("SELECT nonsense"))
        assert caught.value.code == "store-unavailable"
        assert isinstance(await store.create(record("shop:1")), Created)
