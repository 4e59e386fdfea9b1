"""Scenario 5: four maps: at hand, offloaded, batches of ten over twenty, a lazy keyed source with batches of two; `fail` and `collect`."""

from collections.abc import AsyncIterator

import pytest

from reactor import ElementFailure, Failed, Reactor, Results, Succeeded, map_over, source, step
from tests.scenarios.world import Boom, act, once_each, undo, world

pytestmark = pytest.mark.anyio


class Element(Reactor):
    """An element that is a reactor: two steps, each with its undo."""

    n: int

    @step
    async def first(self) -> int:
        return await act(f"first {self.n}", self.n)

    @first.undo
    async def undo_first(self, value: int) -> None:
        await undo(f"first {self.n}")

    @step
    async def output(self, first: int = first.result) -> int:
        return await act(f"second {self.n}", first * 10)

    @output.undo
    async def undo_second(self, value: int) -> None:
        await undo(f"second {self.n}")


class AtHand(Reactor):
    """Twenty numbers from a step, default batches."""

    @step
    async def numbers(self) -> list[int]:
        return list(range(20))

    @map_over(numbers.result)
    async def each(self, n: int) -> Element:
        return Element(n=n)

    @step
    async def output(self, results: Results[int] = each.result) -> list[int]:
        return await act("output", await results.all())


class Offloaded(Reactor):
    """The same, asking for another place to run: without a queue it is this one."""

    @step
    async def numbers(self) -> list[int]:
        return list(range(20))

    @map_over(numbers.result, offload=True, batch_size=5)
    async def each(self, n: int) -> Element:
        return Element(n=n)

    @step
    async def output(self, results: Results[int] = each.result) -> list[int]:
        return await act("output", await results.all())


class TwoBatches(Reactor):
    """Batches of ten over twenty."""

    @step
    async def numbers(self) -> list[int]:
        return list(range(20))

    @map_over(numbers.result, batch_size=10, in_flight=1)
    async def each(self, n: int) -> Element:
        return Element(n=n)

    @step
    async def output(self, results: Results[int] = each.result) -> list[int]:
        return await act("output", await results.all())


class Lazy(Reactor):
    """A keyed source, batches of two."""

    @source(key=lambda n: n)
    async def numbers(self, after: int | None = None) -> AsyncIterator[int]:
        for n in range(0 if after is None else after + 1, 20):
            yield n

    @map_over(numbers, batch_size=2, in_flight=2)
    async def each(self, n: int) -> Element:
        return Element(n=n)

    @step
    async def output(self, results: Results[int] = each.result) -> list[int]:
        return await act("output", await results.all())


MAPS = [AtHand, Offloaded, TwoBatches, Lazy]


@pytest.mark.parametrize("mapping", MAPS)
async def test_values_come_in_source_order(mode, mapping):
    """Twenty results in the order of the source, each element's two steps called once."""
    outcome = await mode(mapping())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == [n * 10 for n in range(20)]
    assert once_each(world.began)
    assert len(world.began) == 41
    assert world.undone == []


@pytest.mark.parametrize("failing", ["first", "second"])
@pytest.mark.parametrize("mapping", MAPS)
async def test_an_element_fails(mode, mapping, failing):
    """Dispatch stops; the failed element undoes its own; every element that succeeded is undone once, its second step first."""
    world.fails(f"{failing} 7", Boom("no"))
    outcome = await mode(mapping())
    assert isinstance(outcome, Failed)
    assert outcome.step == f"each[7].{'first' if failing == 'first' else 'output'}"
    assert outcome.error.kind == "Boom"
    ended = [name for name in world.names("ended") if not name.startswith("undo ")]
    assert once_each(world.undone)
    assert sorted(world.undone) == sorted(ended)
    for n in range(20):
        if f"second {n}" in ended:
            assert world.before(("ended", f"undo second {n}"), ("began", f"undo first {n}"))


@pytest.mark.parametrize("mapping", MAPS)
async def test_a_later_failure_undoes_every_element(mode, mapping):
    """What twenty elements did is undone, each step once, when the step after the map fails."""
    world.fails("output", Boom("late"))
    outcome = await mode(mapping())
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert sorted(world.undone) == sorted([*(f"first {n}" for n in range(20)), *(f"second {n}" for n in range(20))])


async def test_batches_are_undone_newest_first(mode):
    """With one batch in flight, all of the second batch is undone before any of the first."""
    world.fails("output", Boom("late"))
    await mode(TwoBatches())
    numbers = [int(name.split()[1]) for name in world.undone]
    assert all(n >= 10 for n in numbers[:20])
    assert all(n < 10 for n in numbers[20:])


class Collecting(Reactor):
    @step
    async def numbers(self) -> list[int]:
        return list(range(20))

    @map_over(numbers.result, batch_size=3, in_flight=2, on_error="collect")
    async def each(self, n: int) -> Element:
        return Element(n=n)

    @step
    async def output(self, results: Results[int] = each.result) -> tuple[list[int], list[tuple[int, str]]]:
        failures = [(failure.index, failure.error) async for failure in results.failures()]
        assert (len(results), results.succeeded, results.failed) == (20, 20 - len(failures), len(failures))
        items = [(index, item) async for index, item in results.items()]
        assert [index for index, _ in items] == list(range(20))
        assert [index for index, item in items if isinstance(item, ElementFailure)] == [index for index, _ in failures]
        return await act("output", (await results.all(), failures))


async def test_collect_makes_failures_data(mode):
    """Failed elements undo themselves, the others stand; the results say which failed and why, in source order."""
    world.fails("first 3", Boom("three"))
    world.fails("second 11", Boom("eleven"))
    outcome = await mode(Collecting())
    assert isinstance(outcome, Succeeded)
    values, failures = outcome.value
    assert list(values) == [n * 10 for n in range(20) if n not in (3, 11)]
    assert [index for index, _ in failures] == [3, 11]
    assert "three" in failures[0][1]
    assert "eleven" in failures[1][1]
    assert world.undone == ["first 11"]


async def test_collect_then_a_later_failure(mode):
    """Only the elements that succeeded are undone, besides what the failed ones undid themselves."""
    world.fails("first 3", Boom("three"))
    world.fails("second 11", Boom("eleven"))
    world.fails("output", Boom("late"))
    outcome = await mode(Collecting())
    assert isinstance(outcome, Failed)
    assert once_each(world.undone)
    assert set(world.undone) == {f"{what} {n}" for what in ("first", "second") for n in range(20)} - {"first 3", "second 3", "second 11"}
