"""Whose time it is: the store's, heard with each renewal, so that a machine that slept, or whose clock drifts, is late by no more."""

import asyncio

import pytest

from reactor import Ask, Failed, Reactor, Retry, Succeeded, interrupt, step
from tests.places import place_of

pytestmark = pytest.mark.anyio
LEASE = 15.0  # seconds: heard every 5
CALLS: list[float] = []


@pytest.fixture(autouse=True)
def _fresh():
    CALLS.clear()


class Asks(Reactor):
    """A question that is open for a thousand seconds."""

    @interrupt(timeout=1000)
    async def approval(self) -> Ask[bool]:
        return Ask()

    @step(after=[approval])
    async def output(self) -> int:
        return 1


class Tries(Reactor):
    """A second try after a thousand seconds."""

    @step(retry=Retry(2, base=1000, max_wait=1000, jitter=False))
    async def output(self) -> int:
        CALLS.append(asyncio.get_running_loop().time())
        if len(CALLS) == 1:
            raise OSError
        return 1


class Clock:
    """The time of a store, which may go ahead of ours, or stay behind."""

    def __init__(self):
        self.ahead = 0.0
        self.base = None

    def __call__(self):
        return self.base() + self.ahead


class Timed:
    """A store with a time of its own."""

    def __init__(self, store, clock):
        self._store, self._clock = store, clock

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def now(self):
        """As it has it."""
        return self._clock()


@pytest.fixture
def clock():
    """Not ahead yet."""
    return Clock()


@pytest.fixture
def place(clock):
    """A store in memory with that time."""
    with place_of("memory") as made:

        def timed(store):
            site = store._site
            began, since = site.now(), site.clock()
            clock.base = lambda: began + site.clock() - since
            made.memory.time = clock
            return Timed(store, clock)

        made.wrapped = timed
        yield made


async def ends(run):
    """When it has ended, in seconds of ours from now."""
    began = asyncio.get_running_loop().time()
    while await run.status() in ("running", "parked", "queued"):  # noqa: ASYNC110  # nobody who waits for an outcome may wake it
        await asyncio.sleep(0.5)
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("reactor", [Asks, Tries])
async def test_whoever_slept_is_on_time_again_with_the_next_renewal(place, clock, reactor):
    """The store's clock went on by an hour: what was due meanwhile is done within a third of a lease."""
    async with place.engine(lease=LEASE) as engine:
        run = await engine.start(reactor())
        await asyncio.sleep(10)
        clock.ahead = 3600.0
        assert await ends(run) <= LEASE / 3 + 1
        assert isinstance(await run.outcome(), Failed if reactor is Asks else Succeeded)


@pytest.mark.parametrize("reactor", [Asks, Tries])
@pytest.mark.parametrize("behind", [0.005, 100.0])
async def test_whoever_is_ahead_waits_for_the_store(place, clock, reactor, behind):
    """Nothing times out before it is time where the record is kept; and not too late for having looked too early."""
    async with place.engine(lease=LEASE) as engine:
        run = await engine.start(reactor())
        await asyncio.sleep(10)
        clock.ahead = -behind
        assert await ends(run) == pytest.approx(990 + behind, abs=1)


async def test_what_is_recorded_has_the_stores_time(place, clock):
    """Events of a run that was there before, too."""
    async with place.engine(lease=LEASE) as engine:
        run = await engine.start(Tries())
        await asyncio.sleep(10)
        clock.ahead = 3600.0
        await run.outcome()
        times = [event.at async for event in run.events()]
    assert times == sorted(times)
    assert 3600 <= times[-1] - times[0] <= 3600 + 20
