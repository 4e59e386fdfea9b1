"""Many runs in one process: no task is left, and memory does not grow. Some of them fail, some are cancelled, some time out."""

from __future__ import annotations

import asyncio
import gc
from contextvars import ContextVar
from dataclasses import dataclass

from benchmarks.maps import resident_now
from benchmarks.measure import expect
from reactor import Reactor, RunFailed, map_over, step

RUNS = 20_000
POINTS = 5
WARM = 500  # runs before the first point: caches and free lists fill

HANGING: ContextVar[asyncio.Event] = ContextVar("HANGING")  # set by the step that hangs: now it may be cancelled


class Soaked(Reactor):
    """A step with an undo, a map beside it, and an output that ends as it is told."""

    end: str

    @step
    async def one(self) -> int:
        return 1

    @one.undo
    async def take_back(self, value: int) -> None:
        await asyncio.sleep(0)

    @step
    async def elements(self) -> list[int]:
        return [1, 2, 3]

    @map_over(elements.result, batch_size=2)
    async def each(self, element: int) -> int:
        return element

    @step(timeout=0.001, after=[each])
    async def late(self) -> None:
        if self.end == "times out":
            await asyncio.Event().wait()

    @step(after=[late])
    async def output(self, one: int = one.result) -> int:
        if self.end == "fails":
            raise ValueError(self.end)
        if self.end == "is cancelled":
            HANGING.get().set()
            await asyncio.Event().wait()
        return one


@dataclass(frozen=True)
class Point:
    """What the process held after so many runs, garbage collected."""

    runs: int
    tasks: int  # besides those that were there before
    objects: int  # that the collector tracks
    resident: int  # bytes


async def soak(runs: int = RUNS, points: int = POINTS) -> list[Point]:
    """Run, and look `points` times at equal distances."""
    others = len(asyncio.all_tasks())  # who looks, and what a test's loop has besides
    seen: list[Point] = []
    for number in range(WARM):
        await one_run(number)
    for point in range(1, points + 1):
        for number in range(runs // points):
            await one_run(number)
        gc.collect()
        seen.append(Point(point * (runs // points), len(asyncio.all_tasks()) - others, len(gc.get_objects()), resident_now()))
    return seen


async def one_run(number: int) -> None:
    """Of twenty runs one fails, one is cancelled, one times out; the others succeed."""
    end = {3: "fails", 7: "is cancelled", 11: "times out"}.get(number % 20, "succeeds")
    if end == "is cancelled":
        await cancelled_run()
        return
    try:
        expect(await Soaked(end=end), 1)
    except RunFailed as error:
        expect(error.outcome.error.kind, {"fails": "ValueError", "times out": "TimeoutError"}.get(end))
    else:
        expect(end, "succeeds")


async def cancelled_run() -> None:
    """Cancel whoever awaits the run, once its last step hangs."""
    hanging = asyncio.Event()
    HANGING.set(hanging)
    waiter = asyncio.ensure_future(awaited("is cancelled"))
    await hanging.wait()
    waiter.cancel()
    try:
        await waiter
    except asyncio.CancelledError:
        return
    raise AssertionError("a cancelled await did not raise")


async def awaited(end: str) -> int:
    """The run, in the coroutine of a task."""
    return await Soaked(end=end)


def leaks(points: list[Point]) -> list[str]:
    """What is wrong with these points: nothing, one hopes. The first is where it starts from, and noise is allowed for."""
    first, last = points[0], points[-1]
    wrong = [f"{point.tasks} tasks left after {point.runs} runs" for point in points if point.tasks]
    runs = last.runs - first.runs
    if last.objects - first.objects > max(100, runs * 0.01):
        wrong.append(f"{last.objects - first.objects} objects more after {runs} more runs")
    if last.resident - first.resident > max(1_000_000, runs * 64):
        wrong.append(f"{(last.resident - first.resident) / runs:.0f} bytes a run kept")
    return wrong
