"""Scenario 10: an interrupt in a child, and in a child of a map's element; approved, rejected, undone while it waits."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from reactor import (
    AmbiguousSignal,
    Ask,
    Cancelled,
    Continue,
    Fail,
    Failed,
    NotWaiting,
    Reactor,
    Results,
    StepError,
    Succeeded,
    TryAgain,
    Undone,
    compose,
    interrupt,
    map_over,
    source,
    step,
)
from tests.scenarios.parking import anyio_backend, at, drivers_tasks, place
from tests.scenarios.world import act, compensate, undo, world

__all__ = ["anyio_backend", "at", "place"]
pytestmark = pytest.mark.anyio


class Sign(Reactor):
    """lock → approved (an interrupt) → output, which fails for a No; lock and output are undone."""

    name: str

    @step
    async def lock(self) -> int:
        return await act(f"lock {self.name}", 1)

    @lock.undo
    async def unlock(self, _: int) -> None:
        await undo(f"lock {self.name}")

    @interrupt(after=[lock])
    async def approved(self) -> Ask[bool]:
        await act(f"ask {self.name}")
        return Ask(f"sign:{self.name}")

    @step
    async def output(self, approved: bool = approved.result) -> str:
        if not approved:
            raise Fail("rejected")
        return await act(f"signed {self.name}", self.name)

    @output.undo
    async def unsign(self, _: str) -> None:
        await undo(f"signed {self.name}")


class Deal(Reactor):
    """draft → sign (composes Sign; `then` says what its compensate does) → output."""

    then: str = "stands"

    @step
    async def draft(self) -> int:
        return await act("draft", 1)

    @draft.undo
    async def undraft(self, _: int) -> None:
        await undo("draft")

    @compose(after=[draft])
    async def sign(self) -> Sign:
        return Sign(name="ann")

    @sign.compensate
    async def unsigned(self, error: StepError) -> Continue[str] | TryAgain | None:
        await compensate("sign")
        if self.then == "again" and len(world.compensated) < 2:
            return TryAgain()
        return Continue("nobody") if self.then == "continue" else None

    @step
    async def output(self, sign: str = sign.result) -> str:
        return await act("output", sign)


# ---- in a child ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [{"run_id": "Deal:1"}, {"correlation_id": "sign:ann"}], ids=["run", "correlation"])
async def test_an_interrupt_in_a_child_is_approved(at, by):
    """It is found by the run or by its id; its address is the child's; the parent goes on."""
    async with at(Deal) as stage:
        await stage.engine.start(Deal(), id="1")
        await stage.parks("Deal:1", "sign.approved")
        assert await stage.signal(Sign.approved, True, **by) == "accepted"
        assert await stage.outcome("Deal:1") == Succeeded("ann", "Deal:1")
        assert await stage.signal(Sign.approved, True, **by) == "duplicate"
        assert world.began == ["draft", "lock ann", "ask ann", "signed ann", "output"]


async def test_a_rejection_rolls_back_the_child_first(at):
    """The child undoes its lock, its compose node is compensated, then the parent undoes its draft."""
    async with at(Deal) as stage:
        await stage.engine.start(Deal(), id="1")
        await stage.parks("Deal:1", "sign.approved")
        await stage.signal(Sign.approved, False, run_id="Deal:1")
        outcome = await stage.outcome("Deal:1")
        assert isinstance(outcome, Failed)
        assert (outcome.step, outcome.error.message) == ("sign.output", "rejected")
        assert (world.undone, world.compensated) == (["lock ann", "draft"], ["sign"])


async def test_a_rejection_that_the_parent_recovers_from(at):
    """Continue: only the child was undone."""
    async with at(Deal) as stage:
        await stage.engine.start(Deal(then="continue"), id="1")
        await stage.parks("Deal:1", "sign.approved")
        await stage.signal(Sign.approved, False, run_id="Deal:1")
        assert await stage.outcome("Deal:1") == Succeeded("nobody", "Deal:1")
        assert world.undone == ["lock ann"]


async def test_a_child_that_is_tried_again_asks_again(at):
    """The second child is another occurrence under the same id: a new answer is taken, and the old one is not its."""
    async with at(Deal) as stage:
        await stage.engine.start(Deal(then="again"), id="1")
        await stage.parks("Deal:1", "sign.approved")
        await stage.signal(Sign.approved, False, correlation_id="sign:ann")
        await stage.parks("Deal:1", "sign.approved")
        assert await stage.signal(Sign.approved, True, correlation_id="sign:ann") == "accepted"
        assert await stage.outcome("Deal:1") == Succeeded("ann", "Deal:1")
        assert world.began.count("ask ann") == 2


@pytest.mark.parametrize("how", ["undo", "cancel"])
async def test_a_child_that_waits_is_undone(at, how):
    """What the child has done is undone, then what the parent has; nobody waits any more."""
    async with at(Deal) as stage:
        await stage.engine.start(Deal(), id="1")
        await stage.parks("Deal:1", "sign.approved")
        run = await stage.run("Deal:1")
        await (run.undo() if how == "undo" else run.cancel("no"))
        assert await stage.outcome("Deal:1") == (Undone("Deal:1") if how == "undo" else Cancelled("no", "Deal:1"))
        assert world.undone == ["lock ann", "draft"]
        await stage.refused(NotWaiting, Sign.approved, True, correlation_id="sign:ann")


async def test_one_for_a_child_that_is_not_open_yet_is_kept(at):
    """By the run: whichever occurrence asks first takes it."""
    world.takes("draft", 0.2)
    async with at(Deal) as stage:
        await stage.engine.start(Deal(), id="1")
        assert await stage.signal(Sign.approved, True, run_id="Deal:1") == "early"
        await stage.again()
        assert await stage.outcome("Deal:1") == Succeeded("ann", "Deal:1")


# ---- in a child of an element -------------------------------------------------------------------------------------


class Page(Reactor):
    """An element: it composes Sign, so that the interrupt lies two reactors down."""

    name: str

    @compose
    async def output(self) -> Sign:
        return Sign(name=self.name)


class Book(Reactor):
    """pages (a map of reactors, lazily read, two batches of one in flight) → output."""

    names: list[str]

    @source
    async def rows(self) -> AsyncIterator[str]:
        for name in self.names:
            world.note("pulled", name)
            yield name

    @map_over(rows, batch_size=1, in_flight=2)
    async def pages(self, name: str) -> Page:
        return Page(name=name)

    @step
    async def output(self, pages: Results[str] = pages.result) -> list[str]:
        return await act("output", await pages.all())


A, B = "pages[0].output.approved", "pages[1].output.approved"


async def test_elements_wait_and_are_back_pressure(at):
    """With two batches parked the run is parked, no third is taken; each answer lets the next in; results are in source order."""
    async with at(Book) as stage:
        await stage.engine.start(Book(names=["a", "b", "c"]), id="1")
        parked = await stage.parks("Book:1", A, B)
        assert sorted(one.correlation_id for one in parked.waiting) == ["sign:a", "sign:b"]
        assert [entry.name for entry in world.diary if entry.what == "began" and entry.name.startswith("lock")] == ["lock a", "lock b"]
        assert await stage.signal(Sign.approved, True, correlation_id="sign:b") == "accepted"
        await stage.parks("Book:1", A, "pages[2].output.approved")
        assert await stage.signal(Sign.approved, True, correlation_id="sign:c") == "accepted"
        await stage.parks("Book:1", A)
        assert await stage.signal(Sign.approved, True, run_id="Book:1") == "accepted"
        assert await stage.outcome("Book:1") == Succeeded(["a", "b", "c"], "Book:1")
        assert world.began.count("lock a") == 1


async def test_parked_batches_hold_nothing(at):
    """Neither the run's record nor a batch's has a lease, nothing drives them, no task is left."""
    async with at(Book) as stage:
        await stage.engine.start(Book(names=["a", "b", "c"]), id="1")
        await stage.parks("Book:1", A, B)
        for name in ("Book:1", "Book:1/pages#0", "Book:1/pages#1"):
            kept = await stage.record(name)
            assert (kept.token, kept.status) == (None, "parked"), name
        assert (stage.engine._host.drivers, drivers_tasks()) == ({}, [])


async def test_by_the_run_alone_it_must_be_one(at):
    """Several open: said which; none open and more to come: that they need an id."""
    async with at(Book) as stage:
        await stage.engine.start(Book(names=["a", "b"]), id="1")
        await stage.parks("Book:1", A, B)
        error = await stage.refused(AmbiguousSignal, Sign.approved, True, run_id="Book:1")
        assert sorted(error.known) == [f"{A} (sign:a)", f"{B} (sign:b)"]


async def test_a_rejection_in_an_element_rolls_the_run_back(at):
    """The element undoes its own, the map stops: the other element's open interrupt is dropped and its lock undone."""
    async with at(Book) as stage:
        await stage.engine.start(Book(names=["a", "b", "c"]), id="1")
        await stage.parks("Book:1", A, B)
        await stage.signal(Sign.approved, False, correlation_id="sign:a")
        outcome = await stage.outcome("Book:1")
        assert isinstance(outcome, Failed)
        assert outcome.error.message == "rejected"
        assert sorted(world.undone) == ["lock a", "lock b"]
        assert "lock c" not in world.began
        await stage.refused(NotWaiting, Sign.approved, True, correlation_id="sign:b")


async def test_elements_that_wait_are_undone(at):
    """One has signed, one waits: both are undone, each once."""
    async with at(Book) as stage:
        await stage.engine.start(Book(names=["a", "b"]), id="1")
        await stage.parks("Book:1", A, B)
        await stage.signal(Sign.approved, True, correlation_id="sign:b")
        await stage.parks("Book:1", A)
        await (await stage.run("Book:1")).undo()
        assert await stage.outcome("Book:1") == Undone("Book:1")
        assert sorted(world.undone) == ["lock a", "lock b", "signed b"]
        assert world.undone.index("signed b") < world.undone.index("lock b")


async def test_one_for_an_element_that_is_not_there_yet_is_kept(at):
    """By correlation id, before anything of the run exists: the element takes it and does not wait."""
    async with at(Book) as stage:
        assert await stage.signal(Sign.approved, True, correlation_id="sign:b") == "early"
        await stage.engine.start(Book(names=["a", "b"]), id="1")
        await stage.parks("Book:1", A)
        await stage.signal(Sign.approved, True, correlation_id="sign:a")
        assert await stage.outcome("Book:1") == Succeeded(["a", "b"], "Book:1")
