"""Scenario 16: restart keeps what succeeded and was not undone; undo after success."""

import pytest

from reactor import (
    Failed,
    Halt,
    Halted,
    Reactor,
    ReactorError,
    Results,
    StepError,
    Succeeded,
    Undone,
    WrongState,
    compose,
    map_over,
    step,
)
from tests.scenarios.world import Boom, act, compensate, engine, undo, world

pytestmark = pytest.mark.anyio


class Pipe(Reactor, name="pipe"):
    """Two branches; `a` and `b` have no undo, so a failure leaves them done."""

    @step
    async def a(self) -> str:
        return await act("a")

    @step
    async def b(self, a: str = a.result) -> str:
        return await act("b")

    @step
    async def side(self, a: str = a.result) -> str:
        return await act("side")

    @side.undo
    async def undo_side(self, value: str) -> None:
        await undo("side")

    @step
    async def c(self, b: str = b.result, side: str = side.result) -> str:
        return await act("c", f"c of {b} and {side}")

    @c.undo
    async def undo_c(self, value: str) -> None:
        await undo("c")

    @c.compensate
    async def drop_c(self, error: StepError) -> None:
        await compensate("c")

    @step
    async def output(self, c: str = c.result) -> str:
        return await act("output", c)


async def test_a_failed_run_goes_on_where_it_can():
    """Kept: what succeeded, was not undone, and whose ancestors are all kept. The rest is called again."""
    world.fails("c", Boom("once"))
    async with engine() as eng:
        assert isinstance(await eng.run(Pipe(), id="p"), Failed)
        assert world.undone == ["side"]
        again = await (await eng.get(Pipe, "p")).restart()
        outcome = await again.outcome()
    assert isinstance(outcome, Succeeded)
    assert outcome.value == "c of b and side"
    assert outcome.run_id == again.id == "pipe:p~2"
    assert world.began == ["a", "b", "side", "c", "side", "c", "output"]


async def test_the_old_run_is_superseded():
    """`get` shows the new run, the old one says what became of it and keeps the outcome it ended with; a third is `~3`."""
    world.fails("c", Boom("once"), Boom("twice"))
    async with engine() as eng:
        await eng.run(Pipe(), id="p")
        old = await eng.get("pipe:p")
        second = await old.restart()
        assert isinstance(await second.outcome(), Failed)
        assert await old.status() == "superseded"
        assert isinstance(await old.outcome(), Failed)
        third = await second.restart()
        assert isinstance(await third.outcome(), Succeeded)
        assert third.id == "pipe:p~3"
        assert (await eng.get(Pipe, "p")).id == "pipe:p~3"


async def test_from_a_step():
    """That step and all that depends on it begin again: what of it succeeded is undone first, in rollback order."""
    async with engine() as eng:
        run = await eng.start(Pipe(), id="p")
        await run.result()
        again = await run.restart(from_step="side")
        assert isinstance(await again.outcome(), Succeeded)
    assert world.undone == ["c", "side"]
    assert world.began == ["a", "b", "side", "c", "output", "side", "c", "output"]
    lines = [(entry.what, entry.name) for entry in world.diary]
    assert lines.index(("ended", "undo side")) < len(lines) - lines[::-1].index(("began", "side"))


async def test_from_a_step_that_does_not_exist():
    """It is refused, names the nearest, and nothing is undone."""
    async with engine() as eng:
        run = await eng.start(Pipe(), id="p")
        await run.result()
        with pytest.raises(ReactorError) as caught:
            await run.restart(from_step="sidee")
        assert "side" in str(caught.value)
        assert await run.status() == "succeeded"
    assert world.undone == []


async def test_a_kept_step_can_still_be_undone():
    """The right to undo moves to the new run: undoing it undoes what was kept."""
    async with engine() as eng:
        run = await eng.start(Pipe(), id="p")
        await run.result()
        again = await run.restart(from_step="output")
        await again.result()
        with pytest.raises(WrongState):
            await run.undo()
        await again.undo()
        assert isinstance(await again.outcome(), Undone)
    assert world.undone == ["c", "side"]


async def test_a_restart_that_cannot_undo_is_stuck():
    """If what must be undone first cannot be, the old run is stuck and the new one does not begin; `retry_rollback` lets it."""
    async with engine() as eng:
        run = await eng.start(Pipe(), id="p")
        await run.result()
        world.always_fails("undo c", Boom("jammed"))
        began = len(world.began)
        again = await run.restart(from_step="c")
        await run.outcome()
        assert await run.status() == "stuck"
        assert len(world.began) == began
        world.always.clear()
        await run.retry_rollback()
        assert isinstance(await again.outcome(), Succeeded)
    assert world.undone == ["c"]


class Mapped(Reactor, name="mapped"):
    @step
    async def numbers(self) -> list[int]:
        return await act("numbers", [0, 1, 2, 3, 4])

    @map_over(numbers.result, batch_size=2)
    async def each(self, n: int) -> int:
        return await act(f"each {n}", n + 1)

    @step
    async def output(self, each: Results[int] = each.result) -> int:
        return await act("output", sum(await each.all()))


async def test_a_map_keeps_its_elements():
    """A map that was done is not done again."""
    world.fails("output", Boom("once"))
    async with engine() as eng:
        await eng.run(Mapped(), id="m")
        outcome = await (await (await eng.get(Mapped, "m")).restart()).outcome()
    assert isinstance(outcome, Succeeded)
    assert outcome.value == 15
    assert world.began.count("each 3") == 1
    assert world.began.count("numbers") == 1


async def test_a_failed_map_keeps_the_elements_that_were_done():
    """Without an undo, elements that succeeded stay done: only the others are called again."""
    world.fails("each 4", Boom("once"))
    async with engine() as eng:
        await eng.run(Mapped(), id="m")
        outcome = await (await (await eng.get(Mapped, "m")).restart()).outcome()
    assert isinstance(outcome, Succeeded)
    assert outcome.value == 15
    assert world.began.count("each 0") == 1
    assert world.began.count("each 4") == 2


class Outer(Reactor, name="outer"):
    @compose
    async def pipe(self) -> Pipe:
        return Pipe()

    @step
    async def output(self, piped: str = pipe.result) -> str:
        return await act("end", piped)


async def test_a_child_that_was_done_is_kept():
    """A compose that succeeded is not composed again, if nothing in it was undone."""
    async with engine() as eng:
        run = await eng.start(Outer(), id="o")
        await run.result()
        began = len(world.began)
        again = await run.restart(from_step="output")
        assert isinstance(await again.outcome(), Succeeded)
    assert world.began[began:] == ["end"]
    assert world.undone == []


async def test_undo_after_success():
    """A run that succeeded can be undone as a whole, in the order that `undo_plan` says, once."""
    async with engine() as eng:
        run = await eng.start(Pipe(), id="p")
        await run.result()
        assert list(await run.undo_plan()) == ["c", "side"]
        assert world.undone == []
        await run.undo()
        assert isinstance(await run.outcome(), Undone)
        assert await run.status() == "undone"
        assert list(await run.undo_plan()) == []
        with pytest.raises(WrongState):
            await run.undo()
    assert world.undone == ["c", "side"]


async def test_undo_after_a_halt():
    """A halted run keeps what it did, until it is undone."""
    world.fails("output", Halt("enough"))
    async with engine() as eng:
        run = await eng.start(Pipe(), id="p")
        assert isinstance(await run.outcome(), Halted)
        assert world.undone == []
        await run.undo()
        assert isinstance(await run.outcome(), Undone)
    assert world.undone == ["c", "side"]


async def test_restart_after_undo_begins_again():
    """What was undone is called again; what has no undo is kept."""
    async with engine() as eng:
        run = await eng.start(Pipe(), id="p")
        await run.result()
        await run.undo()
        await run.outcome()
        again = await run.restart()
        assert isinstance(await again.outcome(), Succeeded)
    assert world.began.count("a") == 1
    assert world.began.count("side") == 2
    assert world.began.count("c") == 2
    assert world.began.count("output") == 2


async def test_restart_after_a_halt_goes_on():
    """What a halt kept is kept."""
    world.fails("c", Halt("not today"))
    async with engine() as eng:
        run = await eng.start(Pipe(), id="p")
        await run.outcome()
        outcome = await (await run.restart()).outcome()
    assert isinstance(outcome, Succeeded)
    assert world.began == ["a", "b", "side", "c", "c", "output"]
    assert world.undone == []
