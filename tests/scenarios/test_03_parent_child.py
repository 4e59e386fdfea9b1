"""Scenario 3: parent and child reactors: fail in the child, in a step after it, in the parent after both; retries are the child's."""

import pytest

from reactor import Continue, Failed, Reactor, Retry, StepError, Succeeded, TryAgain, compose, step, step_context
from tests.scenarios.world import Boom, act, compensate, is_before, undo, world

pytestmark = pytest.mark.anyio


class Payment(Reactor):
    amount: int

    @step
    async def hold(self) -> str:
        return await act("hold", f"hold {self.amount}")

    @hold.undo
    async def release(self, value: str) -> None:
        assert value == f"hold {self.amount}"
        await undo("hold")

    @step(retry=Retry(3, backoff="fixed", base=1, jitter=False))
    async def charge(self, hold: str = hold.result) -> str:
        return await act("charge", f"charged {self.amount}")

    @charge.undo
    async def refund(self, value: str) -> None:
        await undo("charge")

    @charge.compensate
    async def check_charge(self, error: StepError) -> None:
        await compensate("charge")

    @step
    async def output(self, charge: str = charge.result) -> str:
        return await act("receipt", charge)

    @output.undo
    async def void(self, value: str) -> None:
        await undo("receipt")


class Order(Reactor):
    total: int = 7

    @step
    async def reserve(self) -> str:
        return await act("reserve")

    @reserve.undo
    async def unreserve(self, value: str) -> None:
        await undo("reserve")

    @compose
    async def payment(self, reserved: str = reserve.result) -> Payment:
        await act("payment")
        return Payment(amount=self.total)

    @step
    async def ship(self, paid: str = payment.result) -> str:
        return await act("ship", f"shipped, {paid}")

    @ship.undo
    async def unship(self, value: str) -> None:
        await undo("ship")

    @step
    async def output(self, shipped: str = ship.result) -> str:
        return await act("output", shipped)


async def test_the_childs_output_is_the_nodes_result(mode):
    """The child's nodes run in their own order, and its output is what dependents get."""
    outcome = await mode(Order())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == "shipped, charged 7"
    assert world.began == ["reserve", "payment", "hold", "charge", "receipt", "ship", "output"]


async def test_the_childs_retries_are_the_childs(mode):
    """A step of the child is tried again in its place: nothing else is called twice."""
    world.fails("charge", Boom("busy"), Boom("busy"))
    outcome = await mode(Order())
    assert isinstance(outcome, Succeeded)
    assert world.began == ["reserve", "payment", "hold", "charge", "charge", "charge", "receipt", "ship", "output"]


async def test_fail_in_the_child(mode):
    """The child rolls itself back, then the parent; the failure says where in the child it was."""
    world.always_fails("charge", Boom("declined"))
    outcome = await mode(Order())
    assert isinstance(outcome, Failed)
    assert outcome.error.kind == "Boom"
    assert outcome.step == "payment.charge"
    assert world.compensated == ["charge"]
    assert world.undone == ["hold", "reserve"]
    assert "ship" not in world.began


async def test_fail_before_the_child(mode):
    """A child that never began has nothing to undo or compensate."""
    world.fails("reserve", Boom("none left"))
    outcome = await mode(Order())
    assert outcome.step == "reserve"
    assert world.began == ["reserve"]
    assert world.undone == []


@pytest.mark.parametrize("failing", ["ship", "output"])
async def test_fail_in_the_parent_after_the_child(mode, failing):
    """A later failure of the parent undoes the child's nodes in their place, by their own undos, in their order."""
    world.fails(failing, Boom("late"))
    outcome = await mode(Order())
    assert isinstance(outcome, Failed)
    assert outcome.step == failing
    after = ["ship"] if failing == "output" else []
    assert world.undone == [*after, "receipt", "charge", "hold", "reserve"]


async def test_fail_in_the_compose_itself(mode):
    """A compose whose own method raises fails like a step, and no child begins."""
    world.fails("payment", Boom("no method"))
    outcome = await mode(Order())
    assert outcome.step == "payment"
    assert world.began == ["reserve", "payment"]
    assert world.undone == ["reserve"]


class Beside(Reactor):
    """A child that fails beside a branch of the parent's that is in the middle of things."""

    again: bool = False

    @compose
    async def payment(self) -> Payment:
        await act("payment")
        return Payment(amount=1)

    @payment.compensate
    async def fall_back(self, error: StepError) -> Continue[str] | TryAgain | None:
        await compensate("payment")
        if self.again and error.is_a(Boom):
            return TryAgain(after=5)
        return Continue("cash") if error.is_a(Boom) else None

    @step
    async def pack(self) -> str:
        return await act("pack")

    @pack.undo
    async def unpack(self, value: str) -> None:
        await undo("pack")

    @step
    async def label(self, pack: str = pack.result) -> str:
        return await act("label")

    @label.undo
    async def peel(self, value: str) -> None:
        await undo("label")

    @step
    async def output(self, paid: str = payment.result, label: str = label.result) -> str:
        return await act("output", f"{label}, {paid}")


async def test_a_failure_stands_in_its_own_scope_first(mode):
    """A child stops and rolls back alone, while the parent's other branch goes on; its compose may then `Continue`."""
    world.always_fails("charge", Boom("declined"))
    world.takes("undo hold", 10)
    world.takes("pack", 5)  # charge has failed for the last time at 2, hold is undone at 12
    outcome = await mode(Beside())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == "label, cash"
    assert world.when("began", "undo hold") < world.when("began", "label") < world.when("ended", "undo hold")
    assert world.when("began", "compensate payment") >= world.when("ended", "undo hold")
    assert world.undone == ["hold"]


async def test_a_child_that_recovered_is_not_undone_twice(mode):
    """A later failure of the parent does not undo again what the child's own rollback undid, nor the node that recovered."""
    world.always_fails("charge", Boom("declined"))
    world.fails("output", Boom("late"))
    outcome = await mode(Beside())
    assert outcome.step == "output"
    assert world.undone == ["hold", "label", "pack"]


async def test_compose_tries_again(mode):
    """`TryAgain` of a compose makes the child anew, after the delay: its steps are called again from the start."""
    world.fails("charge", Boom("1"), Boom("2"), Boom("3"))
    outcome = await mode(Beside(again=True))
    assert isinstance(outcome, Succeeded)
    assert outcome.value == "label, charged 1"
    assert world.began.count("payment") == 2
    assert world.began.count("hold") == 2
    assert world.began.count("charge") == 4
    assert world.undone == ["hold"]
    assert world.times("began", "payment") == pytest.approx([0, 7])


async def test_compose_tries_again_ten_times_at_most(mode):
    """The eleventh failure stands, whatever `compensate` says."""
    world.always_fails("hold", Boom("never"))
    outcome = await mode(Beside(again=True))
    assert isinstance(outcome, Failed)
    assert world.began.count("payment") == 11
    assert world.undone == ["label", "pack"]


class Keys(Reactor):
    @step
    async def output(self) -> str:
        world.note("key", step_context().idempotency_key)
        return await act("inner")


class KeyParent(Reactor):
    @compose
    async def child(self) -> Keys:
        world.note("key", step_context().idempotency_key)
        return Keys()

    @child.compensate
    async def again(self, error: StepError) -> TryAgain:
        return TryAgain()

    @step
    async def output(self, child: str = child.result) -> str:
        return child


async def test_trying_a_compose_again_moves_the_keys_of_what_is_in_it(mode):
    """The call number of a child's step lists the TryAgain counts of the composes around it: a new child is a new effect."""
    world.fails("inner", Boom("1"))
    outcome = await mode(KeyParent())
    assert isinstance(outcome, Succeeded)
    assert len(set(world.names("key"))) == 4


class Nested(Reactor):
    @compose
    async def order(self) -> Order:
        return Order(total=3)

    @step
    async def output(self, order: str = order.result) -> str:
        return await act("after", order)


async def test_a_child_in_a_child(mode):
    """Two levels down: the failure's address, and a rollback through both."""
    world.always_fails("charge", Boom("declined"))
    outcome = await mode(Nested())
    assert outcome.step == "order.payment.charge"
    assert world.undone == ["hold", "reserve"]


async def test_a_failure_above_undoes_both_levels(mode):
    """What two levels of children did is undone by a failure above them."""
    world.fails("after", Boom("late"))
    outcome = await mode(Nested())
    assert outcome.step == "output"
    assert world.undone == ["ship", "receipt", "charge", "hold", "reserve"]
    assert is_before(world.undone, "ship", "receipt")
