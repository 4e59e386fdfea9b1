"""Forgetting after every append: a run that goes on from its record shows the same; one whose memory holds more than that is told."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from reactor import (
    Cancelled,
    Failed,
    Reactor,
    Results,
    Retry,
    StepError,
    Succeeded,
    TryAgain,
    compose,
    map_over,
    source,
    step,
    step_context,
)
from reactor.define.steps import in_call
from reactor.testing import Forgotten, trial, virtual_backend
from reactor.testing.forgetting import Forgetting
from tests.places import PLACES, place_of

pytestmark = pytest.mark.anyio
OPENED: list[int | None] = []


@pytest.fixture
def anyio_backend():
    """Retries take no time."""
    return virtual_backend()


class Child(Reactor):
    """With a retry, and a failure that is answered."""

    number: int

    @step(retry=Retry(3, base=1))
    async def tries(self) -> int:
        if step_context().attempt < 3:
            raise OSError("not yet")
        return self.number

    @step
    async def output(self, tries: int = tries.result) -> int:
        if step_context().attempt == 1:
            raise OSError("once more")
        return tries

    @output.compensate
    async def once_more(self, _error: StepError) -> TryAgain:
        return TryAgain(1)


class Saga(Reactor):
    """With all kinds of nodes but an interrupt."""

    fails: bool = False

    @compose
    async def child(self) -> Child:
        return Child(number=7)

    @source(key=lambda element: element)
    async def elements(self, after: int | None = None) -> AsyncIterator[int]:
        OPENED.append(after)
        for element in range(10 if after is None else after + 1, 15):
            await asyncio.sleep(1)
            yield element

    @map_over(elements, batch_size=2, in_flight=1)
    async def each(self, element: int) -> int:
        await asyncio.sleep(1)
        return element

    @each.undo
    async def undo_each(self, value: int) -> None: ...

    @step
    async def output(self, child: int = child.result, each: Results[int] = each.result) -> int:
        if self.fails:
            raise ValueError("at the end")
        return child + sum(await each.all())


@pytest.mark.parametrize("concurrency", [1, 1000])
async def test_it_shows_the_same(concurrency):
    """The outcome, the facts, the calls and undos of a run that forgets are those of one that remembers."""
    for fails in (False, True):
        live = await trial(Saga(fails=fails), concurrency=concurrency)
        shown = await trial(Saga(fails=fails), concurrency=concurrency, forgetting=True)
        assert type(shown.outcome) is type(live.outcome)
        assert sorted(shown.calls) == sorted(live.calls)
        assert shown.undone == live.undone
        assert sorted((event.kind, event.address) for event in shown.events) == sorted((event.kind, event.address) for event in live.events)
    assert isinstance(live.outcome, Failed)
    assert len(shown.undone) == 5


async def test_it_forgets_its_sources():
    """A source is opened again, and goes on from its key."""
    OPENED.clear()
    shown = await trial(Saga(), forgetting=True)
    assert isinstance(shown.outcome, Succeeded)
    assert shown.value == 7 + 10 + 11 + 12 + 13 + 14
    assert OPENED[0] is None
    assert 11 in OPENED


class Remembers(Reactor):
    """What it does to its engine is on no record."""

    @step
    async def meddles(self) -> int:
        runner, _ = in_call.get()
        runner.machine.state.reason = "only in memory"
        return 1

    @step
    async def output(self, meddles: int = meddles.result) -> int:
        return meddles


async def test_it_tells_what_is_in_memory_only():
    """State that no fact leads to is told, instead of being carried along."""
    assert (await trial(Remembers())).value == 1
    with pytest.raises(Forgotten, match="ends that follow from the record"):
        await trial(Remembers(), forgetting=True)


TRACE: list[str] = []


class Slow(Reactor, name="slow"):
    """A source that takes a second for each element, opened anew after each append and skipped forward."""

    @source
    async def rows(self) -> AsyncIterator[int]:
        TRACE.append("opened")
        try:
            for number in range(4):
                await asyncio.sleep(1)
                yield number
        finally:
            TRACE.append("closed")

    @map_over(rows, batch_size=1, in_flight=1)
    async def each(self, number: int) -> int:
        TRACE.append(f"{asyncio.get_running_loop().time():g}: {number}")
        await asyncio.sleep(0.5)
        return number

    @each.undo
    async def undo_each(self, number: int) -> None:
        TRACE.append(f"undo {number}")

    @map_over(list(range(100)), batch_size=1, in_flight=1)
    async def ticks(self, number: int) -> int:
        await asyncio.sleep(0.25)  # then the run has something to append, and forgets
        return number

    @step
    async def output(self, each: Results[int] = each.result, ticks: Results[int] = ticks.result) -> int:
        return sum(await each.all()) + len(ticks)


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("at", [number / 2 for number in range(1, 24)])
async def test_a_cancel_while_a_source_is_opened_again(kind, at):
    """Whenever it comes, in the very moment of an element, too: the source is closed, nothing begins after, what succeeded is undone."""
    TRACE.clear()
    before = len(asyncio.all_tasks())
    with place_of(kind) as place:
        async with place.engine(forgets=Forgetting) as engine:
            run = await engine.start(Slow(), id="s")
            begun = asyncio.get_running_loop().time()
            await asyncio.sleep(at)
            await run.cancel("enough")
            assert isinstance(await run.outcome(timeout=60), Cancelled)
            assert asyncio.get_running_loop().time() < begun + at + 1
            kinds = [event.kind async for event in run.events()]
    assert TRACE.count("opened") == TRACE.count("closed")
    assert "batch_started" not in kinds[kinds.index("stop_requested") :]
    late = [line for line in TRACE if ": " in line and float(line.partition(":")[0]) > begun + at]
    assert late == []
    assert len(asyncio.all_tasks()) == before
