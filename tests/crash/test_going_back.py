"""A server that comes back with older data: drivers drop what they remember and go on from what it knows.

What is promised then: nothing breaks, no run is stuck for it, and it ends as designed. What was done since is done again, under the same
idempotency keys, undos too; what the server still knows as done is not. A target that honours the keys sees nothing.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter

import pytest

from reactor import Engine
from tests.crash.judging import Kept, call_of, records_of, u2
from tests.crash.running import Place, until
from tests.crash.saga import LEDGERS, LINKS, Chain

pytestmark = pytest.mark.anyio
RUN = "Chain:1"


@pytest.fixture
def place(tmp_path, own_server):
    """A place on a server whose data may be put back."""
    place = Place("back", tmp_path, own_server)
    LEDGERS.append(place.ledger)
    yield place
    LEDGERS.pop()


async def ended_on_record(place: Place) -> set[str]:
    """The calls whose end the store knows."""
    async with place.store() as store:
        return Kept(RUN, await records_of(store, RUN)).ended


async def back_in_time(place: Place, copied_at: str, lost_at: str) -> set[str]:
    """The server's data are copied at one moment, and put back at another. What it knew as ended at the first."""
    data, copy = place.server.folder / "appendonlydir", place.folder / "copy"
    await until(lambda: place.ledger.has("begin", copied_at))
    await asyncio.to_thread(shutil.copytree, data, copy)
    await until(lambda: place.ledger.has("begin", lost_at))
    await asyncio.to_thread(place.server.kill)
    shutil.rmtree(data)
    shutil.copytree(copy, data)
    await asyncio.to_thread(place.server.start)
    return await ended_on_record(place)


def once_if_known(place: Place, known: set[str]) -> None:
    """What was known as done was done once, the rest at most twice; no key saw two effects."""
    lines = place.ledger.lines()
    u2(line for line in lines if line.what != "begin" or line.attempt == 1)
    begun = Counter(call_of(line) for line in lines if line.what == "begin")
    assert {name: begun[name] for name in known if begun[name] != 1} == {}
    assert max(begun.values()) <= 2


async def test_a_run_goes_on_from_what_its_store_still_knows(place):
    """It succeeds; what was recorded before the copy is not done again."""
    async with Engine(place.url, lease=1.0, reactors=[Chain]) as engine:
        run = await engine.start(Chain(pace=0.1), id="1")
        known = await back_in_time(place, "/link[3]/do/0.0", "/link[7]/do/0.0")
        assert await run.result(60) == LINKS
    assert known
    once_if_known(place, known)


async def test_a_rollback_goes_on_from_what_its_store_still_knows(place):
    """It fails as designed, undone to the end; an undo that was lost is made again under its key."""
    async with Engine(place.url, lease=1.0, reactors=[Chain]) as engine:
        run = await engine.start(Chain(pace=0.05, declined=True), id="1")
        known = await back_in_time(place, "/link[9]/undo/0.0", "/link[5]/undo/0.0")
        async with asyncio.timeout(60):
            outcome = await run.outcome()
        assert (outcome.error.kind, outcome.rollback_failures, await run.status()) == ("Declined", [], "failed")
    assert any(name.endswith("/undo") for name in known)
    once_if_known(place, known)
