"""Scenario 9: several approvals, then several more; timeouts with rollback, and with a default; undo and cancel while parked."""

from __future__ import annotations

import pytest

from reactor import (
    Ask,
    Cancelled,
    Continue,
    Failed,
    Halt,
    Halted,
    NotWaiting,
    Reactor,
    Skip,
    StepError,
    Succeeded,
    TryAgain,
    Undone,
    interrupt,
    step,
)
from tests.scenarios.parking import anyio_backend, at, place
from tests.scenarios.world import act, compensate, undo, world

__all__ = ["anyio_backend", "at", "place"]
pytestmark = pytest.mark.anyio

SOON = 0.3  # seconds: real where the store's clock is


class Budget(Reactor):
    """draft → ann, bob → merged → cleo, dan → output: two rounds of approvals, the draft and the merge undone."""

    @step
    async def draft(self) -> int:
        return await act("draft", 10)

    @draft.undo
    async def undraft(self, _: int) -> None:
        await undo("draft")

    @interrupt(after=[draft])
    async def ann(self) -> Ask[int]:
        return Ask()

    @interrupt(after=[draft])
    async def bob(self) -> Ask[int]:
        return Ask()

    @step
    async def merged(self, a: int = ann.result, b: int = bob.result) -> int:
        return await act("merged", a + b)

    @merged.undo
    async def unmerge(self, _: int) -> None:
        await undo("merged")

    @interrupt(after=[merged])
    async def cleo(self) -> Ask[int]:
        return Ask()

    @cleo.compensate
    async def without_cleo(self, error: StepError) -> None:
        await compensate("cleo")

    @interrupt(after=[merged])
    async def dan(self) -> Ask[int]:
        return Ask()

    @step
    async def output(self, m: int = merged.result, c: int = cleo.result, d: int = dan.result) -> int:
        return await act("output", m + c + d)


async def second_round(stage) -> None:
    """A run of Budget in its second round."""
    await stage.engine.start(Budget(), id="1")
    await stage.parks("Budget:1", "ann", "bob")
    await stage.signal(Budget.bob, 2, run_id="Budget:1")
    await stage.parks("Budget:1", "ann")
    await stage.signal(Budget.ann, 1, run_id="Budget:1")
    await stage.parks("Budget:1", "cleo", "dan")


async def test_several_approvals_then_several_more(at):
    """Each round waits for all of its own; what one answers early for the next round is kept for it."""
    async with at(Budget) as stage:
        await stage.engine.start(Budget(), id="1")
        await stage.parks("Budget:1", "ann", "bob")
        assert await stage.signal(Budget.dan, 4, run_id="Budget:1") == "early"
        assert await stage.signal(Budget.ann, 1, run_id="Budget:1") == "accepted"
        await stage.parks("Budget:1", "bob")
        assert await stage.signal(Budget.bob, 2, run_id="Budget:1") == "accepted"
        await stage.parks("Budget:1", "cleo")
        assert await stage.signal(Budget.cleo, 3, run_id="Budget:1") == "accepted"
        assert await stage.outcome("Budget:1") == Succeeded(10, "Budget:1")
        assert world.began == ["draft", "merged", "output"]


async def test_cancel_while_parked(at):
    """What is open is dropped and compensated, what succeeded undone, newest first; nobody waits any more."""
    async with at(Budget) as stage:
        await second_round(stage)
        await (await stage.run("Budget:1")).cancel("too dear")
        assert await stage.outcome("Budget:1") == Cancelled("too dear", "Budget:1")
        assert (world.compensated, world.undone) == (["cleo"], ["merged", "draft"])
        for interrupted in (Budget.cleo, Budget.dan):
            await stage.refused(NotWaiting, interrupted, 1, run_id="Budget:1")


async def test_cancel_without_undo_while_parked(at):
    """Nothing is called, and nothing is in doubt: no call was in flight. A later undo answers for what was open."""
    async with at(Budget) as stage:
        await second_round(stage)
        await (await stage.run("Budget:1")).cancel("stop", undo=False)
        assert await stage.outcome("Budget:1") == Cancelled("stop", "Budget:1")
        assert (world.compensated, world.undone) == ([], [])
        await stage.refused(NotWaiting, Budget.dan, 1, run_id="Budget:1")
        await stage.again()
        await (await stage.run("Budget:1")).undo()
        assert await stage.outcome("Budget:1") == Undone("Budget:1")
        assert (world.compensated, world.undone) == (["cleo"], ["merged", "draft"])


async def test_undo_while_parked(at):
    """Cancelled with undo, and it ends `undone`."""
    async with at(Budget) as stage:
        await second_round(stage)
        run = await stage.run("Budget:1")
        assert list(await run.undo_plan()) == ["merged", "draft"]
        await run.undo()
        assert await stage.outcome("Budget:1") == Undone("Budget:1")
        assert world.undone == ["merged", "draft"]


async def test_restart_keeps_the_answers(at):
    """The first round's answers are kept, the second round is asked again."""
    async with at(Budget) as stage:
        await second_round(stage)
        await (await stage.run("Budget:1")).cancel("stop", undo=False)
        await stage.outcome("Budget:1")
        new = await (await stage.run("Budget:1")).restart()
        await stage.parks(new.id, "cleo", "dan")
        assert await stage.signal(Budget.ann, 1, run_id="Budget:1") == "duplicate"
        await stage.signal(Budget.cleo, 3, run_id="Budget:1")
        await stage.signal(Budget.dan, 4, run_id=new.id)
        assert await stage.outcome(new.id) == Succeeded(10, "Budget:1~2")
        assert world.began == ["draft", "merged", "output"]


class Offer(Reactor):
    """hold → accepted (an interrupt with little time), whose compensate does what its input says → output."""

    then: str

    @step
    async def hold(self) -> int:
        return await act("hold", 1)

    @hold.undo
    async def release(self, _: int) -> None:
        await undo("hold")

    @interrupt(timeout=SOON, after=[hold])
    async def accepted(self) -> Ask[bool]:
        await act("asks")
        if self.then == "skip":
            raise Skip(True)
        if self.then == "halt":
            raise Halt("no")
        return Ask(f"offer:{self.then}")

    @accepted.compensate
    async def answer(self, error: StepError) -> Continue[bool] | TryAgain | None:
        await compensate(f"accepted: {error.is_a(TimeoutError)}")
        if self.then == "default":
            return Continue(False)
        return TryAgain() if self.then == "again" and len(world.compensated) < 3 else None

    @step
    async def output(self, accepted: bool = accepted.result) -> bool:
        return await act("output", accepted)


async def test_a_timeout_rolls_back(at):
    """Nobody answers: compensate gets a TimeoutError, lets it stand, and the hold is released; then nobody waits."""
    async with at(Offer) as stage:
        await stage.engine.start(Offer(then="fail"), id="1")
        await stage.parks("Offer:1", "accepted")
        outcome = await ended(stage, "Offer:1")
        assert isinstance(outcome, Failed)
        assert (outcome.step, outcome.error.kind) == ("accepted", "TimeoutError")
        assert (world.compensated, world.undone) == (["accepted: True"], ["hold"])
        await stage.refused(NotWaiting, Offer.accepted, True, run_id="Offer:1")
        await stage.refused(NotWaiting, Offer.accepted, True, correlation_id="offer:fail")


async def test_a_timeout_goes_on_with_a_default(at):
    """Continue(default): the run goes on; who comes too late is told so."""
    async with at(Offer) as stage:
        await stage.engine.start(Offer(then="default"), id="1")
        await stage.parks("Offer:1", "accepted")
        assert await ended(stage, "Offer:1") == Succeeded(False, "Offer:1")
        await stage.refused(NotWaiting, Offer.accepted, True, correlation_id="offer:default")


async def test_trying_again_asks_again(at):
    """Each TryAgain calls the method once more and gives its time anew; the answer to the last is taken."""
    async with at(Offer) as stage:
        run = await stage.engine.start(Offer(then="again"), id="1")
        seen = [event async for event in until_asked(run, 3)]
        assert [event.detail["occurrence"] for event in seen] == ["0", "1", "2"]
        assert await stage.signal(Offer.accepted, True, correlation_id="offer:again") == "accepted"
        assert await run.outcome(timeout=20) == Succeeded(True, "Offer:1")
        assert world.began == ["hold", "asks", "asks", "asks", "output"]


async def test_an_answer_in_time_stops_the_clock(at):
    """Nothing times out after it."""
    async with at(Offer) as stage:
        await stage.engine.start(Offer(then="fail"), id="1")
        await stage.parks("Offer:1", "accepted")
        assert await stage.signal(Offer.accepted, False, run_id="Offer:1") == "accepted"
        assert await stage.outcome("Offer:1") == Succeeded(False, "Offer:1")
        assert world.compensated == []


async def test_skip_answers_without_asking(at):
    """The run never parks; its value counts, and a signal is compared with it."""
    async with at(Offer) as stage:
        assert await stage.engine.run(Offer(then="skip"), id="1") == Succeeded(True, "Offer:1")
        assert await stage.signal(Offer.accepted, True, run_id="Offer:1") == "duplicate"


async def test_halt_in_an_interrupt_halts_the_run(at):
    """As in any step: nothing is undone."""
    async with at(Offer) as stage:
        assert await stage.engine.run(Offer(then="halt"), id="1") == Halted("no", "Offer:1")
        assert world.undone == []


async def test_the_runs_deadline_bounds_the_park(at):
    """Parks included: at the deadline the run fails, and is undone."""
    async with at(Budget) as stage:
        await stage.engine.start(Budget(), id="1", deadline=SOON)
        await stage.parks("Budget:1", "ann", "bob")
        outcome = await ended(stage, "Budget:1")
        assert isinstance(outcome, Failed)
        assert (outcome.error.kind, world.undone) == ("DeadlineExceeded", ["draft"])


async def ended(stage, run_id):
    """What it ended as, through its park."""
    from contextlib import suppress

    from reactor import RunFailed

    run = await stage.run(run_id)
    with suppress(RunFailed):
        await run.result(timeout=20)
    return await run.outcome(timeout=1)


async def until_asked(run, times):
    """The facts of asking, up to so many."""
    async for event in run.events():
        if event.kind == "asked":
            yield event
            times -= 1
            if not times:
                return
