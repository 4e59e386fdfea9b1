"""The sagas that are killed, starved and blocked: a ledger sees every call, and all that they do can be undone."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from reactor import Ask, Reactor, Results, Retry, StepError, compose, interrupt, map_over, step, step_context
from tests.crash.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LEDGERS: list[Ledger] = []  # the one of this process
STALLS = [0.0]  # seconds that a call blocks this process's loop
QUICK = Retry(3, backoff="fixed", base=0.02, jitter=False)
ITEMS = 5
LINKS = 12


class Declined(Exception):
    """What goes wrong."""


@asynccontextmanager
async def noted(said: str, seconds: float = 0.004) -> AsyncIterator[Ledger]:
    """A call, as the world sees it: it takes so long, and says what it does."""
    ledger, call = LEDGERS[-1], step_context()
    told = {"key": call.idempotency_key, "said": said, "attempt": call.attempt, "fence": call.fence}
    ledger.write("begin", **told)
    try:
        yield ledger
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        ledger.write("cut", **told)
        raise
    except BaseException:
        ledger.write("fail", **told)
        raise
    ledger.write("end", **told)


class Parcel(Reactor):
    """The child."""

    order: str

    @step
    async def label(self) -> str:
        async with noted(f"label {self.order}"):
            return f"label of {self.order}"

    @label.undo
    async def void(self, label: str) -> None:
        async with noted(f"void {label}"):
            pass

    @step
    async def output(self, label: str = label.result) -> str:
        async with noted(f"book {label}"):
            return f"parcel with {label}"

    @output.undo
    async def cancel(self, parcel: str) -> None:
        async with noted(f"cancel {parcel}"):
            pass


class Order(Reactor):
    """`story` says how it ends: forward, failing (its last step is declined), cancel (its last step waits until it is cancelled)."""

    order: str
    story: str

    @step
    async def reserve(self) -> list[str]:
        async with noted(f"reserve {self.order}"):
            return [f"{self.order}-{number}" for number in range(ITEMS)]

    @reserve.undo
    async def release(self, items: list[str]) -> None:
        async with noted(f"release {len(items)}"):
            pass

    @step(retry=QUICK)
    async def pay(self, items: list[str] = reserve.result) -> str:
        async with noted(f"pay for {len(items)}") as ledger:
            key = step_context().idempotency_key
            if sum(line.what == "fail" and line.key == key for line in ledger.lines()) < 2:
                raise Declined("the bank is busy")
            return f"receipt for {len(items)}"

    @pay.undo
    async def refund(self, receipt: str) -> None:
        async with noted(f"refund {receipt}"):
            pass

    @map_over(reserve.result, batch_size=2, in_flight=2)
    async def pack(self, item: str) -> str:
        async with noted(f"pack {item}"):
            return f"packed {item}"

    @pack.undo
    async def unpack(self, packed: str) -> None:
        async with noted(f"unpack {packed}"):
            pass

    @compose
    async def parcel(self, receipt: str = pay.result) -> Parcel:
        async with noted(f"parcel for {receipt}"):
            return Parcel(order=self.order)

    @interrupt
    async def approval(self, parcel: str = parcel.result) -> Ask[str]:
        async with noted(f"ask about {parcel}"):
            return Ask(self.order, show=parcel)

    @step
    async def output(self, word: str = approval.result, packed: Results[str] = pack.result) -> str:
        async with noted(f"send {packed.succeeded}, {word}"):
            if self.story == "failing":
                raise Declined("nobody takes it")
            if self.story == "cancel":
                await asyncio.get_running_loop().create_future()
            return f"sent {packed.succeeded}: {word}"

    @output.compensate
    async def call_back(self, error: StepError) -> None:
        async with noted("call back what may have gone out"):
            pass


class Chain(Reactor):
    """Link after link, one more each `pace` seconds, each undone where `declined`."""

    pace: float
    declined: bool = False

    @step
    async def begin(self) -> list[int]:
        async with noted("begin", self.pace):
            return list(range(LINKS))

    @map_over(begin.result, batch_size=1, in_flight=1)
    async def link(self, number: int) -> int:
        async with noted(f"link {number}", self.pace):
            return number

    @link.undo
    async def unlink(self, number: int) -> None:
        async with noted(f"unlink {number}", self.pace):
            pass

    @step
    async def output(self, links: Results[int] = link.result) -> int:
        async with noted(f"close after {links.succeeded}"):
            if self.declined:
                raise Declined("not closed")
            return links.succeeded


class Poison(Reactor):
    """Its second step ends the process that calls it."""

    @step
    async def before(self) -> str:
        async with noted("before"):
            return "done"

    @before.undo
    async def take_back(self, done: str) -> None:
        async with noted("take back"):
            pass

    @step(retry=QUICK)
    async def output(self, done: str = before.result) -> str:
        async with noted("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    @output.compensate
    async def look(self, error: StepError) -> None:
        async with noted(f"look: {error.kind}"):
            pass


class Stall(Reactor):
    """One branch blocks the loop of its process, the other waits; something is to follow both."""

    @step
    async def stalls(self) -> str:
        async with noted("stall"):
            await asyncio.sleep(0.1)  # all that begins with it has begun
            time.sleep(STALLS[0])  # noqa: ASYNC251  it blocks the loop: that is what it is for
        return "stalled"

    @step
    async def waits(self) -> str:
        async with noted("wait", 60.0 if STALLS[0] else 0.0):
            return "waited"

    @step
    async def follows(self, stalled: str = stalls.result) -> str:
        async with noted(f"follow {stalled}"):
            return f"followed {stalled}"

    @step
    async def output(self, followed: str = follows.result, waited: str = waits.result) -> str:
        async with noted("close"):
            return f"{followed} and {waited}"


REACTORS = (Order, Chain, Poison, Stall)
