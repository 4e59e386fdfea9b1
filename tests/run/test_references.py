"""What a map left, in a store: a reference of a few bytes to the chunks in the records of its batches."""

import asyncio

import msgspec
import pytest
from msgspec import Struct

from reactor import Engine, Reactor, ResultNotStorable, Results, compose, map_over, step
from reactor.define.results import ElementFailure
from reactor.errors import Incompatible
from reactor.machine.events import BatchSettled, BatchStarted, CallFailed, CallSucceeded, Closed, Kept, MapOpened, RunStarted, Skipped
from reactor.machine.machine import Machine
from reactor.plan.compile import plan_of
from reactor.record import facts
from reactor.record.codec import LIMIT
from reactor.record.sealing import Sealer
from reactor.record.words import Append, NewRecord
from reactor.run.chunks import Chunk
from reactor.run.references import KeptResults, Shelf, chunk_data, chunk_of, is_reference, kept_results, prefix_of, results_from
from reactor.stores.memory import MemoryStore
from tests.machine.folding import BOOM
from tests.machine.plans import Ship

pytestmark = pytest.mark.anyio
PACKED = {value: msgspec.msgpack.encode(value) for value in (0, 10, 20, 30, 40)}


@pytest.fixture
async def shelf():
    """A store in memory, and no keys."""
    store = MemoryStore(clock=asyncio.get_running_loop().time)
    await store.open_session("s", 60.0)
    return Shelf(store, Sealer((), plain=True))


async def settle(shelf, number, chunk, *events):
    """A batch's record, settled: with a chunk, or only with its facts."""
    name = f"shop:1/ship#{number}"
    await shelf.store.create(NewRecord(run=name, root="shop:1", parent="shop:1", reactor="shop", token="s:1", events=events))
    data = None if chunk is None else msgspec.msgpack.encode(chunk)
    last = Append(run=name, token="s:1", seq=len(events), op="end", status="succeeded", ended=True, chunk=data)
    await shelf.store.append(last)


def chunk(first, values, *, failures=None, skipped=(), missing=()):
    """As a batch folds its elements."""
    failures = failures or {}
    out = {*failures, *missing}
    encoded = {first + at: PACKED[value] for at, value in enumerate(values) if first + at not in out}
    return chunk_data(Chunk(first, values, failures, frozenset(skipped), frozenset(missing)), encoded)


async def two_batches(shelf):
    """10, a failure, 20 | nothing, 30."""
    await settle(shelf, 0, chunk(0, [10, 0, 20], failures={1: "Boom: no"}))
    await settle(shelf, 1, chunk(3, [0, 30], missing=[3]))
    settled = {1: BatchSettled(1.0, "ship", 1, 1, 1), 0: BatchSettled(1.0, "ship", 0, 2, 1), -1: BatchSettled(1.0, "ship", -1, 5, 0)}
    return KeptResults.of_batches(shelf, "shop:1/ship", settled, int)


# ---- kept results -------------------------------------------------------------------------------------------------------


async def test_results_are_read_in_the_order_of_their_source(shelf):
    """Values, failures, and nothing for what is missing; the batch of what a restart had kept is none of them."""
    results = await two_batches(shelf)
    assert (len(results), results.succeeded, results.failed) == (5, 3, 2)
    assert await results.all() == [10, 20, 30]
    items = [(index, value.error if isinstance(value, ElementFailure) else value) async for index, value in results.items()]
    assert items == [(0, 10), (1, "Boom: no"), (2, 20), (4, 30)]


@pytest.mark.parametrize(("start", "indices"), [(0, [0, 1, 2, 4]), (2, [2, 4]), (3, [4]), (4, [4]), (5, []), (99, [])])
async def test_reading_begins_anywhere(shelf, start, indices):
    """Batches that lie before are not even loaded."""
    results = await two_batches(shelf)
    assert [index async for index, _ in results.read(start)] == indices


async def test_a_reference_is_small_and_gives_the_same_results(shelf):
    """A few bytes a batch, whatever the elements are."""
    results = await two_batches(shelf)
    raw = results.reference()
    assert is_reference(raw)
    assert len(raw) < 40
    again = results_from(raw, shelf, int)
    assert await again.all() == [10, 20, 30]
    assert again.reference() == raw
    kept, kept_raw = kept_results(results, shelf, int)
    assert kept_raw == raw
    assert await kept.all() == [10, 20, 30]


@pytest.mark.parametrize("value", [None, 0, 1.5, "text", b"bytes", b"\xc7\x00", [1], {"a": 1}, -7, 1 << 63, "x" * 300], ids=repr)
def test_no_other_value_is_taken_for_a_reference(value):
    """Whatever its bytes begin with."""
    assert not is_reference(msgspec.msgpack.encode(value))


def test_another_extension_is_no_reference():
    """Nor are no bytes."""
    assert not is_reference(msgspec.msgpack.encode(msgspec.msgpack.Ext(7, b"x")))
    assert not is_reference(b"")


# ---- results that an author made ----------------------------------------------------------------------------------------------


async def test_results_that_an_author_made_are_in_their_reference(shelf):
    """Their failures too; they come back by their declared type."""
    made = Results.of([1, ElementFailure(1, "no"), 3])
    kept, raw = kept_results(made, shelf, int)
    assert is_reference(raw)
    for results in (kept, results_from(raw, shelf, int)):
        assert (results.succeeded, results.failed, await results.all()) == (2, 1, [1, 3])
        assert [(one.index, one.error) async for one in results.failures()] == [(1, "no")]
        assert kept_results(results, shelf, int)[1] == raw


def test_what_an_author_made_of_values_that_do_not_survive_is_refused():
    """By the declared type of an element; or because it is too much."""
    shelf = Shelf(None, Sealer((), plain=True))
    with pytest.raises(ResultNotStorable):
        kept_results(Results.of(["text"]), shelf, int)
    with pytest.raises(ResultNotStorable, match="are kept"):
        kept_results(Results.of([b"x" * (LIMIT // 2)] * 3), shelf, bytes)


# ---- chunks ---------------------------------------------------------------------------------------------------------------


async def test_a_chunk_that_was_not_folded_is_read_from_the_facts(shelf):
    """What each element came to last: a value, an output, a Skip, a failure that stood, or nothing."""
    events = [
        (RunStarted(1.0, "ship", first=3, size=6), b""),
        (CallSucceeded(1.0, "ship[3]"), PACKED[10]),
        (CallFailed(1.0, "ship[4]", "do", 1, BOOM, 1.0), b""),
        (CallSucceeded(1.0, "ship[4]"), PACKED[20]),
        (CallFailed(1.0, "ship[5]", "do", 1, BOOM), b""),
        (Skipped(1.0, "ship[6]", None, "raised"), b""),
        (CallSucceeded(1.0, "ship[7].hold"), PACKED[40]),
        (BatchStarted(1.0, "ship[7].labels", 0, 0, 2), b""),
        (Closed(1.0, "ship[7]"), PACKED[30]),
    ]
    await settle(shelf, 0, None, *(facts.encode(fact, raw) for fact, raw in events))
    found = await chunk_of(shelf, "shop:1/ship#0")
    assert (found.first, found.size, found.skipped, found.missing) == (3, 6, (6,), (8,))
    assert found.failures == {5: "Boom: it broke"}
    assert list(found.raws()) == [(3, PACKED[10]), (4, PACKED[20]), (6, b"\xc0"), (7, PACKED[30])]


async def test_what_a_restart_kept_is_read_from_the_facts(shelf):
    """Of a batch that a restart copied: values, and what had been skipped."""
    events = [
        (RunStarted(1.0, "ship", first=0, size=3), b""),
        (Kept(1.0, "ship[0]"), PACKED[10]),
        (Kept(1.0, "ship[1]", None, skipped=True), b""),
    ]
    await settle(shelf, 0, None, *(facts.encode(fact, raw) for fact, raw in events))
    found = await chunk_of(shelf, "shop:1/ship#0")
    assert (found.first, found.size, found.skipped, found.missing) == (0, 3, (1,), (2,))
    assert list(found.raws()) == [(0, PACKED[10]), (1, b"\xc0")]


async def test_a_record_that_is_gone_is_told(shelf):
    """By its name."""
    with pytest.raises(Incompatible, match="shop:1/ship#7 cannot be read: it is not there any more") as raised:
        await chunk_of(shelf, "shop:1/ship#7")
    assert raised.value.code == "results-unreadable"


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80\x04\x95\x0b.", msgspec.msgpack.encode([1, 2])])
async def test_a_chunk_that_nobody_can_read_is_told(shelf, data):
    """Nothing is guessed."""
    name = "shop:1/ship#0"
    await shelf.store.create(NewRecord(run=name, root="shop:1", reactor="shop", token="s:1"))
    await shelf.store.append(Append(run=name, token="s:1", seq=0, op="end", status="succeeded", ended=True, chunk=data))
    with pytest.raises(Incompatible, match="cannot be read"):
        await chunk_of(shelf, name)


# ---- names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("occurrence", "prefix"), [(None, "shop:1/ship"), ("1", "shop:1/ship~1"), ("0.2", "shop:1/ship~0.2")])
def test_batches_of_a_map_that_is_tried_again_have_other_names(occurrence, prefix):
    """By the TryAgain counts around it."""
    machine = Machine(plan_of(Ship))
    machine.apply(RunStarted(0.0, ""))
    machine.apply(MapOpened(1.0, "ship", 2, occurrence))
    scope, index = machine.state.place("ship")
    assert prefix_of("shop:1", scope, index) == prefix


# ---- handed on -------------------------------------------------------------------------------------------------------------


class Maps(Reactor):
    @map_over([1, 2, 3], batch_size=2)
    async def output(self, one: int) -> int:
        return one * 10


class Gives(Reactor):
    """Its output is what it was handed."""

    @map_over([1, 2, 3], batch_size=2)
    async def some(self, one: int) -> int:
        return one * 10

    @step
    async def output(self, some: Results[int] = some.result) -> Results[int] | None:
        return some


class Hands(Reactor):
    """Results by way of a step, of a child whose output is a map, of one that hands them on, of elements that do; and made ones."""

    @map_over([1, 2, 3], batch_size=2)
    async def some(self, one: int) -> int:
        return one * 10

    @step
    async def between(self, some: Results[int] = some.result) -> Results[int]:
        return some

    @step
    async def made(self) -> Results[int]:
        return Results.of([10, 20, 30])

    @compose
    async def maps(self) -> Maps:
        return Maps()

    @compose
    async def gives(self) -> Gives:
        return Gives()

    @map_over([1], batch_size=2)
    async def each(self, one: int) -> Gives:
        return Gives()

    @map_over([1], batch_size=2)
    async def inner(self, one: int) -> Maps:
        return Maps()

    @step
    async def output(
        self,
        between: Results[int] = between.result,
        made: Results[int] = made.result,
        maps: Results[int] = maps.result,
        gives: Results[int] | None = gives.result,
        each: Results[Results[int] | None] = each.result,
        inner: Results[Results[int]] = inner.result,
    ) -> list[list[int]]:
        nested = [one for results in (each, inner) for one in await results.all()]
        return [await one.all() for one in (between, made, maps, gives, *nested) if one is not None]


class Point(Struct):
    x: int


class Points(Reactor):
    @map_over([1, 2])
    async def output(self, one: int) -> Point:
        return Point(one)


class Handed(Reactor):
    @map_over([1, 2])
    async def some(self, one: int) -> Point:
        return Point(one)

    @step
    async def output(self, some: Results[Point] = some.result) -> Results[Point]:
        return some


class Rows(Reactor):
    @map_over([1])
    async def made(self, one: int) -> Points:
        return Points()

    @map_over([1])
    async def handed(self, one: int) -> Handed:
        return Handed()

    @step
    async def output(self, made: Results[Results[Point]] = made.result, handed: Results[Results[Point]] = handed.result) -> int:
        rows = [row for results in (made, handed) for row in await results.all()]
        return sum([point.x for row in rows for point in await row.all()])


async def test_what_is_in_results_of_results_has_its_type():
    """At any depth."""
    async with Engine() as engine:
        assert await (await engine.start(Rows())).result() == 6


async def test_results_are_handed_on_as_what_they_are(tmp_path):
    """They are read where they are needed, in the process that made them and in the next."""
    url = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url) as engine:
        run = await engine.start(Hands(), id="h")
        assert await run.result() == [[10, 20, 30]] * 6
    async with Engine(url, reactors=[Hands]) as engine:
        run = await engine.get(Hands, "h")
        assert await run.result() == [[10, 20, 30]] * 6
        found = [await run.value(node) for node in (Hands.between, Hands.made, Hands.maps, Hands.gives)]
        found += [one for node in (Hands.each, Hands.inner) for one in await (await run.value(node)).all()]
        assert [await one.all() for one in found] == [[10, 20, 30]] * 6
