"""What a run ended as, read off its state."""

import asyncio

import pytest

from reactor import (
    Cancelled,
    Engine,
    Failed,
    Halt,
    Halted,
    Reactor,
    Retry,
    RollbackFailure,
    RunFailed,
    RunStopped,
    StepError,
    Succeeded,
    Undone,
    compose,
    map_over,
    step,
)
from reactor.define.failing import Failure, Frame
from reactor.run.outcome import in_doubt_in, run_failed, undone_in, value_or_raise

pytestmark = pytest.mark.anyio
FAILURE = Failure("Boom", "it broke", ("x.Boom",), 2, (Frame("shop.py", 7, "pay", "raise"),))


class Boom(Exception):
    """What goes wrong."""


class Child(Reactor):
    @step
    async def hold(self) -> int:
        return 1

    @hold.undo
    async def free(self, value: int) -> None: ...

    @step(after=[hold])
    async def output(self) -> int:
        return 1


class Story(Reactor):
    """A step, a child, a map, and an end that is told."""

    ending: str

    @step
    async def first(self) -> list[int]:
        return [1, 2]

    @first.undo(retry=Retry(1))
    async def undo_first(self, value: list[int]) -> None:
        if self.ending == "stuck":
            raise OSError("no way back")

    @compose
    async def child(self, them: list[int] = first.result) -> Child:
        return Child()

    @map_over(first.result)
    async def some(self, one: int) -> int:
        return one

    @some.undo
    async def undo_some(self, one: int) -> None: ...

    @step(after=[child, some])
    async def output(self) -> int | None:
        match self.ending:
            case "halted":
                raise Halt("enough")
            case "failed" | "stuck":
                raise Boom("at the end")
            case "cancelled" | "left":
                await asyncio.sleep(3600)
        return None


@pytest.fixture
async def ended():
    """Runs a story to its end; the run."""
    async with Engine() as engine:

        async def end(ending):
            run = await engine.start(Story(ending=ending), id="s")
            await asyncio.sleep(1)
            if ending in ("cancelled", "left"):
                await run.cancel("changed my mind", undo=ending == "cancelled")
            if ending == "undone":
                await run.outcome()
                await run.undo()
            await run.outcome()
            return run

        yield end


# ---- outcomes ----------------------------------------------------------------------------------------------------------


async def test_succeeded_has_the_output(ended):
    """None is a value."""
    outcome = await (await ended("succeeded")).outcome()
    assert outcome == Succeeded(None, "Story:s")


async def test_failed_says_which_step_and_why(ended):
    """With the exception itself while it is at hand."""
    outcome = await (await ended("failed")).outcome()
    assert isinstance(outcome, Failed)
    assert (outcome.step, outcome.error.message, outcome.run_id, list(outcome.rollback_failures)) == ("output", "at the end", "Story:s", [])
    assert isinstance(outcome.error.original, Boom)
    assert outcome.error.is_a(Boom)


async def test_stuck_says_what_could_not_be_undone(ended):
    """It is Failed, with the first failure as its error."""
    outcome = await (await ended("stuck")).outcome()
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert [(one.step, one.kind, one.error.kind) for one in outcome.rollback_failures] == [("first", "undo", "OSError")]


async def test_halted_cancelled_undone(ended):
    """With the reason that was given."""
    assert await (await ended("halted")).outcome() == Halted("enough", "Story:s")


async def test_cancelled_says_why(ended):
    """Nothing is in doubt where all was undone."""
    assert await (await ended("cancelled")).outcome() == Cancelled("changed my mind", "Story:s", [])


async def test_what_a_cancel_left_is_in_doubt(ended):
    """By address: the calls that began, did not succeed and were not compensated."""
    assert await (await ended("left")).outcome() == Cancelled("changed my mind", "Story:s", ["output"])


async def test_undone(ended):
    """On request."""
    assert await (await ended("undone")).outcome() == Undone("Story:s")


async def test_a_run_whose_undo_is_stuck_fails_with_what_failed_in_it():
    """It had succeeded: no failure of a step stands, so the first that could not be undone is shown."""

    class Sticky(Reactor):
        @step
        async def output(self) -> int:
            return 1

        @output.undo(retry=Retry(1))
        async def undo_output(self, value: int) -> None:
            raise OSError("no way back")

    async with Engine() as engine:
        run = await engine.start(Sticky())
        await run.outcome()
        await run.undo()
        outcome = await run.outcome()
    assert isinstance(outcome, Failed)
    assert (outcome.step, outcome.error.kind) == ("output", "OSError")


async def test_a_deadlines_failure_has_no_exception():
    """Nobody raised it; its place is a call that was in flight."""

    class Slow(Reactor):
        @step
        async def output(self) -> None:
            await asyncio.sleep(3600)

    async with Engine() as engine:
        outcome = await engine.run(Slow(), deadline=5)
    assert isinstance(outcome, Failed)
    assert outcome.error.is_a(TimeoutError)
    assert (outcome.step, outcome.error.original) == ("output", None)


# ---- what was undone, what is in doubt ---------------------------------------------------------------------------------------


async def test_undone_in_names_what_an_undo_was_called_for(ended):
    """A map by its own address, a child by its nodes."""
    run = await ended("failed")
    assert sorted(undone_in(run._live.runner.machine.state)) == ["child.hold", "first", "some"]


async def test_calls_in_batches_can_be_in_doubt_too():
    """By the elements' addresses."""

    class Mapped(Reactor):
        @map_over([1, 2])
        async def output(self, one: int) -> None:
            await asyncio.sleep(3600 if one == 2 else 0)

    async with Engine() as engine:
        run = await engine.start(Mapped())
        await asyncio.sleep(1)
        await run.cancel("because", undo=False)
        outcome = await run.outcome()
        assert in_doubt_in(run._live.runner) == ["output[1]"]
    assert outcome.in_doubt == ["output[1]"]


# ---- raised ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Halted("enough", "s:1"), "s:1 was halted: enough"),
        (Cancelled("", "s:1"), "s:1 was cancelled"),
        (Undone("s:1"), "s:1 was undone"),
    ],
)
def test_a_run_that_was_stopped_raises(outcome, said):
    """RunStopped, which holds the outcome."""
    with pytest.raises(RunStopped, match=said) as raised:
        value_or_raise(outcome)
    assert raised.value.outcome is outcome


def test_a_value_is_given():
    """Falsy ones too."""
    assert value_or_raise(Succeeded(0, "s:1")) == 0
    assert value_or_raise(Succeeded(None, "s:1")) is None


def test_a_run_that_failed_raises_from_the_steps_own_exception():
    """RunFailed says which step, in which run and attempt, and where in the author's file."""
    original = Boom("it broke")
    outcome = Failed(StepError(FAILURE, "pay", original), "pay", "s:1")
    with pytest.raises(RunFailed) as raised:
        value_or_raise(outcome)
    error = raised.value
    assert error.outcome is outcome
    assert error.__cause__ is original
    assert str(error) == "[run-failed] `pay` failed in attempt 2 of s:1: Boom: it broke\n  at shop.py:7"


def test_both_exceptions_say_what_became_of_the_run():
    """As notes, each once, however often the outcome is raised."""
    original = Boom("it broke")
    outcome = Failed(StepError(FAILURE, "pay", original), "pay", "s:1")
    for _ in range(2):
        failed = run_failed(outcome, ["reserve", "price"])
    notes = ["run s:1, address pay, attempt 2", "undone: reserve, price"]
    assert failed.__notes__ == original.__notes__ == notes
    assert run_failed(Failed(StepError(FAILURE), "", "s:1"), []).__notes__ == ["run s:1, address (the run), attempt 2", "undone: nothing"]


def test_what_could_not_be_undone_is_said():
    """In the message: a person must look."""
    left = [RollbackFailure("reserve", "undo", StepError(Failure("OSError", "gone")))]
    said = str(run_failed(Failed(StepError(FAILURE), "pay", "s:1", left), []))
    assert "could not be undone: reserve (OSError: gone)" in said


def test_a_failure_of_the_run_itself():
    """No step is named."""
    assert "the run failed in attempt 2" in str(run_failed(Failed(StepError(FAILURE), "", "s:1"), []))
