"""What may still be read: by what is to be called, by undos and compensations that may come, by the outcome; nothing else."""

from __future__ import annotations

from typing import Any

from reactor import Continue, Reactor, StepError, step
from reactor.define.failing import Failure
from reactor.machine.events import CallFailed, CallStarted, CallSucceeded, Event, RunStarted, StopRequested
from reactor.machine.machine import Machine
from reactor.plan.compile import plan_of
from reactor.run.needed import needed_in


class Shop(Reactor):
    """`price` is read by two steps and by an undo, `hold` has that undo, `pay` a compensate that reads `rate`."""

    @step
    async def price(self) -> int:
        return 1

    @step
    async def rate(self) -> int:
        return 1

    @step
    async def hold(self, price: int = price.result) -> int:
        return 1

    @hold.undo
    async def release(self, held: int, price: int = price.result) -> None: ...

    @step(after=[rate])
    async def pay(self, hold: int = hold.result) -> int:
        return 1

    @pay.compensate
    async def mend(self, error: StepError, rate: int = rate.result) -> Continue[int]:
        return Continue(1)

    @step(after=[pay])
    async def output(self, rate: int = rate.result) -> int:
        return 1


def done(name: str) -> list[Event]:
    """A step has its result."""
    return [CallStarted(1.0, name), CallSucceeded(1.0, name, 1)]


def needed(*given: Any) -> dict[str, str]:
    """By name, the first that needs it."""
    flat = [event for one in given for event in (one if isinstance(one, list) else [one])]
    scope = Machine.replay(plan_of(Shop), [RunStarted(1.0, ""), *flat]).state.root
    return {scope.names[index]: reader for index, reader in needed_in(scope)}


BOTH = [*done("price"), *done("rate")]
STOPPED = StopRequested(2.0, "", "cancel", "enough")


def test_what_is_to_be_called_reads():
    """Its parameters, and those of its undo and compensate; only what has a result is there to be needed."""
    assert needed() == {}
    assert needed(BOTH) == {"price": "`hold`", "rate": "`pay`"}


def test_an_undo_that_may_come_reads():
    """What succeeded and can be undone needs its own result, and what its undo takes."""
    assert needed(BOTH, done("hold"), done("pay")) == {"price": "`hold`", "hold": "its undo", "rate": "`output`"}


def test_a_run_that_stops_needs_what_takes_it_back():
    """Nothing begins any more, so what only that would have read may be of any type."""
    assert needed(BOTH, STOPPED) == {}
    assert needed(BOTH, done("hold"), STOPPED) == {"price": "`hold`", "hold": "its undo"}


def test_a_call_in_flight_is_made_again():
    """In a run that stops as well: it reads what it read."""
    assert needed(BOTH, CallStarted(1.0, "hold"), STOPPED) == {"price": "`hold`"}


def test_a_compensate_that_is_due_reads():
    """It answers a failure that is on record."""
    failed = [CallStarted(1.0, "pay"), CallFailed(1.0, "pay", "do", 1, Failure("Boom", "no"))]
    assert needed(BOTH, done("hold"), failed)["rate"] == "`pay`"
    assert needed(BOTH, done("hold"), CallStarted(1.0, "pay"), STOPPED, failed[1])["rate"] == "`pay`"


def test_the_outcome_reads_the_output():
    """For as long as the run may still succeed."""
    whole = [BOTH, done("hold"), done("pay"), done("output")]
    assert needed(*whole)["output"] == "the outcome"
    assert "output" not in needed(*whole, STOPPED)
