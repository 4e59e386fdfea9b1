"""Composing, case by case: the union switch, `when`, recursion, what a child takes from its parent, and what it does not."""

import asyncio

import pytest

from reactor import Continue, Engine, Failed, Reactor, Results, StepError, Succeeded, compose, map_over, step, step_context
from tests.scenarios.world import Boom, act, compensate, engine, now, undo, world

pytestmark = pytest.mark.anyio


class Card(Reactor):
    amount: int

    @step
    async def output(self) -> str:
        return await act("card", f"card {self.amount}")

    @output.undo
    async def refund(self, value: str) -> None:
        await undo(value)


class Wire(Reactor):
    amount: int
    iban: str = "DE"

    @step
    async def check(self) -> bool:
        return await act("check", True)

    @step
    async def output(self, ok: bool = check.result) -> str:
        return await act("wire", f"wire {self.amount} to {self.iban}")

    @output.undo
    async def call_back(self, value: str) -> None:
        await undo(value)


class Pay(Reactor):
    by_wire: bool
    paying: bool = True

    @step
    async def due(self) -> bool:
        return self.paying

    @compose(when=due)
    async def payment(self) -> Card | Wire:
        await act("payment")
        return Wire(amount=5) if self.by_wire else Card(amount=5)

    @payment.compensate
    async def drop(self, error: StepError) -> None:
        await compensate("payment")

    @step
    async def output(self, paid: str | None = payment.result) -> str:
        return await act("output", f"paid by {paid}")


@pytest.mark.parametrize(("by_wire", "value"), [(True, "paid by wire 5 to DE"), (False, "paid by card 5")])
async def test_the_union_is_the_switch(mode, by_wire, value):
    """What the method returns is what runs, and what is undone."""
    assert (await mode(Pay(by_wire=by_wire))).value == value
    world.fails("output", Boom("late"))
    await mode(Pay(by_wire=by_wire))
    assert world.undone == [value.removeprefix("paid by ")]


async def test_when_is_false(mode):
    """No child: dependents get None, and nothing of it is undone or compensated."""
    assert (await mode(Pay(by_wire=True, paying=False))).value == "paid by None"
    assert world.began == ["output"]


async def test_what_is_not_a_branch_is_refused(mode):
    """A reactor that the return type does not name fails the node, and names those that it does."""

    class Wrong(Reactor):
        @compose
        async def payment(self) -> Card:
            return Wire(amount=1)  # type: ignore[return-value]

        @step
        async def output(self, paid: str = payment.result) -> str:
            return paid

    outcome = await mode(Wrong())
    assert isinstance(outcome, Failed)
    assert outcome.step == "payment"
    assert "Card" in outcome.error.message
    assert "Wire" in outcome.error.message


async def test_bad_inputs_of_a_child_fail_the_node(mode):
    """They are found where the child is made; no step of it begins."""

    class Bad(Reactor):
        @compose
        async def payment(self) -> Card:
            return Card(amount="five")  # type: ignore[arg-type]

        @step
        async def output(self, paid: str = payment.result) -> str:
            return paid

    outcome = await mode(Bad())
    assert isinstance(outcome, Failed)
    assert outcome.step == "payment"
    assert outcome.error.kind == "InputInvalid"
    assert world.began == []


# ---- recursion -----------------------------------------------------------------------------------------------------------


class Countdown(Reactor):
    n: int

    @step
    async def more(self) -> bool:
        return self.n > 0

    @step
    async def mark(self) -> int:
        return await act(f"mark {self.n}", self.n)

    @mark.undo
    async def unmark(self, value: int) -> None:
        await undo(f"mark {value}")

    @compose(when=more, after=[mark])
    async def rest(self) -> "Countdown":
        return Countdown(n=self.n - 1)

    @step
    async def output(self, mark: int = mark.result, rest: int | None = rest.result) -> int:
        return await act(f"sum {self.n}", mark + (rest or 0))


async def test_a_reactor_may_compose_itself(mode):
    """Children are planned when first needed; each level has its own address."""
    outcome = await mode(Countdown(n=4))
    assert isinstance(outcome, Succeeded)
    assert outcome.value == 10
    world.fails("sum 2", Boom("two"))
    outcome = await mode(Countdown(n=4))
    assert outcome.step == "rest.rest.output"
    assert world.undone == ["mark 0", "mark 1", "mark 2", "mark 3", "mark 4"]


async def test_recursion_is_at_most_32_deep(mode):
    """31 compositions below the top and more up to the limit; past it the node fails, and everything is undone."""
    outcome = await mode(Countdown(n=30))
    assert isinstance(outcome, Succeeded)
    outcome = await mode(Countdown(n=40))
    assert isinstance(outcome, Failed)
    assert "32" in outcome.error.message
    undone = [int(name.split()[1]) for name in world.undone]
    assert undone == sorted(undone)
    assert undone[-1] == 40


# ---- the child's place -----------------------------------------------------------------------------------------------------


class Who(Reactor):
    @step
    async def output(self) -> str:
        return f"{step_context().run_id} {step_context().address}"


class Asks(Reactor, name="asks"):
    @compose
    async def who(self) -> Who:
        return Who()

    @map_over([1, 2])
    async def each(self, n: int) -> Who:
        return Who()

    @step
    async def output(self, who: str = who.result, each: Results[str] = each.result) -> list[str]:
        return [who, *await each.all()]


async def test_a_childs_nodes_are_the_parents_run():
    """Under the node's address, in the same run."""
    async with engine() as eng:
        outcome = await eng.run(Asks(), id="a")
    assert outcome.value == ["asks:a who.output", "asks:a each[0].output", "asks:a each[1].output"]


async def test_children_run_beside_each_other(mode):
    """Two children without a common dependency are in flight together, and share the run's slots."""

    class Two(Reactor):
        @compose
        async def left(self) -> Card:
            return Card(amount=1)

        @compose
        async def right(self) -> Wire:
            return Wire(amount=2)

        @step
        async def output(self, left: str = left.result, right: str = right.result) -> list[str]:
            return [left, right]

    world.takes("card", 5)
    world.takes("check", 5)
    assert (await mode(Two())).value == ["card 1", "wire 2 to DE"]
    assert now() == pytest.approx(5)


async def test_a_childs_undo_waits_for_what_depended_on_the_child(mode):
    """In its place: after the parent's dependents, before what the child depended on."""

    class Placed(Reactor):
        @step
        async def before(self) -> str:
            return await act("before")

        @before.undo
        async def undo_before(self, value: str) -> None:
            await undo("before")

        @compose
        async def payment(self, before: str = before.result) -> Wire:
            return Wire(amount=1)

        @step
        async def after(self, payment: str = payment.result) -> str:
            return await act("after")

        @after.undo
        async def undo_after(self, value: str) -> None:
            await undo("after")

        @step
        async def output(self, after: str = after.result) -> str:
            return await act("output")

    world.fails("output", Boom("late"))
    for name in ("before", "after", "wire 1 to DE"):
        world.takes(f"undo {name}", 3)
    await mode(Placed())
    assert world.undone == ["after", "wire 1 to DE", "before"]
    assert now() == pytest.approx(9)


async def test_two_children_fail_at_once(mode):
    """Each rolls itself back; the first to stand is the run's failure; a `Continue` of the other comes too late."""

    class Both(Reactor):
        @compose
        async def left(self) -> Wire:
            return Wire(amount=1, iban="L")

        @compose
        async def right(self) -> Wire:
            return Wire(amount=2, iban="R")

        @right.compensate
        async def go_on(self, error: StepError) -> Continue[str]:
            await compensate("right")
            return Continue("fine")

        @step
        async def output(self, left: str = left.result, right: str = right.result) -> str:
            return left + right

    world.fails("wire", Boom("first"), Boom("second"))
    outcome = await mode(Both())
    assert isinstance(outcome, Failed)
    assert outcome.step == "left.output"
    assert world.undone == []


async def test_many_children_at_once(mode):
    """A hundred children, each with its own address, in one run."""

    class Hundred(Reactor):
        @map_over(list(range(100)), batch_size=10, in_flight=10)
        async def each(self, n: int) -> Wire:
            return Wire(amount=n)

        @step
        async def output(self, each: Results[str] = each.result) -> int:
            return len(await each.all())

    assert (await mode(Hundred())).value == 100
    async with Engine("memory://", concurrency=7) as eng:
        assert all(isinstance(outcome, Succeeded) for outcome in await asyncio.gather(*(eng.run(Hundred()) for _ in range(3))))
