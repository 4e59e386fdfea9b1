"""Scenario 7: two interrupts at once, one that takes any number of payloads, one that takes two; answers in both orders; failures."""

from __future__ import annotations

import msgspec
import pytest

from reactor import Ask, Failed, NotWaiting, PayloadInvalid, Reactor, RunConflict, StepError, Succeeded, interrupt, step
from tests.scenarios.parking import anyio_backend, at, drivers_tasks, place
from tests.scenarios.world import Boom, act, compensate, undo, world

__all__ = ["anyio_backend", "at", "place"]
pytestmark = pytest.mark.anyio


class Terms(msgspec.Struct):
    amount: int
    by: str = "nobody"


class Trade(Reactor):
    """price → terms (any number of payloads), code (two of them) → output; price is undone."""

    @step
    async def price(self) -> int:
        return await act("price", 7)

    @price.undo
    async def unprice(self, price: int) -> None:
        await undo("price")

    @interrupt
    async def terms(self, price: int = price.result) -> Ask[Terms]:
        await act("terms")
        return Ask(show={"price": price})

    @interrupt(attempts=2, after=[price])
    async def code(self) -> Ask[int]:
        await act("code")
        return Ask()

    @code.compensate
    async def answer(self, error: StepError) -> None:
        world.note("error", error.kind)
        await compensate("code")

    @step
    async def output(self, terms: Terms = terms.result, code: int = code.result) -> str:
        return await act("output", f"{terms.amount} by {terms.by}, {code}")


async def opened(stage) -> None:
    """A run that both interrupts have parked."""
    await stage.engine.start(Trade(), id="1")
    await stage.parks("Trade:1", "terms", "code")


@pytest.mark.parametrize("first", ["terms", "code"])
async def test_answers_come_in_either_order(at, first):
    """After the first the run waits for the other; methods are called once, whatever is dropped in between; each answer is a value."""
    async with at(Trade) as stage:
        await opened(stage)
        answers = {"terms": (Trade.terms, Terms(5, "ann")), "code": (Trade.code, 42)}
        second = "code" if first == "terms" else "terms"
        assert await stage.signal(*answers[first], run_id="Trade:1") == "accepted"
        await stage.parks("Trade:1", second)
        assert await stage.signal(*answers[second], run_id="Trade:1") == "accepted"
        assert await stage.outcome("Trade:1") == Succeeded("5 by ann, 42", "Trade:1")
        assert world.began == ["price", "terms", "code", "output"]
        assert await (await stage.run("Trade:1")).value(Trade.terms) == Terms(5, "ann")


async def test_one_without_limit_takes_any_number_of_wrong_payloads(at):
    """Each is refused with the path of what is wrong; the run stays parked, and a right one is taken."""
    async with at(Trade) as stage:
        await opened(stage)
        for _ in range(5):
            with pytest.raises(PayloadInvalid) as caught:
                await stage.engine.signal_json(Trade.terms, b'{"amount": "much", "by": 7}', run_id="Trade:1")
            assert [path for path, _ in caught.value.problems] == ["amount", "by"]
        await stage.parks("Trade:1", "terms", "code")
        assert (await stage.engine.signal_json(Trade.terms, b'{"amount": 5}', run_id="Trade:1")).status == "accepted"
        await stage.parks("Trade:1", "code")


async def test_the_second_wrong_payload_of_two_fails_it(at):
    """The first leaves it open, across restarts; the second fails it: compensated, the other interrupt dropped, the price undone."""
    async with at(Trade) as stage:
        await opened(stage)
        await stage.refused(PayloadInvalid, Trade.code, "no code", run_id="Trade:1")
        await stage.parks("Trade:1", "terms", "code")
        await stage.refused(PayloadInvalid, Trade.code, [], run_id="Trade:1")
        outcome = await stage.outcome("Trade:1")
        assert isinstance(outcome, Failed)
        assert (outcome.step, outcome.error.kind) == ("code", "PayloadInvalid")
        assert outcome.error.is_a(PayloadInvalid)
        assert (world.compensated, world.undone) == (["code"], ["price"])
        for interrupted, payload in ((Trade.terms, Terms(5)), (Trade.code, 42)):
            await stage.refused(NotWaiting, interrupted, payload, run_id="Trade:1")


async def test_what_is_no_json_is_never_counted(at):
    """Broken bodies are the sender's trouble: any number of them leaves the interrupt open."""
    async with at(Trade) as stage:
        await opened(stage)
        for body in (b"", b"{", b"\xff", b"nan"):
            with pytest.raises(PayloadInvalid) as caught:
                await stage.engine.signal_json(Trade.code, body, run_id="Trade:1")
            assert caught.value.code == "payload-not-json"
        await stage.parks("Trade:1", "terms", "code")
        assert await stage.signal(Trade.code, 1, run_id="Trade:1") == "accepted"


async def test_a_failure_before_the_park_asks_nothing(at):
    """One method fails: the other's question is dropped, and the price undone."""
    world.fails("terms", Boom("no terms"))
    async with at(Trade) as stage:
        outcome = await stage.engine.run(Trade(), id="1")
        assert isinstance(outcome, Failed)
        assert outcome.step == "terms"
        assert world.undone == ["price"]
        await stage.refused(NotWaiting, Trade.code, 1, run_id="Trade:1")


async def test_a_failure_after_the_park_undoes_what_was_before_it(at):
    """Answers are never undone; what succeeded is."""
    world.fails("output", Boom("no trade"))
    async with at(Trade) as stage:
        await opened(stage)
        await stage.signal(Trade.code, 42, run_id="Trade:1")
        await stage.parks("Trade:1", "terms")
        await stage.signal(Trade.terms, Terms(5), run_id="Trade:1")
        outcome = await stage.outcome("Trade:1")
        assert isinstance(outcome, Failed)
        assert (outcome.step, world.undone, world.compensated) == ("output", ["price"], [])
        assert await stage.signal(Trade.terms, Terms(5), run_id="Trade:1") == "duplicate"
        await stage.refused(RunConflict, Trade.terms, Terms(6), run_id="Trade:1")


async def test_a_parked_run_holds_nothing(at):
    """No lease, no slot, no task: all that is left is what the store keeps, and with one slot other runs go on."""
    async with at(Trade, concurrency=1) as stage:
        for number in range(5):
            await stage.engine.start(Trade(), id=str(number))
        for number in range(5):
            await stage.parks(f"Trade:{number}", "terms", "code")
        for number in range(5):
            kept = await stage.record(f"Trade:{number}")
            assert (kept.token, kept.status, kept.due) == (None, "parked", None)
        assert drivers_tasks() == []
        host = stage.engine._host
        assert host.drivers == {}
        assert host.site.slots.any_free()
