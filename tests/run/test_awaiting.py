"""`await Checkout(…)`: one run in this process, kept nowhere, undone under shield if whoever awaits it is cancelled."""

import asyncio
import gc
import threading
import weakref
from contextlib import asynccontextmanager

import anyio
import pytest

from reactor import Ask, Engine, Halt, NeedsEngine, Reactor, RunFailed, RunStopped, compose, interrupt, map_over, step, step_context, use

pytestmark = pytest.mark.anyio
LOG: list[str] = []


@pytest.fixture(autouse=True)
def _fresh():
    LOG.clear()


class Two(Reactor):
    """Two steps; each is undone, slowly."""

    seconds: float = 10.0
    ending: str = ""

    @step
    async def first(self) -> int:
        LOG.append("first")
        return 1

    @first.undo
    async def undo_first(self, value: int) -> None:
        await asyncio.sleep(5)
        LOG.append("undo first")

    @step(after=[first])
    async def output(self) -> int:
        LOG.append("output")
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            await asyncio.sleep(5)
            LOG.append("cancelled")
            raise
        if self.ending == "fails":
            raise ValueError("no")
        if self.ending == "halts":
            raise Halt("enough")
        return 7

    @output.undo
    async def undo_output(self, value: int) -> None:
        await asyncio.sleep(5)
        LOG.append("undo output")


async def awaited(reactor):
    """A coroutine of it."""
    return await reactor


# ---- its end --------------------------------------------------------------------------------------------------------


async def test_it_gives_its_output():
    """And leaves nothing behind."""
    before = asyncio.all_tasks()
    assert await Two() == 7
    assert asyncio.all_tasks() == before


async def test_it_raises_its_failure():
    """Chained from the step's own; what had succeeded is undone by then."""
    with pytest.raises(RunFailed) as raised:
        await Two(ending="fails")
    assert isinstance(raised.value.__cause__, ValueError)
    assert raised.value.__cause__.__notes__[1] == "undone: first"
    assert LOG == ["first", "output", "undo first"]


async def test_it_raises_that_it_was_halted():
    """Nothing is undone."""
    with pytest.raises(RunStopped, match="was halted: enough"):
        await Two(ending="halts")
    assert LOG == ["first", "output"]


async def test_it_can_be_awaited_once_more():
    """Each time a run of its own."""
    two = Two(seconds=0)
    assert (await two, await two) == (7, 7)


async def test_many_at_a_time():
    """With nothing in common."""
    assert await asyncio.gather(*(awaited(Two()) for _ in range(20))) == [7] * 20


async def test_nothing_is_kept():
    """When it is over its values are nobody's any more, once the loop has dropped the lane that ended it."""

    class Big:
        """A value."""

    class Makes(Reactor):
        @step
        async def big(self) -> Big:
            made = Big()
            LOG.append(weakref.ref(made))
            return made

        @step(after=[big])
        async def output(self) -> int:
            return 1

    await Makes()
    await asyncio.sleep(0)
    gc.collect()
    assert LOG[0]() is None


# ---- refused ---------------------------------------------------------------------------------------------------------------


class Asks(Reactor):
    @interrupt
    async def approval(self) -> Ask[bool]:
        return Ask("k")

    @step
    async def output(self, ok: bool = approval.result) -> bool:
        return ok


class Around(Reactor):
    @step
    async def first(self) -> int:
        LOG.append("began")
        return 1

    @compose(after=[first])
    async def output(self) -> Asks:
        return Asks()


@pytest.mark.parametrize("reactor", [Asks, Around])
async def test_what_could_be_parked_is_refused(reactor):
    """Before anything begins, with the interrupts that could; an engine in memory refuses it alike."""
    with pytest.raises(NeedsEngine, match=r"`Asks\.approval`") as raised:
        await reactor()
    assert raised.value.code == "needs-engine"
    async with Engine() as engine:
        with pytest.raises(NeedsEngine, match=r"`Asks\.approval`"):
            await engine.start(reactor())
    assert LOG == []


# ---- cancelled ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 4])
async def test_a_cancelled_await_is_undone_first(times):
    """Its calls are cancelled, awaited, and all is undone, under shield, however often it is cancelled; then it re-raises."""
    task = asyncio.ensure_future(awaited(Two()))
    for _ in range(times):
        await asyncio.sleep(1)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert LOG == ["first", "output", "cancelled", "undo first"]


async def test_a_cancelled_scope_of_anyio_is_undone_first():
    """It strikes again and again: not in the rollback."""
    with anyio.move_on_after(1) as scope:
        await Two()
    assert scope.cancelled_caught
    assert LOG == ["first", "output", "cancelled", "undo first"]


async def test_a_task_group_of_anyio_waits_for_the_rollback():
    """A sibling's failure cancels it; the group ends when all is undone."""

    async def fails():
        await anyio.sleep(1)
        raise OSError("sibling")

    async def both():
        async with anyio.create_task_group() as group:
            group.start_soon(awaited, Two())
            group.start_soon(fails)

    with pytest.raises(ExceptionGroup) as raised:
        await both()
    assert raised.group_contains(OSError)
    assert LOG == ["first", "output", "cancelled", "undo first"]


async def test_a_timeout_of_asyncio_is_undone_first():
    """TimeoutError at the end."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await Two()
    assert LOG[-1] == "undo first"


async def test_a_cancel_while_it_rolls_back_already():
    """The rollback goes on to its end, and the cancellation is raised."""
    task = asyncio.ensure_future(awaited(Two(ending="fails")))
    await asyncio.sleep(12)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert LOG == ["first", "output", "undo first"]


async def test_a_cancel_in_the_very_turn_in_which_it_succeeds():
    """Whoever awaited never gets the value: all of it is undone."""

    class Last(Two):
        @step
        async def output(self) -> int:
            await asyncio.sleep(1)
            task.cancel()
            return 7

    task = asyncio.ensure_future(awaited(Last()))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert LOG == ["first", "undo output", "undo first"]


async def test_a_cancel_while_its_resources_close():
    """They are closed to the end; the value is given to nobody, so it is undone."""

    @asynccontextmanager
    async def pool():
        yield 1
        await asyncio.sleep(10)
        LOG.append("closed")

    class Uses(Reactor):
        @step
        async def output(self, it: int = use(pool)) -> int:
            return it

        @output.undo
        async def undo_output(self, value: int, it: int = use(pool)) -> None:
            LOG.append("undone")

    task = asyncio.ensure_future(awaited(Uses()))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert LOG == ["closed", "undone", "closed"]


# ---- inside a step ----------------------------------------------------------------------------------------------------------


async def test_awaited_inside_a_step_it_borrows_the_steps_slot():
    """One slot is enough for any depth; it is no part of that saga."""

    class Outer(Reactor):
        depth: int

        @step
        async def output(self) -> int:
            if self.depth:
                return await Outer(depth=self.depth - 1)
            return await Two()

        @output.undo
        async def undo_output(self, value: int) -> None:
            LOG.append("undo outer")

    async with Engine(concurrency=1) as engine:
        run = await engine.start(Outer(depth=3))
        assert await run.result() == 7
        await run.undo()
        await run.outcome()
        assert engine._site.slots.free == 1
    assert LOG == ["first", "output", "undo outer"]


async def test_several_awaited_inside_a_step_at_a_time():
    """With one slot between them they take turns; with more, each takes what is free."""
    now, most = 0, 0

    class Counts(Reactor):
        @map_over([1, 2, 3])
        async def output(self, one: int) -> int:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(1)
            now -= 1
            return one

    class Outer(Reactor):
        @step
        async def output(self) -> int:
            return len(await asyncio.gather(*(awaited(Counts()) for _ in range(3))))

    for limit in (1, 2, 5):
        most = 0
        async with Engine(concurrency=limit) as engine:
            assert (await engine.run(Outer())).value == 3
            assert most == limit
            assert engine._site.slots.free == limit


async def test_awaited_inside_a_step_it_shares_the_engines_resources():
    """Opened once; closed with the engine."""

    @asynccontextmanager
    async def pool():
        LOG.append("opened")
        yield 1
        LOG.append("closed")

    class Inner(Reactor):
        @step
        async def output(self, it: int = use(pool)) -> int:
            return it

    class Outer(Reactor):
        @step
        async def output(self, it: int = use(pool)) -> int:
            return it + await Inner()

    async with Engine() as engine:
        assert (await engine.run(Outer())).value == 2
        assert LOG == ["opened"]
    assert LOG == ["opened", "closed"]


async def test_awaited_inside_a_step_it_has_a_name_and_context_of_its_own():
    """And the step's own is back afterwards."""

    class Inner(Reactor):
        @step
        async def output(self) -> str:
            return f"{step_context().run_id.partition(':')[0]} {step_context().address}"

    class Outer(Reactor):
        @step
        async def whole(self) -> str:
            inner = await Inner()
            return f"{inner}, {step_context().run_id} {step_context().address}"

        output = whole

    async with Engine() as engine:
        assert (await engine.run(Outer(), id="o")).value == "Inner output, Outer:o whole"


async def test_in_debug_it_warns():
    """What it does is not undone with the step: compose it instead."""

    class Outer(Reactor):
        @step
        async def output(self) -> int:
            with pytest.warns(UserWarning, match="it is no part of that saga"):
                return await Two(seconds=0)

    async with Engine(debug=True) as engine:
        assert (await engine.run(Outer())).value == 7


async def test_a_step_that_is_cancelled_takes_the_awaited_one_along():
    """It is undone before the step's end is recorded."""

    class Outer(Reactor):
        @step
        async def output(self) -> int:
            return await Two()

        @output.compensate
        async def answer(self, error: object) -> None:
            LOG.append("compensate")

    async with Engine() as engine:
        run = await engine.start(Outer())
        await asyncio.sleep(1)
        await run.cancel("enough")
        await run.outcome()
    assert LOG == ["first", "output", "cancelled", "undo first", "compensate"]


# ---- in other loops ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["def step", "to_thread"])
def test_awaited_in_a_loop_of_a_thread_of_a_step(how):
    """It has nothing of the outer loop's: a site of its own."""

    class Inner(Reactor):
        @step
        async def a(self) -> str:
            await asyncio.sleep(0.001)
            return threading.current_thread().name

        @step
        def output(self, a: str = a.result) -> str:
            return a

    class Outer(Reactor):
        @step
        def plain(self) -> str:
            return asyncio.run(awaited(Inner()))

        @step
        async def other(self) -> str:
            return await asyncio.to_thread(asyncio.run, awaited(Inner()))

        @step
        async def output(self, plain: str = plain.result, other: str = other.result) -> tuple[str, str]:
            return plain, other

    async def main():
        if how == "def step":
            return await Outer()
        async with Engine(concurrency=1) as engine:
            return (await engine.run(Outer())).value

    plain, other = asyncio.run(main())
    assert plain.startswith("reactor")
    assert other.startswith("asyncio")


def test_many_loops_in_many_threads():
    """Plans are shared, nothing else is."""
    values = []

    def work():
        values.extend(asyncio.run(awaited(Two(seconds=0.001))) for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == [7] * 40
