"""The harness, as a user would use it: failures put in by address, calls replaced, hangs, cancels, and a saga failed at every point."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from reactor import (
    Cancelled,
    Continue,
    Failed,
    Reactor,
    ReactorError,
    ResultNotStorable,
    Results,
    Retry,
    RunFailed,
    StepError,
    Succeeded,
    compose,
    map_over,
    step,
    use,
)
from reactor.testing import CANCEL, HANG, Injected, NotReached, fail_each, run_virtual, trial, virtual_backend

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """On the virtual clock."""
    return virtual_backend()


class Bank:
    """A world that can be looked at."""

    def __init__(self) -> None:
        self.held: set[str] = set()


bank = Bank()


def the_bank() -> Bank:
    """The resource."""
    return bank


class Payment(Reactor):
    amount: int

    @step(timeout=5, retry=Retry(3, backoff="fixed", base=60, jitter=False))
    async def charge(self, bank: Bank = use(the_bank)) -> str:
        bank.held.add(f"charge {self.amount}")
        return f"charge {self.amount}"

    @charge.undo
    async def refund(self, charge: str, bank: Bank = use(the_bank)) -> None:
        bank.held.remove(charge)

    @charge.compensate
    async def check(self, error: StepError, bank: Bank = use(the_bank)) -> Continue[str] | None:
        bank.held.discard(f"charge {self.amount}")
        return Continue("on the house") if error.is_a(PermissionError) else None

    @step
    def output(self, charge: str = charge.result) -> str:
        return charge


class Order(Reactor):
    lines: list[str]

    @step
    async def reserve(self, bank: Bank = use(the_bank)) -> str:
        bank.held.add("stock")
        return "stock"

    @reserve.undo
    async def release(self, held: str, bank: Bank = use(the_bank)) -> None:
        bank.held.remove(held)

    @compose
    async def payment(self, held: str = reserve.result) -> Payment:
        return Payment(amount=len(self.lines))

    @step
    async def list_lines(self) -> list[str]:
        return self.lines

    @map_over(list_lines.result, batch_size=2, in_flight=1)
    async def ship(self, line: str, paid: str = payment.result, bank: Bank = use(the_bank)) -> str:
        bank.held.add(f"parcel {line}")
        return line

    @ship.undo
    async def unship(self, line: str, bank: Bank = use(the_bank)) -> None:
        bank.held.remove(f"parcel {line}")

    @step
    async def output(self, parcels: Results[str] = ship.result, paid: str = payment.result) -> str:
        return f"{len(parcels)} parcels, {paid}"


@pytest.fixture(autouse=True)
def _fresh_bank():
    bank.held.clear()


def order() -> Order:
    """An order, in a world as it was."""
    bank.held.clear()
    return Order(lines=["a", "b", "c"])


async def test_a_trial_without_faults_is_a_run():
    """Outcome, value, results by address, calls in order, and the public events."""
    shown = await trial(order())
    assert isinstance(shown.outcome, Succeeded)
    assert shown.value == "3 parcels, charge 3"
    assert shown.results["payment.charge"] == "charge 3"
    assert shown.results["ship[1]"] == "b"
    assert shown.calls[-1] == "output"
    assert sorted(shown.calls) == sorted(
        ["reserve", "list_lines", "payment", "payment.charge", "payment.output", "ship[0]", "ship[1]", "ship[2]", "output"]
    )
    assert shown.undone == shown.compensated == []
    assert shown.events[0].kind == "run_started"
    assert shown.events[-1].kind == "run_ended"
    assert "3 parcels" in repr(shown)


async def test_a_failure_by_address():
    """The call fails without the author's code; compensation and undos are the real ones."""
    shown = await trial(order(), fail={"ship[2]": OSError("no truck")})
    assert isinstance(shown.outcome, Failed)
    assert shown.outcome.step == "ship[2]"
    assert shown.outcome.error.is_a(OSError)
    assert set(shown.undone) == {"ship[0]", "ship[1]", "payment.charge", "reserve"}
    assert bank.held == set()
    with pytest.raises(RunFailed):
        _ = shown.value


@pytest.mark.parametrize("fault", [ValueError, ValueError("x")])
async def test_a_class_or_an_instance(fault):
    """Either is raised, at every call: retries do not help."""
    shown = await trial(order(), fail={"payment.charge": fault})
    assert shown.outcome.error.kind == "ValueError"
    assert shown.calls.count("payment.charge") == 3
    assert shown.compensated == ["payment.charge"]
    assert shown.undone == ["reserve"]


async def test_one_fault_for_each_call():
    """None lets a call through, and so does the end of the sequence; waits take no time."""
    shown = await trial(order(), fail={"payment.charge": [ConnectionError("1"), ConnectionError("2")]})
    assert shown.value == "3 parcels, charge 3"
    assert shown.calls.count("payment.charge") == 3
    tries = [made for made in shown.made if made.address == "payment.charge"]
    assert [made.attempt for made in tries] == [1, 2, 3]
    assert [type(made.error) for made in tries] == [ConnectionError, ConnectionError, type(None)]
    assert [later.began - earlier.began for earlier, later in pairwise(tries)] == pytest.approx([60, 60])
    shown = await trial(order(), fail={"payment.charge": [None, OSError("never reached")]})
    assert shown.calls.count("payment.charge") == 1


async def test_the_authors_compensate_answers():
    """What `compensate` says is obeyed."""
    shown = await trial(order(), fail={"payment.charge": PermissionError("blocked")})
    assert shown.value == "3 parcels, on the house"


async def test_a_hang_ends_by_its_timeout():
    """`HANG` never returns: the step's own timeout must come."""
    shown = await trial(order(), fail={"payment.charge": [HANG]})
    assert isinstance(shown.outcome, Succeeded)
    first = next(made for made in shown.made if made.address == "payment.charge")
    assert first.ended - first.began == pytest.approx(5)
    assert isinstance(first.error, asyncio.CancelledError)


async def test_a_hang_ends_by_the_deadline():
    """Or the run's deadline."""
    shown = await trial(order(), fail={"reserve": HANG}, deadline=timedelta(days=1).total_seconds())
    assert isinstance(shown.outcome, Failed)
    assert shown.outcome.error.is_a(TimeoutError)


async def test_a_cancel_while_a_call_is_in_flight():
    """`CANCEL` cancels the run there: the call is compensated, the rest is undone."""
    shown = await trial(order(), fail={"payment.charge": CANCEL})
    assert isinstance(shown.outcome, Cancelled)
    assert shown.compensated == ["payment.charge"]
    assert shown.undone == ["reserve"]
    assert bank.held == set()


async def test_undo_and_compensate_can_fail():
    """`undo:reserve` and `compensate:payment.charge` mean those calls."""
    shown = await trial(
        order(), fail={"payment.charge": OSError("down"), "undo:reserve": OSError("jammed"), "compensate:payment.charge": OSError("too")}
    )
    assert [(failure.step, failure.kind) for failure in shown.outcome.rollback_failures] == [
        ("payment.charge", "compensate"),
        ("reserve", "undo"),
    ]
    assert shown.undone == []


async def test_every_element():
    """`[*]` is every index: each has its own calls to count."""
    shown = await trial(order(), fail={"ship[*]": [None, OSError("a second call")]})
    assert isinstance(shown.outcome, Succeeded)
    shown = await trial(order(), fail={"ship[*]": OSError("every call")})
    assert isinstance(shown.outcome, Failed)
    assert shown.outcome.step in ("ship[0]", "ship[1]")
    assert not any(address.startswith("ship") for address in shown.undone)


async def test_replacing_with_a_value_or_a_callable():
    """A value is returned, a callable gets what the author's method would, but for self; async or not; threads too."""

    async def shipped(line: str, paid: str, bank: Bank) -> str:
        return f"{line} for {paid}"

    shown = await trial(order(), replace={"payment.charge": "free", "ship[*]": shipped, "payment.output": lambda charge: charge.upper()})
    assert shown.results["ship[0]"] == "a for FREE"
    assert shown.value == "3 parcels, FREE"
    assert bank.held == {"stock"}


async def test_replacing_a_child():
    """A compose gets another reactor that it may return."""
    shown = await trial(order(), replace={"payment": lambda held: Payment(amount=99)})
    assert shown.value == "3 parcels, charge 99"


async def test_resources_can_be_replaced():
    """As an engine has it."""
    other = Bank()
    await trial(order(), resources={the_bank: lambda: other})
    assert bank.held == set()
    assert "stock" in other.held


async def test_values_are_round_tripped():
    """A result that a store could not keep is found out in a test."""

    class Unstorable(Reactor):
        @step
        async def output(self) -> int:
            return "text"  # type: ignore[return-value]

    shown = await trial(Unstorable())
    assert shown.outcome.error.is_a(ResultNotStorable)


@pytest.mark.parametrize(
    ("fault", "nearest"), [("shipp[2]", "ship[2]"), ("ship[9]", "ship"), ("undo:reserve", "reserve"), ("payment.chrage", "payment.charge")]
)
async def test_what_is_never_called_is_told(fault, nearest):
    """A fault that was never reached tested nothing: it is an error that names what was called, and the nearest."""
    with pytest.raises(NotReached) as caught:
        await trial(order(), fail={fault: OSError("x")})
    assert fault in str(caught.value)
    assert nearest in str(caught.value)
    with pytest.raises(NotReached):
        await trial(order(), replace={fault: 1})


async def test_a_word_that_is_no_call():
    """Only do, undo and compensate are calls."""
    with pytest.raises(ReactorError, match="undone:reserve"):
        await trial(order(), fail={"undone:reserve": OSError("x")})


async def test_a_thread_cannot_hang_by_word():
    """`HANG` in a plain `def` step is refused: nothing could end it."""
    shown = await trial(order(), fail={"payment.output": HANG})
    assert isinstance(shown.outcome, Failed)
    assert "thread" in shown.outcome.error.message


async def test_trials_do_not_disturb_each_other_nor_the_class():
    """Many at once, each with its own faults; the reactor itself is as it was."""
    failed, fine = await asyncio.gather(trial(Payment(amount=1), fail={"charge": OSError("x")}), trial(Payment(amount=2)))
    assert isinstance(failed.outcome, Failed)
    assert fine.value == "charge 2"
    assert await Payment(amount=3) == "charge 3"


async def test_fail_each_tries_every_point():
    """At whichever call it fails, the world is as it was: what a saga is for, in three lines."""
    seen = []
    async for shown in fail_each(order):
        seen.append(shown.failing)
        assert isinstance(shown.outcome, Failed)
        assert shown.outcome.error.is_a(Injected)
        assert bank.held == set()
    assert sorted(seen) == sorted(
        ["reserve", "payment", "payment.charge", "payment.output", "list_lines", "ship[0]", "ship[1]", "ship[2]", "output"]
    )


async def test_fail_each_with_an_error_of_ones_own():
    """At chosen points, with a chosen error; one that is recovered from succeeds."""
    shown = [shown async for shown in fail_each(order, error=PermissionError("blocked"), at=["payment.charge", "output"])]
    assert [type(one.outcome) for one in shown] == [Succeeded, Failed]


async def test_fail_each_needs_a_run_that_goes_well():
    """Otherwise there is nothing to learn from: the failure is raised."""
    with pytest.raises(RunFailed):
        _ = [shown async for shown in fail_each(order, replace={"reserve": lambda bank: 1 / 0})]


def test_interleavings():
    """The same outcome under every order of ready tasks, by `seed`."""
    assert len({run_virtual(trial(order()), seed=seed).value for seed in range(10)}) == 1
