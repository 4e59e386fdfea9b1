"""A store that is away for seconds in the middle: runs wait and go on, no step runs again for it, and callers hear what they must know."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from reactor import Engine, Run, StoreUnavailable
from tests.crash.figures import EVERYWHERE
from tests.crash.running import Place, until
from tests.crash.saga import LEDGERS, LINKS, Chain
from tests.stores.filling import held
from tests.stores.redis_server import Server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
AWAY = 12.0 if EVERYWHERE else 2.0  # seconds; longer than the stores' patience of ten, or not
SHORT = 2.0  # seconds: a lease that runs out meanwhile, and is longer than the pauses between two tries to connect


@asynccontextmanager
async def stopped(place: Place):
    """The server stands still."""
    place.server.pause()
    try:
        yield
    finally:
        place.server.go_on()


@asynccontextmanager
async def killed(place: Place):
    """The server is killed, and started again on what is on its disk."""
    await asyncio.to_thread(place.server.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(place.server.start)


@asynccontextmanager
async def locked(place: Place):
    """Another program holds the file's lock."""
    with held(place.path):
        yield


@pytest.fixture(params=[locked, stopped, killed], ids=lambda way: way.__name__)
def outage(request, tmp_path):
    """A place, and a way for its store to be away."""
    server = None if request.param is locked else Server(appendonly="yes", appendfsync="always")
    place = Place("outage", tmp_path, server)
    LEDGERS.append(place.ledger)
    yield place, request.param(place)
    LEDGERS.pop()
    if server is not None:
        server.remove()


async def under_way(engine: Engine, place: Place, count: int = 3) -> list[Run[int]]:
    """Some runs, in the middle."""
    runs = [await engine.start(Chain(pace=0.1), id=f"{number}") for number in range(count)]
    await until(lambda: all(place.ledger.has("begin", f"Chain:{number}/link[3]/do/0.0") for number in range(count)))
    return runs


def once_each(place: Place, runs: int) -> None:
    """Every call of these runs was made once."""
    begun = Counter(line.key for line in place.ledger.lines() if line.what == "begin")
    assert len(begun) == runs * (LINKS + 2)
    assert {key: count for key, count in begun.items() if count > 1} == {}


async def test_runs_wait_for_their_store_and_go_on(outage):
    """At default settings: nothing runs again, nothing is lost, and nothing has failed."""
    place, away = outage
    async with Engine(place.url) as engine:
        runs = await under_way(engine, place)
        async with away:
            await asyncio.sleep(AWAY)
        assert [await run.result(60) for run in runs] == [LINKS] * len(runs)
    once_each(place, len(runs))


async def test_nobody_takes_what_merely_expired_while_the_store_was_away(outage):
    """Two processes' leases run out in the outage: neither takes the other's runs, and no call is made again."""
    place, away = outage
    async with Engine(place.url, reactors=[Chain], lease=SHORT) as engine, Engine(place.url, reactors=[Chain], lease=SHORT):
        runs = await under_way(engine, place, 2)
        async with away:
            await asyncio.sleep(1.5 * SHORT)
        assert [await run.result(60) for run in runs] == [LINKS] * len(runs)
    once_each(place, len(runs))


if EVERYWHERE:  # it takes longer than the stores' patience

    async def test_who_asks_in_the_outage_is_told_and_may_ask_again(outage):
        """StoreUnavailable, in time; the same id asked for again is one run, whichever of the two began it."""
        place, away = outage
        async with Engine(place.url) as engine:
            runs = await under_way(engine, place, 1)
            async with away:
                async with asyncio.timeout(AWAY):
                    with pytest.raises(StoreUnavailable):
                        await engine.start(Chain(pace=0.1), id="new")
            runs.append(await engine.start(Chain(pace=0.1), id="new"))
            assert [await run.result(60) for run in runs] == [LINKS] * 2
        once_each(place, 2)
