"""Closing on a store that does not last: what goes on is cancelled and undone, for it could not go on elsewhere."""

import asyncio

import pytest

from reactor import Cancelled, Engine, Failed, Reactor, StepError, Undone, map_over, step

pytestmark = pytest.mark.anyio
LOG: list[str] = []


@pytest.fixture(autouse=True)
def _fresh():
    LOG.clear()


class Slow(Reactor, max_running=1):
    """A step that is done, elements that are, and one step of an hour."""

    @step
    async def first(self) -> int:
        LOG.append("first")
        return 1

    @first.undo
    async def undo_first(self, value: int) -> None:
        await asyncio.sleep(5)
        LOG.append("undo first")

    @map_over([1, 2], after=[first], batch_size=1)
    async def some(self, one: int) -> int:
        return one

    @some.undo
    async def undo_some(self, one: int) -> None:
        LOG.append(f"undo some {one}")

    @step(after=[some])
    async def output(self) -> int:
        await asyncio.sleep(3600)
        return 1

    @output.compensate
    async def answer(self, error: StepError) -> None:
        LOG.append("compensate output")


async def test_what_goes_on_is_cancelled_compensated_and_undone():
    """In the order of any rollback, batches of maps too; it ends before the engine is closed."""
    async with Engine() as engine:
        run = await engine.start(Slow())
        await asyncio.sleep(1)
    assert LOG[:2] == ["first", "compensate output"]
    assert sorted(LOG[2:4]) == ["undo some 1", "undo some 2"]
    assert LOG[4:] == ["undo first"]
    assert await run.outcome() == Cancelled("the engine closed", run.id)


async def test_what_waits_for_room_never_begins():
    """Not even when the run that it waited for is gone."""
    async with Engine() as engine:
        runs = [await engine.start(Slow()) for _ in range(3)]
        await asyncio.sleep(1)
    assert LOG.count("first") == 1
    assert [type(await run.outcome()) for run in runs] == [Cancelled] * 3


async def test_an_undo_that_was_asked_for_ends_as_it_would():
    """The engine waits for it."""
    async with Engine() as engine:
        run = await engine.start(Slow())
        await asyncio.sleep(1)
        await run.undo()
    assert await run.outcome() == Undone(run.id)


async def test_a_failing_run_ends_failed():
    """It is rolling back already."""

    class Fails(Reactor):
        @step
        async def first(self) -> int:
            return 1

        @first.undo
        async def undo_first(self, value: int) -> None:
            await asyncio.sleep(100)
            LOG.append("undone")

        @step(after=[first])
        async def output(self) -> int:
            raise OSError

    async with Engine() as engine:
        run = await engine.start(Fails())
        await asyncio.sleep(1)
    assert LOG == ["undone"]
    assert isinstance(await run.outcome(), Failed)


async def test_the_log_says_whom_it_waits_for(caplog):
    """Every so often."""

    class Stubborn(Reactor):
        @step
        async def output(self) -> int:
            while True:
                try:
                    await asyncio.sleep(100)
                except asyncio.CancelledError:
                    LOG.append("no")
                else:
                    return 1

    async with Engine(settle=30) as engine:
        await engine.start(Stubborn(), id="s")
        await asyncio.sleep(1)
    assert LOG == ["no"]
    assert 3 <= caplog.text.count("waits for 1 runs: Stubborn:s") <= 4


async def test_an_idle_engine_closes_at_once():
    """Runs that have ended are nothing to wait for."""
    async with Engine() as engine:
        run = await engine.start(Slow())
        await run.undo()
        await run.outcome()
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() == began
