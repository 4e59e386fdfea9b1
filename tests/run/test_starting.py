"""A run that is asked for: on record before it is acknowledged, made once, joined by whoever asks for the same."""

import asyncio
import base64
from typing import Annotated

import pytest

from reactor import Expired, Index, Reactor, RunConflict, Secret, StoreUnavailable, Succeeded, UnknownRun, step
from reactor.record import facts
from reactor.record.definitions import read_definition
from reactor.run import starting
from tests.places import PLACES, place_of
from tests.run.witness import Witness

pytestmark = pytest.mark.anyio
LOG: list[str] = []
KEY = base64.b64decode("q6urq6urq6urq6urq6urqw==")


@pytest.fixture(autouse=True)
def _fresh():
    LOG.clear()


@pytest.fixture(params=PLACES)
def place(request):
    """On each store."""
    with place_of(request.param) as made:
        yield made


class Shop(Reactor, name="shop", version=3):
    """Two steps that begin at once."""

    order: Annotated[str, Index()]
    token: Annotated[str, Secret()] = ""
    count: int = 1

    @step
    async def one(self) -> int:
        LOG.append("one")
        return 1

    @step
    async def two(self) -> int:
        LOG.append("two")
        return 2

    @step
    async def output(self, one: int = one.result, two: int = two.result) -> int:
        return one + two


# ---- making -------------------------------------------------------------------------------------------------------------


async def test_what_was_acknowledged_is_on_record(place):
    """With all that it is found by, its first calls' starts, and what its code was; and none was called before."""
    witness = Witness().on(place)
    async with place.engine(keys=[KEY]) as engine:
        store = engine._host.store
        run = await engine.start(Shop(order="o-1"), id="1", deadline=60, tags=["vip"])
        loaded = await store.load(run.id)
        assert (loaded.run, loaded.root, loaded.parent, loaded.reactor, loaded.version) == ("shop:1", "shop:1", None, "shop", 3)
        assert witness.written(run.id)[0] == ["run_started", "call_started one", "call_started two"]
        started = facts.decode(witness.created[0].events[0])[0]
        assert (started.version, started.tags, started.deadline - started.at) == (3, ("vip",), pytest.approx(60))
        assert read_definition(await store.definition(loaded.fingerprint)).name == "shop"
        for query in ({"tag": "vip"}, {"where": {"order": "o-1"}}, {"text": "o-1"}, {"reactor": Shop}):
            assert [one.id for one in (await engine.find(**query)).items] == ["shop:1"]
        assert await run.outcome() == Succeeded(3, "shop:1")


async def test_nothing_is_called_where_the_record_was_not_made(place):
    """The store refused it, or could not be reached: nobody knows of it."""

    class Away:
        def __init__(self, store):
            self._store = store

        def __getattr__(self, name):
            return getattr(self._store, name)

        async def create(self, _record):
            raise StoreUnavailable("away")

    place.wrapped = Away
    async with place.engine(keys=[KEY]) as engine:
        with pytest.raises(StoreUnavailable):
            await engine.start(Shop(order="a"), id="1")
        await asyncio.sleep(1)
        assert engine._host.drivers == {}
    assert LOG == []


async def test_of_many_that_start_the_same_one_begins_it(place):
    """And all get the same run."""
    async with place.engine(keys=[KEY]) as engine:
        runs = await asyncio.gather(*[engine.start(Shop(order="a"), id="1") for _ in range(50)])
        assert {run.id for run in runs} == {"shop:1"}
        assert set(await asyncio.gather(*[run.result() for run in runs])) == {3}
    assert sorted(LOG) == ["one", "two"]


# ---- joining ------------------------------------------------------------------------------------------------------------


async def test_the_same_inputs_are_the_same_run(place):
    """Compared as values: what a default says need not be said; sealed secrets too, whoever sealed them."""
    async with place.engine(keys=[KEY]) as engine:
        run = await engine.start(Shop(order="a", token="4242"), id="1")
        await run.outcome()
        again = await engine.start(Shop(order="a", token="4242", count=1), id="1")
        assert (again.id, await again.result()) == (run.id, 3)
    async with place.engine(keys=[KEY]) as engine:
        assert await (await engine.start(Shop(order="a", token="4242"), id="1")).result() == 3
    assert sorted(LOG) == ["one", "two"]


@pytest.mark.parametrize("other", [Shop(order="b", token="4242"), Shop(order="a", token="other"), Shop(order="a", token="4242", count=2)])
async def test_other_inputs_are_a_conflict(place, other):
    """Which tells no secret, and changes nothing."""
    async with place.engine(keys=[KEY]) as engine:
        run = await engine.start(Shop(order="a", token="4242"), id="1")
        with pytest.raises(RunConflict) as raised:
            await engine.start(other, id="1")
        assert "4242" not in str(raised.value)
        assert "other" not in str(raised.value).replace("other inputs", "").replace("another", "")
        assert await run.result() == 3


# ---- names --------------------------------------------------------------------------------------------------------------


async def test_the_newest_life_of_a_name(place):
    """One that is named is itself; what was never there is unknown, and what is past retention expired."""
    async with place.engine(keys=[KEY]) as engine:
        host = engine._host
        run = await engine.start(Shop(order="a"), id="1")
        await run.outcome()
        assert await starting.newest(host, "shop:1") == "shop:1"
        again = await run.restart(from_step="one")
        await again.outcome()
        assert await starting.newest(host, "shop:1") == "shop:1~2"
        assert await starting.newest(host, "shop:1~2") == "shop:1~2"
        for name in ("shop:2", "shop:1~3", "other:1"):
            with pytest.raises(UnknownRun, match=f"there is no run `{name}`"):
                await starting.newest(host, name)
        await host.store.expire(0, 1e9)
        for name in ("shop:1", "shop:1~2"):
            with pytest.raises(Expired, match=name):
                await starting.newest(host, name)
