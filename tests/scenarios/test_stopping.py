"""Cancel, undo while running, deadlines, and an engine that is closed: from outside a run, at any moment."""

import asyncio

import pytest

from reactor import (
    Cancelled,
    DeadlineExceeded,
    Engine,
    Failed,
    Reactor,
    Results,
    RunStopped,
    StepError,
    StoreUnavailable,
    Succeeded,
    Undone,
    compose,
    map_over,
    step,
)
from tests.scenarios.world import Boom, act, compensate, engine, now, undo, until, world

pytestmark = pytest.mark.anyio


class Work(Reactor, name="work"):
    @step
    async def a(self) -> str:
        return await act("a")

    @a.undo
    async def undo_a(self, value: str) -> None:
        await undo("a")

    @step
    async def b(self, a: str = a.result) -> str:
        return await act("b")

    @b.undo
    async def undo_b(self, value: str) -> None:
        await undo("b")

    @b.compensate
    async def drop_b(self, error: StepError) -> None:
        world.note("error", error.kind)
        await compensate("b")

    @step
    async def output(self, b: str = b.result) -> str:
        return await act("output")


async def in_flight(eng: Engine, name: str = "b"):
    """A run whose `b` is in flight."""
    world.takes(name, 60)
    run = await eng.start(Work(), id="w")
    await until(lambda: name in world.began)
    return run


async def test_cancel_cancels_compensates_and_undoes():
    """Calls in flight are cancelled at once and compensated, what succeeded is undone, nothing else begins."""
    async with engine() as eng:
        run = await in_flight(eng)
        await run.cancel("customer left")
        outcome = await run.outcome()
        assert isinstance(outcome, Cancelled)
        assert outcome.reason == "customer left"
        assert await run.status() == "cancelled"
        with pytest.raises(RunStopped) as caught:
            await run.result()
        assert isinstance(caught.value.outcome, Cancelled)
    assert world.names("cancelled") == ["b"]
    assert world.names("error") == ["StepCancelled"]
    assert world.compensated == ["b"]
    assert world.undone == ["a"]
    assert "output" not in world.began
    assert now() < 1


async def test_cancel_without_undo():
    """Calls in flight are cancelled, nothing is compensated or undone."""
    async with engine() as eng:
        run = await in_flight(eng)
        await run.cancel("stop there", undo=False)
        assert isinstance(await run.outcome(), Cancelled)
    assert world.names("cancelled") == ["b"]
    assert world.compensated == []
    assert world.undone == []


async def test_undo_while_running_ends_undone():
    """Cancel with undo, and the run ends as `undone`."""
    async with engine() as eng:
        run = await in_flight(eng)
        await run.undo()
        assert isinstance(await run.outcome(), Undone)
        assert await run.status() == "undone"
    assert world.compensated == ["b"]
    assert world.undone == ["a"]


async def test_cancel_twice_says_already():
    """A second cancel while the first is at work changes nothing."""
    world.takes("undo a", 10)
    async with engine() as eng:
        run = await in_flight(eng)
        await run.cancel("first")
        await until(lambda: "undo a" in world.names("began"))
        await run.cancel("second")
        outcome = await run.outcome()
    assert isinstance(outcome, Cancelled)
    assert outcome.reason == "first"
    assert world.undone == ["a"]


async def test_a_call_that_ends_as_it_is_cancelled_is_undone():
    """A step that finishes its work in spite of the cancellation has succeeded, or was cancelled: it is undone or compensated, once."""

    class Finishes(Reactor, name="finishes"):
        @step
        async def output(self) -> str:
            try:
                return await act("output")
            except asyncio.CancelledError:
                return "done all the same"

        @output.undo
        async def undo_output(self, value: str) -> None:
            await undo(value)

        @output.compensate
        async def drop(self, error: StepError) -> None:
            await compensate("output")

    world.takes("output", 60)
    async with engine() as eng:
        run = await eng.start(Finishes(), id="f")
        await until(lambda: "output" in world.began)
        await run.cancel("stop")
        assert isinstance(await run.outcome(), Cancelled)
    assert len(world.undone) + len(world.compensated) == 1


async def test_cancel_before_anything_began():
    """A run that is cancelled as soon as it is started ends as cancelled, and leaves nothing."""
    async with engine() as eng:
        run = await eng.start(Work(), id="w")
        await run.cancel("never mind")
        assert isinstance(await run.outcome(), Cancelled)
    assert set(world.undone) | set(world.compensated) == set(world.began)


async def test_cancel_drops_retries_that_are_due():
    """Nobody waits for the next attempt of a cancelled run."""
    from reactor import Retry

    class Retries(Reactor, name="retries"):
        @step(retry=Retry(9, backoff="fixed", base=600, jitter=False))
        async def output(self) -> str:
            return await act("output")

        @output.compensate
        async def drop(self, error: StepError) -> None:
            await compensate("output")

    world.always_fails("output", Boom("busy"))
    async with engine() as eng:
        run = await eng.start(Retries(), id="r")
        await until(lambda: "output" in world.names("failed"))
        await run.cancel("enough")
        assert isinstance(await run.outcome(), Cancelled)
    assert now() < 10
    assert world.began == ["output"]
    assert world.compensated == ["output"]


class Inner(Reactor):
    n: int

    @step
    async def x(self) -> str:
        return await act(f"x {self.n}")

    @x.undo
    async def undo_x(self, value: str) -> None:
        await undo(value)

    @step
    async def output(self, x: str = x.result) -> str:
        return await act(f"y {self.n}")

    @output.compensate
    async def drop(self, error: StepError) -> None:
        await compensate(f"y {self.n}")


class Outer(Reactor, name="outer"):
    @compose
    async def child(self) -> Inner:
        return Inner(n=99)

    @map_over(list(range(6)), batch_size=2, in_flight=2)
    async def each(self, n: int) -> Inner:
        return Inner(n=n)

    @step
    async def output(self, child: str = child.result, each: Results[str] = each.result) -> str:
        return await act("output")


async def test_cancel_reaches_children_and_elements():
    """Everything in flight at any depth is cancelled and compensated, everything that succeeded is undone, once."""
    for n in (99, 0, 1, 2, 3):
        world.takes(f"y {n}", 60)
    async with engine() as eng:
        run = await eng.start(Outer(), id="o")
        await until(lambda: len([name for name in world.began if name.startswith("y")]) == 5)
        await run.cancel("stop")
        assert isinstance(await run.outcome(), Cancelled)
    assert sorted(world.names("cancelled")) == ["y 0", "y 1", "y 2", "y 3", "y 99"]
    assert sorted(world.compensated) == ["y 0", "y 1", "y 2", "y 3", "y 99"]
    assert sorted(world.undone) == ["x 0", "x 1", "x 2", "x 3", "x 99"]
    assert "x 4" not in world.began


@pytest.mark.parametrize("moment", [0, 1, 2, 3, 5, 8, 13, 21, 34])
async def test_cancel_at_any_moment_leaves_no_trace(moment):
    """However far it was: what succeeded is undone once, what was in flight is compensated, nothing runs on."""
    for number, name in enumerate(f"{what} {n}" for n in (99, 0, 1, 2, 3, 4, 5) for what in "xy"):
        world.takes(name, number % 5)
    async with engine() as eng:
        run = await eng.start(Outer(), id="o")
        await asyncio.sleep(moment / 2 + 0.25)
        if await run.status() == "succeeded":
            return
        await run.cancel("stop")
        assert isinstance(await run.outcome(), Cancelled)
    ended = [name for name in world.names("ended") if name.startswith("x")]
    assert sorted(world.undone) == sorted(ended)
    assert set(world.compensated) == {name for name in world.names("cancelled") if name.startswith("y")}


# ---- deadline -----------------------------------------------------------------------------------------------------------


async def test_a_deadline_bounds_the_forward_phase():
    """When it has gone by, the run fails with `DeadlineExceeded`: calls in flight are stopped and compensated, the rest is undone."""
    world.takes("b", 60)
    world.takes("undo a", 100)
    async with engine() as eng:
        outcome = await eng.run(Work(), id="w", deadline=5)
    assert isinstance(outcome, Failed)
    assert outcome.error.is_a(DeadlineExceeded)
    assert outcome.error.is_a(TimeoutError)
    assert world.when("cancelled", "b") == pytest.approx(5)
    assert world.compensated == ["b"]
    assert world.undone == ["a"]
    assert now() == pytest.approx(105)


async def test_a_deadline_that_is_kept_does_nothing():
    """A run that ends in time succeeds; the deadline does not come for it later."""
    world.takes("b", 4)
    async with engine() as eng:
        outcome = await eng.run(Work(), id="w", deadline=5)
        await asyncio.sleep(100)
        assert await (await eng.get(Work, "w")).status() == "succeeded"
    assert isinstance(outcome, Succeeded)
    assert world.undone == []


async def test_steps_see_the_deadline():
    """`step_context().deadline` is set where the run has one."""
    from reactor import step_context

    class Sees(Reactor):
        @step
        async def output(self) -> bool:
            return step_context().deadline is not None

    async with engine() as eng:
        assert (await eng.run(Sees(), deadline=5)).value is True
        assert (await eng.run(Sees())).value is False


# ---- closing --------------------------------------------------------------------------------------------------------------


async def test_closing_an_engine_leaves_nothing_running():
    """A run in memory cannot go on elsewhere: when its engine is closed it is cancelled and undone; no task of it is left."""
    before = len(asyncio.all_tasks())
    async with engine() as eng:
        run = await in_flight(eng)
    assert len(asyncio.all_tasks()) == before
    assert world.compensated == ["b"]
    assert world.undone == ["a"]
    assert isinstance(await run.outcome(), Cancelled)
    with pytest.raises(StoreUnavailable):
        await run.undo()


async def test_closing_an_engine_lets_an_undo_end():
    """What is being undone is undone to its end: only then is the run let go of."""
    world.fails("output", Boom("late"))
    world.takes("undo b", 10)
    async with engine() as eng:
        await eng.start(Work(), id="w")
        await until(lambda: "undo b" in world.names("began"))
    assert world.names("cancelled") == []
    assert "b" in world.undone


async def test_many_ends_leave_no_task():
    """Runs that succeeded, failed, were cancelled and ran out of time leave no task behind."""
    before = len(asyncio.all_tasks())
    async with engine() as eng:
        world.takes("b", 1)
        runs = [await eng.start(Work(), id=f"w{n}", deadline=0.5 if n % 4 == 0 else None) for n in range(20)]
        for n, run in enumerate(runs):
            if n % 4 == 1:
                await run.cancel("no")
        outcomes = [await run.outcome() for run in runs]
    assert {type(outcome) for outcome in outcomes} == {Failed, Cancelled, Succeeded}
    assert len(asyncio.all_tasks()) == before


class Halfway(Reactor, name="halfway"):
    """A map fails and undoes itself while another branch goes on; one undo is jammed."""

    @map_over([0, 1, 2], batch_size=1, in_flight=1)
    async def each(self, n: int) -> int:
        await act(f"each {n}")
        return n

    @each.undo
    async def un_each(self, n: int) -> None:
        await undo(f"each {n}")

    @step
    async def slow(self) -> str:
        return await act("slow")

    @step
    async def output(self, each: Results[int] = each.result, slow: str = slow.result) -> str:
        return await act("output")


async def test_an_abandoned_run_with_a_jammed_undo_is_stuck():
    """What finally failed to be undone is never passed over: the run says stuck, is rolled back again, and is then cancelled."""
    world.fails("each 2", Boom("no"))
    world.always_fails("undo each 0", Boom("jammed"))
    world.takes("slow", 3600)
    async with engine() as eng:
        run = await eng.start(Halfway(), id="h")
        await until(lambda: "undo each 0" in world.names("began"))
        await run.cancel("leave it", undo=False)
        outcome = await run.outcome()
        assert await run.status() == "stuck"
        assert isinstance(outcome, Failed)
        assert [failure.step for failure in outcome.rollback_failures] == ["each[0]"]
        world.always.clear()
        await run.retry_rollback()
        assert isinstance(await run.outcome(), Cancelled)
    assert world.undone == ["each 1", "each 0"]
