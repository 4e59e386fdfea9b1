"""Scenario 1: a linear saga of four steps; each fails in turn; compensate and undo are seen in order."""

import pytest

from reactor import Continue, Failed, Reactor, RunFailed, StepError, Succeeded, step
from tests.scenarios.world import Boom, Declined, Worse, act, compensate, undo, world

pytestmark = pytest.mark.anyio

STEPS = ["car", "hotel", "flight", "output"]


class Trip(Reactor):
    days: int = 3

    @step
    async def car(self) -> str:
        return await act("car")

    @car.undo
    async def return_car(self, value: str) -> None:
        assert value == "car"
        await undo("car")

    @car.compensate
    async def drop_car(self, error: StepError) -> None:
        await compensate("car")

    @step
    async def hotel(self, car: str = car.result) -> str:
        return await act("hotel", f"{car}+hotel")

    @hotel.undo
    async def cancel_hotel(self, value: str) -> None:
        assert value == "car+hotel"
        await undo("hotel")

    @hotel.compensate
    async def drop_hotel(self, error: StepError) -> None:
        await compensate("hotel")

    @step
    async def flight(self, hotel: str = hotel.result) -> str:
        return await act("flight", f"{hotel}+flight")

    @flight.undo
    async def cancel_flight(self, value: str) -> None:
        assert value == "car+hotel+flight"
        await undo("flight")

    @flight.compensate
    async def drop_flight(self, error: StepError) -> None:
        await compensate("flight")

    @step
    async def output(self, flight: str = flight.result) -> str:
        return await act("output", f"{flight} for {self.days} days")

    @output.undo
    async def forget(self, value: str) -> None:
        await undo("output")

    @output.compensate
    async def drop_output(self, error: StepError) -> None:
        await compensate("output")


async def test_success_undoes_nothing(mode):
    """Four steps in order, the last one's value, no undo and no compensation."""
    outcome = await mode(Trip())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == "car+hotel+flight for 3 days"
    assert world.began == STEPS
    assert world.undone == []
    assert world.compensated == []


@pytest.mark.parametrize("failing", STEPS)
async def test_each_fails_in_turn(mode, failing):
    """The failed step is compensated and not undone; those before it are undone, newest first; those after never begin."""
    world.fails(failing, Boom("no luck"))
    outcome = await mode(Trip())
    at = STEPS.index(failing)
    assert isinstance(outcome, Failed)
    assert outcome.step == failing
    assert outcome.error.kind == "Boom"
    assert outcome.error.message == "no luck"
    assert outcome.error.attempt == 1
    assert outcome.error.is_a(Boom)
    assert outcome.error.is_a(Exception)
    assert not outcome.error.is_a(Worse)
    assert list(outcome.rollback_failures) == []
    assert world.began == STEPS[: at + 1]
    assert world.compensated == [failing]
    assert world.undone == STEPS[:at][::-1]
    assert [name for name in world.names("began") if " " in name] == [
        f"compensate {failing}",
        *(f"undo {name}" for name in STEPS[:at][::-1]),
    ]


async def test_is_a_knows_subclasses(mode):
    """A subclass is told by its own name and its base's."""
    world.fails("hotel", Declined("no funds"))
    outcome = await mode(Trip())
    assert outcome.error.kind == "Declined"
    assert outcome.error.is_a(Declined)
    assert outcome.error.is_a(Boom)


async def test_await_raises_chained():
    """Awaiting raises `RunFailed`, caused by the very exception that the step raised, with notes that say where and what was undone."""
    boom = Boom("no luck")
    world.fails("flight", boom)
    with pytest.raises(RunFailed) as caught:
        await Trip()
    assert caught.value.outcome.step == "flight"
    assert caught.value.__cause__ is boom
    notes = "\n".join(boom.__notes__)
    assert "flight" in notes
    assert "attempt 1" in notes
    assert "hotel" in notes
    assert "car" in notes


async def test_failure_shows_the_authors_line():
    """A failure carries file, line and snippet of the author's code, and its arguments."""
    world.fails("hotel", Boom("no luck"))
    with pytest.raises(RunFailed) as caught:
        await Trip()
    failure = caught.value.outcome.error.failure
    assert any(frame.file.endswith("test_01_linear.py") for frame in failure.frames)
    assert len(failure.frames) <= 30
    assert failure.snippet
    assert "car" in failure.arguments["car"]


class Recovering(Reactor):
    @step
    async def first(self) -> str:
        return await act("first")

    @first.undo
    async def undo_first(self, value: str) -> None:
        await undo("first")

    @step
    async def second(self, first: str = first.result) -> str:
        return await act("second")

    @second.undo
    async def undo_second(self, value: str) -> None:
        await undo("second")

    @second.compensate
    async def recover(self, error: StepError) -> Continue[str] | None:
        await compensate("second")
        return Continue("plan B") if error.is_a(Declined) else None

    @step
    async def third(self, second: str = second.result) -> str:
        return await act("third", f"third after {second}")

    @third.undo
    async def undo_third(self, value: str) -> None:
        await undo("third")

    @step
    async def output(self, third: str = third.result) -> str:
        return await act("output", third)


async def test_continue_recovers(mode):
    """`Continue` gives dependents its value, and the run succeeds."""
    world.fails("second", Declined("no"))
    outcome = await mode(Recovering())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == "third after plan B"
    assert world.undone == []


async def test_recovered_step_is_never_undone(mode):
    """A later failure undoes what succeeded, and leaves out the node that recovered."""
    world.fails("second", Declined("no"))
    world.fails("output", Boom("late"))
    outcome = await mode(Recovering())
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert world.undone == ["third", "first"]
