"""What the store says must not be lost: a hint of a record that is driven, a claim while the same run is being started."""

from __future__ import annotations

import asyncio

import pytest

from reactor import Engine, Reactor, step

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Real time: another thread answers."""
    return "asyncio"


class Waits(Reactor):
    """Its step waits for ever."""

    @step
    async def output(self) -> str:
        await asyncio.get_running_loop().create_future()
        return ""


class Quick(Reactor):
    """Some steps, one after the other."""

    @step
    async def first(self) -> int:
        return 1

    @step
    async def output(self, first: int = first.result) -> int:
        return first


@pytest.fixture
async def two(tmp_path):
    """Two engines on one file."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url, sweep=False) as first, Engine(url, sweep=False) as second:
        yield first, second


async def test_what_an_engine_writes_is_no_news_to_it(two):
    """It is told of what others do, and of nothing that it does: a run of many steps costs no second look at its record."""
    engine, other = two
    heard = []
    engine._host.store.watch(heard.append, besides=engine._host.session.id)
    assert (await engine.run(Quick(), id="1")).value == 1
    told = asyncio.Event()
    engine._host.store.watch(lambda name: name == "Quick:2" and told.set())
    await other.run(Quick(), id="2")
    await asyncio.wait_for(told.wait(), 20)
    assert set(heard) == {"Quick:2"}


async def test_a_hint_of_a_record_that_is_driven_here_is_mail(two):
    """It was not us: the record is looked at, and what another process left is heeded at once, without a sweep."""
    engine, other = two
    run = await engine.start(Waits(), id="1")
    same = await other.get(run.id)
    await same.cancel("enough")
    outcome = await asyncio.wait_for(run.outcome(), 20)
    assert outcome.reason == "enough"


async def test_who_follows_a_run_elsewhere_sees_each_event_soon(two):
    """While it goes on: also those that no store tells."""
    engine, other = two
    run = await engine.start(Waits(), id="1")
    events = (await other.get(run.id)).events()
    seen = [await asyncio.wait_for(anext(events), 20) for _ in range(2)]
    assert [one.kind for one in seen] == ["run_started", "call_started"]


async def test_a_claim_that_meets_a_start_of_the_same_run_is_not_lost(tmp_path):
    """The run was left behind by another process: whoever starts it again, while a sweep claims it, drives it."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url, sweep=False) as first:
        run = await first.start(Waits(), id="1")
        await first._host.drivers[run.id].release()
        first._host.drivers.clear()
        async with Engine(url, sweep=False) as second:
            host = second._host
            second._serve(Waits)
            made = host.make

            async def claims_first(driver, record):
                host.enter(driver)
                await host.claim_due()
                return await made(driver, record)

            host.make = claims_first
            await second.start(Waits(), id="1")
            async with asyncio.timeout(20):
                while run.id not in host.drivers:  # noqa: ASYNC110  it is claimed aside
                    await asyncio.sleep(0.01)
