"""Scenario 8: a webhook by correlation id that comes twice, twice at the same moment, and before its interrupt is reached."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from reactor import (
    Ask,
    Failed,
    MailboxFull,
    NotWaiting,
    PayloadInvalid,
    Reactor,
    ReactorError,
    RunConflict,
    Succeeded,
    UnknownRun,
    interrupt,
    step,
)
from reactor.record.words import EARLY_LIMIT
from tests.scenarios.parking import anyio_backend, at, place
from tests.scenarios.world import act, undo, world

__all__ = ["anyio_backend", "at", "place"]
pytestmark = pytest.mark.anyio


class Paid(msgspec.Struct):
    amount: int


class Order(Reactor):
    """reserve → paid (an interrupt, by the order's id) → output."""

    order: str
    slow: bool = False

    @step
    async def reserve(self) -> int:
        if self.slow:
            await world.gates["reserve"].wait()
        return await act("reserve", 1)

    @reserve.undo
    async def release(self, _: int) -> None:
        await undo("reserve")

    @interrupt(after=[reserve])
    async def paid(self) -> Ask[Paid]:
        return Ask(f"order:{self.order}")

    @step
    async def output(self, paid: Paid = paid.result) -> int:
        return await act("output", paid.amount)


class Rush(Order):
    """A subclass: found through the class that declares the interrupt."""


async def signals(stage, *amounts, **more) -> list[str]:
    """Webhooks that come at the same moment: what became of each, the conflict's code included."""
    sent = [stage.engine.signal(Order.paid, Paid(amount), correlation_id="order:o-1", **more) for amount in amounts]
    answers = await asyncio.gather(*sent, return_exceptions=True)
    return sorted(getattr(answer, "status", getattr(answer, "code", "?")) for answer in answers)


async def test_a_webhook_that_comes_twice_is_taken_once(at):
    """The second time it is a duplicate, while the run goes on, after its end, and with another process; another payload is a conflict."""
    async with at(Order) as stage:
        await stage.engine.start(Order(order="o-1"), id="1")
        await stage.parks("Order:1", "paid")
        assert await signals(stage, 5) == ["accepted"]
        assert await signals(stage, 5) == ["duplicate"]
        assert await stage.outcome("Order:1") == Succeeded(5, "Order:1")
        await stage.again()
        assert await signals(stage, 5) == ["duplicate"]
        assert (await stage.refused(RunConflict, Order.paid, Paid(6), correlation_id="order:o-1")).code == "other-answer"
        assert world.began == ["reserve", "output"]


async def test_two_at_the_same_moment_are_one(at):
    """Equal payloads: one is accepted, the others are duplicates."""
    async with at(Order) as stage:
        await stage.engine.start(Order(order="o-1"), id="1")
        await stage.parks("Order:1", "paid")
        assert await signals(stage, *[5] * 10) == ["accepted", *["duplicate"] * 9]
        assert await stage.outcome("Order:1") == Succeeded(5, "Order:1")


async def test_of_two_different_ones_at_the_same_moment_one_wins(at):
    """The one that was accepted is the run's value; the others are conflicts."""
    async with at(Order) as stage:
        await stage.engine.start(Order(order="o-1"), id="1")
        await stage.parks("Order:1", "paid")
        sent = [stage.engine.signal(Order.paid, Paid(amount), correlation_id="order:o-1") for amount in range(10)]
        answers = await asyncio.gather(*sent, return_exceptions=True)
        won = [amount for amount, answer in enumerate(answers) if getattr(answer, "status", "") == "accepted"]
        assert len(won) == 1
        assert sum(isinstance(answer, RunConflict) for answer in answers) == 9
        assert await stage.outcome("Order:1") == Succeeded(won[0], "Order:1")


async def test_a_delivery_id_tells_repeats(at):
    """The first answer, as a duplicate, whatever is in the repeat; ten at the same moment are accepted once."""
    async with at(Order) as stage:
        await stage.engine.start(Order(order="o-1"), id="1")
        await stage.parks("Order:1", "paid")
        assert await signals(stage, *[5] * 10, delivery_id="evt-1") == ["accepted", *["duplicate"] * 9]
        assert await signals(stage, 6, delivery_id="evt-1") == ["duplicate"]
        again = await stage.engine.signal_json(Order.paid, b"not json", run_id="Order:1", delivery_id="evt-1")
        assert (again.status, again.run_id) == ("duplicate", "Order:1")
        assert await signals(stage, 6, delivery_id="evt-2") == ["other-answer"]


async def test_one_that_was_refused_may_be_sent_again_under_its_id(at):
    """Only what was taken is remembered: the provider mends its payload and repeats."""
    async with at(Order) as stage:
        await stage.engine.start(Order(order="o-1"), id="1")
        await stage.parks("Order:1", "paid")
        with pytest.raises(PayloadInvalid):
            await stage.engine.signal_json(Order.paid, b"{}", correlation_id="order:o-1", delivery_id="evt-1")
        assert await signals(stage, 5, delivery_id="evt-1") == ["accepted"]


@pytest.mark.parametrize("delivery_id", [None, "evt-1"])
async def test_one_that_comes_before_its_run_is_kept(at, delivery_id):
    """Early, by correlation id: the run that opens it takes it at once and never parks; its repeat is a duplicate."""
    async with at(Order) as stage:
        assert await signals(stage, 5, delivery_id=delivery_id) == ["early"]
        assert await signals(stage, 5, delivery_id=delivery_id) == ["duplicate"]
        await stage.again()
        assert await stage.engine.run(Order(order="o-1"), id="1") == Succeeded(5, "Order:1")
        assert await signals(stage, 5) == ["duplicate"]


async def test_of_several_early_ones_the_first_counts(at):
    """In the order in which they came; the rest are dropped with the answer, and seventeen are too many."""
    async with at(Order) as stage:
        for amount in range(EARLY_LIMIT):
            assert await signals(stage, amount) == ["early"]
        await stage.refused(MailboxFull, Order.paid, Paid(99), correlation_id="order:o-1")
        assert await stage.engine.run(Order(order="o-1"), id="1") == Succeeded(0, "Order:1")


async def test_one_that_comes_while_the_run_is_on_its_way_is_kept(at):
    """By the run's id, before the interrupt is reached: early, its repeat a duplicate; it is taken when the interrupt asks."""
    async with at(Order) as stage:
        run = await stage.engine.start(Order(order="o-1", slow=True), id="1")
        assert await stage.signal(Order.paid, Paid(5), run_id="Order:1") == "early"
        world.gates["reserve"].set()
        assert await run.outcome(timeout=20) == Succeeded(5, "Order:1")
        assert await stage.signal(Order.paid, Paid(5), run_id="Order:1") == "duplicate"
        kinds = [event.kind async for event in run.events()]
        assert kinds.index("signal_kept") < kinds.index("asked") < kinds.index("answered")


async def test_an_early_one_outlives_an_engine(at):
    """Kept in the record: the engine that goes on with the run answers with it."""
    async with at(Order) as stage:
        await stage.engine.start(Order(order="o-1", slow=True), id="1")
        assert await stage.signal(Order.paid, Paid(5), run_id="Order:1") == "early"
        await stage.again()
        world.gates["reserve"].set()
        assert await stage.outcome("Order:1") == Succeeded(5, "Order:1")


async def test_a_second_run_with_the_same_id_fails_loudly(at, caplog):
    """The run that came later says so and undoes what it had done; the first is found by the id as before."""
    async with at(Order) as stage:
        await stage.engine.start(Order(order="o-1"), id="1")
        await stage.parks("Order:1", "paid")
        outcome = await stage.engine.run(Order(order="o-1"), id="2")
        assert isinstance(outcome, Failed)
        assert (outcome.step, outcome.error.kind, world.undone) == ("paid", "RunConflict", ["reserve"])
        assert "order:o-1" in caplog.text
        assert await signals(stage, 5) == ["accepted"]
        assert await stage.outcome("Order:1") == Succeeded(5, "Order:1")


async def test_a_subclass_is_found_through_the_class_that_declares(at):
    """`Order.paid` answers runs of Rush, and so does `Rush.paid`: they are one interrupt."""
    async with at(Order, Rush) as stage:
        for number, named in enumerate((Order.paid, Rush.paid)):
            await stage.engine.start(Rush(order=f"o-{number}"), id=str(number))
            await stage.parks(f"Rush:{number}", "paid")
            assert await stage.signal(named, Paid(number), correlation_id=f"order:o-{number}") == "accepted"
            assert await stage.outcome(f"Rush:{number}") == Succeeded(number, f"Rush:{number}")


async def test_a_restart_takes_its_id_along(at):
    """`{id}~2` asks under the same id, and it is the one that is found."""
    async with at(Order) as stage:
        run = await stage.engine.start(Order(order="o-1"), id="1")
        await stage.parks("Order:1", "paid")
        await (await stage.run("Order:1")).cancel("try again")
        await stage.outcome("Order:1")
        await stage.refused(NotWaiting, Order.paid, Paid(5), correlation_id="order:o-1")
        new = await (await stage.run("Order:1")).restart()
        await stage.parks(new.id, "paid")
        assert await signals(stage, 5) == ["accepted"]
        assert await stage.outcome(new.id) == Succeeded(5, "Order:1~2")
        assert run.id == "Order:1"


async def test_signals_to_nobody_say_so(at):
    """Unknown runs, a correlation id of another run, no address at all."""
    async with at(Order) as stage:
        await stage.engine.start(Order(order="o-1"), id="1")
        await stage.engine.start(Order(order="o-2"), id="2")
        await stage.parks("Order:1", "paid")
        await stage.parks("Order:2", "paid")
        await stage.refused(UnknownRun, Order.paid, Paid(5), run_id="Order:3")
        await stage.refused(UnknownRun, Order.paid, Paid(5), run_id="Order:3", correlation_id="order:o-3")
        assert (await stage.refused(RunConflict, Order.paid, Paid(5), run_id="Order:2", correlation_id="order:o-1")).code == "other-run"
        assert (await stage.refused(ReactorError, Order.paid, Paid(5))).code == "signal-to-nobody"
        await stage.parks("Order:1", "paid")
