"""A map over a store: each batch is a record of its own, made in the append that says so, driven by itself, settled by a message."""

import pytest

from reactor import Engine, Reactor, Results, StepError, Succeeded, TryAgain, compose, map_over, step

pytestmark = pytest.mark.anyio
LOG: list[str] = []


@pytest.fixture(autouse=True)
def _fresh():
    LOG.clear()


# ---- records ------------------------------------------------------------------------------------------------------------


class Tried(Reactor):
    """A map that fails once, in a child that fails once after it."""

    @map_over([1, 2], batch_size=1)
    async def some(self, one: int) -> int:
        LOG.append(f"some {one}")
        if LOG.count("some 2") == 1 == one - 1:
            raise OSError
        return one

    @some.undo
    async def undo_some(self, value: int) -> None:
        LOG.append(f"undo {value}")

    @some.compensate
    async def once_more(self, error: StepError) -> TryAgain | None:
        return TryAgain()

    @step
    async def output(self, some: Results[int] = some.result) -> int:
        LOG.append("output")
        if LOG.count("output") == 1:
            raise OSError
        return sum([one async for one in some])


class Around(Reactor):
    @compose
    async def child(self) -> Tried:
        return Tried()

    @child.compensate
    async def once_more(self, error: StepError) -> TryAgain | None:
        return TryAgain()

    @step
    async def output(self, child: int = child.result) -> int:
        return child


async def test_a_map_that_is_tried_again_has_records_of_its_own():
    """By itself, or with the child that it is in: what the first try left is neither read nor taken for the second's."""
    async with Engine() as engine:
        run = await engine.start(Around(), id="a")
        outcome = await run.outcome()
        assert outcome == Succeeded(3, "Around:a")
        assert LOG == ["some 1", "some 2", "undo 1", "some 1", "some 2", "output", "undo 2", "undo 1", "some 1", "some 2", "output"]
        LOG.clear()
        assert await run.undo_plan() == ["child.some[1]", "child.some[0]"]
        again = await run.restart(from_step="output")
        assert await again.result() == 3
        await again.undo()
        await again.outcome()
        assert LOG == ["undo 2", "undo 1"]
