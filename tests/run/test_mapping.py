"""A map, performed: its source is open, batches are taken from it and driven, results become chunks."""

import asyncio
from collections import UserList, deque
from collections.abc import AsyncIterator
from typing import Any

import pytest

from reactor import (
    Cancelled,
    Continue,
    Engine,
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
    use,
)
from reactor.plan.compile import plan_of
from reactor.run.mapping import batching, element_type, undoable_in

pytestmark = pytest.mark.anyio
LOG: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh():
    LOG.clear()


class Boom(Exception):
    """What goes wrong."""


class Leaf(Reactor):
    """An element that is a reactor: it tells what it does and undoes."""

    one: int
    bad: int = -1

    @step
    async def hold(self) -> int:
        LOG.append(f"hold {self.one}")
        return self.one

    @hold.undo(retry=Retry(1))
    async def free(self, value: int) -> None:
        LOG.append(f"free {value}")

    @step
    async def output(self, hold: int = hold.result) -> int:
        if self.one == self.bad:
            raise Boom(f"no {self.one}")
        return hold * 10


# ---- what is mapped over ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "elements", [[1, 2, 3], (1, 2, 3), range(1, 4), deque([1, 2, 3]), UserList([1, 2, 3])], ids=lambda it: type(it).__name__
)
async def test_any_sequence_is_mapped_over(elements):
    """Whatever can be counted and read in order."""

    class Maps(Reactor):
        @step
        async def them(self) -> list[int]:
            return elements

        @map_over(them.result, batch_size=2)
        async def output(self, one: int) -> int:
            return one

    assert await (await Maps()).all() == [1, 2, 3]


@pytest.mark.parametrize("elements", [{1: 2}, {1, 2}, "text", b"bytes", iter([1]), None, 3], ids=lambda it: type(it).__name__)
async def test_what_is_no_sequence_fails_the_map(elements):
    """It never began; the error says what it was given and what to do."""

    class Maps(Reactor):
        @step
        async def them(self) -> list[int]:
            return elements

        @map_over(them.result)
        async def output(self, one: int) -> int:
            return one

        @output.compensate
        async def answer(self, error: StepError) -> None:
            LOG.append("compensated")

    async with Engine() as engine:
        outcome = await engine.run(Maps())
    assert isinstance(outcome, Failed)
    assert outcome.error.failure.code == "not-a-sequence"
    assert type(elements).__name__ in outcome.error.message
    assert LOG == []


async def test_elements_are_those_of_the_moment():
    """A list that its step changes afterwards is mapped as it was."""
    them = [1, 2, 3]

    class Maps(Reactor):
        @step
        async def them(self) -> list[int]:
            return them

        @map_over(them.result, batch_size=1, in_flight=1)
        async def output(self, one: int) -> int:
            them.clear()
            await asyncio.sleep(1)
            return one

    assert await (await Maps()).all() == [1, 2, 3]


@pytest.mark.parametrize("lazy", [False, True])
async def test_nothing_to_map_over(lazy):
    """An empty result; no element, no batch."""

    class Maps(Reactor):
        @source
        async def none(self) -> AsyncIterator[int]:
            for one in ():
                yield one

        @map_over(none if lazy else [])
        async def output(self, one: int) -> int:
            return one

    results = await Maps()
    assert (len(results), await results.all()) == (0, [])


async def test_a_source_takes_results_and_resources():
    """And self; it is opened once they are there."""

    def pool():
        return 100

    class Maps(Reactor):
        size: int

        @step
        async def first(self) -> int:
            return 10

        @source
        async def rows(self, first: int = first.result, base: int = use(pool)) -> AsyncIterator[int]:
            for one in range(self.size):
                yield base + first + one

        @map_over(rows)
        async def output(self, one: int) -> int:
            return one

    assert await (await Maps(size=3)).all() == [110, 111, 112]


async def test_a_keyed_source_begins_at_its_beginning():
    """It is told to go on after nothing."""

    class Maps(Reactor):
        @source(key=lambda row: row)
        async def rows(self, after: int | None = None) -> AsyncIterator[int]:
            LOG.append(after)
            for one in range(3):
                yield one

        @map_over(rows)
        async def output(self, one: int) -> int:
            return one

    assert await (await Maps()).all() == [0, 1, 2]
    assert LOG == [None]


# ---- batches --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [False, True])
async def test_so_many_elements_of_so_many_batches_at_a_time(lazy):
    """`batch_size` and `in_flight` bound what exists: a source is not pulled beyond them."""
    now, most, pulled = 0, 0, 0

    class Maps(Reactor):
        @source
        async def rows(self) -> AsyncIterator[int]:
            nonlocal pulled
            for one in range(20):
                pulled += 1
                assert pulled - len(LOG) <= 9
                yield one

        @map_over(rows if lazy else list(range(20)), batch_size=3, in_flight=2)
        async def output(self, one: int) -> int:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(1 + one % 2)
            now -= 1
            LOG.append(one)
            return one

    assert await (await Maps()).all() == list(range(20))
    assert most == 6


async def test_a_batch_is_one_fact_each():
    """However many elements it has; each event says which ones."""

    class Maps(Reactor):
        @map_over(list(range(250)), batch_size=100)
        async def output(self, one: int) -> int:
            return one

    async with Engine() as engine:
        run = await engine.start(Maps())
        await run.result()
        batches = [event.detail for event in [event async for event in run.events()] if event.kind == "batch_started"]
    assert [(batch["batch"], batch["first"], batch["size"]) for batch in batches] == [(0, 0, 100), (1, 100, 100), (2, 200, 50)]


async def test_an_element_is_called_with_its_place():
    """Its address is its place in the source, whatever batch it is in."""

    class Maps(Reactor):
        @map_over(["a", "b", "c"], batch_size=2)
        async def output(self, one: str) -> str:
            return f"{one} {step_context().address}"

    assert await (await Maps()).all() == ["a output[0]", "b output[1]", "c output[2]"]


async def test_an_elements_failure_is_one_of_the_map():
    """With the element's address, and its exception while that is at hand."""

    class Maps(Reactor):
        @map_over([1, 2, 3], batch_size=2)
        async def output(self, one: int) -> Leaf:
            return Leaf(one=one, bad=3)

    async with Engine() as engine:
        outcome = await engine.run(Maps())
    assert (outcome.step, outcome.error.message) == ("output[2].output", "no 3")
    assert isinstance(outcome.error.original, Boom)


# ---- undo ------------------------------------------------------------------------------------------------------------------


async def test_elements_of_a_chunk_are_undone_from_it():
    """A batch that was folded is made anew: each element that succeeded once, decoded; not what was skipped or failed."""
    from reactor import Skip

    class Maps(Reactor):
        @map_over(list(range(6)), batch_size=4, on_error="collect")
        async def some(self, one: int) -> dict[str, int]:
            if one == 1:
                raise Skip(None)
            if one == 2:
                raise Boom
            return {"made": one}

        @some.undo
        async def unmake(self, made: dict[str, int]) -> None:
            LOG.append((step_context().address, made["made"]))

        @step
        async def output(self, some: Results[dict[str, int]] = some.result) -> int:
            raise Boom

    async with Engine() as engine:
        await engine.run(Maps())
    assert sorted(LOG) == [("some[0]", 0), ("some[3]", 3), ("some[4]", 4), ("some[5]", 5)]


async def test_elements_that_are_reactors_are_undone_by_their_own_nodes():
    """Those that failed have done so already."""

    class Maps(Reactor):
        @map_over([1, 2, 3], on_error="collect")
        async def some(self, one: int) -> Leaf:
            return Leaf(one=one, bad=2)

        @step
        async def output(self, some: Results[int] = some.result) -> int:
            LOG.append(await some.all())
            raise Boom

    async with Engine() as engine:
        await engine.run(Maps())
    assert LOG[:3] == ["hold 1", "hold 2", "hold 3"]
    assert LOG[3:5] == ["free 2", [10, 30]]
    assert sorted(LOG[5:]) == ["free 1", "free 3"]


async def test_maps_in_maps_are_undone():
    """From the inside of each element, newest batch first at each level."""

    class Inner(Reactor):
        one: int

        @map_over([1, 2], batch_size=1, in_flight=1)
        async def output(self, two: int) -> int:
            return 10 * self.one + two

        @output.undo
        async def undo_output(self, value: int) -> None:
            LOG.append(value)

    class Maps(Reactor):
        @map_over([1, 2], batch_size=1, in_flight=1)
        async def some(self, one: int) -> Inner:
            return Inner(one=one)

        @step(after=[some])
        async def output(self) -> int:
            raise Boom

    async with Engine() as engine:
        await engine.run(Maps())
    assert LOG == [22, 21, 12, 11]


async def test_what_was_stuck_is_told_once():
    """An element that failed and could not clean up, and one that cannot be undone: each address once, at each try."""
    broken = {1, 2}

    class Sticky(Reactor):
        one: int

        @step
        async def hold(self) -> int:
            return self.one

        @hold.undo(retry=Retry(1))
        async def free(self, value: int) -> None:
            if value in broken:
                raise OSError(value)
            LOG.append(value)

        @step(after=[hold])
        async def output(self) -> int:
            if self.one == 1:
                raise Boom
            return self.one

    class Maps(Reactor):
        @map_over([1, 2, 3])
        async def output(self, one: int) -> Sticky:
            return Sticky(one=one)

    async with Engine() as engine:
        run = await engine.start(Maps())
        assert sorted(one.step for one in (await run.outcome()).rollback_failures) == ["output[0].hold", "output[1].hold"]
        broken.discard(1)
        await run.retry_rollback()
        assert [one.step for one in (await run.outcome()).rollback_failures] == ["output[1].hold"]
        broken.clear()
        await run.retry_rollback()
        assert list((await run.outcome()).rollback_failures) == []
    assert LOG == [3, 1, 2]


async def test_a_recovered_map_is_not_undone():
    """Its compensate gave other results; what its elements had done was undone before."""

    class Maps(Reactor):
        @map_over([1, 2], batch_size=1, in_flight=1)
        async def some(self, one: int) -> int:
            if one == 2:
                raise Boom
            return one

        @some.undo
        async def undo_some(self, value: int) -> None:
            LOG.append(f"undo {value}")

        @some.compensate
        async def answer(self, error: StepError) -> Continue[Results[int]]:
            LOG.append("compensate")
            return Continue(Results.of([9]))

        @step
        async def output(self, some: Results[int] = some.result) -> int:
            LOG.append(await some.all())
            raise Boom

    async with Engine() as engine:
        await engine.run(Maps())
    assert LOG == ["undo 1", "compensate", [9]]


async def test_a_map_is_tried_again_from_its_first_element():
    """With a source that is opened anew."""

    class Maps(Reactor):
        @source
        async def rows(self) -> AsyncIterator[int]:
            LOG.append("opened")
            yield 1
            yield 2

        @map_over(rows)
        async def some(self, one: int) -> int:
            if one == 2 and LOG.count("opened") < 3:
                raise Boom
            return one

        @some.compensate
        async def answer(self, error: StepError) -> TryAgain:
            return TryAgain(60)

        @step
        async def output(self, some: Results[int] = some.result) -> list[int]:
            return await some.all()

    assert await Maps() == [1, 2]
    assert LOG == ["opened"] * 3


# ---- stopping -----------------------------------------------------------------------------------------------------------------


async def test_a_failure_closes_the_source_before_the_map_ends():
    """Nothing more is taken; what is open is closed."""

    class Maps(Reactor):
        @source
        async def rows(self) -> AsyncIterator[int]:
            try:
                for one in range(1000):
                    yield one
            finally:
                await asyncio.sleep(5)
                LOG.append("closed")

        @map_over(rows, batch_size=1, in_flight=1)
        async def output(self, one: int) -> int:
            if one == 3:
                raise Boom
            LOG.append(one)
            return one

        @output.undo
        async def undo_output(self, one: int) -> None:
            LOG.append(f"undo {one}")

    async with Engine() as engine:
        await engine.run(Maps())
    assert LOG == [0, 1, 2, "closed", "undo 2", "undo 1", "undo 0"]


async def test_a_source_that_raises_fails_the_map():
    """Elements that it had given are undone; the map is compensated, since it began."""

    class Maps(Reactor):
        @source
        async def rows(self) -> AsyncIterator[int]:
            yield 1
            yield 2
            raise OSError("disk")

        @map_over(rows, batch_size=2)
        async def output(self, one: int) -> int:
            return one

        @output.undo
        async def undo_output(self, one: int) -> None:
            LOG.append(one)

        @output.compensate
        async def answer(self, error: StepError) -> None:
            LOG.append((error.address, error.message, isinstance(error.original, OSError)))

    async with Engine() as engine:
        outcome = await engine.run(Maps())
    assert (outcome.step, outcome.error.message) == ("output", "disk")
    assert sorted(LOG[:2]) == [1, 2]
    assert LOG[2:] == [("output", "disk", True)]


async def test_a_source_that_is_cancelled_by_itself_is_a_failure():
    """Never an end: elements would be lost without a word."""

    class Maps(Reactor):
        @source
        async def rows(self) -> AsyncIterator[int]:
            yield 1
            task = asyncio.ensure_future(asyncio.sleep(60))
            await asyncio.sleep(0)
            task.cancel()
            await task
            yield 2

        @map_over(rows, batch_size=1)
        async def output(self, one: int) -> int:
            return one

    async with Engine() as engine:
        outcome = await engine.run(Maps())
    assert isinstance(outcome, Failed)
    assert outcome.error.kind == "CancelledError"


@pytest.mark.parametrize("after", [0.0, 0.5, 1.5, 10.5])
async def test_a_cancel_at_any_moment(after):
    """While the source is opened, pulled, or batches run: what succeeded is undone once, and the run ends."""

    async def slow():
        await asyncio.sleep(1)
        return 1

    class Maps(Reactor):
        @source
        async def rows(self, it: int = use(slow)) -> AsyncIterator[int]:
            for one in range(1000):
                await asyncio.sleep(1)
                yield one

        @map_over(rows, batch_size=2, in_flight=2)
        async def output(self, one: int) -> int:
            await asyncio.sleep(1)
            LOG.append(one)
            return one

        @output.undo
        async def undo_output(self, one: int) -> None:
            LOG.remove(one)

    async with Engine() as engine:
        run = await engine.start(Maps())
        await asyncio.sleep(after)
        await run.cancel("enough")
        assert isinstance(await run.outcome(), Cancelled)
    assert LOG == []


@pytest.mark.parametrize("opens", [True, False])
async def test_a_map_whose_resource_comes_too_late_never_begins(opens):
    """Its run was failing by then, while another call settled: it is neither opened nor failed, nor compensated."""

    async def slow():
        await asyncio.sleep(5)
        if not opens:
            raise OSError
        return 1

    class Maps(Reactor):
        @step
        async def bad(self) -> int:
            await asyncio.sleep(1)
            raise Boom

        @step
        async def settles(self) -> int:
            await asyncio.sleep(20)
            return 1

        @map_over([1, 2])
        async def some(self, one: int, it: int = use(slow)) -> int:
            LOG.append("began")
            return one

        @some.compensate
        async def answer(self, error: StepError) -> None:
            LOG.append("compensated")

        @step(after=[bad, settles, some])
        async def output(self) -> int:
            return 1

    async with Engine() as engine:
        run = await engine.start(Maps())
        outcome = await run.outcome()
        addresses = {event.address async for event in run.events()}
    assert outcome.step == "bad"
    assert addresses == {None, "bad", "settles"}
    assert LOG == []


async def test_elements_that_are_maps_of_reactors_are_undone():
    """They have no undo of their own at all: what is in them has."""

    class Inner(Reactor):
        one: int

        @map_over([1, 2])
        async def leaves(self, two: int) -> Leaf:
            return Leaf(one=10 * self.one + two)

        @step(after=[leaves])
        async def output(self) -> int:
            return 1

    class Maps(Reactor):
        @map_over([1, 2])
        async def some(self, one: int) -> Inner:
            return Inner(one=one)

        @step(after=[some])
        async def output(self) -> int:
            raise Boom

    async with Engine() as engine:
        await engine.run(Maps())
    assert sorted(one for one in LOG if one.startswith("free")) == ["free 11", "free 12", "free 21", "free 22"]


async def test_elements_that_a_cancel_left_half_way_are_compensated_by_a_later_undo():
    """Nothing in them had succeeded; what had begun is answered for."""

    class Half(Reactor):
        @step
        async def output(self) -> int:
            await asyncio.sleep(3600)
            return 1

        @output.compensate
        async def answer(self, error: StepError) -> None:
            LOG.append(step_context().address)

    class Maps(Reactor):
        @map_over([1, 2])
        async def output(self, one: int) -> Half:
            return Half()

    async with Engine() as engine:
        run = await engine.start(Maps())
        await asyncio.sleep(1)
        await run.cancel("enough", undo=False)
        assert sorted((await run.outcome()).in_doubt) == ["output[0].output", "output[1].output"]
        assert LOG == []
        await run.undo()
        await run.outcome()
    assert sorted(LOG) == ["output[0].output", "output[1].output"]


async def test_nothing_of_a_batch_begins_after_a_failure_stood():
    """Its elements wait for the slot that a compensate holds: that one's answer comes first."""

    class Maps(Reactor):
        @step
        async def bad(self) -> int:
            raise Boom

        @bad.compensate
        async def answer(self, error: StepError) -> None:
            await asyncio.sleep(1)

        @map_over([1])
        async def some(self, one: int) -> int:
            LOG.append("began")
            return one

        @step(after=[bad, some])
        async def output(self) -> int:
            return 1

    async with Engine(concurrency=1) as engine:
        assert isinstance(await engine.run(Maps()), Failed)
    assert LOG == []


# ---- what a restart hands over ---------------------------------------------------------------------------------------------------


class Restarted(Reactor):
    """A map of reactors in a child, and one of steps; the end fails as often as it is told."""

    @compose
    async def child(self) -> "Inner":
        return Inner()

    @map_over([4, 5], batch_size=1)
    async def some(self, one: int) -> int:
        LOG.append(f"do {one}")
        return one

    @some.undo
    async def undo_some(self, one: int) -> None:
        LOG.append(f"undo {one}")

    @step(after=[child, some])
    async def output(self) -> int:
        LOG.append("output")
        return 1


class Inner(Reactor):
    @map_over([1, 2], batch_size=1)
    async def output(self, one: int) -> Leaf:
        return Leaf(one=one)


async def test_kept_maps_can_be_undone_by_the_run_that_keeps_them():
    """At every depth, of steps and of reactors; each element once."""
    async with Engine() as engine:
        run = await engine.start(Restarted())
        await run.result()
        assert sorted(LOG) == ["do 4", "do 5", "hold 1", "hold 2", "output"]
        LOG.clear()
        again = await run.restart(from_step="output")
        assert isinstance(await again.outcome(), Succeeded)
        assert LOG == ["output"]
        LOG.clear()
        third = await again.restart(from_step="output")
        await third.outcome()
        await third.undo()
        await third.outcome()
    assert sorted(LOG) == ["free 1", "free 2", "output", "undo 4", "undo 5"]


async def test_a_map_that_was_stopped_half_way_keeps_its_elements():
    """A restart calls those only that had not succeeded; all of them are undone by the new run."""

    class Halfway(Reactor):
        @map_over([1, 2, 3, 4], batch_size=2, in_flight=1)
        async def some(self, one: int) -> int:
            LOG.append(f"do {one}")
            if one == 3 and LOG.count("do 3") == 1:
                await asyncio.sleep(3600)
            return one

        @some.undo
        async def undo_some(self, one: int) -> None:
            LOG.append(f"undo {one}")

        @step
        async def output(self, some: Results[int] = some.result) -> int:
            return sum(await some.all())

    async with Engine() as engine:
        run = await engine.start(Halfway())
        await asyncio.sleep(1)
        await run.cancel("enough", undo=False)
        await run.outcome()
        again = await run.restart()
        assert await again.result() == 10
        await again.undo()
        await again.outcome()
    assert LOG[:5] == ["do 1", "do 2", "do 3", "do 4", "do 3"]
    assert sorted(LOG[5:]) == ["undo 1", "undo 2", "undo 3", "undo 4"]


# ---- small things ---------------------------------------------------------------------------------------------------------------


class Text(Reactor):
    @step
    async def output(self) -> str:
        return "a"


class Union(Reactor):
    @map_over([1, 2])
    async def output(self, one: int) -> Leaf | Text:
        return Leaf(one=one) if one == 1 else Text()


async def test_an_element_may_be_one_of_several_reactors():
    """Its results are then of either type."""
    assert element_type(plan_of(Union).nodes[0]) is Any
    assert await (await Union()).all() == [10, "a"]


def test_the_type_of_an_elements_result():
    """A child's output, or the step's own annotation."""

    class Maps(Reactor):
        @map_over([1])
        async def leaves(self, one: int) -> Leaf: ...

        @map_over([1])
        async def output(self, one: int) -> dict[str, int]: ...

    leaves, output = plan_of(Maps).nodes
    assert (element_type(leaves), element_type(output)) == (int, dict[str, int])
    assert batching(output)[0] == 100
    with pytest.raises(AssertionError, match="is no map"):
        batching(plan_of(Leaf).nodes[0])


def test_how_many_elements_an_undo_would_do_something_for():
    """Counted when a batch settles: what has no undo, was skipped or failed by itself costs an undo nothing."""
    from tests.machine.plans import Collecting, Ship
    from tests.machine.rules.test_map import batch_of

    steps = batch_of(Ship, size=3).did("ship[0]").skipped("ship[1]").broke("ship[2]")
    assert undoable_in(steps.root) == 1
    leaves = batch_of(Collecting, size=3)
    leaves.opened("output[0]", "Payment").did("output[0].hold", "output[0].output").closed("output[0]", b"")
    leaves.opened("output[1]", "Payment").skipped("output[1].hold").skipped("output[1].output").closed("output[1]", b"")
    leaves.broke("output[2]")
    assert undoable_in(leaves.root) == 1
