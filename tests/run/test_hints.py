"""What the store says must not be lost: a hint while another waits to be heeded, a claim while the same run is being started."""

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


async def test_a_second_hint_is_not_answered_by_an_append_before_it(tmp_path):
    """Mail that came after that append would lie there for ever."""
    async with Engine(f"sqlite:///{tmp_path / 'runs.db'}", sweep=False) as engine:
        run = await engine.start(Waits(), id="1")
        host = engine._host
        driver = host.drivers[run.id]
        driver.hinted = None
        host.hinted(run.id)
        driver.writer.begun += 1
        driver.writer.acknowledged = driver.writer.begun
        host.hinted(run.id)
        assert driver.hinted is None or driver.hinted >= driver.writer.acknowledged


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
