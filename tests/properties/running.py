"""Runs a random story to its end on the virtual clock, and keeps all that is needed to judge it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reactor import Engine, Failed, Results, Succeeded, WrongState
from reactor.machine.machine import Machine
from reactor.run import mapping
from reactor.testing import run_virtual
from tests.properties.building import build
from tests.properties.playing import start_over, total

if TYPE_CHECKING:
    from tests.properties.model import Graph, Story
    from tests.properties.playing import Trace


@dataclass
class Told:
    """What became of a story."""

    outcome: Any
    status: str
    value: Any  # of a run that succeeded; a map's results as their sum
    trace: Trace
    records: list[tuple[Callable[[], Machine], list[Any], Machine]]  # a fresh machine, its facts, the live one
    tasks_left: int
    at: float


@lru_cache(maxsize=64)
def built(graph: Graph) -> type[Any]:
    """Classes are made once a graph."""
    return build(graph)


def tell(story: Story, *, seed: int | None = None) -> Told:
    """Run it; `seed` permutes the order of ready tasks."""
    with _recording() as records:
        return run_virtual(_told(story, records), seed=seed)


class Recording(Machine):
    """The machine of a batch that keeps its facts: an engine in memory has no need of them."""

    __slots__ = ("again", "facts")

    @classmethod
    def of_batch(cls, *args: Any) -> Recording:
        """As the machine's, and how to make another."""
        machine = super().of_batch(*args)
        machine.facts = []
        machine.again = lambda: Machine.of_batch(*args)
        return machine

    def apply(self, event: Any) -> None:
        """Keep it."""
        self.facts.append(event)
        super().apply(event)


@contextmanager
def _recording() -> Iterator[list[Any]]:
    records: list[Any] = []

    class Kept(Recording):
        __slots__ = ()

        @classmethod
        def of_batch(cls, *args: Any) -> Recording:
            machine = super().of_batch(*args)
            records.append((machine.again, machine.facts, machine))
            return machine

    mapping.Machine = Kept  # type: ignore[misc]
    try:
        yield records
    finally:
        mapping.Machine = Machine  # type: ignore[misc]


async def _told(story: Story, records: list[Any]) -> Told:
    before = len(asyncio.all_tasks())
    trace = start_over()
    async with Engine("memory://", concurrency=story.concurrency) as engine:
        run = await engine.start(built(story.graph)(), id="r")
        if story.cancel_at is not None:
            await asyncio.sleep(story.cancel_at)
            try:
                await run.cancel("because")
            except WrongState:
                assert await run.status() in ("succeeded", "failed", "stuck")
        outcome = await run.outcome()
        live = run._live
        records.append((lambda: Machine(live.plan), live.record.facts, live.runner.machine))
        value = outcome.value if isinstance(outcome, Succeeded) else None
        if isinstance(value, Results):
            value = await total(value)
        status = await run.status()
        at = asyncio.get_running_loop().time()
    return Told(outcome, status, value, trace, records, len(asyncio.all_tasks()) - before, at)


@dataclass
class Again:
    """What became of a story that was restarted, or halted, and then undone as far as it could be."""

    trace: Trace
    ended: list[str]  # the statuses, one after another
    before: int  # lines of the trace when it was restarted


def tell_again(story: Story, *, restart: bool, from_step: str | None = None, seed: int | None = None) -> Again:
    """Run it to its end; restart it there if asked to; then undo what there is."""
    return run_virtual(_told_again(story, from_step, restart=restart), seed=seed)


async def _told_again(story: Story, from_step: str | None, *, restart: bool) -> Again:
    trace = start_over()
    async with Engine("memory://", concurrency=story.concurrency) as engine:
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
