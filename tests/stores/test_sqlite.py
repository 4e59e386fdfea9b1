"""The store in a file as a whole: its options, what a long record costs, and that no statement reads a table from end to end."""

import re

import pytest

from reactor.errors import ReactorError, StoreUnavailable
from reactor.record.store import Appended, Message
from reactor.stores.sqlite import SqliteStore
from tests.stores.filling import SHOP, append_of, driven, opened, outside, record

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path):
    """Where the store is."""
    return tmp_path / "runs.db"


async def traced(store) -> list[str]:
    """All SQL that the store's threads perform from now on."""
    said: list[str] = []
    for lane in (store._writer, store._reader):
        await lane.do(lambda _, lane=lane: lane._connection.set_trace_callback(said.append))
    said.clear()  # the ends of these two
    return said


@pytest.mark.parametrize(("durability", "level"), [("normal", 1), ("full", 2)])
async def test_durability_is_named(path, durability, level):
    """What a power cut may take is the opener's choice."""
    async with opened(path, durability=durability) as store:
        assert await store._writer.do(lambda tx: tx.execute("PRAGMA synchronous").fetchone()) == (level,)


async def test_an_unknown_durability_is_refused(path):
    """The error says which there are, and no file is made."""
    with pytest.raises(ReactorError) as caught:
        await SqliteStore.open(path, durability="ful")
    assert caught.value.known == ("normal", "full")
    assert not path.exists()


async def test_an_append_costs_the_same_however_long_the_record_is(path):
    """As many statements at 10,000 events as at one: begin, clock, compare and set, event, status, commit's row, commit."""
    async with opened(path) as store:
        short, long = await driven(store, "shop:short"), await driven(store, "shop:long", events=(b"event",) * 10_000)
        said = await traced(store)
        await store.append(append_of(short, 0, b"event"))
        first = len(said)
        await store.append(append_of(long, 10_000, b"event"))
        assert first == len(said) - first == 7


async def everything(store) -> None:
    """Each method of the store, once at least."""
    claimed = await driven(store, "shop:1", tags=("a",), index={"order": "7"})
    child = record("shop:1/ship#0", root="shop:1", parent="shop:1")
    await store.append(append_of(claimed, 0, b"event", children=(child,), snapshot=(1, b"state"), reactor_version=(1, "fp")))
    await store.append(append_of(claimed, 1, b"event", messages=(("shop:1/ship#0", Message("settled", b"")),), chunk=b"chunk"))
    await store.deliver("shop:1", Message("signal", b"hello"), moves=True, operation="1")
    await store.mail("shop:1", 0)
    await store.append(append_of(claimed, 2, status="parked", release=True, read_up_to=1, due=1.0))
    await store.load("shop:1")
    await store.load("shop:1", after=1)
    for other in (*await store.claim("session of shop:1", [SHOP]), *await store.held("session of shop:1")):
        await store.refuse(other.run, other.token, "none")
    again = await store.claim_run("session of shop:1", "shop:1")
    await store.append(append_of(again, 2, b"event", op="last", ended=True, status="succeeded"))
    await store.renew("session of shop:1")
    for wanted in ({"reactor": "shop"}, {"status": "queued"}, {"tag": "a"}, {"since": 0.0, "until": 9e9}, {"where": {"order": "7"}}):
        await store.find(**wanted)
    await store.find(reactor="shop", status="queued")
    await store.find(text="shop")
    await store.counts("shop")
    await store.put_definition("fp", b"definition")
    await store.definition("fp")
    await store.keep_early("shop.approve", "o-7", b"yes", "d-1")
    await store.open_wait("shop.approve", "o-7", "shop:1", "approve")
    await store.close_wait("shop.approve", "o-7", "shop:1", "approve")
    await store.find_waiting("shop.approve", "o-7")
    await store.once("d-1", b"accepted")
    await store.close_session("session of shop:1")
    await store.expire(0.0, 10.0)


SMALL = ("commits", "sessions", "owner")  # read by their order, or as many as there are processes


async def test_no_statement_reads_a_table_from_end_to_end(path):
    """With a million runs each of them is still answered by an index."""
    async with opened(path) as store:
        said = await traced(store)
        await everything(store)
    with outside(path) as connection:
        for sql in {sql for sql in said if re.match(r"\s*(SELECT|UPDATE|DELETE|WITH)", sql)}:
            for *_, plan in connection.execute(f"EXPLAIN QUERY PLAN {sql}"):
                scanned = re.match(r"SCAN (\w+)(?! USING)\b", plan)
                assert scanned is None or scanned[1] in SMALL or " USING " in plan, (plan, sql)


async def test_a_dropped_run_leaves_nothing_but_its_tombstone(path):
    """Each table is emptied of it."""
    async with opened(path) as store:
        await everything(store)
    with outside(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        left = {name for name in tables if connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]}
    assert left == {"commits", "definitions", "answers", "tombstones"}


async def test_many_runs_are_dropped_a_few_at_a_time(path):
    """So that no write waits long behind it; the limit holds."""
    async with opened(path) as store:
        for number in range(130):
            claimed = await driven(store, f"shop:{number}")
            await store.append(append_of(claimed, 0, ended=True, status="succeeded"))
        said = await traced(store)
        assert await store.expire(0.0, 10.0, limit=120) == 120
        assert said.count("COMMIT") >= 4
        assert await store.expire(0.0, 10.0, limit=120) == 10


async def test_damaged_events_are_an_error_of_their_own(path):
    """They are never handed out as if they were whole, and other runs go on."""
    async with opened(path) as store:
        one, two = await driven(store, "shop:1"), await driven(store, "shop:2")
        for claimed in (one, two):
            await store.append(append_of(claimed, 0, b"first"))
            await store.append(append_of(claimed, 1, b"second"))
        with outside(path) as connection:
            connection.execute("UPDATE events SET events = x'c1' WHERE record = 1 AND seq = 2")
        with pytest.raises(StoreUnavailable) as caught:
            await store.load("shop:1")
        assert caught.value.code == "store-corrupt"
        with outside(path) as connection:
            connection.execute("DELETE FROM events WHERE record = 1 AND seq = 1")
        with pytest.raises(StoreUnavailable) as caught:
            await store.load("shop:1")
        assert caught.value.code == "store-corrupt"
        assert (await store.load("shop:2")).events == (b"first", b"second")
        assert isinstance(await store.append(append_of(two, 2, b"third")), Appended)
