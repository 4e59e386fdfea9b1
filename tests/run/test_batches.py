"""A map over a store: each batch is a record of its own, made in the append that says so, driven by itself, settled by a message."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from reactor import Engine, Failed, Reactor, Results, Skip, StepError, Succeeded, TryAgain, compose, map_over, source, step

pytestmark = pytest.mark.anyio
LOG: list[str] = []


@pytest.fixture
def anyio_backend() -> str:
    """Real time: files are written."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _fresh():
    LOG.clear()


# ---- records ------------------------------------------------------------------------------------------------------------


class Tried(Reactor):
    """A map that fails once, in a child that fails once after it."""

    @map_over([1, 2], batch_size=1)
    async def some(self, one: int) -> int:
        LOG.append(f"some {one}")
        if LOG.count("some 2") == 1 == one - 1:
            raise OSError
        return one

    @some.undo
    async def undo_some(self, value: int) -> None:
        LOG.append(f"undo {value}")

    @some.compensate
    async def once_more(self, error: StepError) -> TryAgain | None:
        return TryAgain()

    @step
    async def output(self, some: Results[int] = some.result) -> int:
        LOG.append("output")
        if LOG.count("output") == 1:
            raise OSError
        return sum([one async for one in some])


class Around(Reactor):
    @compose
    async def child(self) -> Tried:
        return Tried()

    @child.compensate
    async def once_more(self, error: StepError) -> TryAgain | None:
        return TryAgain()

    @step
    async def output(self, child: int = child.result) -> int:
        return child


async def test_a_map_that_is_tried_again_has_records_of_its_own():
    """By itself, or with the child that it is in: what the first try left is neither read nor taken for the second's."""
    async with Engine() as engine:
        run = await engine.start(Around(), id="a")
        outcome = await run.outcome()
        assert outcome == Succeeded(3, "Around:a")
        assert LOG == ["some 1", "some 2", "undo 1", "some 1", "some 2", "output", "undo 2", "undo 1", "some 1", "some 2", "output"]
        LOG.clear()
        assert await run.undo_plan() == ["child.some[1]", "child.some[0]"]
        again = await run.restart(from_step="output")
        assert await again.result() == 3
        await again.undo()
        await again.outcome()
        assert LOG == ["undo 2", "undo 1"]


# ---- sources, opened again ----------------------------------------------------------------------------------------------


GIVEN: list[int] = []  # what the sources below give
REACHED: list[asyncio.Event] = []  # set by an element of 4, which waits from then on, if this holds anything


async def mapped(one):
    """The 4 waits for ever, if anything makes it."""
    LOG.append(f"map {one}")
    if one == 4 and REACHED:
        REACHED[0].set()
        await asyncio.Event().wait()
    return one * 10


class Plain(Reactor):
    """A source that is skipped forward."""

    @source
    async def rows(self) -> AsyncIterator[int]:
        LOG.append("opened")
        for one in GIVEN:
            LOG.append(f"row {one}")
            yield one

    @map_over(rows, batch_size=2, in_flight=1)
    async def output(self, one: int) -> int:
        return await mapped(one)

    @output.undo
    async def undo_output(self, value: int) -> None:
        LOG.append(f"undo {value}")


class Keyed(Reactor):
    """A source that goes on from where it was."""

    @source(key=lambda one: one)
    async def rows(self, after: int | None = None) -> AsyncIterator[int]:
        LOG.append(f"opened after {after}")
        for one in GIVEN:
            if after is None or one > after:
                LOG.append(f"row {one}")
                yield one

    @map_over(rows, batch_size=2, in_flight=1)
    async def output(self, one: int) -> int:
        return await mapped(one)

    @output.undo
    async def undo_output(self, value: int) -> None:
        LOG.append(f"undo {value}")


async def taken_over(url, reactor, given):
    """A run whose first engine closed while its second batch waited; by another engine, over a source that gives this now."""
    GIVEN[:] = [1, 2, 3, 4, 5, 6, 7]
    REACHED[:] = [asyncio.Event()]
    async with Engine(url, reactors=[reactor]) as engine:
        await engine.start(reactor(), id="r")
        await REACHED[0].wait()
    assert LOG.count("map 1") == 1
    REACHED.clear()
    GIVEN[:] = given
    LOG.clear()
    async with Engine(url, reactors=[reactor]) as engine:
        run = await engine.get(reactor, "r")
        outcome = await run.outcome()
        return outcome, await outcome.value.all() if isinstance(outcome, Succeeded) else None


@pytest.fixture
def url(tmp_path):
    """A store that outlives its engines."""
    return f"sqlite:///{tmp_path}/runs.db"


async def test_a_plain_source_is_opened_again_and_skipped_forward(url):
    """What it gave before is asked for again and not mapped again; the batch that was in flight has its elements on record."""
    _, values = await taken_over(url, Plain, [1, 2, 3, 4, 5, 6, 7])
    assert values == [10, 20, 30, 40, 50, 60, 70]
    assert LOG.count("opened") == 1
    assert [line for line in LOG if line.startswith("row")] == [f"row {one}" for one in range(1, 8)]
    assert sorted(line for line in LOG if line.startswith("map")) == ["map 4", "map 5", "map 6", "map 7"]


async def test_a_source_with_a_key_goes_on_from_there(url):
    """It is asked for nothing that it gave before."""
    _, values = await taken_over(url, Keyed, [1, 2, 3, 4, 5, 6, 7])
    assert values == [10, 20, 30, 40, 50, 60, 70]
    assert [line for line in LOG if line.startswith(("opened", "row"))] == ["opened after 4", "row 5", "row 6", "row 7"]


async def test_a_source_with_a_key_may_have_changed_before(url):
    """Only what comes after the last key counts."""
    _, values = await taken_over(url, Keyed, [2, 4, 5, 8])
    assert values == [10, 20, 30, 40, 50, 80]


@pytest.mark.parametrize(
    ("given", "said"),
    [([1, 2, 3, 5, 6, 7], "other ones"), ([1, 2, 3], "now 3 elements"), ([], "now 0 elements"), ([2, 1, 3, 4, 5], "other ones")],
)
async def test_a_plain_source_that_has_changed_fails_its_map(url, given, said):
    """By its count or its digest: its elements could not be told apart any more. What succeeded is undone."""
    outcome, _ = await taken_over(url, Plain, given)
    assert isinstance(outcome, Failed)
    assert (outcome.step, outcome.error.kind, outcome.error.failure.code) == ("output", "SourceChanged", "source-changed")
    assert said in outcome.error.message
    assert sorted(line for line in LOG if line.startswith("undo")) == ["undo 10", "undo 20", "undo 30", "undo 40"]


async def test_a_source_that_only_grew_has_not_changed(url):
    """What was taken of it is the same."""
    _, values = await taken_over(url, Plain, [1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert values == [10, 20, 30, 40, 50, 60, 70, 80, 90]


async def test_a_source_that_has_ended_is_not_opened_again(url):
    """All its elements are on record."""
    GIVEN[:] = [3, 4]
    REACHED[:] = [asyncio.Event()]

    class Last(Plain):
        @map_over(Plain.rows, batch_size=3, in_flight=2)
        async def output(self, one: int) -> int:
            return await mapped(one)

    async with Engine(url, reactors=[Last]) as engine:
        await engine.start(Last(), id="r")
        await REACHED[0].wait()
    REACHED.clear()
    GIVEN[:] = [7, 7, 7, 7, 7, 7]
    LOG.clear()
    async with Engine(url, reactors=[Last]) as engine:
        assert await (await (await engine.get(Last, "r")).result()).all() == [30, 40]
    assert LOG == ["map 4"]


# ---- what is kept ---------------------------------------------------------------------------------------------------------


async def test_a_batch_that_is_too_large_fails_its_map(url):
    """It says what to do; nothing of it is mapped."""

    class Large(Reactor):
        @source
        async def rows(self) -> AsyncIterator[bytes]:
            for _ in range(9):
                yield b"x" * (1000 << 10)

        @map_over(rows, batch_size=9)
        async def output(self, one: bytes) -> int:
            LOG.append("mapped")
            return len(one)

    async with Engine(url) as engine:
        outcome = await engine.run(Large())
    assert isinstance(outcome, Failed)
    assert (outcome.step, outcome.error.failure.code) == ("output", "too-large")
    assert LOG == []


async def test_an_element_that_does_not_survive_fails_its_map(url):
    """Like a result: by its declared type."""

    class Wrong(Reactor):
        @source
        async def rows(self) -> AsyncIterator[int]:
            yield 1
            yield "two"

        @map_over(rows, batch_size=1, in_flight=1)
        async def output(self, one: int) -> int:
            return one

        @output.undo
        async def undo_output(self, value: int) -> None:
            LOG.append(f"undo {value}")

    async with Engine(url) as engine:
        outcome = await engine.run(Wrong())
    assert (outcome.step, outcome.error.kind) == ("output", "ResultNotStorable")
    assert LOG == ["undo 1"]


async def test_a_settled_batch_keeps_one_chunk_and_no_elements(url):
    """And its map's record one small fact a batch."""
    async with Engine(url) as engine:
        GIVEN[:] = range(10)
        run = await engine.start(Plain(), id="r")
        await run.outcome()
        batches = [await engine._host.store.load(f"Plain:r/output#{number}") for number in range(5)]
        assert all(batch.chunk and batch.elements == b"" and batch.status == "succeeded" for batch in batches)
        assert await engine._host.store.load("Plain:r/output#5") is None
        kinds = [event.kind async for event in run.events()]
    assert kinds.count("batch_settled") == kinds.count("batch_started") == 5


async def test_a_chunk_that_is_too_large_is_read_from_the_facts(url):
    """Values, failures and Skips alike, and again by whoever comes later."""

    class Big(Reactor):
        @map_over(list(range(12)), batch_size=12, on_error="collect")
        async def some(self, one: int) -> bytes | None:
            if one == 5:
                raise OSError("no five")
            if one == 6:
                raise Skip(None)
            return bytes([one]) * (1000 << 10)

        @step
        async def output(self, some: Results[bytes | None] = some.result) -> list[int]:
            return [len(one or b"") async for one in some]

    async with Engine(url) as engine:
        run = await engine.start(Big(), id="r")
        assert await run.result() == [0 if one == 6 else 1000 << 10 for one in range(12) if one != 5]
        assert (await engine._host.store.load("Big:r/some#0")).chunk is None
    async with Engine(url, reactors=[Big]) as engine:
        results = await (await engine.get(Big, "r")).value(Big.some)
        assert (results.succeeded, results.failed) == (11, 1)
        assert [failure.error async for failure in results.failures()] == ["OSError: no five"]
        assert [index async for index, value in results.items() if value is None] == [6]
