"""Who is driven here: so many of a reactor at a time, remembered while they are, forgotten when they are not."""

import asyncio
import gc

import pytest

from reactor import Ask, Parked, Reactor, Succeeded, interrupt, step, step_context
from reactor.plan.compile import plan_of
from reactor.record.words import NewRecord
from reactor.run.driver import Driver
from tests.places import place_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def engine():
    """On a store in memory that outlives it."""
    with place_of("memory") as place:
        async with place.engine() as made:
            yield made


class Free(Reactor):
    """A step of so many seconds."""

    seconds: float = 10

    @step
    async def output(self) -> int:
        await asyncio.sleep(self.seconds)
        return 1


class Two(Free, max_running=2):
    """Two at a time."""


class Asks(Reactor, max_running=1):
    """A question that is open for a minute."""

    @interrupt(timeout=60)
    async def approval(self) -> Ask[bool]:
        return Ask()

    @step(after=[approval])
    async def output(self) -> int:
        await asyncio.sleep(10)
        return 1


async def statuses(runs):
    """Of each."""
    return [await run.status() for run in runs]


# ---- room ---------------------------------------------------------------------------------------------------------------


async def test_room_is_what_the_reactor_says(engine):
    """Each for itself; one that says nothing has any."""
    host = engine._host
    assert host.room(plan_of(Two)) == 2
    for left in (1, 0, 0):
        await engine.start(Two())
        assert host.room(plan_of(Two)) == left
    assert host.room(plan_of(Free)) > 1000
    await asyncio.sleep(30)
    assert host.room(plan_of(Two)) == 2


async def test_who_waits_longest_is_next(engine):
    """As soon as one ends, however it ends."""
    runs = [await engine.start(Two(seconds=seconds)) for seconds in (10, 20, 30, 10, 10)]
    seen = []
    for _ in range(6):
        await asyncio.sleep(9 if not seen else 10)
        seen.append("".join(status[0] for status in await statuses(runs)))
    assert seen == ["rrqqq", "srrqq", "ssrrq", "ssrsr", "sssss", "sssss"]
    cancelled = [await engine.start(Two()) for _ in range(4)]
    await cancelled[2].cancel("enough")
    await cancelled[0].cancel("enough")
    await asyncio.sleep(1)
    assert await statuses(cancelled) == ["cancelled", "running", "cancelled", "running"]


async def test_what_is_parked_takes_no_room(engine):
    """It is not driven; when it goes on it waits for its turn like any other."""
    runs = [await engine.start(Asks()) for _ in range(3)]
    for run in runs:
        assert isinstance(await run.outcome(), Parked)
    assert engine._host.room(plan_of(Asks)) == 1
    for run in runs:
        await engine.signal(Asks.approval, True, run_id=run.id)
    await asyncio.sleep(1)
    assert sorted(await statuses(runs)) == ["queued", "queued", "running"]
    assert [await run.outcome() for run in runs] == [Succeeded(1, run.id) for run in runs]


async def test_a_driver_that_broke_takes_no_room(engine):
    """By a mistake of the engine's: the others go on."""
    runs = [await engine.start(Two()) for _ in range(3)]
    await asyncio.sleep(1)
    assert await statuses(runs) == ["running", "running", "queued"]
    broken = engine._host.drivers[runs[0].id]
    broken.crash(AssertionError("a mistake"))
    await asyncio.sleep(1)
    assert await statuses(runs[1:]) == ["running", "running"]
    engine._host.drivers.pop(runs[0].id).leave()
    with pytest.raises(AssertionError, match="a mistake"):
        broken.end.result()


# ---- being remembered ---------------------------------------------------------------------------------------------------


async def test_what_is_over_is_forgotten(engine):
    """Memory does not grow with the runs that were: whoever holds a handle knows how it ended."""
    runs = [await engine.start(Free()) for _ in range(5)]
    assert [await run.outcome() for run in runs] == [Succeeded(1, run.id) for run in runs]
    assert engine._host.drivers == {}
    del runs
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(1)
    assert not [one for one in gc.get_objects() if isinstance(one, Driver) and one.host is engine._host]


async def test_a_parked_run_is_looked_at_again_when_it_is_due(engine):
    """Once, and not when it went on before."""
    run = await engine.start(Asks(), id="1")
    await run.outcome()
    woken = []
    wake = engine._host.wake
    engine._host.wake = lambda name: (woken.append(name), wake(name))
    await asyncio.sleep(59)
    assert woken == []
    await asyncio.sleep(10)
    assert woken == [run.id]
    assert await run.status() == "failed"
    other = await engine.start(Asks(), id="2")
    await other.outcome()
    await engine.signal(Asks.approval, True, run_id=other.id)
    await other.outcome()
    woken.clear()
    await asyncio.sleep(100)
    assert woken == []


async def test_what_was_lost_to_a_store_that_went_back_is_opened_again(engine):
    """Under the same claim, and only where it still is ours."""
    run = await engine.start(Free())
    await asyncio.sleep(1)
    driver = engine._host.drivers[run.id]
    driver.lose(went_back=True)
    await asyncio.sleep(1)
    again = engine._host.drivers[run.id]
    assert again is not driver
    assert again.writer.token == driver.writer.token
    assert await run.outcome() == Succeeded(1, run.id)


# ---- being told ---------------------------------------------------------------------------------------------------------


async def test_observers_hear_how_far_a_call_is():
    """By its own word; that is not on record."""
    told = []

    class Counts(Reactor):
        @step
        async def output(self) -> int:
            for done in range(3):
                step_context().progress(done, 3)
            return 1

    with place_of("memory") as place:
        async with place.engine(observers=[told.append]) as engine:
            run = await engine.start(Counts())
            await run.outcome()
            kinds = [event.kind async for event in run.events()]
    assert [(event.address, event.detail) for event in told if event.kind == "progress"] == [
        ("output", {"done": done, "total": 3}) for done in range(3)
    ]
    assert "progress" not in kinds


async def test_what_is_done_aside_and_fails_is_told_to_the_log(engine, caplog):
    """It disturbs nobody."""

    async def fails():
        raise ValueError("no")

    await asyncio.wait([engine._host.spawn(fails())])
    await asyncio.sleep(0)
    assert "something that the engine did aside failed" in caplog.text


# ---- names --------------------------------------------------------------------------------------------------------------


async def test_asking_whether_a_name_is_left_leaves_nothing(engine):
    """Neither of a run that is there, nor of one that comes to be while it is asked: no word that could mean something to it."""
    host = engine._host
    assert not await host.is_expired("Free:1")
    await host.store.create(NewRecord(run="Free:1", root="Free:1", reactor="Free", due=None, events=(b"x",)))
    assert not await host.is_expired("Free:1")
    assert [message.kind for message in (await host.store.load("Free:1")).mail] == ["retry_rollback"]
    run = await engine.start(Free(), id="2")
    await run.outcome()
    await host.store.expire(0, 1e9)
    assert await host.is_expired(run.id)
