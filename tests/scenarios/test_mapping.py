"""Mapping, case by case: batches and what is in flight, lazy sources, results, failures, undo, and maps of nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from reactor import (
    Continue,
    ElementFailure,
    Engine,
    Failed,
    Reactor,
    Results,
    Retry,
    StepError,
    Succeeded,
    map_over,
    source,
    step,
    step_context,
    use,
)
from tests.scenarios.world import Boom, Worse, act, compensate, engine, now, once_each, undo, until, world

pytestmark = pytest.mark.anyio


# ---- what is in flight ----------------------------------------------------------------------------------------------------


class Bounded(Reactor):
    @source
    async def numbers(self) -> AsyncIterator[int]:
        world.note("opened", "source")
        try:
            for n in range(20):
                world.note("pulled", str(n))
                yield n
        finally:
            world.note("closed", "source")

    @map_over(numbers, batch_size=3, in_flight=2)
    async def each(self, n: int) -> int:
        return await act(f"each {n}", n)

    @each.undo
    async def undo_each(self, value: int) -> None:
        await undo(f"each {value}")

    @step
    async def output(self, each: Results[int] = each.result) -> list[int]:
        return await act("output", await each.all())


async def test_in_flight_bounds_batches(mode):
    """At most two batches of three exist at a time; a batch's elements are in flight together."""
    for n in range(20):
        world.takes(f"each {n}", 1 + n % 4)
    outcome = await mode(Bounded())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == list(range(20))
    assert world.most_running == 6


async def test_a_source_is_pulled_only_when_a_slot_is_free(mode):
    """Back pressure: no more than the batches in flight, and one element to know whether there is more, has been pulled at any time."""
    for n in range(20):
        world.takes(f"each {n}", 1)
    await mode(Bounded())
    settled = 0
    pulled = 0
    for entry in world.diary:
        if entry.what == "pulled":
            pulled += 1
        elif entry.what == "ended" and entry.name.startswith("each"):
            settled += 1
        assert pulled - settled // 3 * 3 <= 2 * 3 + 1


async def test_a_source_is_opened_once_and_closed(mode):
    """It is read from start to end by one generator, which is closed."""
    await mode(Bounded())
    assert world.names("opened") == ["source"]
    assert world.names("closed") == ["source"]
    assert world.names("pulled") == [str(n) for n in range(20)]


async def test_a_failure_closes_the_source(mode):
    """What is not dispatched is never pulled; the generator is closed before the run has ended."""
    for n in range(20):
        world.takes(f"each {n}", 1)
    world.fails("each 1", Boom("one"))
    outcome = await mode(Bounded())
    assert isinstance(outcome, Failed)
    assert outcome.step == "each[1]"
    assert world.names("closed") == ["source"]
    assert len(world.names("pulled")) <= 7
    assert sorted(world.undone) == sorted(name for name in world.names("ended") if name.startswith("each"))


async def test_cancel_closes_the_source():
    """The same when the run is cancelled."""
    for n in range(20):
        world.takes(f"each {n}", 60)
    async with engine() as eng:
        run = await eng.start(Bounded(), id="b")
        await until(lambda: len(world.began) == 6)
        await run.cancel("stop")
        await run.outcome()
        assert world.names("closed") == ["source"]


async def test_a_slow_source_does_not_hold_what_came_before(mode):
    """Elements that were pulled are worked on while the source thinks, as soon as their batch is full; the last batch may be short."""

    class Slow(Reactor):
        @source
        async def numbers(self) -> AsyncIterator[int]:
            for n in range(4):
                yield n
                await asyncio.sleep(10)

        @map_over(numbers, batch_size=1, in_flight=4)
        async def output(self, n: int) -> int:
            return await act(f"each {n}", n)

    await mode(Slow())
    assert [world.when("began", f"each {n}") for n in range(4)] == pytest.approx([0, 10, 20, 30])


async def test_a_source_takes_results_and_resources(mode):
    """As defaults, and self."""

    def offset() -> int:
        return 100

    class Takes(Reactor):
        count: int

        @step
        async def first(self) -> int:
            return await act("first", 10)

        @source
        async def numbers(self, first: int = first.result, offset: int = use(offset)) -> AsyncIterator[int]:
            for n in range(self.count):
                yield first + offset + n

        @map_over(numbers)
        async def each(self, n: int, first: int = first.result, offset: int = use(offset)) -> int:
            return n - first - offset

        @step
        async def output(self, each: Results[int] = each.result) -> list[int]:
            return await each.all()

    assert (await mode(Takes(count=3))).value == [0, 1, 2]


@pytest.mark.parametrize("yielded", [0, 1, 5])
async def test_a_source_that_raises_fails_the_map(mode, yielded):
    """What was done is undone; the failure is the source's, told at the map's address; the map's compensate is asked."""

    class Raises(Reactor):
        @source
        async def numbers(self) -> AsyncIterator[int]:
            for n in range(yielded):
                yield n
            raise Worse("the file ended in the middle")

        @map_over(numbers, batch_size=2, in_flight=1)
        async def output(self, n: int) -> int:
            return await act(f"each {n}", n)

        @output.undo
        async def undo_each(self, value: int) -> None:
            await undo(f"each {value}")

        @output.compensate
        async def drop(self, error: StepError) -> None:
            await compensate("map")

    outcome = await mode(Raises())
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert outcome.error.kind == "Worse"
    assert sorted(world.undone) == sorted(name for name in world.names("ended") if name.startswith("each"))
    assert once_each(world.undone)
    assert world.compensated == ["map"]


# ---- nothing to map ----------------------------------------------------------------------------------------------------------


class Empty(Reactor):
    @source
    async def nothing(self) -> AsyncIterator[int]:
        return
        yield

    @step
    async def none(self) -> list[int]:
        return []

    @map_over(nothing)
    async def a(self, n: int) -> int:
        return await act("a", n)

    @map_over(none.result)
    async def b(self, n: int) -> int:
        return await act("b", n)

    @map_over([])
    async def c(self, n: int) -> int:
        return await act("c", n)

    @step
    async def output(self, a: Results[int] = a.result, b: Results[int] = b.result, c: Results[int] = c.result) -> list[int]:
        for results in (a, b, c):
            assert (len(results), results.succeeded, results.failed) == (0, 0, 0)
            assert await results.all() == []
            assert [item async for item in results.items()] == []
            assert [item async for item in results] == []
            assert [item async for item in results.failures()] == []
        return await act("output", [len(a), len(b), len(c)])


async def test_nothing_to_map_gives_an_empty_one(mode):
    """From a source, a step's empty list and an empty constant."""
    outcome = await mode(Empty())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == [0, 0, 0]


async def test_an_empty_map_has_nothing_to_undo(mode):
    """A later failure finds nothing."""
    world.fails("output", Boom("late"))
    outcome = await mode(Empty())
    assert outcome.step == "output"
    assert world.undone == []


# ---- results -------------------------------------------------------------------------------------------------------------------


class Falsy(Reactor):
    @map_over([0, 1, 2, 3, 4], batch_size=2)
    async def each(self, n: int) -> object:
        return [None, 0, "", False, []][n]

    @step
    async def output(self, each: Results[object] = each.result) -> list[object]:
        assert each.succeeded == len(each) == 5
        return await each.all()


async def test_falsy_results_are_results(mode):
    """None, 0, an empty string, False and an empty list come back as they are."""
    outcome = await mode(Falsy())
    assert outcome.value == [None, 0, "", False, []]
    assert [type(value) for value in outcome.value] == [type(None), int, str, bool, list]


class Shape(Reactor):
    count: int

    @step
    async def numbers(self) -> list[int]:
        return list(range(self.count))

    @map_over(numbers.result, batch_size=4, in_flight=2, on_error="collect", retry=Retry(2, base=1))
    async def each(self, n: int) -> int:
        if n % 3 == 2:
            await act(f"each {n}")
            raise Boom(f"no {n}")
        return await act(f"each {n}", n * n)

    @each.undo
    async def undo_each(self, value: int) -> None:
        await undo(f"{value}")

    @step
    async def output(self, each: Results[int] = each.result) -> int:
        good = [n for n in range(self.count) if n % 3 != 2]
        bad = [n for n in range(self.count) if n % 3 == 2]
        assert (len(each), each.succeeded, each.failed) == (self.count, len(good), len(bad))
        assert await each.all() == [n * n for n in good]
        assert [value async for value in each] == [n * n for n in good]
        assert [value async for value in each] == [n * n for n in good], "it can be read twice"
        assert [failure.index async for failure in each.failures()] == bad
        items = [item async for item in each.items()]
        assert [index for index, _ in items] == list(range(self.count))
        for index, item in items:
            if isinstance(item, ElementFailure):
                assert index in bad
                assert item.index == index
                assert f"no {index}" in item.error
            else:
                assert item == index * index
        return await act("output", each.succeeded)


@pytest.mark.parametrize("count", [1, 4, 5, 11, 30])
async def test_results_have_one_shape(mode, count):
    """`len`, `succeeded`, `failed`, iteration, `items`, `failures`, `all`: all in source order, and as often as one likes."""
    outcome = await mode(Shape(count=count))
    assert isinstance(outcome, Succeeded)
    assert outcome.value == len([n for n in range(count) if n % 3 != 2])


async def test_collected_elements_had_their_retries(mode):
    """A failed element was tried as often as it may; the undo of a later failure leaves it out."""
    world.fails("output", Boom("late"))
    await mode(Shape(count=6))
    assert world.began.count("each 2") == 2
    assert sorted(world.undone, key=int) == ["0", "1", "9", "16"]


async def test_results_of_for_unit_tests():
    """`Results.of` gives the same shape from values and failures."""
    failure = ElementFailure(1, "no")
    results: Results[str] = Results.of(["a", failure, "c"])
    assert (len(results), results.succeeded, results.failed) == (3, 2, 1)
    assert await results.all() == ["a", "c"]
    assert [item async for item in results.items()] == [(0, "a"), (1, failure), (2, "c")]


async def test_a_maps_result_is_read_from_outside(mode):
    """The output of a run may be a map's results."""

    class Out(Reactor):
        @map_over([1, 2, 3])
        async def output(self, n: int) -> int:
            return n * 2

    outcome = await mode(Out())
    assert isinstance(outcome, Succeeded)
    assert await outcome.value.all() == [2, 4, 6]


# ---- failing ---------------------------------------------------------------------------------------------------------------------


class Failing(Reactor):
    @map_over(list(range(8)), batch_size=2, in_flight=2)
    async def each(self, n: int) -> int:
        return await act(f"each {n}", n)

    @each.undo
    async def undo_each(self, value: int) -> None:
        await undo(f"each {value}")

    @each.compensate
    async def recover(self, error: StepError) -> Continue[Results[int]] | None:
        await compensate("map")
        return Continue(Results.of([7, 7])) if error.message == "recover" else None

    @step
    async def beside(self) -> str:
        return await act("beside")

    @step
    async def output(self, each: Results[int] = each.result, beside: str = beside.result) -> list[int]:
        return await act("output", await each.all())


async def test_fail_stops_dispatch(mode):
    """The first failure that stands: batches in flight settle, no other begins, what succeeded is undone, then the map has failed."""
    world.takes("each 0", 5)
    world.takes("each 3", 9)
    world.takes("each 1", 1)
    world.fails("each 1", Boom("one"))
    outcome = await mode(Failing())
    assert isinstance(outcome, Failed)
    assert outcome.step == "each[1]"
    assert world.when("ended", "each 3") == pytest.approx(9)
    assert sorted(world.began) == ["beside", "each 0", "each 1", "each 2", "each 3"]
    assert sorted(world.undone) == ["each 0", "each 2", "each 3"]
    assert world.compensated == ["map"]


async def test_a_maps_compensate_may_continue(mode):
    """With results of its own; the elements were undone before it was asked, and are not undone again."""
    world.fails("each 1", Boom("recover"))
    outcome = await mode(Failing())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == [7, 7]
    assert once_each(world.undone)
    assert "each 1" not in world.undone
    assert "each 0" in world.undone


async def test_another_branchs_failure_stops_the_map(mode):
    """Undispatched elements are dropped, those in flight settle and are undone."""
    for n in range(8):
        world.takes(f"each {n}", 5)
    world.takes("beside", 1)
    world.fails("beside", Boom("first"))
    outcome = await mode(Failing())
    assert outcome.step == "beside"
    assert sorted(name for name in world.began if name.startswith("each")) == ["each 0", "each 1", "each 2", "each 3"]
    assert sorted(world.undone) == ["each 0", "each 1", "each 2", "each 3"]


async def test_an_element_fails_while_another_waits_for_its_retry(mode):
    """An element that waits for its next attempt in a batch that is failing is not called again."""

    class Waits(Reactor):
        @map_over([0, 1], retry=Retry(5, backoff="fixed", base=60, jitter=False, on=Boom))
        async def output(self, n: int) -> int:
            return await act(f"each {n}", n)

    world.always_fails("each 0", Boom("busy"))
    world.takes("each 1", 5)
    world.fails("each 1", Worse("stands"))
    outcome = await mode(Waits())
    assert outcome.error.kind == "Worse"
    assert world.began.count("each 0") == 1
    assert now() < 60


async def test_elements_know_where_they_are(mode):
    """Address and attempt of an element."""

    class Knows(Reactor):
        @map_over(["a", "b", "c"], batch_size=2)
        async def each(self, word: str) -> str:
            return step_context().address

        @step
        async def output(self, each: Results[str] = each.result) -> list[str]:
            return await each.all()

    assert (await mode(Knows())).value == ["each[0]", "each[1]", "each[2]"]


async def test_def_bodies_run_in_threads(mode):
    """Where a map's body is a plain `def` it is refused, or runs in threads: the face knows async ones only."""
    from reactor import DefinitionError

    with pytest.raises(DefinitionError):

        class Plain(Reactor):
            @map_over([1, 2])
            def output(self, n: int) -> int:  # type: ignore[type-var]
                return n


async def test_a_thousand_elements_one_slot():
    """Batches wait for slots, not for each other."""

    class Thousand(Reactor):
        @source
        async def numbers(self) -> AsyncIterator[int]:
            for n in range(1000):
                yield n

        @map_over(numbers, batch_size=50)
        async def each(self, n: int) -> int:
            return n

        @step
        async def output(self, each: Results[int] = each.result) -> int:
            return sum(await each.all())

    async with Engine("memory://", concurrency=1) as eng:
        assert (await eng.run(Thousand())).value == sum(range(1000))


async def test_two_maps_share_a_source(mode):
    """Each opens it for itself."""

    class Shares(Reactor):
        @source
        async def numbers(self) -> AsyncIterator[int]:
            world.note("opened", "source")
            for n in range(3):
                yield n

        @map_over(numbers)
        async def a(self, n: int) -> int:
            return n

        @map_over(numbers)
        async def b(self, n: int) -> int:
            return n * 10

        @step
        async def output(self, a: Results[int] = a.result, b: Results[int] = b.result) -> list[int]:
            return [*await a.all(), *await b.all()]

    assert (await mode(Shares())).value == [0, 1, 2, 0, 10, 20]
    assert len(world.names("opened")) == 2
