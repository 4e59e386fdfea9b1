"""Runs a random story to its end on the virtual clock, and keeps all that is needed to judge it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reactor import Failed, Results, Succeeded, WrongState
from reactor.machine.machine import Machine
from reactor.record.facts import decode
from reactor.run.loading import Reading
from reactor.testing import run_virtual
from tests.places import place_of
from tests.properties.building import build
from tests.properties.playing import start_over, total

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor.run.driver import Driver
    from reactor.run.hosting import Host
    from tests.places import Place
    from tests.properties.model import Graph, Story
    from tests.properties.playing import Trace


@dataclass
class Told:
    """What became of a story."""

    outcome: Any
    status: str
    value: Any  # of a run that succeeded; a map's results as their sum
    trace: Trace
    records: list[Record]  # the run's, and those of its batches
    tasks_left: int
    at: float


@lru_cache(maxsize=64)
def built(graph: Graph) -> type[Any]:
    """Classes are made once a graph."""
    return build(graph)


def tell(story: Story, *, seed: int | None = None, kind: str = "memory", **options: Any) -> Told:
    """Run it on a store of this kind; `seed` permutes the order of ready tasks."""
    with place_of(kind) as place:
        return run_virtual(_told(story, place, options), seed=seed)


async def _told(story: Story, place: Place, options: dict[str, Any]) -> Told:
    before = len(asyncio.all_tasks())
    trace = start_over()
    watching = Watching()
    async with place.engine(concurrency=story.concurrency, **options) as engine:
        watching.watch(engine._host)
        run = await engine.start(built(story.graph)(), id="r")
        if story.cancel_at is not None:
            await asyncio.sleep(story.cancel_at)
            try:
                await run.cancel("because")
            except WrongState:
                assert await run.status() in ("succeeded", "failed", "stuck")
        outcome = await run.outcome()
        told = await ended(run, outcome, trace, watching)
    told.tasks_left = len(asyncio.all_tasks()) - before
    return told


async def ended(run: Any, outcome: Any, trace: Trace, watching: Watching) -> Told:
    """All that is asked of a run that has ended."""
    value = outcome.value if isinstance(outcome, Succeeded) else None
    if isinstance(value, Results):
        value = await total(value)
    at = asyncio.get_running_loop().time()
    return Told(outcome, await run.status(), value, trace, await watching.records(), 0, at)


def state_of(machine: Machine) -> dict[str, Any]:
    """All that follows from the facts, to be compared: a map's results as what they refer to."""
    snapshot = machine.snapshot()
    for scope in snapshot["scopes"].values():
        scope["values"] = [value.reference() if isinstance(value, Results) else value for value in scope["values"]]
    return snapshot


@dataclass
class Record:
    """One record when its run had ended: what lies in the store, and the machine of whoever drove it last."""

    name: str
    data: tuple[bytes, ...]
    live: Machine
    fresh: Callable[[], tuple[Machine, Reading]]
    is_whole: bool = True  # whether its last driver knows that all of it was written

    def replayed(self, count: int | None = None) -> Machine:
        """The machine that follows from the first facts, all unless told otherwise."""
        machine, reading = self.fresh()
        reading.replay(machine, self.data[:count])
        return machine

    def facts(self) -> list[Any]:
        """Its facts, without their values."""
        return [decode(data)[0] for data in self.data]


class Watching:
    """Remembers who drove what last."""

    def __init__(self) -> None:
        self.drivers: dict[str, Driver] = {}
        self.store: Any = None

    def watch(self, host: Host) -> None:
        """From now on."""
        entered, self.store = host.enter, host.store

        def enter(driver: Driver) -> None:
            self.drivers[driver.record_name] = driver
            entered(driver)

        host.enter = enter  # type: ignore[method-assign]

    async def records(self) -> list[Record]:
        """All that were driven, as they lie in the store now."""
        return [await self._record(driver) for driver in self.drivers.values()]

    async def _record(self, driver: Driver) -> Record:
        store = self.store
        loaded = await store.load(driver.record_name)
        reactor = driver.machine.state.root.reactor

        def fresh() -> tuple[Machine, Reading]:
            root = driver.machine.state.root
            if driver.batch is None:
                machine = Machine(root.plan)
            else:
                batch = root.plan
                machine = Machine.of_batch(batch.owner, batch.map_node, root.address, batch.first, len(batch.nodes))
            return machine, Reading(store, driver.record_name, reactor, root=driver.run_id, sealer=driver.host.sealer)

        is_whole = driver.writer.seq == loaded.seq and not driver.writer.facts
        return Record(driver.record_name, loaded.events, driver.machine, fresh, is_whole)


@dataclass
class Again:
    """What became of a story that was restarted, or halted, and then undone as far as it could be."""

    trace: Trace
    ended: list[str]  # the statuses, one after another
    before: int  # lines of the trace when it was restarted


def tell_again(story: Story, *, restart: bool, from_step: str | None = None, seed: int | None = None, kind: str = "memory") -> Again:
    """Run it to its end; restart it there if asked to; then undo what there is."""
    with place_of(kind) as place:
        return run_virtual(_told_again(story, place, from_step, restart=restart), seed=seed)


async def _told_again(story: Story, place: Place, from_step: str | None, *, restart: bool) -> Again:
    trace = start_over()
    async with place.engine(concurrency=story.concurrency) as engine:
        run = await engine.start(built(story.graph)(), id="r")
        if story.cancel_at is not None:
            await asyncio.sleep(story.cancel_at)
            with suppress(WrongState):
                await run.cancel("because")
        await run.outcome()
        ended = [await run.status()]
        before = len(trace.lines)
        if restart:
            run = await run.restart(from_step=from_step)
            await run.outcome()
            ended.append(await run.status())
        with suppress(WrongState):
            await run.undo()
            await run.outcome()
            ended.append(await run.status())
    return Again(trace, ended, before)


def rolled_back(told: Told) -> bool:
    """Whether what succeeded must have been undone."""
    return not isinstance(told.outcome, Succeeded)


def first_failure(told: Told) -> str | None:
    """Which step a failed run names."""
    return told.outcome.step if isinstance(told.outcome, Failed) else None
