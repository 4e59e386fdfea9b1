"""A source is open while its driver has the run and wants more of it, and is closed in every other case, however that comes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from reactor import Ask, Cancelled, Engine, Failed, Parked, Reactor, Results, Succeeded, interrupt, map_over, source, step

pytestmark = pytest.mark.anyio
LOG: list[str] = []
GIVEN: list[int] = []
GATES: dict[str, asyncio.Event] = {}


@pytest.fixture
def anyio_backend():
    """Real time: files are written."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _fresh():
    LOG.clear()
    GIVEN[:] = range(1, 8)
    GATES.clear()


@pytest.fixture
def url(tmp_path):
    """A store that outlives its engines."""
    return f"sqlite:///{tmp_path}/runs.db"


async def gate(name):
    """Wait there, where there is one."""
    if name in GATES:
        LOG.append(f"at {name}")
        await GATES[name].wait()


async def until(holds):
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # a condition of several engines
            await asyncio.sleep(0.005)


class Rows(Reactor, name="rows"):
    """Elements of a plain source, two at a time."""

    @source
    async def rows(self) -> AsyncIterator[int]:
        LOG.append("opened")
        try:
            for one in GIVEN:
                await gate(f"row {one}")
                yield one
        finally:
            LOG.append("closed")

    @map_over(rows, batch_size=2, in_flight=1)
    async def each(self, one: int) -> int:
        LOG.append(f"map {one}")
        await gate(f"map {one}")
        return one * 10

    @step
    async def output(self, each: Results[int] = each.result) -> int:
        return sum(await each.all())


async def begun_elsewhere(url, at="map 5"):
    """A run whose engine closed while this element was called: four were taken before."""
    GATES[at] = asyncio.Event()
    async with Engine(url) as engine:
        await engine.start(Rows(), id="r")
        await until(lambda: f"at {at}" in LOG)
    GATES.clear()
    assert LOG.count("opened") == LOG.count("closed") == 1
    LOG.clear()


def stays_closed():
    """It was opened once, and is closed."""
    assert [line for line in LOG if line in ("opened", "closed")] == ["opened", "closed"]


async def test_a_cancel_closes_a_source_that_is_being_skipped_forward(url):
    """It is not waited for, and no batch of it is made any more."""
    await begun_elsewhere(url)
    GATES["row 3"] = asyncio.Event()
    async with Engine(url, reactors=[Rows]) as engine:
        run = await engine.get(Rows, "r")
        await until(lambda: "at row 3" in LOG)
        await run.cancel("enough")
        async with asyncio.timeout(20):
            assert isinstance(await run.outcome(), Cancelled)
        await until(lambda: "closed" in LOG)
        kinds = [event.kind async for event in run.events()]
    stays_closed()
    assert "batch_started" not in kinds[kinds.index("stop_requested") :]


async def test_an_engine_that_closes_closes_a_source_that_is_being_skipped_forward(url):
    """Whoever goes on opens it again."""
    await begun_elsewhere(url)
    GATES["row 3"] = asyncio.Event()
    async with Engine(url, reactors=[Rows]):
        await until(lambda: "at row 3" in LOG)
    stays_closed()
    GATES.clear()
    async with Engine(url, reactors=[Rows]) as engine, asyncio.timeout(20):
        assert await (await engine.get(Rows, "r")).result() == 280
    assert LOG.count("opened") == LOG.count("closed") == 2


async def test_a_source_that_gives_something_else_is_closed(url):
    """It was opened to see that."""
    await begun_elsewhere(url)
    GIVEN[1] = 17
    async with Engine(url, reactors=[Rows]) as engine:
        async with asyncio.timeout(20):
            outcome = await (await engine.get(Rows, "r")).outcome()
        assert isinstance(outcome, Failed)
        assert outcome.error.kind == "SourceChanged"
        await until(lambda: "closed" in LOG)
    stays_closed()


async def test_who_loses_a_run_closes_its_source(url):
    """Another has it, and opens it for itself."""
    GATES["map 1"] = asyncio.Event()
    async with Engine(url, lease=3600) as engine:
        run = await engine.start(Rows(), id="r")
        await until(lambda: "at map 1" in LOG)
        engine._host.drivers[run.id].lose()
        await until(lambda: "closed" in LOG)
        stays_closed()


class Element(Reactor, name="element"):
    """Waits for a word."""

    one: int

    @interrupt
    async def word(self) -> Ask[int]:
        return Ask(f"word {self.one}")

    @step
    async def output(self, word: int = word.result) -> int:
        return self.one * word


class Asks(Reactor, name="asks"):
    """Each element waits for a word, so that the run parks while there is more to take."""

    @source
    async def rows(self) -> AsyncIterator[int]:
        LOG.append("opened")
        try:
            for one in GIVEN:
                yield one
        finally:
            LOG.append("closed")

    @map_over(rows, batch_size=1, in_flight=1)
    async def each(self, one: int) -> Element:
        return Element(one=one)

    @step
    async def output(self, each: Results[int] = each.result) -> int:
        return sum(await each.all())


@pytest.mark.parametrize("kind", ["file", "memory"])
async def test_a_run_that_parks_closes_its_source(url, kind):
    """It holds nothing while it waits; what comes next is taken from it opened anew."""
    GIVEN[:] = [1, 2]
    async with Engine(url if kind == "file" else "memory://") as engine, asyncio.timeout(20):
        run = await engine.start(Asks(), id="r")
        assert isinstance(await run.outcome(), Parked)
        await until(lambda: "closed" in LOG)
        stays_closed()
        for one in GIVEN:
            await engine.signal(Element.word, 10, correlation_id=f"word {one}")
        assert await run.outcome() == Succeeded(30, "asks:r")
    assert LOG.count("opened") == LOG.count("closed")
