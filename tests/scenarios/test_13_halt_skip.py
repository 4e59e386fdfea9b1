"""Scenario 13: Halt and Skip at the top, in a child, in an element, in the output step, in task groups; rollback past a skip."""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import pytest

from reactor import (
    Continue,
    Fail,
    Failed,
    Halt,
    Halted,
    Reactor,
    Results,
    Retry,
    RunStopped,
    Skip,
    StepError,
    Succeeded,
    compose,
    map_over,
    source,
    step,
)
from tests.scenarios.world import Boom, act, compensate, undo, world

pytestmark = pytest.mark.anyio


async def deep(error: BaseException) -> None:
    """Raise it some calls down."""

    async def deeper() -> None:
        raise error

    await deeper()


async def in_group(*errors: BaseException) -> None:
    """Raise them in a task group, inside another."""

    async def failing(error: BaseException) -> None:
        raise error

    async with asyncio.TaskGroup() as outer:

        async def inner() -> None:
            async with asyncio.TaskGroup() as group:
                for error in errors:
                    group.create_task(failing(error))

        outer.create_task(inner())


class Top(Reactor):
    """`b` does what it is told, and must be past `a`, before `c`."""

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
        await compensate("b")

    @step
    async def c(self, b: str = b.result) -> str:
        return await act("c", f"c after {b}")

    @c.undo
    async def undo_c(self, value: str) -> None:
        await undo("c")

    @step
    async def output(self, c: str = c.result) -> str:
        return await act("output", c)


async def test_skip_is_success_with_its_value(mode):
    """The value flows on."""
    world.fails("b", Skip("nothing to do"))
    outcome = await mode(Top())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == "c after nothing to do"
    assert world.compensated == []


async def test_rollback_past_a_skip(mode):
    """A skipped node is never undone, those around it are."""
    world.fails("b", Skip("nothing to do"))
    world.fails("output", Boom("late"))
    outcome = await mode(Top())
    assert isinstance(outcome, Failed)
    assert world.undone == ["c", "a"]


async def test_halt_stops_without_rollback(mode):
    """Nothing more begins and nothing is undone or compensated."""
    world.fails("b", Halt("enough"))
    outcome = await mode(Top())
    assert isinstance(outcome, Halted)
    assert outcome.reason == "enough"
    assert world.began == ["a", "b"]
    assert world.undone == []
    assert world.compensated == []


async def test_await_raises_run_stopped():
    """Awaiting a reactor that halts raises `RunStopped`, which carries the outcome."""
    world.fails("b", Halt("enough"))
    with pytest.raises(RunStopped) as caught:
        await Top()
    assert isinstance(caught.value.outcome, Halted)
    assert "enough" in str(caught.value)


async def test_skip_in_the_output_step(mode):
    """The run's result is Skip's value."""
    world.fails("output", Skip("as if"))
    outcome = await mode(Top())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == "as if"


async def test_halt_in_the_output_step(mode):
    """A run that halts in its last step has halted, not succeeded."""
    world.fails("output", Halt("no output"))
    outcome = await mode(Top())
    assert isinstance(outcome, Halted)
    assert world.undone == []


@pytest.mark.parametrize("word", [Skip("skip"), Halt("halt")])
async def test_they_are_no_failures_to_retry(mode, word):
    """No retry is spent on them, whatever `on=` says."""

    class Eager(Reactor):
        @step(retry=Retry(5, on=BaseException, base=1))
        async def output(self) -> str:
            await act("output")
            raise word

    outcome = await mode(Eager())
    assert isinstance(outcome, Succeeded if isinstance(word, Skip) else Halted)
    assert world.began == ["output"]


# ---- at any depth, in groups ------------------------------------------------------------------------------------


class Deep(Reactor):
    raising: Literal["skip", "halt", "fail", "boom"]
    grouped: bool

    @step(retry=Retry(3, base=1))
    async def output(self) -> str:
        await act("output")
        error = {"skip": Skip("s"), "halt": Halt("h"), "fail": Fail("f"), "boom": Boom("b")}[self.raising]
        await (in_group(error) if self.grouped else deep(error))
        return "never"


@pytest.mark.parametrize("grouped", [False, True])
async def test_they_work_at_any_depth(mode, grouped):
    """Some calls down and inside nested task groups alike."""
    skipped = await mode(Deep(raising="skip", grouped=grouped))
    halted = await mode(Deep(raising="halt", grouped=grouped))
    failed = await mode(Deep(raising="fail", grouped=grouped))
    assert isinstance(skipped, Succeeded)
    assert skipped.value == "s"
    assert isinstance(halted, Halted)
    assert halted.reason == "h"
    assert isinstance(failed, Failed)
    assert failed.error.attempt == 1
    assert world.began == ["output"] * 3


class Mixed(Reactor):
    words: list[str]

    @step
    async def output(self) -> str:
        made = {"skip": Skip("s"), "halt": Halt("h"), "fail": Fail("f"), "boom": Boom("b")}

        async def failing(error: BaseException) -> None:
            raise error

        async with asyncio.TaskGroup() as group:
            for word in self.words:
                group.create_task(failing(made[word]))
        return "never"


@pytest.mark.parametrize(
    ("words", "wins"),
    [
        (["skip", "boom", "fail", "halt"], "halt"),
        (["skip", "boom", "fail"], "Fail"),
        (["boom", "skip"], "Boom"),
        (["skip"], "skip"),
    ],
)
async def test_in_a_group_halt_wins_then_fail_then_others_then_skip(mode, words, wins):
    """Groups are searched in this order."""
    outcome = await mode(Mixed(words=words))
    match outcome:
        case Halted():
            assert wins == "halt"
        case Succeeded("s"):
            assert wins == "skip"
        case Failed(error):
            assert error.kind == wins or error.is_a(BaseExceptionGroup)
            assert wins in ("Fail", "Boom")


# ---- in a child and in an element -------------------------------------------------------------------------------


class Child(Reactor):
    @step
    async def x(self) -> str:
        return await act("x")

    @x.undo
    async def undo_x(self, value: str) -> None:
        await undo("x")

    @step
    async def output(self, x: str = x.result) -> str:
        return await act("y", f"y after {x}")

    @output.undo
    async def undo_y(self, value: str) -> None:
        await undo("y")


class Parent(Reactor):
    @step
    async def before(self) -> str:
        return await act("before")

    @before.undo
    async def undo_before(self, value: str) -> None:
        await undo("before")

    @compose
    async def child(self, before: str = before.result) -> Child:
        await act("compose")
        return Child()

    @child.compensate
    async def drop_child(self, error: StepError) -> Continue[str] | None:
        await compensate("child")
        return None

    @step
    async def output(self, child: str = child.result) -> str:
        return await act("output", child)


async def test_skip_in_a_child(mode):
    """A skipped step of a child gives its value there."""
    world.fails("x", Skip("no x"))
    outcome = await mode(Parent())
    assert outcome.value == "y after no x"


async def test_skip_in_a_childs_output(mode):
    """The child's result is Skip's value; a later failure undoes the rest of the child and not that step."""
    world.fails("y", Skip("no y"))
    world.fails("output", Boom("late"))
    outcome = await mode(Parent())
    assert isinstance(outcome, Failed)
    assert world.undone == ["x", "before"]


async def test_skip_in_the_compose_itself(mode):
    """No child begins; the node's result is Skip's value."""
    world.fails("compose", Skip("no child"))
    outcome = await mode(Parent())
    assert outcome.value == "no child"
    assert world.began == ["before", "compose", "output"]


@pytest.mark.parametrize("where", ["x", "y", "compose"])
async def test_halt_in_a_child_halts_the_run(mode, where):
    """No rollback anywhere, and the compose's compensate is not asked."""
    world.fails(where, Halt("enough"))
    outcome = await mode(Parent())
    assert isinstance(outcome, Halted)
    assert outcome.reason == "enough"
    assert world.undone == []
    assert world.compensated == []
    assert "output" not in world.began


class Mapping(Reactor):
    collect: bool = False

    @step
    async def before(self) -> list[int]:
        return await act("before", [0, 1, 2, 3, 4, 5])

    @before.undo
    async def undo_before(self, value: list[int]) -> None:
        await undo("before")

    @map_over(before.result, batch_size=2, in_flight=1)
    async def each(self, n: int) -> str:
        return await act(f"each {n}")

    @each.undo
    async def undo_each(self, value: str) -> None:
        await undo(value)

    @step
    async def output(self, each: Results[str] = each.result) -> list[str]:
        return await act("output", await each.all())


class Collecting(Mapping):
    @map_over(Mapping.before.result, batch_size=2, in_flight=1, on_error="collect")
    async def each(self, n: int) -> str:
        return await act(f"each {n}")


async def test_skip_in_an_element(mode):
    """An element's result is Skip's value, in its place."""
    world.fails("each 3", Skip("three"))
    outcome = await mode(Mapping())
    assert outcome.value == ["each 0", "each 1", "each 2", "three", "each 4", "each 5"]


async def test_a_skipped_element_is_not_undone(mode):
    """A later failure undoes the elements that did something."""
    world.fails("each 3", Skip("three"))
    world.fails("output", Boom("late"))
    await mode(Mapping())
    assert sorted(world.undone) == ["before", "each 0", "each 1", "each 2", "each 4", "each 5"]


@pytest.mark.parametrize("kind", [Mapping, Collecting])
async def test_halt_in_an_element_halts_the_run(mode, kind):
    """Calls in flight settle, no further batch begins, nothing is undone; with `collect` too."""
    world.takes("each 2", 3)
    world.fails("each 3", Halt("enough"))
    outcome = await mode(kind())
    assert isinstance(outcome, Halted)
    assert outcome.reason == "enough"
    assert world.when("ended", "each 2") == pytest.approx(3)
    assert "each 4" not in world.began
    assert "output" not in world.began
    assert world.undone == []


# ---- beside others ----------------------------------------------------------------------------------------------


class Beside(Reactor):
    @step
    async def halting(self) -> str:
        return await act("halting")

    @step
    async def other(self) -> str:
        return await act("other")

    @other.undo
    async def undo_other(self, value: str) -> None:
        await undo("other")

    @other.compensate
    async def drop_other(self, error: StepError) -> None:
        await compensate("other")

    @step
    async def after_other(self, other: str = other.result) -> str:
        return await act("after other")

    @step
    async def output(self, halting: str = halting.result, other: str = after_other.result) -> str:
        return await act("output")


async def test_halt_lets_calls_in_flight_settle(mode):
    """They end and are recorded; what they would lead to does not begin."""
    world.takes("halting", 1)
    world.takes("other", 5)
    world.fails("halting", Halt("enough"))
    outcome = await mode(Beside())
    assert isinstance(outcome, Halted)
    assert world.when("ended", "other") == pytest.approx(5)
    assert "after other" not in world.began
    assert world.undone == []


async def test_a_failure_that_stood_before_wins(mode):
    """A Halt that comes while the run is failing changes nothing: it is rolled back."""
    world.takes("halting", 5)
    world.takes("other", 1)
    world.fails("other", Boom("first"))
    world.fails("halting", Halt("too late"))
    outcome = await mode(Beside())
    assert isinstance(outcome, Failed)
    assert outcome.step == "other"


# ---- where they are errors like any other -----------------------------------------------------------------------


@pytest.mark.parametrize("word", [Skip(1), Halt("no")])
async def test_in_an_undo_they_are_errors(mode, word):
    """An undo that raises one failed: it is listed, and the rollback goes on."""
    world.always_fails("undo b", word)
    world.fails("c", Boom("late"))
    outcome = await mode(Top())
    assert isinstance(outcome, Failed)
    assert [(failure.step, failure.kind) for failure in outcome.rollback_failures] == [("b", "undo")]
    assert world.undone == ["a"]


@pytest.mark.parametrize("word", [Skip(1), Halt("no")])
async def test_in_a_compensate_they_are_errors(mode, word):
    """A compensation that raises one is a rollback failure, and the rollback goes on."""
    world.fails("b", Boom("first"))
    world.always_fails("compensate b", word)
    outcome = await mode(Top())
    assert isinstance(outcome, Failed)
    assert outcome.step == "b"
    assert [(failure.step, failure.kind) for failure in outcome.rollback_failures] == [("b", "compensate")]
    assert world.undone == ["a"]


class Sourced(Reactor):
    halting: bool

    @source
    async def numbers(self) -> AsyncIterator[int]:
        yield 0
        raise Halt("in a source") if self.halting else Skip(7)

    @map_over(numbers, batch_size=1)
    async def output(self, n: int) -> str:
        return await act(f"each {n}")

    @output.undo
    async def undo_each(self, value: str) -> None:
        await undo(value)


@pytest.mark.parametrize("halting", [True, False])
async def test_in_a_source_they_are_errors(mode, halting):
    """A source that raises one fails the map; the elements that succeeded are undone."""
    outcome = await mode(Sourced(halting=halting))
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert world.undone == ["each 0"]


# ---- falsy values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 0, "", False, [], 0.0])
async def test_skip_with_a_falsy_value(mode, value):
    """None is a value of Skip's like any other, and flows on as it is."""

    class Falsy(Reactor):
        @step
        async def nothing(self) -> object:
            raise Skip(value)

        @step
        async def output(self, given: object = nothing.result) -> object:
            return [given]

    outcome = await mode(Falsy())
    assert outcome.value == [value]
    assert type(outcome.value[0]) is type(value)
