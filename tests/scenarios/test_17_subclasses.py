"""Scenario 17: a subclassed reactor with one step overridden."""

import pytest

from reactor import DefinitionError, Failed, Reactor, StepError, Succeeded, compose, step
from tests.scenarios.world import Boom, act, compensate, undo, world

pytestmark = pytest.mark.anyio


class Base(Reactor):
    who: str = "base"

    @step
    async def first(self) -> str:
        return await act("first")

    @first.undo
    async def undo_first(self, value: str) -> None:
        await undo("first")

    @step
    async def second(self, first: str = first.result) -> str:
        return await act("second", f"{self.who} {first}")

    @second.undo
    async def undo_second(self, value: str) -> None:
        await undo(f"second: {value}")

    @second.compensate
    async def drop_second(self, error: StepError) -> None:
        await compensate("second")

    @step
    async def output(self, second: str = second.result) -> str:
        return await act("output", second)


class Sub(Base):
    """Overrides one step, and needs one more."""

    extra: int = 2

    @step
    async def more(self) -> str:
        return await act("more")

    @step
    async def second(self, first: str = Base.first.result, more: str = more.result) -> str:
        return await act("other second", f"{first} {more} {self.extra}")


class Renamed(Base):
    """Another output."""

    @step
    async def shout(self, second: str = Base.second.result) -> str:
        return await act("shout", second.upper())

    output = shout


async def test_the_override_is_what_runs(mode):
    """Dependents and ancestors are found by name on the final class; the base is as it was."""
    assert (await mode(Sub(who="sub"))).value == "first more 2"
    assert sorted(world.began[:2]) == ["first", "more"]
    assert world.began[2:] == ["other second", "output"]
    assert (await mode(Base())).value == "base first"


async def test_an_override_keeps_undo_and_compensate(mode):
    """Those of its name serve it."""
    world.fails("output", Boom("late"))
    outcome = await mode(Sub())
    assert isinstance(outcome, Failed)
    assert world.undone == ["second: first more 2", "first"]
    world.fails("other second", Boom("early"))
    await mode(Sub())
    assert world.compensated == ["second"]


async def test_output_can_be_renamed(mode):
    """`output = shout`: the run's result is that node's; the failed step is told by the node's name."""
    outcome = await mode(Renamed())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == "BASE FIRST"
    world.fails("shout", Boom("hoarse"))
    assert (await mode(Renamed())).step == "shout"


async def test_a_subclass_serves_as_a_child(mode):
    """Where a base is composed, its own subclass may be returned by name."""

    class Parent(Reactor):
        @compose
        async def child(self) -> Sub:
            return Sub(extra=9)

        @step
        async def output(self, child: str = child.result) -> str:
            return child

    assert (await mode(Parent())).value == "first more 9"


def test_a_cycle_that_an_override_makes_is_refused():
    """The final class is checked for cycles."""
    with pytest.raises(DefinitionError) as caught:

        class Cyclic(Base):
            @step
            async def first(self, second: str = Base.second.result) -> str:
                return second

    assert "first" in str(caught.value)
    assert "second" in str(caught.value)


def test_an_override_may_not_change_kind():
    """A step stays a step."""
    with pytest.raises(DefinitionError):

        class Other(Base):
            @compose
            async def second(self, first: str = Base.first.result) -> Base:
                return Base()


def test_an_override_may_not_change_type():
    """A str stays a str: what depends on it was written for that."""
    with pytest.raises(DefinitionError):

        class Other(Base):
            @step
            async def second(self, first: str = Base.first.result) -> int:
                return 1


async def test_a_step_alone():
    """`self.second` is the step's own code, callable in a unit test with no engine."""
    assert await Sub(extra=1).second(first="f", more="m") == "f m 1"
    assert world.began == ["other second"]
