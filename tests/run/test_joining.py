"""Whoever asks again for a run that is driven here joins it, and takes nothing from it."""

import asyncio

import pytest

from reactor import Reactor, Results, map_over, step
from reactor.errors import StoreUnavailable
from reactor.testing import virtual_backend
from tests.places import PLACES, place_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """In virtual time."""
    return virtual_backend()


class Maps(Reactor):
    """Its batches settle by mail."""

    @map_over([1, 2, 3], batch_size=1, in_flight=1)
    async def each(self, number: int) -> int:
        await asyncio.sleep(1)
        return number

    @step
    async def output(self, each: Results[int] = each.result) -> int:
        return sum(await each.all())


@pytest.mark.parametrize("kind", PLACES)
async def test_a_run_that_is_asked_for_again_goes_on(kind):
    """Its mail still reaches whoever drives it."""
    with place_of(kind) as place:
        async with place.engine() as engine:
            run = await engine.start(Maps(), id="it")
            for _ in range(4):
                await asyncio.sleep(0.5)
                again = await engine.start(Maps(), id="it")
                assert again.id == run.id
            assert await again.result(timeout=60) == 6


class Away:
    """A store that cannot be read for a while, once somebody has said so."""

    def __init__(self, store):
        self._store = store
        self.left = 0

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def load(self, *args, **options):
        if self.left:
            self.left -= 1
            raise StoreUnavailable("it is away")
        return await self._store.load(*args, **options)


AWAY: list[Away] = []
CALLS: list[int] = []


class Reads(Maps):
    """A step reads what a map left while the store is away."""

    @step
    async def output(self, each: Results[int] = Maps.each.result) -> int:
        CALLS.append(1)
        AWAY[-1].left = 3
        return sum(await each.all())


async def test_a_step_that_reads_results_waits_for_its_store():
    """It neither fails nor is called again."""

    def wrapped(store):
        AWAY.append(Away(store))
        return AWAY[-1]

    CALLS.clear()
    with place_of("memory") as place:
        place.wrapped = wrapped
        async with place.engine() as engine:
            assert (await engine.run(Reads(), id="it")).value == 6
    assert CALLS == [1]
