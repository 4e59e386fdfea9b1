"""The durable benchmarks do what they say: counted in the store, or by the server, never by themselves."""

import sqlite3
from itertools import count

import pytest
from redis.asyncio import Redis

from benchmarks import durable, durable_limits, durable_ours, durable_parked, durable_report
from benchmarks.durable_places import OFF, places
from reactor import Engine

pytestmark = pytest.mark.anyio
fresh = count(1)


@pytest.fixture(scope="module")
def at():
    """A folder and a server."""
    with places(OFF) as made:
        yield made


@pytest.fixture(params=["sqlite", "redis"])
def url(request, at):
    """A store of each kind that keeps, with nothing in it."""
    name = f"runs-{next(fresh)}"
    return at.sqlite(f"{name}.db") if request.param == "sqlite" else at.redis(OFF, name)


# ---- the limits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [durable_limits.evalsha_by_wire, durable_limits.evalsha_by_redis_py])
async def test_a_round_trip_limit_is_one_script_call_each(at, limit):
    """By the server's own count a turn is so many EVALSHA, besides the one that is not timed."""
    async with Redis.from_url(at.servers[OFF]) as server, limit(at.servers[OFF]) as act:
        await act()  # the script is there from now on
        await server.config_resetstat()
        (microseconds,) = await act()
        assert microseconds > 0
        assert (await server.info("commandstats"))["cmdstat_evalsha"]["calls"] == durable_limits.TURN + 1


@pytest.mark.parametrize("limit", [durable_limits.wal_commit, durable_limits.wal_commit_on_thread])
async def test_a_commit_limit_is_one_row_and_one_commit_each(at, limit):
    """A turn leaves so many rows behind, in a file with a log, each of the argument's size."""
    path = at.file(f"{limit.__name__}.db")
    async with limit(path, "NORMAL") as act:
        await act()
        with sqlite3.connect(path) as looking:
            assert looking.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert looking.execute("SELECT count(*), max(length(fact)), min(length(fact)) FROM steps").fetchone() == (
                durable_limits.TURN,
                len(durable_limits.ARGUMENT),
                len(durable_limits.ARGUMENT),
            )
        looking.close()


async def test_our_store_alone_keeps_two_facts_a_step(url):
    """The record of a turn has two events an append, of the argument's size together."""
    async with durable_limits.append(url) as act:
        await act()
    store = await durable_limits.store_at(url)
    rows, _, total = await store.find(reactor="Limit")
    record = await store.load(rows[0].run)
    await store.close()
    assert (total, len(record.events), sum(map(len, record.events))) == (
        1,
        2 * durable_limits.TURN,
        durable_limits.TURN * len(durable_limits.ARGUMENT),
    )


# ---- ourselves --------------------------------------------------------------------------------------------------


async def counted(url: str) -> dict[str, list[int]]:
    """By reactor, how many steps succeeded in each of its runs, as a store that no engine has touched since tells."""
    store = await durable_limits.store_at(url)
    rows, cursor, _ = await store.find(limit=1000)
    assert cursor is None
    found: dict[str, list[int]] = {}
    for row in rows:
        record = await store.load(row.run)
        assert row.status in {"succeeded", "parked"}
        found.setdefault(row.reactor, []).append(sum(b"call_succeeded" in event for event in record.events))
    await store.close()
    return found


async def test_a_chain_and_a_crowd_leave_their_steps_in_the_store(url):
    """A chain is one run of a hundred steps, a crowd so many of ten, and a length as many runs as it says."""
    async with Engine(url) as engine:
        await durable_ours.chain_act(engine)()
        await durable_ours.crowd_act(engine, runs=20)()
        await durable_ours.length_act(engine, durable_ours.OneStep, 1, 3)()
    assert await counted(url) == {"Chain100": [100], "Chain10": [10] * 20, "Chain1": [1] * 3}


async def test_signals_are_taken_by_parked_runs_and_end_them(url):
    """After a turn of signals, from here and from another process, as many runs more have asked, and answered, and none waits."""
    async with Engine(url) as engine:
        here = await durable_ours.signal_act(engine)()
        across = await durable_ours.across_act(engine, url)()
    assert len(here) == len(across) == durable_ours.SIGNALS
    assert min(here + across) > 0
    store = await durable_limits.store_at(url)
    assert await store.counts("Waits") == {"succeeded": 2 * durable_ours.SIGNALS}
    await store.close()


async def test_a_long_run_is_loaded_by_an_engine_that_never_saw_it(url, monkeypatch):
    """The act parks a run behind so many steps in one engine, and signals it in another one, whose record then has all of them."""
    monkeypatch.setattr(durable_ours, "LONG", 50)
    monkeypatch.setattr(durable_ours, "LongWaits", durable_ours.long_waits(50))
    (milliseconds,) = await durable_ours.load_act(url)()
    assert milliseconds > 0
    assert await counted(url) == {"Waits50": [51]}


async def test_so_many_runs_are_parked_as_asked(at):
    """Parking some leaves them parked in the store, and nothing of them in the process that measures."""
    url = at.redis(OFF, "parked")
    async with Engine(url) as engine:
        await durable_parked.park_act(engine, 12)()
    assert not durable_ours.reached
    store = await durable_limits.store_at(url)
    assert await store.counts() == {"parked": 12}
    await store.close()


# ---- judging ----------------------------------------------------------------------------------------------------


def played(**microseconds):
    """A chain with these best figures, two rounds each."""
    names = {
        "sqlite": durable_ours.SQLITE,
        "redis": durable_ours.REDIS[OFF],
        "trip": durable_ours.REDIS_PY,
        "peer": "LangGraph, NORMAL",
        "background": "LangGraph, functional, NORMAL",
    }
    made = []
    for who, best in microseconds.items():
        stage = "LangGraph" if who in {"peer", "background"} else "reactor"
        player = durable.Player(names[who], 1, durable.nothing, part="chain", stage=stage)
        player.times, player.samples = {0: best, 1: best * 2}, [best, best * 2]
        made.append(player)
    return durable.Played(made)


def test_targets_that_are_met_pass():
    """Under 1.4 round trips, under 200 µs, peers ten times dearer: nothing is missed; what is not durable in time is not judged."""
    assert durable.misses(played(sqlite=90.0, redis=130.0, trip=100.0, peer=1400.0, background=100.0)) == []


def test_targets_that_are_missed_are_told():
    """Each by its own line: round trips, microseconds, peers beside each of ours."""
    assert durable.misses(played(sqlite=210.0, redis=150.0, trip=100.0, peer=1400.0)) == [
        "a step on Redis costs 1.50 times one EVALSHA by redis-py, at most 1.4 is allowed",
        "a step on SQLite costs 210 µs, at most 200 is allowed",
        "a step of LangGraph, NORMAL costs 9.3 times that of reactor, Redis, AOF off, at least 10 is wanted",
        "a step of LangGraph, NORMAL costs 6.7 times that of reactor, SQLite, at least 10 is wanted",
    ]


def test_every_figure_of_a_chain_says_how_safely_it_keeps():
    """The table has a row a contestant, in ours, and no row without the words for what it keeps."""
    lines = durable_report.chain_table(played(sqlite=100.0, redis=130.0, trip=100.0, peer=1400.0)).splitlines()
    assert lines[5] == '| LangGraph, NORMAL | 1,400 | 14.0x | 10.8x | WAL, NORMAL: kept when the process is killed; `durability="sync"` |'
    assert all(line.split("|")[5].strip() for line in lines[2:6])
    assert lines[-1] == "A step on Redis, AOF off, is **1.30** of one EVALSHA, redis-py."


def test_what_parked_runs_take_is_judged():
    """Bytes, the share of a core, and a resume that is slower than among few: each is told, and their absence passes."""
    good = durable_parked.Found(100_000, 2_000.0, 0.01, 0.01, 1.0, 1.2, 5_000.0)
    assert durable_parked.misses(good) == []
    bad = durable_parked.Found(100_000, 3_001.0, 0.06, 0.01, 1.0, 1.6, 5_000.0)
    assert len(durable_parked.misses(bad)) == 3
