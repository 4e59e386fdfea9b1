"""A record that is ours, made into a driver: loaded, replayed, its mail heeded first; a batch without the run around it, too."""

import asyncio

import pytest

from reactor import Ask, Incompatible, Parked, Reactor, Results, Succeeded, interrupt, map_over, step, use
from reactor.machine.marks import DONE
from reactor.plan.compile import plan_of
from reactor.run.mailing import letter
from reactor.run.opening import Onlooker, batch_frame, open_record
from tests.places import place_of

pytestmark = pytest.mark.anyio
OPENED: list[str] = []


@pytest.fixture(autouse=True)
def _fresh():
    OPENED.clear()


@pytest.fixture
def place():
    """A store in memory that outlives its engines."""
    with place_of("memory") as made:
        yield made


async def factor():
    """A resource that elements are handed."""
    OPENED.append("factor")
    return 10


class Asks(Reactor):
    """A question in an element."""

    who: int

    @interrupt
    async def approval(self) -> Ask[bool]:
        return Ask(f"ask-{self.who}")

    @step
    async def output(self, approval: bool = approval.result) -> int:
        return self.who * (10 if approval else 0)


class Shop(Reactor):
    """Maps in which something waits, each batch by itself."""

    @step
    async def first(self) -> int:
        return 1

    @map_over([1, 2], batch_size=1)
    async def plain(self, one: int, first: int = first.result, factor: int = use(factor)) -> int:
        await asyncio.sleep(1000)
        return one * first * factor

    @map_over([1, 2], batch_size=1)
    async def asks(self, one: int) -> Asks:
        return Asks(who=one)

    @step
    async def output(self, plain: Results[int] = plain.result, asks: Results[int] = asks.result) -> list[int]:
        return [*await plain.all(), *await asks.all()]


@pytest.fixture
async def left(place):
    """A run that its engine has let go of, in the middle."""
    async with place.engine() as engine:
        await engine.start(Shop(), id="s")
        await asyncio.sleep(10)
    OPENED.clear()
    return "Shop:s"


async def claimed(host, name):
    """A claim of it."""
    found = await host.store.claim_run(host.session.id, name)
    assert found is not None
    return found


# ---- runs ---------------------------------------------------------------------------------------------------------------


async def test_a_run_is_where_it_was(place, left):
    """Its values, its inputs, its seq, and whose claim it is; nothing was written or called for it."""
    async with place.engine(reactors=[Shop]) as engine:
        host = engine._host
        claim = await claimed(host, left)
        before = await host.store.load(left)
        driver = await open_record(host, claim)
        root = driver.machine.state.root
        assert (driver.run_id, driver.record_name, type(driver.reactor)) == (left, left, Shop)
        assert (driver.writer.token, driver.fence, driver.writer.seq) == (claim.token, claim.fence, before.seq)
        assert (root.marks[0], root.values[0]) == (DONE, 1)
        assert root.maps.keys() == {root.plan.index["plain"], root.plan.index["asks"]}
        assert await host.store.load(left) == before
        driver.leave()


async def test_its_mail_is_heeded_before_anything_else(place, left):
    """A cancel that came meanwhile: no call is made again first."""
    async with place.engine(reactors=[Shop]) as engine:
        host = engine._host
        told = await host.store.deliver(left, letter("undo"), moves=True, operation="1")
        driver = await open_record(host, await claimed(host, left))
        assert type(driver.writer.facts[0]).__name__ == "StopRequested"
        assert driver.writer.read_up_to == told.number
        driver.leave()


async def test_other_code_that_fits_takes_the_record_over(place, left):
    """Its fingerprint and version are written with the first append."""

    class Newer(Reactor, name="Shop", version=2):
        @step
        async def first(self) -> int: ...

        @map_over([1, 2], batch_size=1)
        async def plain(self, one: int, first: int = first.result) -> int: ...

        @map_over([1, 2], batch_size=1)
        async def asks(self, one: int) -> Asks:
            return Asks(who=one)

        @step
        async def output(self, plain: Results[int] = plain.result, asks: Results[int] = asks.result) -> list[int]: ...

    async with place.engine(reactors=[Newer]) as engine:
        host = engine._host
        driver = await open_record(host, await claimed(host, left))
        assert driver.writer.version == (2, plan_of(Newer).fingerprint)
        assert await host.store.definition(plan_of(Newer).fingerprint) is not None
        driver.leave()
    async with place.engine(reactors=[Shop]) as engine:
        assert (await open_record(engine._host, await claimed(engine._host, left))).writer.version is None


async def test_what_is_not_there_is_not_opened(place, left):
    """It expired since it was claimed; or nobody here has its code."""
    async with place.engine() as engine:
        host = engine._host
        claim = await claimed(host, left)
        with pytest.raises(Incompatible) as raised:
            await open_record(host, claim)
        assert raised.value.code == "not-served"
        del place.memory.data.records[left]
        assert await open_record(host, claim) is None


async def test_a_run_that_supersedes_another_waits_for_its_word(place):
    """Without it, it is given back, and nobody need look again before it comes."""
    async with place.engine() as engine:
        host = engine._host
        run = await engine.start(Asks(who=1), id="a")
        await run.outcome()
        await engine.signal(Asks.approval, True, run_id=run.id)
        await run.outcome()
        host.wake = lambda _name: None  # the old one does not hear of it yet
        again = await run.restart(from_step="output")
        assert await open_record(host, await claimed(host, again.id)) is None
        loaded = await host.store.load(again.id)
        assert (loaded.token, loaded.status, loaded.due, loaded.seq) == (None, "queued", None, 1)
        del host.wake
        host.wake(run.id)
        assert await again.result() == 10


# ---- batches ------------------------------------------------------------------------------------------------------------


async def test_a_batch_is_driven_without_its_run(place, left):
    """What its calls need of the run is read from there: results, resources, inputs, secrets, the time that is left."""
    async with place.engine(reactors=[Shop]) as engine:
        host = engine._host
        driver = await open_record(host, await claimed(host, f"{left}/plain#1"))
        around = driver.batch.map_run.runner
        assert isinstance(around, Onlooker)
        assert (around.run_id, around.record_name, around.batch, around.released) == (left, left, None, False)
        assert (driver.batch.items, driver.batch.map_run.extra, driver.batch.number) == ([2], (1, 10), 1)
        assert (driver.run_id, driver.parent_name, driver.plan_name) == (left, left, "Shop")
        assert OPENED == ["factor"]
        driver.leave()


async def test_a_batch_of_a_run_that_is_driven_here_shares_its_map(place, left):
    """It is opened once for all of them."""
    async with place.engine(reactors=[Shop]) as engine:
        host = engine._host
        run = await open_record(host, await claimed(host, left))
        host.drivers[left] = run
        first = await open_record(host, await claimed(host, f"{left}/plain#0"))
        assert first.batch.map_run.runner is run
        run.maps["plain"] = first.batch.map_run
        assert await batch_frame(host, left, "plain") is first.batch.map_run
        for driver in (run, first):
            driver.leave()
        host.drivers.clear()


async def test_a_batch_that_was_parked_tells_its_map_that_it_goes_on(place, left):
    """And nothing, where it was not."""
    async with place.engine(reactors=[Shop]) as engine:
        host = engine._host
        woken = await open_record(host, await claimed(host, f"{left}/asks#0"))
        assert [(to, message.kind) for to, message in woken.writer.messages] == [(left, "settled")]
        other = await open_record(host, await claimed(host, f"{left}/plain#0"))
        assert other.writer.messages == []
        for driver in (woken, other):
            driver.leave()


async def test_all_of_it_goes_on_whoever_has_the_parts(place, left):
    """Two engines, one with a batch of each map: what they tell each other is found in the mail."""
    async with place.engine(reactors=[Shop], lease=15) as one, place.engine(reactors=[Shop], lease=15) as other:
        for name in ("plain#0", "asks#1"):
            await other._host.claim_one(f"{left}/{name}")
        await one.signal(Asks.approval, True, correlation_id="ask-2")
        await other.signal(Asks.approval, False, correlation_id="ask-1")
        run = await one.get(left)
        outcome = await run.outcome()
        while isinstance(outcome, Parked):
            outcome = await run.outcome()
        assert outcome == Succeeded([10, 20, 0, 20], left)
