"""Scenario 12: a run id that is used again: the same inputs replay the outcome, other inputs are refused."""

import asyncio
import uuid

import pytest

from reactor import Engine, Expired, Failed, InputInvalid, Reactor, ReactorError, RunConflict, Succeeded, UnknownRun, step, step_context
from tests.scenarios.world import Boom, act, engine, until, world

pytestmark = pytest.mark.anyio


class Greet(Reactor, name="greet"):
    who: str
    times: int = 1
    tags: list[str] = []

    @step
    async def output(self) -> str:
        return await act("output", f"hello {self.who}" * self.times)


class Other(Reactor, name="other"):
    who: str

    @step
    async def output(self) -> str:
        return await act("other")


async def test_the_same_run_is_not_run_again():
    """The same reactor and id is the same run: its outcome is replayed and nothing is called."""
    async with engine() as eng:
        first = await eng.run(Greet(who="ada"), id="g-1")
        second = await eng.run(Greet(who="ada"), id="g-1")
        run = await eng.start(Greet(who="ada", times=1, tags=[]), id="g-1")
        assert isinstance(first, Succeeded)
        assert isinstance(second, Succeeded)
        assert first.value == second.value == await run.result() == "hello ada"
        assert first.run_id == second.run_id == run.id == "greet:g-1"
    assert world.began == ["output"]


async def test_a_failed_run_replays_its_failure():
    """Failure is an outcome like any: asking again does not try again."""
    world.fails("output", Boom("once"))
    async with engine() as eng:
        first = await eng.run(Greet(who="ada"), id="g-1")
        second = await eng.run(Greet(who="ada"), id="g-1")
    assert isinstance(first, Failed)
    assert isinstance(second, Failed)
    assert second.error.kind == "Boom"
    assert second.step == "output"
    assert world.began == ["output"]


async def test_other_inputs_are_refused():
    """The same id with other inputs is a conflict; the first run is not disturbed."""
    async with engine() as eng:
        await eng.run(Greet(who="ada"), id="g-1")
        with pytest.raises(RunConflict) as caught:
            await eng.run(Greet(who="alan"), id="g-1")
        assert "greet:g-1" in str(caught.value)
        with pytest.raises(RunConflict):
            await eng.start(Greet(who="ada", times=2), id="g-1")
        assert await (await eng.get(Greet, "g-1")).result() == "hello ada"
    assert world.began == ["output"]


async def test_another_reactor_may_use_the_same_id():
    """An id belongs to its reactor."""
    async with engine() as eng:
        await eng.run(Greet(who="ada"), id="x")
        await eng.run(Other(who="ada"), id="x")
    assert world.began == ["output", "other"]


async def test_those_who_ask_meanwhile_join():
    """Ten who ask at once share one run, whoever comes first."""
    world.takes("output", 5)
    async with engine() as eng:
        outcomes = await asyncio.gather(*(eng.run(Greet(who="ada"), id="g-1") for _ in range(10)))
    assert {outcome.value for outcome in outcomes} == {"hello ada"}
    assert world.began == ["output"]


async def test_joining_with_other_inputs_is_refused_at_once():
    """The conflict is told while the run is still going on, and the run goes on."""
    world.takes("output", 5)
    async with engine() as eng:
        run = await eng.start(Greet(who="ada"), id="g-1")
        await until(lambda: world.began == ["output"])
        with pytest.raises(RunConflict):
            await eng.run(Greet(who="alan"), id="g-1")
        assert await run.result() == "hello ada"


async def test_no_id_is_a_run_of_its_own():
    """Without an id each run is new, under a uuid7 that sorts by time."""
    async with engine() as eng:
        runs = [await eng.start(Greet(who="ada")) for _ in range(3)]
        for run in runs:
            await run.result()
    names = [run.id for run in runs]
    assert len(set(names)) == 3
    ids = [uuid.UUID(name.removeprefix("greet:")) for name in names]
    assert all(one.version == 7 for one in ids)
    milliseconds = [one.int >> 80 for one in ids]
    assert milliseconds == sorted(milliseconds)


@pytest.mark.parametrize("good", ["a", "Z9_.:@-", "x" * 200])
async def test_ids_that_are_allowed(good):
    """1–200 of `[A-Za-z0-9_.:@-]`."""
    async with engine() as eng:
        run = await eng.start(Greet(who="ada"), id=good)
        assert run.id == f"greet:{good}"
        assert await run.result() == "hello ada"
        assert (await eng.get(f"greet:{good}")).id == run.id


@pytest.mark.parametrize("bad", ["", "x" * 201, "a b", "a/b", "a~2", "ä", "a\n"])
async def test_ids_that_are_not(bad):
    """Anything else is refused before anything is kept; `~` and `/` are the engine's own."""
    async with engine() as eng:
        with pytest.raises((ReactorError, ValueError)):
            await eng.start(Greet(who="ada"), id=bad)
        assert (await eng.find()).total == 0
    assert world.began == []


async def test_unknown_runs_are_told():
    """`get` of a run that never was."""
    async with engine() as eng:
        with pytest.raises(UnknownRun):
            await eng.get(Greet, "nobody")
        with pytest.raises(UnknownRun):
            await eng.get("greet:nobody")


async def test_inputs_are_validated_before_anything_is_kept():
    """A bad input is refused where the reactor is made or handed over; no run exists afterwards."""
    async with engine() as eng:
        with pytest.raises(InputInvalid):
            await eng.run(Greet(who=3), id="g-1")
        with pytest.raises(UnknownRun):
            await eng.get(Greet, "g-1")
        assert (await eng.run(Greet(who="ada"), id="g-1")).value == "hello ada"


async def test_the_step_knows_its_run():
    """`step_context().run_id` is the whole name."""

    class Who(Reactor, name="who"):
        @step
        async def output(self) -> str:
            return step_context().run_id

    async with engine() as eng:
        assert (await eng.run(Who(), id="me")).value == "who:me"


async def test_after_retention_the_id_stays_taken():
    """A run past retention answers `Expired`; its id does not begin a second life."""
    async with Engine("memory://", retention=60) as eng:
        await eng.run(Greet(who="ada"), id="g-1")
        await asyncio.sleep(3600)
        with pytest.raises(Expired):
            await eng.run(Greet(who="ada"), id="g-1")
        with pytest.raises(Expired):
            await eng.get(Greet, "g-1")
    assert world.began == ["output"]


async def test_created_time_does_not_move():
    """Asking again leaves the record as it was: the first event's time and the number of events stay."""
    async with engine() as eng:
        run = await eng.start(Greet(who="ada"), id="g-1")
        await run.result()
        before = [(event.seq, event.at, event.kind) async for event in run.events()]
        await asyncio.sleep(100)
        again = await eng.start(Greet(who="ada"), id="g-1")
        await again.result()
        assert [(event.seq, event.at, event.kind) async for event in again.events()] == before
