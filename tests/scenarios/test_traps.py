"""Traps that broke peers, each as a test: those that an engine in one process can fall into."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from reactor import Failed, Reactor, Results, StepError, Succeeded, compose, map_over, source, step
from tests.scenarios.world import Boom, act, compensate, engine, now, once_each, undo, until, world

pytestmark = pytest.mark.anyio


class Falsy(Reactor):
    """Every step's result is falsy; a dependent that took it for "no result" would wait for ever."""

    @step
    async def false(self) -> bool:
        return await act("false", False)

    @false.undo
    async def undo_false(self, value: bool) -> None:
        assert value is False
        await undo("false")

    @step
    async def zero(self, flag: bool = false.result) -> int:
        assert flag is False
        return await act("zero", 0)

    @zero.undo
    async def undo_zero(self, value: int) -> None:
        assert value == 0
        assert type(value) is int
        await undo("zero")

    @step
    async def empty(self, zero: int = zero.result) -> str:
        return await act("empty", "")

    @empty.undo
    async def undo_empty(self, value: str) -> None:
        assert value == ""
        await undo("empty")

    @step
    async def none(self, empty: str = empty.result) -> None:
        world.note("began", "none")

    @none.undo
    async def undo_none(self, value: None) -> None:
        assert value is None
        await undo("none")

    @step
    async def output(
        self, none: None = none.result, flag: bool = false.result, zero: int = zero.result, empty: str = empty.result
    ) -> list[object]:
        return await act("output", [none, flag, zero, empty])


async def test_falsy_results_are_results(mode):
    """They flow on, succeed, and are undone like any other."""
    outcome = await mode(Falsy())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == [None, False, 0, ""]
    world.fails("output", Boom("late"))
    await mode(Falsy())
    assert world.undone == ["none", "empty", "zero", "false"]


@pytest.mark.parametrize("value", [None, 0, "", False])
async def test_a_falsy_output_is_the_runs_result(mode, value):
    """A run whose output is None has ended and succeeded."""

    class Out(Reactor):
        @step
        async def output(self) -> object:
            return value

    outcome = await mode(Out())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == value
    assert type(outcome.value) is type(value)


async def test_sources_and_arguments_are_evaluated_once(mode):
    """A compose's method, a source and each step are called once a run; defaults are not evaluated again by an attempt."""

    class Once(Reactor):
        @source
        async def numbers(self) -> AsyncIterator[int]:
            world.note("began", "source")
            yield 1
            yield 2

        @map_over(numbers, batch_size=1)
        async def each(self, n: int) -> int:
            return await act(f"each {n}", n)

        @compose
        async def child(self, each: Results[int] = each.result) -> Falsy:
            await act("compose")
            return Falsy()

        @step
        async def output(self, child: list[object] = child.result) -> int:
            return await act("output once", len(child))

    await mode(Once())
    assert once_each(world.began)


async def test_a_skipped_step_is_never_undone(mode):
    """Neither one whose `when` was false, nor what depends on it in place of it."""

    class Skipped(Reactor):
        @step
        async def flag(self) -> bool:
            return False

        @step(when=flag)
        async def maybe(self) -> str:
            return await act("maybe")

        @maybe.undo
        async def undo_maybe(self, value: str) -> None:
            await undo("maybe")

        @step
        async def after(self, maybe: str | None = maybe.result) -> str:
            assert maybe is None
            return await act("after")

        @after.undo
        async def undo_after(self, value: str) -> None:
            await undo("after")

        @step
        async def output(self, after: str = after.result) -> str:
            raise Boom("late")

    await mode(Skipped())
    assert world.began == ["after"]
    assert world.undone == ["after"]


class Odd(BaseException):
    """Neither an Exception nor asyncio's."""


@pytest.mark.parametrize(
    "error", [Odd("odd"), StopIteration("stop"), GeneratorExit(), StopAsyncIteration(), asyncio.CancelledError("own")], ids=repr
)
async def test_an_unknown_class_of_error_rolls_back_too(mode, error):
    """Whatever a step raises, short of the interpreter's own ends, is a failure: what came before is undone, the run ends."""

    class Raises(Reactor):
        @step
        async def first(self) -> str:
            return await act("first")

        @first.undo
        async def undo_first(self, value: str) -> None:
            await undo("first")

        @step
        async def output(self, first: str = first.result) -> str:
            world.note("began", "output")
            raise error

        @output.compensate
        async def drop(self, error: StepError) -> None:
            await compensate("output")

    outcome = await mode(Raises())
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert world.compensated == ["output"]
    assert world.undone == ["first"]


async def test_a_flag_that_fails_rolls_back(mode):
    """A failure in the step that a `when` asks is a failure like any; what it guards never begins."""

    class Flag(Reactor):
        @step
        async def first(self) -> str:
            return await act("first")

        @first.undo
        async def undo_first(self, value: str) -> None:
            await undo("first")

        @step
        async def flag(self, first: str = first.result) -> bool:
            return await act("flag", True)

        @step(when=flag)
        async def guarded(self) -> str:
            return await act("guarded")

        @step
        async def output(self, guarded: str | None = guarded.result) -> str:
            return await act("output")

    world.fails("flag", Boom("cannot say"))
    outcome = await mode(Flag())
    assert outcome.step == "flag"
    assert world.began == ["first", "flag"]
    assert world.undone == ["first"]


async def test_a_reference_path_that_does_not_exist_rolls_back(mode):
    """Arguments that cannot be had fail the step that never began: it is not compensated, what came before is undone."""

    class Paths(Reactor):
        @step
        async def first(self) -> list[int]:
            return await act("first", [1])

        @first.undo
        async def undo_first(self, value: list[int]) -> None:
            await undo("first")

        @step
        async def output(self, second: int = first.result[1]) -> int:
            return await act("output", second)

        @output.compensate
        async def drop(self, error: StepError) -> None:
            await compensate("output")

    outcome = await mode(Paths())
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert outcome.error.kind == "IndexError"
    assert world.began == ["first"]
    assert world.compensated == []
    assert world.undone == ["first"]


class Late(Reactor):
    """Much in flight when a failure stands."""

    @map_over(list(range(10)), batch_size=2, in_flight=3)
    async def each(self, n: int) -> int:
        return await act(f"each {n}", n)

    @each.undo
    async def undo_each(self, value: int) -> None:
        await undo(f"each {value}")

    @step
    async def bad(self) -> str:
        return await act("bad")

    @step
    async def slow(self) -> str:
        return await act("slow")

    @slow.undo
    async def undo_slow(self, value: str) -> None:
        await undo("slow")

    @step
    async def output(self, each: Results[int] = each.result, bad: str = bad.result, slow: str = slow.result) -> str:
        return await act("output")


@pytest.mark.parametrize("moment", [0, 0.5, 1.5, 2.5, 3.5])
async def test_elements_in_flight_at_a_failure_are_undone_and_nothing_starts_later(mode, moment):
    """Whenever it comes: all that ended is undone once, and no forward call begins after the rollback did."""
    for n in range(10):
        world.takes(f"each {n}", 1 + n % 2)
    world.takes("slow", 3)
    world.takes("bad", moment)
    world.fails("bad", Boom("stands"))
    outcome = await mode(Late())
    assert isinstance(outcome, Failed)
    assert outcome.step == "bad"
    forward = [name for name in world.names("ended") if not name.startswith("undo")]
    assert sorted(world.undone) == sorted(forward)
    assert once_each(world.undone)
    lines = [(entry.what, entry.name) for entry in world.diary]
    failed = lines.index(("failed", "bad"))
    late = [name for what, name in lines[failed:] if what == "began" and not name.startswith("undo")]
    assert late == []


class Big:
    """Something that tells when it is gone."""


kept: "weakref.WeakSet[Big]" = weakref.WeakSet()


class MakesBig(Reactor):
    n: int

    @step
    async def big(self) -> Any:
        big = Big()
        kept.add(big)
        return big

    @step
    async def output(self, big: Any = big.result) -> int:
        return await act(f"big {self.n}", self.n)


class ManyBig(Reactor):
    @map_over(list(range(10)), batch_size=2, in_flight=1)
    async def each(self, n: int) -> MakesBig:
        gc.collect()
        world.note("kept", str(len(kept)))
        return MakesBig(n=n)

    @step
    async def output(self, each: Results[int] = each.result) -> int:
        gc.collect()
        return len(kept)


async def test_an_elements_memory_is_not_kept():
    """What a settled batch's elements made on their way is gone, when nothing of it could be undone."""
    batch = 2
    assert await ManyBig() <= batch
    assert max(int(count) for count in world.names("kept")) <= 2 * batch


async def test_identity_is_by_name_not_by_order(mode):
    """Under `gather`-like interleavings each result goes to who asked for it."""

    class Gathers(Reactor):
        @step
        async def a(self) -> str:
            return await act("a")

        @step
        async def b(self) -> str:
            return await act("b")

        @step
        async def c(self) -> str:
            return await act("c")

        @step
        async def output(self, c: str = c.result, a: str = a.result, b: str = b.result) -> list[str]:
            return [a, b, c]

    for n, order in enumerate((("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a"))):
        for seconds, name in enumerate(order):
            world.takes(name, seconds + n)
        assert (await mode(Gathers())).value == ["a", "b", "c"]


async def test_events_tell_the_story_in_order():
    """Sequence numbers rise by one, times never fall, a call starts before it ends, the last fact is the end; live and afterwards alike."""
    world.takes("slow", 3)
    world.takes("bad", 1)
    world.fails("bad", Boom("stands"))
    async with engine() as eng:
        run = await eng.start(Late(), id="l")

        async def live() -> list[tuple[int, str, str | None]]:
            return [(event.seq, event.kind, event.address) async for event in run.events()]

        seen = await live()
        again = await live()
        events = [event async for event in run.events()]
        part = [event.seq async for event in run.events(after=3)]
    assert seen == again
    assert [event.seq for event in events] == list(range(events[0].seq, events[0].seq + len(events)))
    assert part == [event.seq for event in events if event.seq > 3]
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert events[0].kind == "run_started"
    assert events[-1].kind == "run_ended"
    started = {event.address for event in events if event.kind == "call_started"}
    for event in events:
        if event.kind in ("call_succeeded", "call_failed"):
            assert event.address in started


async def test_events_of_a_run_that_goes_on():
    """A stream that is opened in the middle gets what was, then what comes, and ends with the run."""
    world.takes("slow", 30)
    world.takes("bad", 10)
    async with engine() as eng:
        run = await eng.start(Late(), id="l")
        await until(lambda: now() > 5)
        kinds = [event.kind async for event in run.events()]
    assert kinds[0] == "run_started"
    assert kinds[-1] == "run_ended"
    assert now() == pytest.approx(30)
