"""Whatever a run has come to, the code that wrote its record fits it: no rule refuses a run that nobody changed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reactor import (
    Continue,
    Engine,
    Fail,
    Halt,
    Reactor,
    Results,
    Retry,
    Skip,
    StepError,
    TryAgain,
    compose,
    map_over,
    step,
)
from reactor.machine.events import BatchStarted
from reactor.machine.machine import Machine
from reactor.machine.state import State
from reactor.plan.compile import plan_of
from reactor.record import facts
from reactor.record.definitions import definition_data, read_definition
from reactor.record.inputs import decode_inputs
from reactor.record.sealing import Sealer
from reactor.record.store import Loaded, Store
from reactor.run.fitting import unfit
from reactor.run.loading import Reading

pytestmark = pytest.mark.anyio
PLAIN = Sealer((), plain=True)
OTHER = "f" * 32  # no code's fingerprint: all four rules are asked


class Line(msgspec.Struct):
    """A value with a shape."""

    sku: str
    count: int


class Part(Reactor, name="part"):
    """A child: it may fail so many times, skip, or halt the run."""

    how: str = ""
    times: int = 0

    @step
    async def one(self) -> Line:
        return Line("a", self.times)

    @one.undo
    async def back(self, line: Line) -> None:
        if self.how == "jam":
            raise RuntimeError("jammed")

    @step(retry=Retry(2, base=0.01, jitter=False))
    async def two(self, line: Line = one.result) -> str:
        match self.how:
            case "skip":
                raise Skip("skipped")
            case "halt":
                raise Halt("enough")
            case "fail" | "jam":
                raise Fail("no", retryable=True)
        return line.sku

    @step
    async def output(self, two: str = two.result) -> str:
        return two


class Whole(Reactor, name="whole"):
    """Flags, children, maps of steps and of reactors, compensations, undos that read results."""

    how: str = ""
    elements: str = ""
    late: bool = False

    @step
    async def flag(self) -> bool:
        return self.how == "flag"

    @step(when=flag)
    async def gift(self) -> str:
        return "card"

    @step
    async def lines(self) -> list[Line]:
        return [Line("a", 1), Line("b", 2), Line("c", 3)]

    @map_over(lines.result, batch_size=2)
    async def pack(self, line: Line) -> str:
        if self.elements == "fail" and line.sku == "c":
            raise Fail("no box")
        return line.sku

    @pack.undo
    async def unpack(self, box: str, lines: list[Line] = lines.result) -> None: ...

    @map_over(lines.result, batch_size=2, on_error="collect")
    async def parts(self, line: Line) -> Part:
        return Part(how=self.elements if line.count == 2 else "")

    @compose
    async def child(self, lines: list[Line] = lines.result) -> Part:
        return Part(how=self.how, times=len(lines))

    @child.compensate
    async def again(self, error: StepError, lines: list[Line] = lines.result) -> TryAgain | Continue[str] | None:
        if self.how == "fail":
            return TryAgain(0.01) if error.attempt < 3 else Continue("made up")
        return None

    @step
    async def output(
        self,
        child: str = child.result,
        gift: str | None = gift.result,
        pack: Results[str] = pack.result,
        parts: Results[str] = parts.result,
    ) -> str:
        if self.late:
            raise Fail("late")
        return child


CASES = [
    Whole(),
    Whole(how="flag"),
    Whole(how="skip"),
    Whole(how="halt"),
    Whole(how="fail"),
    Whole(how="jam"),
    Whole(elements="fail"),
    Whole(elements="skip"),
    Whole(elements="halt"),
    Whole(elements="jam"),
    Whole(late=True),
    Whole(late=True, elements="jam"),
]


async def records_of(store: Store, name: str) -> list[Loaded]:
    """A run's record and those of its batches."""
    loaded = await store.load(name)
    assert loaded is not None
    found = [loaded]
    for data in loaded.events:
        fact, _ = facts.decode(data)
        if isinstance(fact, BatchStarted):
            found += await records_of(store, f"{loaded.root}/{fact.address}#{fact.batch}")
    return found


def machine_of(loaded: Loaded) -> Machine:
    """An empty one."""
    plan = plan_of(Whole)
    if loaded.parent is None:
        return Machine(plan)
    started: Any = facts.decode(loaded.events[0])[0]
    return Machine.of_batch(plan, plan.nodes[plan.index[started.address]], started.address, started.first, started.size)


@pytest.mark.parametrize("case", CASES, ids=repr)
async def test_a_record_fits_the_code_that_wrote_it_at_every_fact(case):
    """Cut after any fact, with all four rules asked: going on, failing, rolling back, stuck, halted, ended, undone after its end."""
    async with Engine("memory://") as engine:
        run = await engine.start(case, id="1")
        await run.outcome()
        if await run.status() in ("succeeded", "halted"):
            await run.undo()
            await run.outcome()
        elif await run.status() == "stuck":
            await run.retry_rollback()
            await run.outcome()
        store: Any = engine._host.store
        records = await records_of(store, "whole:1")
        assert len(records) > 1 or case.how == "halt", "a halt may come before the first batch"
        old = read_definition(definition_data(plan_of(Whole)))
        for loaded in records:
            for end in range(1, len(loaded.events) + 1):
                part = msgspec.structs.replace(loaded, events=loaded.events[:end], fingerprint=OTHER)
                machine = machine_of(loaded)

                def replay(part: Loaded = part, machine: Machine = machine) -> State:
                    reactor = decode_inputs(Whole, records[0].inputs, PLAIN, "whole:1")
                    Reading(store, part.run, reactor, root="whole:1", sealer=PLAIN).replay(machine, part.events)
                    return machine.state

                error = await unfit(part, old, machine.state.root.plan, replay, plan_of(Whole).fingerprint)
                assert error is None, f"{loaded.run} after {end} facts: {error}"
