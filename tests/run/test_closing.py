"""Closing on a store that does not last: what goes on is cancelled and undone, for it could not go on elsewhere."""

import asyncio

import pytest

from reactor import Ask, Cancelled, Engine, Failed, Parked, Reactor, StepError, Succeeded, Undone, compose, interrupt, map_over, step

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


# ---- parked -------------------------------------------------------------------------------------------------------------


class Asks(Reactor):
    """A step that is done, then a question."""

    who: str = ""

    @step
    async def first(self) -> int:
        LOG.append(f"first {self.who}")
        return 1

    @first.undo
    async def undo_first(self, value: int) -> None:
        await asyncio.sleep(5)
        LOG.append(f"undo first {self.who}")

    @interrupt(after=[first])
    async def approval(self) -> Ask[bool]:
        return Ask(f"ask {self.who}")

    @approval.compensate
    async def withdrawn(self, error: StepError) -> None:
        LOG.append(f"withdrawn {self.who}")

    @step(after=[approval])
    async def output(self) -> int:
        LOG.append("output")
        return 1


class Many(Reactor):
    """Questions in the elements of a map, and in a child."""

    @map_over(["a", "b", "c"], batch_size=2)
    async def some(self, who: str) -> Asks:
        return Asks(who=who)

    @compose
    async def child(self) -> Asks:
        return Asks(who="child")

    @step(after=[some, child])
    async def output(self) -> int:
        return 1


async def test_what_is_parked_is_undone_like_what_runs():
    """Nobody could answer it any more: what it had done must not stay."""
    async with Engine() as engine:
        run = await engine.start(Asks(who="a"), id="a")
        assert isinstance(await run.outcome(), Parked)
        LOG.clear()
    assert LOG[-1] == "undo first a"
    assert "output" not in LOG
    assert await run.outcome() == Cancelled("the engine closed", run.id)
    assert await run.status() == "cancelled"


async def test_parked_children_and_elements_are_undone():
    """Each by its own undo."""
    async with Engine() as engine:
        run = await engine.start(Many())
        assert isinstance(await run.outcome(), Parked)
    assert sorted(one for one in LOG if one.startswith("undo")) == [f"undo first {who}" for who in ("a", "b", "c", "child")]
    assert await run.outcome() == Cancelled("the engine closed", run.id)


async def test_many_parked_runs_are_undone_side_by_side():
    """A hundred at a time."""
    async with Engine() as engine:
        runs = [await engine.start(Asks(who=str(number))) for number in range(250)]
        for run in runs:
            await run.outcome()
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began == pytest.approx(15, abs=1)
    assert sum(one.startswith("undo first") for one in LOG) == 250
    assert {type(await run.outcome()) for run in runs} == {Cancelled}


async def test_a_run_that_parks_while_the_engine_closes_is_undone():
    """Whatever of the two comes first."""
    async with Engine() as engine:
        runs = []
        for turns in range(40):
            runs.append(await engine.start(Asks(who=str(turns))))
            for _ in range(turns % 8):
                await asyncio.sleep(0)
    undone = sum(one.startswith("undo first") for one in LOG)
    assert undone == sum(one.startswith("first") for one in LOG)
    assert {type(await run.outcome()) for run in runs} == {Cancelled}


async def test_a_run_that_waits_for_the_one_it_supersedes_ends_with_it():
    """It has done nothing, and nothing of it begins."""
    async with Engine() as engine:
        run = await engine.start(Slow())
        await asyncio.sleep(1)
        await run.cancel("enough", undo=False)
        await run.outcome()
        again = await run.restart(from_step="first")
        assert await again.status() == "queued"
        LOG.clear()
    assert LOG[-1] == "undo first"
    assert "first" not in LOG
    assert await again.outcome() == Cancelled("the engine closed", again.id)


async def test_what_has_ended_stays():
    """With its results, to be read."""
    async with Engine() as engine:
        run = await engine.start(Asks(who="a"), id="a")
        await run.outcome()
        await engine.signal(Asks.approval, True, run_id=run.id)
        await run.result()
    assert await run.outcome() == Succeeded(1, run.id)
    assert not any(one.startswith("undo") for one in LOG)
