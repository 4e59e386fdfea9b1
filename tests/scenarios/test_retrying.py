"""Retrying, case by case: timeouts, idempotency keys, call numbers, and what TryAgain may do."""

import asyncio

import pytest

from reactor import Continue, Engine, Failed, Reactor, Results, Retry, StepError, Succeeded, TryAgain, map_over, step, step_context
from tests.scenarios.world import Boom, Worse, act, compensate, now, undo, world

pytestmark = pytest.mark.anyio


# ---- timeouts ----------------------------------------------------------------------------------------------------


class Timed(Reactor):
    @step(timeout=5, retry=Retry(3, backoff="fixed", base=1, jitter=False))
    async def output(self) -> str:
        try:
            return await act("output")
        except asyncio.CancelledError:
            await act("cleans up")
            raise

    @output.compensate
    async def drop(self, error: StepError) -> None:
        assert error.is_a(TimeoutError)
        await compensate("output")


async def test_a_timeout_bounds_one_attempt(mode):
    """A timed-out attempt is cancelled and counts; the next has its whole time again."""
    world.takes("output", 100)
    outcome = await mode(Timed())
    assert isinstance(outcome, Failed)
    assert outcome.error.is_a(TimeoutError)
    assert outcome.error.attempt == 3
    assert world.times("began", "output") == pytest.approx([0, 6, 12])
    assert world.times("cancelled", "output") == pytest.approx([5, 11, 17])
    assert world.compensated == ["output"]


async def test_a_timed_out_attempt_is_awaited(mode):
    """Its clean-up is waited for before the next attempt begins."""
    world.takes("output", 100)
    world.takes("cleans up", 2)
    await mode(Timed())
    assert world.times("began", "output") == pytest.approx([0, 8, 16])
    assert world.times("ended", "cleans up") == pytest.approx([7, 15, 23])


async def test_a_quick_attempt_is_not_touched(mode):
    """An attempt that ends in time is no timeout."""
    world.takes("output", 4.9)
    assert (await mode(Timed())).value == "output"


async def test_a_steps_own_timeout_error_is_one_too(mode):
    """`TimeoutError` raised by the author's code counts as a failure like any, and is told as what it is."""
    world.always_fails("output", TimeoutError("their server"))
    outcome = await mode(Timed())
    assert outcome.error.is_a(TimeoutError)
    assert "their server" in outcome.error.message


async def test_the_time_counts_from_the_call_on():
    """Waiting for a slot is not part of it."""

    class Two(Reactor):
        @step(timeout=5)
        async def a(self) -> str:
            return await act("a")

        @step(timeout=5)
        async def b(self) -> str:
            return await act("b")

        @step
        async def output(self, a: str = a.result, b: str = b.result) -> str:
            return a + b

    world.takes("a", 4)
    world.takes("b", 4)
    async with Engine("memory://", concurrency=1) as engine:
        outcome = await engine.run(Two())
    assert isinstance(outcome, Succeeded)
    assert now() == pytest.approx(8)


async def test_a_step_that_swallows_its_timeout(mode):
    """A step that catches the cancellation and returns all the same has timed out all the same."""

    class Swallows(Reactor):
        @step(timeout=5)
        async def output(self) -> str:
            try:
                await act("output")
            except asyncio.CancelledError:
                return "got away"
            return "never"

    world.takes("output", 100)
    outcome = await mode(Swallows())
    assert isinstance(outcome, Failed)
    assert outcome.error.is_a(TimeoutError)


class Undoing(Reactor):
    @step
    async def first(self) -> str:
        return await act("first")

    @first.undo(timeout=5, retry=Retry(2, backoff="fixed", base=1, jitter=False))
    async def undo_first(self, value: str) -> None:
        world.note("key", step_context().idempotency_key)
        await undo("first")

    @step
    async def output(self, first: str = first.result) -> str:
        return await act("output")

    @output.compensate(timeout=3, retry=Retry(3, backoff="fixed", base=1, jitter=False))
    async def drop(self, error: StepError) -> None:
        await compensate("output")


async def test_undo_and_compensate_have_retry_and_timeout(mode):
    """Their own, each attempt bounded; one that finally fails is a rollback failure."""
    world.fails("output", Boom("no"))
    world.takes("undo first", 100)
    world.fails("compensate output", Boom("1"), Boom("2"))
    outcome = await mode(Undoing())
    assert isinstance(outcome, Failed)
    assert outcome.error.kind == "Boom"
    assert world.names("began").count("compensate output") == 3
    assert world.names("began").count("undo first") == 2
    (failure,) = outcome.rollback_failures
    assert (failure.step, failure.kind) == ("first", "undo")
    assert failure.error.is_a(TimeoutError)
    assert failure.error.attempt == 2


# ---- keys ----------------------------------------------------------------------------------------------------------


class Keys(Reactor, name="keys"):
    @step(retry=Retry(2, base=1))
    async def pay(self) -> str:
        context = step_context()
        world.note("pay", context.idempotency_key)
        world.note("attempt", f"{context.attempt}")
        return await act("call pay")

    @pay.undo
    async def refund(self, value: str) -> None:
        world.note("refund", step_context().idempotency_key)
        await undo("pay")

    @pay.compensate
    async def again(self, error: StepError) -> TryAgain | None:
        world.note("check", step_context().idempotency_key)
        return TryAgain() if error.is_a(Boom) else None

    @step
    async def output(self, pay: str = pay.result) -> str:
        world.note("output", step_context().idempotency_key)
        return await act("output")


async def test_a_key_says_run_address_direction_and_call():
    """And nothing else moves it: attempts keep it, TryAgain moves it, undo and compensate have their own."""
    world.fails("call pay", Boom("1"), Boom("2"), Boom("3"))
    world.fails("output", Worse("late"))
    world.fails("undo pay", Boom("busy"))
    async with Engine("memory://") as engine:
        assert isinstance(await engine.run(Keys(), id="k"), Failed)
    first, second, third, fourth = world.names("pay")
    assert first == second
    assert len({first, third, fourth}) == 3
    assert all("keys:k" in key and "pay" in key and "do" in key for key in world.names("pay"))
    checks = world.names("check")
    assert len(checks) == 2
    assert all("compensate" in key for key in checks)
    assert not {*checks} & {*world.names("pay")}
    refund, again = world.names("refund")
    assert refund == again
    assert "undo" in refund
    assert len({*world.names("pay"), *checks, refund, *world.names("output")}) == 3 + len({*checks}) + 2


async def test_elements_keys_are_by_their_place():
    """An element's index is its place in the source, whatever its batch."""

    class Elements(Reactor, name="elements"):
        @map_over(["a", "b", "c"], batch_size=2)
        async def each(self, word: str) -> str:
            return step_context().idempotency_key

        @step
        async def output(self, each: Results[str] = each.result) -> list[str]:
            return await each.all()

    async with Engine("memory://") as engine:
        keys = (await engine.run(Elements(), id="e")).value
    assert len(set(keys)) == 3
    assert all(f"each[{n}]" in key for n, key in enumerate(keys))


# ---- TryAgain ------------------------------------------------------------------------------------------------------


class Persistent(Reactor):
    after: float = 0.0

    @step(retry=Retry(2, backoff="fixed", base=1, jitter=False, on=Boom))
    async def pay(self) -> int:
        return await act("pay", step_context().attempt)

    @pay.undo
    async def refund(self, value: int) -> None:
        await undo("pay")

    @pay.compensate
    async def again(self, error: StepError) -> TryAgain | Continue[int] | None:
        await compensate("pay")
        return TryAgain(self.after)

    @step
    async def output(self, pay: int = pay.result) -> str:
        return await act("output")


async def test_try_again_is_one_call_outside_the_budget(mode):
    """Two attempts, then one more call a TryAgain, each after its delay."""
    world.fails("pay", *[Boom("busy")] * 4)
    outcome = await mode(Persistent(after=10))
    assert isinstance(outcome, Succeeded)
    assert world.began.count("pay") == 5
    assert len(world.compensated) == 3
    assert world.times("began", "pay") == pytest.approx([0, 1, 11, 21, 31])


async def test_try_again_ten_times_at_most(mode):
    """Then the failure stands, and the rollback begins."""
    world.always_fails("pay", Worse("never"))
    outcome = await mode(Persistent())
    assert isinstance(outcome, Failed)
    assert outcome.error.kind == "Worse"
    assert world.began.count("pay") == 11
    assert "output" not in world.began


async def test_a_step_that_was_tried_again_and_succeeded_is_undone(mode):
    """It succeeded: a later failure undoes it, once."""
    world.fails("pay", Worse("1"))
    world.fails("output", Boom("late"))
    await mode(Persistent())
    assert world.undone == ["pay"]


class Element(Reactor):
    @map_over([0, 1, 2], batch_size=2, retry=Retry(2, backoff="fixed", base=5, jitter=False), timeout=3)
    async def each(self, n: int) -> int:
        return await act(f"each {n}", step_context().attempt)

    @each.undo
    async def undo_each(self, value: int) -> None:
        await undo("each")

    @step
    async def output(self, each: Results[int] = each.result) -> list[int]:
        return await each.all()


async def test_a_maps_retry_and_timeout_are_an_elements(mode):
    """Each element has its own attempts and its own time."""
    world.fails("each 0", Boom("busy"))
    world.takes("each 1", 2)
    outcome = await mode(Element())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == [2, 1, 1]
    assert world.times("began", "each 0") == pytest.approx([0, 5])
    assert world.began.count("each 1") == 1


async def test_an_element_exhausts(mode):
    """An element's retry does not count as its end, and its last attempt does."""
    world.always_fails("each 2", Boom("busy"))
    outcome = await mode(Element())
    assert isinstance(outcome, Failed)
    assert outcome.step == "each[2]"
    assert outcome.error.attempt == 2
    assert len(world.undone) == 2


async def test_an_element_times_out(mode):
    """A slow element fails by itself, with `TimeoutError`."""
    world.takes("each 1", 60)
    outcome = await mode(Element())
    assert outcome.step == "each[1]"
    assert outcome.error.is_a(TimeoutError)
