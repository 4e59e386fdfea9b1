"""A process that drives runs, and dies where it is told to: `python -m tests.crash.worker '{"url": …, "ledger": …, "stories": …}'`.

It is the client of its stories, too: it starts each run, answers, cancels or undoes it, and writes to the ledger what was acknowledged.
Another of its kind goes on from there, or several at once: what was acknowledged is not asked for again, and a run that waits for it
for ever has lost it. Without stories it serves until it is told to stop.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import msgspec

from reactor import Cancelled, Failed, Outcome, Parked, Run, Succeeded, Undone, WrongState
from tests.crash.ledger import Ledger
from tests.crash.saga import LEDGERS, REACTORS, STALLS, Chain, Order, Poison, Stall
from tests.crash.witness import WitnessedEngine

LOOK = 0.01  # seconds between two looks at the ledger, or at the run


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told. `kill_at`: the write at which it dies (0: none), at that `moment`; `stall` in seconds."""

    url: str
    ledger: str
    stories: dict[str, str] = {}  # by the run's id
    lease: float = 1.0
    settle: float = 1.0  # no undo of a call in doubt begins before that
    kill_at: int = 0
    moment: str = "before"
    stall: float = 0.0


class Told(msgspec.Struct, frozen=True):
    """How a story went."""

    outcome: str
    detail: str
    status: str


class Client:
    """Does what a story asks, once each, as far as it was not acknowledged before."""

    def __init__(self, engine: WitnessedEngine, ledger: Ledger, id: str, story: str) -> None:
        self.engine = engine
        self.ledger = ledger
        self.id = id
        self.story = story

    def acknowledged(self, what: str) -> bool:
        """Whether it is done."""
        return self.ledger.has("ack", f"{self.id} {what}")

    def ack(self, what: str) -> None:
        """It is done."""
        self.ledger.write("ack", f"{self.id} {what}")

    async def tell(self) -> Told:
        """The story, to its end."""
        run = await self.start()
        async with asyncio.TaskGroup() as group:
            cancelling = group.create_task(self.cancel(run)) if self.story == "cancel" else None
            outcome = await run.outcome()
            while not self.is_end(outcome):
                if isinstance(outcome, Parked):
                    await self.signal()
                else:
                    await self.undo(run)
                outcome = await run.outcome()
            if cancelling is not None:
                cancelling.cancel()  # it has heard of it, or never reached the place where it is cancelled
        return Told(type(outcome).__name__, detail_of(outcome), await run.status())

    def is_end(self, outcome: Outcome[object]) -> bool:
        """Whether nothing is left to be told."""
        return not (isinstance(outcome, Parked) or (isinstance(outcome, Succeeded) and self.story == "undo"))

    async def start(self) -> Run[object]:
        """Begin it, or find it."""
        reactor = self.reactor()
        if self.acknowledged("start"):
            return await self.engine.get(type(reactor), self.id)
        run = await self.engine.start(reactor, id=self.id)
        self.ack("start")
        return run

    def reactor(self) -> Order | Chain | Poison | Stall:
        """What its story is about."""
        match self.story:
            case "chain":
                return Chain(pace=0.05)
            case "slow chain":
                return Chain(pace=0.2)
            case "poison":
                return Poison()
            case "stall":
                return Stall()
        return Order(order=f"o{self.id}", story=self.story)

    async def signal(self) -> None:
        """Answer it."""
        if self.acknowledged("signal"):
            await asyncio.sleep(LOOK)  # another may have been told so this moment
            return
        await self.engine.signal(Order.approval, "yes", correlation_id=f"o{self.id}", delivery_id=f"d{self.id}")
        self.ack("signal")

    async def cancel(self, run: Run[object]) -> None:
        """Cancel it when its last step waits."""
        while not self.acknowledged("cancel"):
            if self.ledger.has("begin", f"{run.id}/output/do/0"):
                await asked(run, run.cancel("not wanted"), "cancelled")
                self.ack("cancel")
            await asyncio.sleep(LOOK)

    async def undo(self, run: Run[object]) -> None:
        """Undo it when it has succeeded."""
        if not self.acknowledged("undo"):
            await asked(run, run.undo(), "undone")
            self.ack("undo")
        await asyncio.sleep(LOOK)


async def asked(run: Run[object], command, done: str) -> None:
    """A command, which another may have given; or the run has failed before, by a call in which three processes died."""
    try:
        await command
    except WrongState:
        assert await run.status() in (done, "failed")


def detail_of(outcome: Outcome[object]) -> str:
    """What it says."""
    match outcome:
        case Succeeded(value):
            return str(value)
        case Failed(error, step):
            return f"{step}: {error.kind}" + "".join(f", {one.kind} {one.step}" for one in outcome.rollback_failures)
        case Cancelled(reason):
            return reason
        case Undone():
            return ""
    return repr(outcome)


async def told_all(engine: WitnessedEngine, ledger: Ledger, stories: dict[str, str]) -> dict[str, Told]:
    """All stories at once."""
    async with asyncio.TaskGroup() as group:
        tasks = {id: group.create_task(Client(engine, ledger, id, story).tell()) for id, story in stories.items()}
    return {id: task.result() for id, task in tasks.items()}


async def main(job: Job) -> dict[str, Told]:
    """Open an engine, and tell the stories; SIGTERM is heeded as a server heeds it: the engine closes."""
    ledger = Ledger(job.ledger)
    LEDGERS.append(ledger)
    STALLS[0] = job.stall
    options = {"lease": job.lease, "settle": job.settle, "reactors": REACTORS}
    engine = WitnessedEngine(job.url, ledger, kill_at=job.kill_at, moment=job.moment, **options)
    async with engine:
        ledger.write("open")
        work = asyncio.ensure_future(told_all(engine, ledger, job.stories) if job.stories else asyncio.Event().wait())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
        await asyncio.wait([work])
    ledger.write("closed")
    return {} if work.cancelled() else work.result()


if __name__ == "__main__":
    told = asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Job)))
    sys.stdout.buffer.write(msgspec.json.encode(told))
