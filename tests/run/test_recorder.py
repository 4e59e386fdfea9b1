"""What happens to a record: it is written, parked, ended, lost; and what it says of itself meanwhile."""

import asyncio

import pytest
from msgspec import Struct

from reactor import Ask, Failed, Halt, Parked, Reactor, Results, Retry, Succeeded, interrupt, map_over, step
from reactor.machine.events import CallStarted
from reactor.record.words import Message
from tests.places import place_of
from tests.run.witness import Witness

pytestmark = pytest.mark.anyio
LOG: list[str] = []
BREAKS: set[str] = set()


@pytest.fixture(autouse=True)
def _fresh():
    LOG.clear()
    BREAKS.clear()


@pytest.fixture
def place():
    """A store in memory that outlives its engines."""
    with place_of("memory") as made:
        yield made


@pytest.fixture
def witness(place):
    """Between the store and its engines."""
    return Witness().on(place)


@pytest.fixture
async def engine(place, witness):
    """Open."""
    async with place.engine() as made:
        yield made


class Shop(Reactor, max_running=1):
    """A step with an undo, then one that waits for so long."""

    @step
    async def first(self) -> int:
        return 1

    @first.undo(retry=Retry(1))
    async def undo_first(self, value: int) -> None:
        await asyncio.sleep(10)
        if "undo" in BREAKS:
            raise OSError

    @step(after=[first])
    async def output(self) -> int:
        await asyncio.sleep(10)
        if "output" in BREAKS:
            raise OSError
        if "halt" in BREAKS:
            raise Halt("enough")
        return 1


class Asks(Reactor):
    """A question that is open for an hour."""

    @interrupt(timeout=3600)
    async def approval(self) -> Ask[bool]:
        return Ask()

    @step(after=[approval])
    async def output(self) -> int:
        return 1


async def begun(engine, reactor, id="s"):
    """A run, and its driver."""
    run = await engine.start(reactor, id=id)
    await asyncio.sleep(1)
    return run, engine._host.drivers[run.id]


# ---- what it says of itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("breaks", "statuses"),
    [
        ((), ["running", "succeeded"]),
        (("output",), ["running", "rolling_back", "failed"]),
        (("output", "undo"), ["running", "rolling_back", "stuck"]),
        (("halt",), ["running", "halted"]),
    ],
)
async def test_its_status_is_that_of_the_store(engine, witness, breaks, statuses):
    """Each time that it is written: a list is never wrong for longer than that takes."""
    BREAKS.update(breaks)
    run = await engine.start(Shop(), id="s")
    await asyncio.sleep(0.5)  # never while something is on its way
    seen = ["running"]
    while seen[-1] not in ("succeeded", "failed", "stuck", "halted"):
        await asyncio.sleep(1)
        now = await run.status()
        assert (await engine._host.store.load(run.id)).status == now
        if now != seen[-1]:
            seen.append(now)
    assert seen == statuses
    assert list(dict.fromkeys(order.status for order in witness.appends)) == statuses


async def test_one_without_room_is_queued(engine):
    """In the store as well."""
    await engine.start(Shop(), id="1")
    run, driver = await begun(engine, Shop(), "2")
    assert (driver.status, (await engine._host.store.load(run.id)).status) == ("queued", "queued")


# ---- writing ------------------------------------------------------------------------------------------------------------


async def test_what_is_done_afterwards_is_done_when_it_is_on_record(engine, witness):
    """Not before, once, and a coroutine aside."""
    _, driver = await begun(engine, Shop())

    async def aside():
        await asyncio.sleep(1)
        LOG.append("aside")

    with witness.holding():
        driver.note(CallStarted(driver.site.now(), "output", "do", 2))
        driver.after(lambda: LOG.append("after"))
        driver.after(aside)
        driver.pump()
        await asyncio.sleep(5)
        assert LOG == []
    await asyncio.sleep(5)
    assert LOG == ["after", "aside"]


class Point(Struct):
    """A value."""

    xs: list[float]


class Values(Reactor):
    """Values that come back as another object, and as another type than was returned."""

    @step
    async def point(self) -> Point:
        made = Point([1, 2])
        LOG.append(made)
        return made

    @step
    async def output(self, point: Point = point.result) -> Point:
        LOG.append(point)
        return point


async def test_dependents_get_what_a_value_comes_back_as(engine):
    """The decoded copy, in the process that made it as in any other: a step that changes what it gave changes nothing."""
    outcome = await engine.run(Values())
    assert LOG[1] == LOG[0] == outcome.value
    assert LOG[1] is not LOG[0]
    assert all(type(x) is float for x in LOG[1].xs)


async def test_observers_are_told_what_is_on_record(place, witness):
    """With its number there, and not before it is there."""
    told = []
    async with place.engine(observers=[lambda event: told.append((event.seq, event.kind))]) as engine:
        run = await engine.start(Shop(), id="s")
        with witness.holding():
            await asyncio.sleep(100)
            assert [kind for _, kind in told] == ["run_started", "call_started"]
        await run.outcome()
        recorded = [(event.seq, event.kind) async for event in run.events()]
    assert told == recorded


# ---- parking ------------------------------------------------------------------------------------------------------------


async def test_what_is_parked_holds_nothing(engine, witness):
    """No claim, no driver, no task; when to look again is in the store."""
    before = len(asyncio.all_tasks())
    run = await engine.start(Asks(), id="a")
    outcome = await run.outcome()
    assert isinstance(outcome, Parked)
    loaded = await engine._host.store.load(run.id)
    assert (loaded.status, loaded.token) == ("parked", None)
    assert loaded.due == pytest.approx(engine._host.site.now() + 3600, abs=1)
    assert engine._host.drivers == {}
    assert len(asyncio.all_tasks()) == before
    assert (witness.appends[-1].release, witness.appends[-1].status) == (True, "parked")


async def test_mail_that_came_before_the_park_is_read_first(engine, witness):
    """The store refuses the park, and the run goes on: no word is slept through."""
    run = await engine.start(Asks(), id="a")
    with witness.holding():
        await asyncio.sleep(1)
        signalling = asyncio.ensure_future(engine.signal(Asks.approval, True, run_id=run.id))
        await asyncio.sleep(10)
    await signalling
    assert await run.outcome() == Succeeded(1, run.id)


# ---- ending -------------------------------------------------------------------------------------------------------------


async def test_the_last_fact_is_written_again_after_newer_mail(engine, witness):
    """Once on record, however often it was refused."""
    run, driver = await begun(engine, Shop())
    store = engine._host.store
    with witness.holding():
        await asyncio.sleep(30)
        await store.deliver(run.id, Message("restart", b""), moves=True, operation="1")
    assert await run.outcome() == Succeeded(1, run.id)
    facts = [fact for written in witness.written(run.id) for fact in written]
    assert facts.count("run_ended") == 2, "the first was refused"
    kinds = [event.kind async for event in run.events()]
    assert kinds.count("run_ended") == 1
    assert driver.writer.read_up_to == 1


class Maps(Reactor):
    """Batches, one of which fails."""

    @map_over([1, 2], batch_size=1, on_error="collect")
    async def some(self, one: int) -> int:
        if one == 2:
            raise OSError
        return one

    @step
    async def output(self, some: Results[int] = some.result) -> tuple[int, int]:
        return some.succeeded, some.failed


async def test_a_batch_tells_how_it_ended_with_its_last_fact(engine, witness):
    """In one write: what it says and that it says it are there together, and its elements are folded."""
    assert (await engine.run(Maps(), id="m")).value == (1, 1)
    last = [order for order in witness.appends if order.ended and "/" in order.run]
    assert len(last) == 2
    for order in last:
        assert [(to, message.kind) for to, message in order.messages] == [("Maps:m", "settled")]
        assert order.chunk is not None
        loaded = await engine._host.store.load(order.run)
        assert (loaded.elements, loaded.chunk) == (b"", order.chunk)


# ---- losing -------------------------------------------------------------------------------------------------------------


async def test_a_store_that_went_back_is_gone_on_from(place, engine):
    """It holds less than we were told: what it holds is what counts, and the calls that it does not know of are made again."""
    run, driver = await begun(engine, Shop())
    kept = place.memory.data.records[run.id]
    del kept.events[2:]
    kept.last = None
    assert await run.outcome() == Succeeded(1, run.id)
    assert driver.lost
    assert [event.kind async for event in run.events()].count("run_ended") == 1


async def test_what_is_noted_of_a_lost_record_is_nothing(engine, witness):
    """Nobody would read it."""
    run, driver = await begun(engine, Shop())
    driver.lose()
    driver.lose()
    before = len(witness.appends)
    driver.note(CallStarted(1.0, "output"))
    driver.pump()
    await asyncio.sleep(100)
    assert len(witness.appends) == before
    assert not driver.writer.is_dirty
    assert run.id not in engine._host.drivers


async def test_who_waits_for_a_lost_run_looks_at_the_record(place, engine):
    """Whoever has it now ends it."""
    run, driver = await begun(engine, Shop())
    waiting = asyncio.ensure_future(run.outcome())
    await asyncio.sleep(1)
    for lease in place.memory.data.leases.values():
        lease.until = 0.0
    async with place.engine(reactors=[Shop]) as other:
        await other._host.claim_one(run.id)
        driver.lose()
        BREAKS.add("output")
        assert isinstance(await waiting, Failed)
