"""What an undo would call, in order: the preview must be what the undo then calls."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from reactor import Continue, Engine, Halt, Reactor, Results, Retry, Skip, StepError, compose, map_over, source, step, step_context

pytestmark = pytest.mark.anyio
CALLED: list[str] = []


@pytest.fixture(autouse=True)
def _fresh():
    CALLED.clear()


async def undo(value: object) -> None:
    """What every undo does."""
    CALLED.append(step_context().address)


class Boom(Exception):
    """What goes wrong."""


class Leaf(Reactor):
    """hold → output, both undone; a compensate; its end as told."""

    one: int = 0
    ending: str = ""

    @step
    async def hold(self) -> int:
        return 1

    @hold.undo
    async def free(self, value: int) -> None:
        await undo(value)

    @step(after=[hold])
    async def output(self) -> int:
        return await end(self.ending)

    @output.undo
    async def give_back(self, value: int) -> None:
        await undo(value)

    @output.compensate
    async def answer(self, error: StepError) -> None: ...


async def end(ending):
    """A step's end, as told."""
    match ending:
        case "halts":
            raise Halt("enough")
        case "fails":
            raise Boom
        case "waits":
            await asyncio.sleep(100)
    return 1


class Younger(Leaf):
    """An override that depends on a node which the base does not have: the order of definition is no order of the graph."""

    @step
    async def before(self) -> int:
        return 1

    @before.undo
    async def undo_before(self, value: int) -> None:
        await undo(value)

    @step
    async def hold(self, before: int = before.result) -> int:
        return 1


class InMaps(Reactor):
    """Maps in the elements of a map: of steps, and of reactors."""

    one: int = 0

    @map_over([1, 2], batch_size=1, in_flight=1)
    async def steps(self, two: int) -> int:
        return two

    @steps.undo
    async def undo_steps(self, two: int) -> None:
        await undo(two)

    @map_over([1, 2], batch_size=1, in_flight=1)
    async def output(self, two: int, steps: Results[int] = steps.result) -> Younger:
        return Younger(one=two)


class All(Reactor):
    """Every kind of node, in a chain, so that there is one order only."""

    ending: str = ""

    @step
    async def first(self) -> list[int]:
        return [1, 2, 3]

    @first.undo
    async def undo_first(self, value: list[int]) -> None:
        await undo(value)

    @step(after=[first])
    async def skips(self) -> int:
        raise Skip(1)

    @skips.undo
    async def undo_skips(self, value: int) -> None:
        await undo(value)

    @step(after=[skips])
    async def recovers(self) -> int:
        raise Boom

    @recovers.undo
    async def undo_recovers(self, value: int) -> None:
        await undo(value)

    @recovers.compensate
    async def recovered(self, error: StepError) -> Continue[int]:
        return Continue(1)

    @compose(after=[recovers])
    async def child(self) -> Younger:
        return Younger()

    @source
    async def rows(self, them: list[int] = first.result) -> AsyncIterator[int]:
        for one in them:
            yield one

    @map_over(rows, batch_size=1, in_flight=1, after=[child], on_error="collect")
    async def some(self, one: int) -> int:
        if one == 2:
            raise Boom
        return one

    @some.undo
    async def undo_some(self, one: int) -> None:
        await undo(one)

    @map_over([1, 2], batch_size=1, in_flight=1, after=[some])
    async def deep(self, one: int) -> InMaps:
        return InMaps(one=one)

    @step(after=[deep])
    async def output(self) -> int:
        return await end(self.ending)

    @output.undo
    async def undo_output(self, value: int) -> None:
        await undo(value)


async def foreseen(engine, run):
    """The preview, and what an undo then called."""
    plan = list(await run.undo_plan())
    assert CALLED == [], "a preview calls nothing"
    await run.undo()
    await run.outcome()
    return plan, list(CALLED)


DEEP = [
    *(f"deep[{one}].output[{two}].{name}" for one in (1, 0) for two in (1, 0) for name in ("output", "hold", "before")),
]


async def test_a_preview_of_everything():
    """Steps, children, elements, elements of elements: newest first, what depends before what it depends on."""
    async with Engine() as engine:
        run = await engine.start(All())
        await run.outcome()
        plan, called = await foreseen(engine, run)
    assert plan == called
    assert plan[0] == "output"
    assert [address for address in plan if ".output[" in address and address.startswith("deep")] == DEEP
    assert plan[-6:] == ["some[2]", "some[0]", "child.output", "child.hold", "child.before", "first"]


@pytest.mark.parametrize("ending", ["halts", "waits"])
async def test_a_preview_of_a_run_that_has_not_come_to_its_end(ending):
    """Halted, or still going on: as if what is in flight ended now, without success."""
    async with Engine() as engine:
        run = await engine.start(All(ending=ending))
        await asyncio.sleep(1)
        plan, called = await foreseen(engine, run)
    assert plan == called
    assert plan[0] == "deep[1].output[1].output"


async def test_a_preview_while_a_map_is_going_on():
    """Elements that succeeded are in it, in batches that settled and in those in flight; the ones in flight are not."""

    class Maps(Reactor):
        @map_over([1, 2, 3, 4, 5, 6], batch_size=2, in_flight=1)
        async def output(self, one: int) -> int:
            return await end("waits" if one == 4 else "")

        @output.undo
        async def undo_output(self, one: int) -> None:
            await undo(one)

    async with Engine() as engine:
        run = await engine.start(Maps())
        await asyncio.sleep(1)
        plan, called = await foreseen(engine, run)
    assert plan == ["output[2]", "output[0]", "output[1]"]
    assert sorted(called) == sorted(plan)


async def test_a_preview_while_a_source_is_pulled():
    """As if it ended now."""

    class Maps(Reactor):
        @source
        async def rows(self) -> AsyncIterator[int]:
            yield 1
            yield 2
            await asyncio.sleep(3600)
            yield 3

        @map_over(rows, batch_size=1)
        async def output(self, one: int) -> int:
            if one == 2:
                raise Skip(0)
            return one

        @output.undo
        async def undo_output(self, one: int) -> None:
            await undo(one)

    async with Engine() as engine:
        run = await engine.start(Maps())
        await asyncio.sleep(1)
        plan, called = await foreseen(engine, run)
    assert plan == called == ["output[0]"]


@pytest.mark.parametrize("ending", ["halts", "waits"])
async def test_a_preview_of_elements_that_are_reactors(ending):
    """Half-way ones too: what has succeeded in them is undone."""

    class Maps(Reactor):
        @map_over([1, 2])
        async def output(self, one: int) -> Leaf:
            return Leaf(one=one, ending=ending if one == 2 else "")

    async with Engine() as engine:
        run = await engine.start(Maps())
        await asyncio.sleep(1)
        plan, called = await foreseen(engine, run)
    assert sorted(plan) == sorted(called) == ["output[0].hold", "output[0].output", "output[1].hold"]


async def test_a_preview_while_the_run_rolls_back():
    """What is left to be undone: not what is in flight, nor what was undone."""

    class Slow(Reactor):
        @step
        async def a(self) -> int:
            return 1

        @a.undo
        async def undo_a(self, value: int) -> None:
            await undo(value)

        @step(after=[a])
        async def b(self) -> int:
            return 1

        @b.undo
        async def undo_b(self, value: int) -> None:
            await asyncio.sleep(10)
            await undo(value)

        @step(after=[b])
        async def beside(self) -> int:
            await asyncio.sleep(5)
            return 1

        @beside.undo
        async def undo_beside(self, value: int) -> None:
            await undo(value)

        @step(after=[b])
        async def output(self) -> int:
            await asyncio.sleep(1)
            raise Boom

    async with Engine() as engine:
        run = await engine.start(Slow())
        await asyncio.sleep(2)
        assert await run.status() == "rolling_back"
        assert await run.undo_plan() == ["b", "a"], "as if the call in flight ended without success"
        await asyncio.sleep(4)
        assert CALLED == ["beside"]
        assert await run.undo_plan() == ["a"]
        await run.outcome()
        assert await run.undo_plan() == []
    assert CALLED == ["beside", "b", "a"]


async def test_a_preview_of_an_undo_that_waits_for_its_next_attempt():
    """It will be called again, and then what depends on it."""

    class Flaky(Reactor):
        @step
        async def a(self) -> int:
            return 1

        @a.undo
        async def undo_a(self, value: int) -> None:
            await undo(value)

        @step(after=[a])
        async def output(self) -> int:
            return 1

        @output.undo(retry=Retry(2, base=60, jitter=False))
        async def undo_output(self, value: int) -> None:
            await undo(value)
            if CALLED.count("output") == 1:
                raise OSError

    async with Engine() as engine:
        run = await engine.start(Flaky())
        await run.outcome()
        await run.undo()
        await asyncio.sleep(1)
        assert await run.undo_plan() == ["output", "a"]
        await run.outcome()
    assert CALLED == ["output", "output", "a"]


async def test_a_preview_of_what_a_restart_kept():
    """The run that keeps it would undo it."""
    async with Engine() as engine:
        run = await engine.start(All())
        await run.outcome()
        CALLED.clear()
        again = await run.restart(from_step="output")
        await again.outcome()
        CALLED.clear()
        plan, called = await foreseen(engine, again)
    assert plan == called
    assert len(plan) == len(set(plan)) == 1 + 12 + 4 + 6


async def test_a_preview_of_a_run_that_failed():
    """Nothing is left."""
    async with Engine() as engine:
        run = await engine.start(All(ending="fails"))
        await run.outcome()
        assert await run.undo_plan() == []
        assert "first" in CALLED


async def test_a_preview_changes_nothing():
    """Asked as often as one likes, at any time: the run never feels it."""
    async with Engine() as engine:
        run = await engine.start(All(ending="waits"))
        await asyncio.sleep(1)
        before = len(run._live.record.facts), run._live.runner.machine.snapshot()
        assert await run.undo_plan() == await run.undo_plan() != []
        assert (len(run._live.record.facts), run._live.runner.machine.snapshot()) == before
        assert await run.result() == 1
