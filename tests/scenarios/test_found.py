"""What random graphs and first users found, each as small as it could be made."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from reactor import (
    Continue,
    Engine,
    Failed,
    Halt,
    Halted,
    Reactor,
    Results,
    Retry,
    RunConflict,
    StepError,
    Succeeded,
    Undone,
    compose,
    map_over,
    source,
    step,
)
from tests.scenarios.world import Boom, act, compensate, engine, now, undo, until, world

pytestmark = pytest.mark.anyio


class Beside(Reactor):
    """A step that fails or halts, beside a map over a lazy source."""

    @step
    async def bad(self) -> str:
        return await act("bad")

    @bad.compensate
    async def drop(self, error: StepError) -> None:
        await compensate("bad")

    @source
    async def numbers(self) -> AsyncIterator[int]:
        for n in range(3):
            yield n

    @map_over(numbers, batch_size=1)
    async def lazy(self, n: int) -> int:
        return await act(f"lazy {n}", n)

    @map_over([0, 1, 2], batch_size=1)
    async def at_hand(self, n: int) -> int:
        return await act(f"at hand {n}", n)

    @step
    async def output(self, a: Results[int] = lazy.result, b: Results[int] = at_hand.result, bad: str = bad.result) -> str:
        return await act("output")


async def test_a_source_that_was_only_just_asked_is_let_go(mode):
    """A Halt in the very turn that asked a source for its first elements: the run ends, and whoever drives it is not left waiting."""
    world.fails("bad", Halt("enough"))
    before = len(asyncio.all_tasks())
    assert isinstance(await mode(Beside()), Halted)
    assert len(asyncio.all_tasks()) == before


@pytest.mark.parametrize("slots", [1, 2, 1000])
@pytest.mark.parametrize("seconds", [0, 1])
async def test_no_element_begins_after_a_failure_stood(slots, seconds):
    """Not of a batch that was handed on and waits for a slot, nor of one that was being pulled."""
    world.fails("bad", Boom("stands"))
    world.takes("bad", seconds)
    world.takes("compensate bad", seconds)
    for n in range(3):
        world.takes(f"lazy {n}", 1)
        world.takes(f"at hand {n}", 1)
    async with Engine("memory://", concurrency=slots) as eng:
        assert isinstance(await eng.run(Beside()), Failed)
    lines = [(entry.what, entry.name) for entry in world.diary]
    stood = lines.index(("ended", "compensate bad"))
    assert [name for what, name in lines[stood:] if what == "began" and not name.startswith("undo")] == []


class Maybe(Reactor):
    n: int

    @step
    async def even(self) -> bool:
        return self.n % 2 == 0

    @step(when=even)
    async def output(self) -> int:
        return await act(f"even {self.n}", self.n)


class Maybes(Reactor):
    @map_over([0, 1, 2, 3], batch_size=3)
    async def each(self, n: int) -> Maybe:
        return Maybe(n=n)

    @step
    async def output(self, each: Results[int] = each.result) -> list[int | None]:
        return [value async for value in each]


async def test_an_element_whose_output_was_skipped_is_none(mode):
    """Its place in the results holds None."""
    outcome = await mode(Maybes())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == [0, None, 2, None]


class Kid(Reactor):
    @step
    async def a(self) -> str:
        return await act("a")

    @a.undo(retry=Retry(1))
    async def undo_a(self, value: str) -> None:
        await undo("a")

    @map_over([0, 1, 2], batch_size=2)
    async def each(self, n: int) -> str:
        return await act(f"each {n}")

    @each.undo
    async def undo_each(self, value: str) -> None:
        await undo(value)

    @step
    async def output(self, a: str = a.result, each: Results[str] = each.result) -> str:
        return await act("kid", a)


class Parent(Reactor):
    @compose
    async def kid(self) -> Kid:
        return Kid()

    @kid.compensate
    async def go_on(self, error: StepError) -> Continue[str]:
        await compensate("kid")
        return Continue("without")

    @step
    async def output(self, kid: str = kid.result) -> str:
        return await act("output", kid)


@pytest.mark.parametrize("again", ["undo", "fail"])
async def test_what_a_restart_kept_in_a_child_can_be_undone(again):
    """By an undo of the new run, or by its failure: each thing once, map and all."""
    async with engine() as eng:
        run = await eng.start(Parent(), id="p")
        await run.result()
        if again == "fail":
            world.fails("output", Boom("second time"))
        new = await run.restart(from_step="output")
        outcome = await new.outcome()
        if again == "undo":
            await new.undo()
            outcome = await new.outcome()
    assert isinstance(outcome, Undone if again == "undo" else Failed)
    assert sorted(world.undone) == ["a", "each 0", "each 1", "each 2"]
    assert world.began.count("a") == 1


async def test_a_child_that_is_stuck_cannot_be_gone_on_without(mode):
    """What could not be undone must be looked at: `Continue` does not hide it, the run is stuck."""
    world.fails("kid", Boom("no"))
    world.always_fails("undo a", Boom("jammed"))
    outcome = await mode(Parent())
    assert isinstance(outcome, Failed)
    assert outcome.step == "kid.output"
    assert [failure.step for failure in outcome.rollback_failures] == ["kid.a"]
    assert "output" not in world.began


async def test_a_cancel_that_gets_stuck_names_what_it_could_not_undo():
    """No step failed: the outcome is the first undo that did."""
    world.takes("output", 60)
    world.always_fails("undo a", Boom("jammed"))
    async with engine() as eng:
        run = await eng.start(Parent(), id="p")
        await asyncio.sleep(1)
        await run.cancel("because")
        outcome = await run.outcome()
        assert await run.status() == "stuck"
    assert isinstance(outcome, Failed)
    assert outcome.step == "kid.a"
    assert outcome.error.message == "jammed"


async def test_a_map_that_never_began_is_not_compensated(mode):
    """One that was stopped before any batch of it was handed on."""

    class Never(Reactor):
        @step
        async def bad(self) -> str:
            raise Boom("at once")

        @map_over([1])
        async def each(self, n: int) -> int:
            return await act("each")

        @each.compensate
        async def drop(self, error: StepError) -> None:
            await compensate("each")

        @step
        async def output(self, bad: str = bad.result, each: Results[int] = each.result) -> str:
            return bad

    outcome = await mode(Never())
    assert outcome.step == "bad"
    assert ("each" in world.compensated) == ("each" in world.began)


class Ward(Reactor):
    n: int

    @step
    async def hold(self) -> int:
        return await act(f"hold {self.n}", self.n)

    @hold.undo(retry=Retry(1))
    async def let_go(self, value: int) -> None:
        await undo(f"hold {value}")

    @step
    async def output(self, value: int = hold.result) -> int:
        return await act(f"output {self.n}", value)


class Wards(Reactor, name="wards"):
    @map_over([0, 1, 2], batch_size=3)
    async def each(self, n: int) -> Ward:
        return Ward(n=n)

    @step
    async def output(self, each: Results[int] = each.result) -> int:
        return len(each)


async def test_what_was_not_stuck_is_still_undone_after_a_retried_rollback():
    """An element's own rollback was stuck in a run that was abandoned: trying it again undoes that alone, and a later undo all the rest."""
    world.fails("output 0", Boom("no"))
    world.always_fails("undo hold 0", Boom("jammed"))
    world.takes("output 1", 3600)
    async with Engine() as eng:
        run = await eng.start(Wards(), id="w")
        await until(lambda: "undo hold 0" in world.names("began"))
        await run.cancel("leave it", undo=False)
        await run.outcome()
        assert await run.status() == "stuck"
        world.always.clear()
        await run.retry_rollback()
        await run.outcome()
        assert (await run.status(), world.undone) == ("cancelled", ["hold 0"])
        await run.undo()
        await run.outcome()
        assert await run.status() == "undone"
    assert sorted(world.undone) == ["hold 0", "hold 1", "hold 2"]


class Eats(Reactor, name="eats"):
    items: list[int]
    weight: float = 0.0

    @step
    async def output(self) -> int:
        self.items.append(99)
        return len(self.items)


async def test_a_step_that_changes_an_input_changes_nobody_elses():
    """Not what the caller handed over, not what the run is compared with, not what a restart begins with; NaN is itself."""
    given = [1]
    async with Engine() as eng:
        run = await eng.start(Eats(items=given, weight=float("nan")), id="e")
        assert await run.result() == 2
        assert given == [1]
        assert (await eng.start(Eats(items=[1], weight=float("nan")), id="e")).id == run.id
        with pytest.raises(RunConflict):
            await eng.start(Eats(items=[1, 99]), id="e")
        again = await run.restart(from_step="output")
        assert await again.result() == 2


class OneAtATime(Reactor, name="one-at-a-time", max_running=1):
    n: int

    @step
    async def output(self) -> int:
        return await act(f"one {self.n}", self.n)


async def test_a_deadline_does_not_wait_for_a_place():
    """A run that is queued by `max_running` ends at its deadline, with nothing begun."""
    world.takes("one 0", 60)
    async with Engine() as eng:
        first = await eng.start(OneAtATime(n=0), id="0")
        second = await eng.start(OneAtATime(n=1), id="1", deadline=5)
        third = await eng.start(OneAtATime(n=2), id="2")
        outcome = await second.outcome()
        assert isinstance(outcome, Failed)
        assert outcome.error.is_a(TimeoutError)
        assert now() == pytest.approx(5)
        assert (await first.result(), await third.result()) == (0, 2)
    assert "one 1" not in world.began
