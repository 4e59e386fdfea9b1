"""Scenario 2: an order with retries: it succeeds at attempt N, exhausts, or is not to be tried again; a wait holds no slot."""

import asyncio
from itertools import pairwise

import pytest
from tenacity import retry_if_exception_type, stop_after_attempt, wait_fixed

from reactor import Engine, Fail, Failed, Reactor, Retry, Succeeded, step, step_context
from tests.scenarios.world import Boom, Declined, Worse, act, now, undo, world

pytestmark = pytest.mark.anyio


class Order(Reactor):
    @step
    async def stock(self) -> str:
        return await act("stock")

    @stock.undo
    async def restock(self, value: str) -> None:
        await undo("stock")

    @step(retry=Retry(4, backoff="fixed", base=10, jitter=False, on=Boom))
    async def pay(self, stock: str = stock.result) -> int:
        return await act("pay", step_context().attempt)

    @pay.undo
    async def refund(self, value: int) -> None:
        await undo("pay")

    @step
    async def output(self, paid: int = pay.result) -> int:
        return await act("output", paid)


@pytest.mark.parametrize("failures", [0, 1, 3])
async def test_succeeds_at_attempt_n(mode, failures):
    """The first call counts; the attempt that succeeds is the last; each wait is as long as was said."""
    world.fails("pay", *[Boom("busy")] * failures)
    outcome = await mode(Order())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == failures + 1
    assert world.times("began", "pay") == pytest.approx([10.0 * n for n in range(failures + 1)])
    assert world.undone == []


async def test_exhausts(mode):
    """After the last attempt the failure stands; the error says which attempt it was; what came before is undone."""
    world.always_fails("pay", Boom("busy"))
    outcome = await mode(Order())
    assert isinstance(outcome, Failed)
    assert outcome.error.attempt == 4
    assert world.began == ["stock", "pay", "pay", "pay", "pay"]
    assert world.undone == ["stock"]
    assert now() == pytest.approx(30)


async def test_other_errors_are_not_tried_again(mode):
    """What `on=` does not name fails at once."""
    world.fails("pay", Boom("busy"), Worse("broken"))
    outcome = await mode(Order())
    assert outcome.error.kind == "Worse"
    assert outcome.error.attempt == 2
    assert world.began.count("pay") == 2


async def test_fail_is_not_tried_again(mode):
    """`Fail` says that trying again makes no sense, whatever the retry says."""

    class Strict(Reactor):
        @step(retry=Retry(5, on=Exception))
        async def output(self) -> str:
            await act("output")
            raise Fail("no such customer")

    outcome = await mode(Strict())
    assert outcome.error.message == "no such customer"
    assert world.began == ["output"]


async def test_fail_retryable_is(mode):
    """`Fail(retryable=True)` is tried again within the step's budget."""

    class Lenient(Reactor):
        @step(retry=Retry(3, base=1))
        async def output(self) -> str:
            await act("output")
            raise Fail("try later", retryable=True)

    outcome = await mode(Lenient())
    assert isinstance(outcome, Failed)
    assert outcome.error.attempt == 3
    assert world.began == ["output"] * 3


async def test_retry_looks_into_groups(mode):
    """`on=` finds its exception inside a group, and `is_a` does not mistake the group for something else."""

    class Grouped(Reactor):
        @step(retry=Retry(2, on=Declined, base=1))
        async def output(self) -> int:
            attempt = step_context().attempt
            await act("output")
            if attempt == 1:
                async with asyncio.TaskGroup() as group:
                    group.create_task(act("inner", 1))
                    raise Declined("in a group")
            return attempt

    outcome = await mode(Grouped())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == 2


async def test_reactors_retry_is_the_default_of_its_steps(mode):
    """A reactor's `retry=` serves the steps that have none of their own; without either there is one attempt."""

    class Patient(Reactor, retry=Retry(3, backoff="fixed", base=1, jitter=False)):
        @step
        async def first(self) -> str:
            return await act("first")

        @step(retry=Retry(1))
        async def output(self, first: str = first.result) -> str:
            return await act("output")

    world.fails("first", Boom("1"), Boom("2"))
    world.fails("output", Boom("1"))
    outcome = await mode(Patient())
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert world.began == ["first", "first", "first", "output"]


async def test_no_retry_by_default(mode):
    """Nothing is called twice that did not ask for it."""
    world.fails("stock", Boom("once"))
    outcome = await mode(Order())
    assert isinstance(outcome, Failed)
    assert world.began == ["stock"]


async def test_exponential_backoff_is_capped(mode):
    """1, 2, 4, … seconds, no longer than `max_wait`."""

    class Backing(Reactor):
        @step(retry=Retry(6, base=1, max_wait=5, jitter=False))
        async def output(self) -> str:
            return await act("output")

    world.always_fails("output", Boom("busy"))
    await mode(Backing())
    began = world.times("began", "output")
    assert [later - earlier for earlier, later in pairwise(began)] == pytest.approx([1, 2, 4, 5, 5])


async def test_tenacitys_strategies(mode):
    """`wait=`, `stop=` and `when=` take tenacity's own."""

    class Tenacious(Reactor):
        @step(retry=Retry(wait=wait_fixed(7), stop=stop_after_attempt(3), when=retry_if_exception_type(Boom)))
        async def output(self) -> str:
            return await act("output")

    world.fails("output", Boom("1"), Boom("2"), Boom("3"))
    outcome = await mode(Tenacious())
    assert isinstance(outcome, Failed)
    assert world.times("began", "output") == pytest.approx([0, 7, 14])
    world.fails("output", Boom("1"), Worse("2"))
    outcome = await mode(Tenacious())
    assert outcome.error.kind == "Worse"


class Beside(Reactor):
    @step(retry=Retry(2, backoff="fixed", base=60, jitter=False))
    async def flaky(self) -> str:
        return await act("flaky")

    @step
    async def steady(self) -> str:
        await act("steady")
        return await act("steady")

    @step
    async def output(self, flaky: str = flaky.result, steady: str = steady.result) -> str:
        return flaky + steady


async def test_a_wait_holds_no_slot():
    """With one slot, a step that waits for its next attempt lets others have it."""
    world.fails("flaky", Boom("busy"))
    world.takes("steady", 5)
    async with Engine("memory://", concurrency=1) as engine:
        outcome = await engine.run(Beside())
    assert isinstance(outcome, Succeeded)
    assert world.times("began", "steady") == pytest.approx([0, 5])
    assert world.times("began", "flaky") == pytest.approx([0, 60])
