"""Calls that were in flight when a record changed hands: what is noted of them, by who takes it over and by who lets it go."""

import asyncio

import pytest

from reactor import Failed, Reactor, Retry, StepError, Succeeded, step, step_context
from reactor.record import facts
from reactor.record.words import Message
from reactor.run import recovering
from reactor.run.recovering import CRASHES
from reactor.run.session import FOREVER
from tests.places import place_of

pytestmark = pytest.mark.anyio
LOG: list[str] = []
HOW: dict[str, object] = {}


@pytest.fixture(autouse=True)
def _fresh():
    LOG.clear()
    HOW.clear()


@pytest.fixture
def place():
    """A store in memory that outlives its engines."""
    with place_of("memory") as made:
        yield made


class Shop(Reactor):
    """Two steps at once, after one that can be undone."""

    @step
    async def first(self) -> int:
        return 1

    @first.undo(retry=Retry(1))
    async def undo_first(self, value: int) -> None:
        LOG.append(f"undo first {step_context().attempt}")
        await asyncio.sleep(HOW.get("undo", 0))

    @step(after=[first], retry=Retry(3, base=100, jitter=False, max_wait=100), timeout=500)
    async def slow(self) -> int:
        LOG.append(f"slow {step_context().attempt}")
        await asyncio.sleep(HOW.get("slow", 0))
        return 1

    @slow.compensate
    async def answer(self, error: StepError) -> None:
        LOG.append(f"answer {error.kind}")

    @step(after=[first])
    async def beside(self) -> int:
        LOG.append("beside")
        await asyncio.sleep(HOW.get("beside", 0))
        return 1

    @step(after=[slow, beside])
    async def output(self) -> int:
        return 1


async def taken(place, run):
    """Give it to another session, as if its owner had died."""
    store = await place.outside()
    for lease in place.memory.data.leases.values():
        lease.until = 0.0
    await store.open_session("thief", FOREVER)
    assert await store.claim_run("thief", run) is not None
    await store.close_session("thief")


async def written(place, run):
    """All facts of a record."""
    return [facts.decode(data)[0] for data in (await (await place.outside()).load(run)).events]


def of_kind(found, kind):
    """Those of a kind."""
    return [fact for fact in found if type(fact).__name__ == kind]


async def driven(engine):
    """Start it, or go on with it; its calls are in flight."""
    await engine.start(Shop(), id="s")
    while "Shop:s" not in engine._host.drivers:  # its time may be ahead of a new engine's
        await asyncio.sleep(1)
        engine._host.wake("Shop:s")
    await asyncio.sleep(10)


async def crashed(place, times=1):
    """A run whose owner dies so many times with its calls in flight."""
    HOW.update(slow=1000, beside=1000)
    for _ in range(times):
        async with place.engine(reactors=[Shop]) as engine:
            await driven(engine)
            await taken(place, "Shop:s")
            engine._host.drivers["Shop:s"].lose()
    HOW.clear()


# ---- taking over --------------------------------------------------------------------------------------------------------


async def test_what_was_in_flight_is_made_again(place):
    """Under the same attempt of a new number; each call is noted as cut off, and what had ended is not."""
    await crashed(place)
    async with place.engine(reactors=[Shop]) as engine:
        run = await engine.get(Shop, "s")
        assert await run.outcome() == Succeeded(1, "Shop:s")
    cuts = of_kind(await written(place, "Shop:s"), "CallCut")
    assert [(cut.address, cut.call, cut.attempt, cut.lost) for cut in cuts] == [("slow", "do", 1, True), ("beside", "do", 1, True)]
    assert sorted(LOG) == ["beside", "beside", "slow 1", "slow 2"]


async def test_until_when_a_lost_call_may_still_be_at_work(place):
    """From its first start on: its timeout, or what the run gives calls to settle."""
    await crashed(place)
    async with place.engine(reactors=[Shop]) as engine:
        await (await engine.get(Shop, "s")).outcome()
    found = await written(place, "Shop:s")
    began = {fact.address: fact.at for fact in reversed(of_kind(found, "CallStarted"))}
    until = {cut.address: cut.until - began[cut.address] for cut in of_kind(found, "CallCut")}
    assert until == {"slow": pytest.approx(500), "beside": pytest.approx(30)}


async def test_what_a_crash_cut_off_spends_no_retry(place):
    """Three attempts are three that ended."""
    await crashed(place)

    async with place.engine(reactors=[Shop]) as engine:
        HOW["slow"] = 1000  # past its timeout
        run = await engine.get(Shop, "s")
        outcome = await run.outcome()
    assert isinstance(outcome, Failed)
    assert [line for line in LOG if line.startswith(("slow", "answer"))] == ["slow 1", "slow 2", "slow 3", "slow 4", "answer TimeoutError"]


async def test_a_call_that_is_lost_too_often_has_failed(place):
    """It may be what kills its process: it is compensated, and the run rolls back."""
    await crashed(place, CRASHES)
    async with place.engine(reactors=[Shop]) as engine:
        outcome = await (await engine.get(Shop, "s")).outcome()
    assert isinstance(outcome, Failed)
    assert outcome.error.kind == "StepCrashed"
    assert LOG.count("beside") == LOG.count("slow 1") * CRASHES == CRASHES
    assert LOG[-2:] == ["answer StepCrashed", "undo first 1"]


async def test_a_crash_less_is_none_too_many(place):
    """The last takeover may be the one that goes well."""
    await crashed(place, CRASHES - 1)
    async with place.engine(reactors=[Shop]) as engine:
        assert await (await engine.get(Shop, "s")).outcome() == Succeeded(1, "Shop:s")


# ---- giving back --------------------------------------------------------------------------------------------------------


async def test_what_is_given_back_is_due_at_once_and_counts_nothing(place):
    """Calls are noted as cut off, not as lost: nobody holds their number against them."""
    HOW.update(slow=1000)
    for _ in range(CRASHES + 1):
        async with place.engine(reactors=[Shop]) as engine:
            await driven(engine)
        loaded = await (await place.outside()).load("Shop:s")
        assert (loaded.token, loaded.status, loaded.due is not None) == (None, "running", True)
    HOW.clear()
    async with place.engine(reactors=[Shop]) as engine:
        assert await (await engine.get(Shop, "s")).outcome() == Succeeded(1, "Shop:s")
    assert not any(cut.lost for cut in of_kind(await written(place, "Shop:s"), "CallCut"))
    assert set(LOG) == {"beside", "slow 1"}


async def test_an_undo_in_flight_ends_first(place):
    """It is shielded from whoever closes the engine."""
    async with place.engine(reactors=[Shop]) as engine:
        run = await engine.start(Shop(), id="s")
        await run.outcome()
        HOW["undo"] = 50
        await run.undo()
        await asyncio.sleep(1)
    assert of_kind(await written(place, "Shop:s"), "Undone")
    assert not of_kind(await written(place, "Shop:s"), "CallCut")


async def test_where_mail_lies_there_the_claim_goes_with_its_session(place):
    """A release would lose the word that it is due: what was noted is written, and the end of the session gives it back."""
    HOW.update(slow=1000)
    async with place.engine() as engine:
        run = await engine.start(Shop(), id="s")
        await asyncio.sleep(10)
        driver, store = engine._host.drivers[run.id], engine._host.store
        driver.held = True
        await store.deliver(run.id, Message("cancel", b"?"), moves=True, operation="1")
        await recovering.give_back(driver)
        loaded = await store.load(run.id)
        assert (loaded.token, loaded.seq) == (driver.writer.token, driver.writer.seq)
        assert not driver.writer.is_dirty
        driver.leave()
    loaded = await (await place.outside()).load("Shop:s")
    assert (loaded.token, loaded.due is not None) == (None, True)
    HOW.clear()
    async with place.engine(reactors=[Shop]) as engine:
        assert await (await engine.get(Shop, "s")).outcome() == Succeeded(1, "Shop:s")
    assert LOG.count("slow 1") == 2
