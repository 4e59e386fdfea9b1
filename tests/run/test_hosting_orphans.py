"""No record is left that is claimed and driven by nobody, and no waiter that nobody will tell."""

import asyncio
from itertools import count

import pytest
from msgspec.structs import replace

from reactor import Engine, Reactor, Results, map_over, step
from reactor.machine.events import RunStarted, StopRequested
from reactor.record import facts
from reactor.record.words import Claimed, Fenced, NewRecord, Served
from reactor.run import mailing
from reactor.run.values import codec_of
from tests.stores.redis_server import shared

pytestmark = pytest.mark.anyio
LEASE = 0.5  # seconds
NAMESPACES = count(1)
CALLS: list[str] = []
GATE: list[asyncio.Event] = []


@pytest.fixture
def anyio_backend():
    """Real time: files are written, and leases run out."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _fresh():
    CALLS.clear()
    GATE[:] = [asyncio.Event()]


@pytest.fixture(params=["sqlite", "redis"])
def url(request, tmp_path):
    """A store for several engines."""
    return f"sqlite:///{tmp_path}/runs.db" if request.param == "sqlite" else f"{shared().address}?namespace=orphans{next(NAMESPACES)}"


class Adds(Reactor, name="adds"):
    """Each element is added to what a step gave."""

    @step
    async def base(self) -> int:
        return 10

    @map_over([1, 2], batch_size=1, in_flight=2)
    async def each(self, number: int, base: int = base.result) -> int:
        CALLS.append(f"{number} on {base}")
        await GATE[0].wait()
        return number + base

    @step
    async def output(self, each: Results[int] = each.result) -> int:
        return sum(await each.all())


async def until(holds):
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # a condition of several engines
            await asyncio.sleep(0.005)


class Between:
    """Around a store: `around` may stand in for a method."""

    def __init__(self, store, around):
        self._store = store
        self._around = around

    def __getattr__(self, name):
        method = getattr(self._store, name)
        stands_in = self._around.get(name)
        return method if stands_in is None else lambda *args, **more: stands_in(method, *args, **more)


class Watched(Engine):
    """An engine whose store may be stood in front of."""

    def __init__(self, url, **options):
        super().__init__(url, **{"lease": LEASE, "reactors": [Adds]} | options)
        self.around = {}

    async def _open_store(self, site):
        return Between(await super()._open_store(site), self.around)


async def begun_elsewhere(url):
    """A run whose engine has let go of it while its elements were called."""
    async with Watched(url, reactors=[]) as engine:
        await engine.start(Adds(), id="it")
        await until(lambda: len(CALLS) == 2)
    CALLS.clear()


# ---- nobody waits for ever ------------------------------------------------------------------------------------------------


async def test_who_waits_for_a_run_that_is_asked_for_again_hears_of_its_end(url):
    """It looks while the second asking is on its way to the store: that drives nothing, and is over when the answer comes."""

    async def slow(create, record):
        engine._host.wakings.changed(record.run)  # who waits looks again, and finds whoever is only asking
        for _ in range(10):
            await asyncio.sleep(0)
        return await create(record)

    async with Watched(url, reactors=[]) as owner, Watched(url, reactors=[], sweep=False) as engine:
        await owner.start(Adds(), id="it")
        waiter = asyncio.ensure_future((await engine.get(Adds, "it")).result())
        await until(lambda: len(CALLS) == 2 and engine._host.wakings._futures)
        engine.around["create"] = slow
        await engine.start(Adds(), id="it")
        GATE[0].set()
        async with asyncio.timeout(20):
            assert await waiter == 23


async def test_who_waits_for_a_run_that_could_not_be_made_is_told(url):
    """The store takes nothing: whoever found the run on its way looks at the record, and learns that there is none."""
    found = []

    async def refuses(_create, record):
        found.append(engine._host.drivers[record.run])
        raise ValueError("the store is ill")

    async with Watched(url) as engine:
        engine.around["create"] = refuses
        with pytest.raises(ValueError, match="ill"):
            await engine.start(Adds(), id="it")
        assert found[0].end.done()


# ---- what is ours is driven ---------------------------------------------------------------------------------------------


async def test_a_record_that_is_ours_and_driven_by_nobody_is_taken_up(url):
    """However that came to be: within a lease or so, with nothing that says so."""
    await begun_elsewhere(url)
    GATE[0].set()
    async with Watched(url) as engine:
        host = engine._host
        engine.around["claim"] = claims = lost_claims(host)
        await until(lambda: claims.lost)
        async with asyncio.timeout(20):
            assert await (await engine.get(Adds, "it")).result() == 23


def lost_claims(host):
    """A first claim that is made, and whose answer says that nothing was due."""

    async def claim(real, *args, **more):
        found = await real(*args, **more)
        if claim.lost or not found:
            return found
        claim.lost = list(found)
        host.unsure = False
        return []

    claim.lost = []
    return claim


async def test_batches_of_a_run_that_was_lost_as_they_were_made_are_driven(url):
    """They were made under our claim, and their run is another's when the answer comes: the other waits for them, and we drive them."""
    async with Watched(url, reactors=[]) as one, Watched(url) as other:
        made = asyncio.Event()

        async def append(real, order):
            answer = await real(order)
            if not order.children or made.is_set():
                return answer
            made.set()
            await one._host.store._store.append(handing_over(order, answer.seq))
            return Fenced()  # as it is told that asks again when another has gone on since

        one.around["append"] = append
        await one.start(Adds(), id="it")
        GATE[0].set()
        async with asyncio.timeout(20):
            assert await (await other.get(Adds, "it")).result() == 23


def handing_over(order, seq):
    """The record goes on elsewhere from here."""
    return replace(order, seq=seq, op="over", events=(), children=(), messages=(), release=True, due=0.0)


async def test_records_that_were_claimed_together_are_opened_at_the_same_time(url):
    """They share a claim's token: none is taken for the other."""
    await begun_elsewhere(url)
    GATE[0].set()
    async with Watched(url, sweep=False) as engine:
        host = engine._host
        plan = host.plan_for(Adds)
        claimed = await host.store.claim(host.session.id, [Served(plan.name, plan.definition.version, plan.fingerprint)])
        assert len({one.run for one in claimed}) == 3
        await asyncio.gather(*[host._open(one) for one in claimed])
        async with asyncio.timeout(20):
            assert await (await engine.get(Adds, "it")).result() == 23


async def test_a_record_that_was_let_go_of_meanwhile_is_not_opened(url):
    """The list of what we hold is as old as its answer."""
    await begun_elsewhere(url)
    async with Watched(url, sweep=False) as engine:
        host = engine._host
        claimed = await host.store.claim_run(host.session.id, "adds:it")
        await host._open(Claimed(claimed.run, claimed.root, claimed.reactor, f"{host.session.id}:former", claimed.fence))
        assert host.drivers == {}


async def test_a_batch_is_called_with_what_is_on_record_though_its_run_is_being_asked_for(url):
    """Whoever only asks for the run knows no results."""
    await begun_elsewhere(url)
    GATE[0].set()

    async def claims_first(create, record):
        await host.claim_one("adds:it/each#1")
        assert "adds:it/each#1" in host.drivers
        return await create(record)

    async with Watched(url, sweep=False) as engine:
        host = engine._host
        engine.around["create"] = claims_first
        run = await engine.start(Adds(), id="it")
        async with asyncio.timeout(20):
            assert await run.result() == 23
    assert sorted(CALLS) == ["1 on 10", "2 on 10"]


async def test_who_does_not_sweep_drives_the_batches_of_what_it_is_asked_for(url):
    """They were given back with their run, or their owner dies later: nobody else would take them."""
    await begun_elsewhere(url)
    GATE[0].set()
    async with Watched(url, reactors=[], sweep=False) as engine:
        run = await engine.start(Adds(), id="it")
        async with asyncio.timeout(20):
            assert await run.result() == 23


async def test_who_does_not_sweep_takes_up_batches_whose_owner_dies(url):
    """Later, while it drives their run: it looks after them."""
    await begun_elsewhere(url)
    GATE[0].set()
    async with Watched(url, sweep=False) as engine:
        store = engine._host.store
        await store.open_session("dying", 2 * LEASE)
        for number in range(2):
            assert await store.claim_run("dying", f"adds:it/each#{number}") is not None
        async with asyncio.timeout(20):
            assert await (await engine.get(Adds, "it")).result() == 23
    assert sorted(CALLS) == ["1 on 10", "2 on 10"]


# ---- one that cannot be opened --------------------------------------------------------------------------------------------


async def test_a_record_that_cannot_be_opened_stops_no_other(url, caplog):
    """A batch of a map that is not there: it is told to the log and looked at again later, and the sweep goes on."""
    await begun_elsewhere(url)
    GATE[0].set()
    async with Watched(url, reactors=[], sweep=False) as engine:
        store = engine._host.store
        run = await store.load("adds:it")
        started = RunStarted(0.0, "nowhere", first=0, size=1)
        name = "adds:it/aside#0"
        await store.create(
            NewRecord(
                run=name,
                root="adds:it",
                parent="adds:it",
                reactor=run.reactor,
                version=run.version,
                fingerprint=run.fingerprint,
                due=0.0,
                elements=codec_of(list[int]).encode([1]),
                events=(facts.encode(started),),
            )
        )
    async with Watched(url) as engine:
        await until(lambda: name in engine._host.wakings.failed)
        assert engine._host.wakings.failed[name].code == "driver-broke"
        async with asyncio.timeout(20):
            assert await (await engine.get(Adds, "it")).result() == 23
        loaded = await engine._host.store.load(name)
        assert loaded.token is None
        assert loaded.due > await engine._host.store.now() + 5
        CALLS.clear()
        assert await (await engine.start(Adds(), id="another")).result() == 23  # the sweep is alive, and so is the rest
        assert not engine._sweeping.done()
    assert "KeyError" in caplog.text


# ---- words that come while a record does ----------------------------------------------------------------------------------


@pytest.mark.parametrize("claims", ["one", "due"])
async def test_a_word_that_comes_while_a_record_is_read_is_heeded(url, claims):
    """What was read of it is older than the message that the word is about, and no store repeats what we did ourselves."""
    await begun_elsewhere(url)

    async def load(real, name, **more):
        loaded = await real(name, **more)
        if name == "adds:it" and loaded.token is not None and not told:
            told.append(name)
            stop = mailing.letter("cancel", StopRequested(0.0, "", "cancel", "enough"))
            await engine._host.store.deliver(name, stop, moves=True, operation="1")
            engine._host.wake(name)
        return loaded

    told = []
    async with Watched(url, sweep=False, lease=3600) as engine:
        host = engine._host
        engine.around["load"] = load
        run = await engine.get(Adds, "it")
        await (host.claim_one(run.id) if claims == "one" else host.claim_due())
        async with asyncio.timeout(20):
            assert (await run.outcome()).reason == "enough"
    assert told


async def test_a_word_that_comes_while_nothing_was_found_yet_is_heeded(url):
    """It looked, and the message came right after."""

    async def load(real, name, **more):
        loaded = await real(name, **more)
        if name == run.id and not told:
            told.append(name)
            await engine._host.store.deliver(name, mailing.letter("undo"), moves=True, operation="1")
            engine._host.wake(name)
        return loaded

    told = []
    GATE[0].set()
    async with Watched(url, sweep=False, lease=3600) as engine:
        run = await engine.start(Adds(), id="it")
        await run.result()
        engine.around["load"] = load
        engine._host.wake(run.id)
        await until(lambda: told)
        async with asyncio.timeout(20):
            while await run.status() != "undone":  # noqa: ASYNC110  # no word says so to one who does not wait
                await asyncio.sleep(0.01)


# ---- a slow store -----------------------------------------------------------------------------------------------------------


async def test_what_a_killed_process_left_is_taken_up_where_each_renewal_is_late(url):
    """A loaded machine, a slow disk: a renewal takes longer than the lease allows for, always, and no outage is behind that."""
    await begun_elsewhere(url)
    GATE[0].set()

    async def slow(renew, session):
        await asyncio.sleep(LEASE / 2)
        return await renew(session)

    async with Watched(url) as engine:
        engine.around["renew"] = slow
        store = engine._host.store
        await store.open_session("killed", 4 * LEASE)
        for name in ("adds:it", "adds:it/each#0", "adds:it/each#1"):
            assert await store.claim_run("killed", name) is not None
        async with asyncio.timeout(20):
            assert await (await engine.get(Adds, "it")).result() == 23
