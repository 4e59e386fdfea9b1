"""How records come to be driven here: by being made, by a claim, by a word that they have mail; so many of a reactor at a time."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from reactor import Engine, Reactor, StoreUnavailable, Succeeded, step
from reactor.record.codec import LIMIT
from reactor.record.words import Message
from reactor.stores.sqlite import SqliteStore

pytestmark = pytest.mark.anyio
LOG: list[str] = []
GATES: dict[str, asyncio.Event] = {}
LEASE = 0.6  # seconds


@pytest.fixture
def anyio_backend() -> str:
    """Real time: files are written, and leases run out."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _fresh():
    LOG.clear()
    GATES.clear()


@pytest.fixture
def url(tmp_path):
    """A store for several engines."""
    return f"sqlite:///{tmp_path}/runs.db"


class Waits(Reactor):
    """A step that waits at a gate, where there is one of its name."""

    name: str = ""

    @step
    async def output(self) -> str:
        LOG.append(f"began {self.name}")
        if self.name in GATES:
            await GATES[self.name].wait()
        return self.name


class Narrow(Waits, max_running=1):
    """One at a time."""


async def until(holds):
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # a condition of several engines
            await asyncio.sleep(0.005)


def engine_on(url, *reactors):
    """With a short lease."""
    return Engine(url, reactors=reactors, lease=LEASE)


# ---- claims -------------------------------------------------------------------------------------------------------------


async def test_what_an_engine_gave_back_another_goes_on_with(url):
    """At once: whoever serves its reactor and comes by it; it is called again as the same attempt."""
    GATES["a"] = asyncio.Event()
    async with engine_on(url) as engine:
        await engine.start(Waits(name="a"), id="a")
        await until(lambda: LOG)
    GATES["a"].set()
    async with engine_on(url, Waits) as engine:
        run = await engine.get(Waits, "a")
        assert await run.outcome() == Succeeded("a", "Waits:a")
        started = [event.attempt async for event in run.events() if event.kind == "call_started"]
    assert started == [1, 1]


async def test_an_engine_that_serves_it_needs_no_word(url):
    """A run that was given back is due: the sweep finds it."""
    GATES["a"] = asyncio.Event()
    async with engine_on(url) as engine:
        await engine.start(Waits(name="a"), id="a")
        await until(lambda: LOG)
    LOG.clear()
    async with engine_on(url, Waits):
        await until(lambda: LOG == ["began a"])


async def test_what_is_driven_elsewhere_is_let_alone(url):
    """However long it takes, and whoever asks for it: the lease is kept."""
    GATES["a"] = asyncio.Event()
    async with engine_on(url) as one, engine_on(url, Waits) as other:
        run = await one.start(Waits(name="a"), id="a")
        await until(lambda: LOG)
        seen = await other.get(Waits, "a")
        with pytest.raises(TimeoutError):
            await seen.outcome(timeout=3 * LEASE)
        assert LOG == ["began a"]
        GATES["a"].set()
        assert await seen.result() == await run.result() == "a"
    assert LOG == ["began a"]


async def test_a_command_reaches_a_run_that_is_driven_elsewhere(url):
    """By its mail."""
    GATES["a"] = asyncio.Event()
    async with engine_on(url) as one, engine_on(url, Waits) as other:
        run = await one.start(Waits(name="a"), id="a")
        await until(lambda: LOG)
        await (await other.get(Waits, "a")).cancel("from elsewhere")
        outcome = await run.outcome()
    assert outcome.reason == "from elsewhere"


# ---- lost replies -------------------------------------------------------------------------------------------------------


def loses(monkeypatch, name, *, done):
    """The next answer of this method is lost: after it was done, or before."""
    real, left = getattr(SqliteStore, name), [1]

    async def shaky(store, *args, **more):
        if left and not done:
            left.pop()
            raise StoreUnavailable("away")
        answer = await real(store, *args, **more)
        if left and (answer or name != "claim"):
            left.pop()
            raise StoreUnavailable("the answer was lost")
        return answer

    monkeypatch.setattr(SqliteStore, name, shaky)
    return left


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("name", ["claim", "claim_run", "load", "held"])
async def test_a_claim_whose_answer_was_lost_is_found(url, monkeypatch, name, done):
    """What it took is ours, and nobody else can drive it: it is looked for among what we hold."""
    GATES["a"] = asyncio.Event()
    async with engine_on(url) as engine:
        await engine.start(Waits(name="a"), id="a")
        await until(lambda: LOG)
    GATES["a"].set()
    left = loses(monkeypatch, name, done=done)
    async with engine_on(url, Waits) as engine:
        if name == "claim_run":
            engine._host.wake("Waits:a")
        if name == "held":
            left[:] = [1]
            engine._host.unsure = True
        await until(lambda: LOG.count("began a") == 2)
        async with asyncio.timeout(20):
            run = await engine.get(Waits, "a")
            assert await run.result() == "a"
    assert LOG == ["began a", "began a"]


@pytest.mark.parametrize("done", [True, False])
async def test_a_start_whose_answer_was_lost_is_asked_again(url, monkeypatch, done):
    """The caller decides: the same id is the same run, and it is driven once, whether the store had made it or not."""
    loses(monkeypatch, "create", done=done)
    async with engine_on(url) as engine:
        with pytest.raises(StoreUnavailable):
            await engine.start(Waits(name="a"), id="a")
        run = await engine.start(Waits(name="a"), id="a")
        async with asyncio.timeout(20):
            assert await run.result() == "a"
    assert LOG == ["began a"]


async def test_a_start_that_was_made_and_never_asked_for_again_goes_on(url, monkeypatch):
    """The store has it, under our claim."""
    loses(monkeypatch, "create", done=True)
    async with engine_on(url) as engine:
        with pytest.raises(StoreUnavailable):
            await engine.start(Waits(name="a"), id="a")
        await until(lambda: LOG)


# ---- so many at a time ----------------------------------------------------------------------------------------------------


async def test_so_many_runs_of_a_reactor_are_driven_at_a_time(url):
    """The others are queued, in the order in which they came; whoever ends makes room."""
    for name in "abc":
        GATES[name] = asyncio.Event()
    async with engine_on(url) as engine:
        runs = [await engine.start(Narrow(name=name), id=name) for name in "abc"]
        await until(lambda: LOG)
        assert [await run.status() for run in runs] == ["running", "queued", "queued"]
        for name, run in zip("abc", runs, strict=True):
            await until(lambda name=name: f"began {name}" in LOG)
            GATES[name].set()
            await run.result()
    assert LOG == ["began a", "began b", "began c"]


async def test_a_queued_run_begins_nothing_whatever_it_is_told(url):
    """A hint, an echo of its own record, mail that asks for nothing: it looks, and waits on."""
    for name in "ab":
        GATES[name] = asyncio.Event()
    async with engine_on(url) as engine:
        first, second = [await engine.start(Narrow(name=name), id=name) for name in "ab"]
        await until(lambda: LOG)
        read = engine._host.drivers[second.id].writer
        await engine._host.store.deliver(second.id, Message("restart", b""), moves=True, operation="1")
        for _ in range(3):
            engine._host.wake(second.id)
            engine._host.hinted(second.id)
        await until(lambda: read.read_up_to == 1)
        assert (LOG, await second.status()) == (["began a"], "queued")
        await second.cancel("enough")
        assert (await second.outcome()).reason == "enough"
        assert (LOG, await first.status()) == (["began a"], "running")
        GATES["a"].set()
        await first.result()


async def test_queued_runs_are_given_back_and_taken_up_as_there_is_room(url):
    """They hold no place in an engine that closed, and wait in the next."""
    for name in "ab":
        GATES[name] = asyncio.Event()
    async with engine_on(url) as engine:
        for name in "ab":
            await engine.start(Narrow(name=name), id=name)
        await until(lambda: LOG)
    LOG.clear()
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(engine_on(url, Narrow))
        await until(lambda: LOG)
        assert len(LOG) == 1
        for gate in GATES.values():
            gate.set()
        for name in "ab":
            assert await (await engine.get(Narrow, name)).result() == name
    assert sorted(LOG) == ["began a", "began b"]


async def test_each_engine_has_room_of_its_own(url):
    """What one queues, another that serves it may drive."""
    for name in "ab":
        GATES[name] = asyncio.Event()
    async with engine_on(url) as one, engine_on(url, Narrow) as other:
        for name in "ab":
            await one.start(Narrow(name=name), id=name)
        GATES["a"].set()
        GATES["b"].set()
        for name in "ab":
            assert await (await other.get(Narrow, name)).result() == name
    assert LOG == ["began a", "began b"]


# ---- limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("less", [0, 5, 6, 20, 40, 60, 100])
async def test_a_result_near_the_limit_is_kept_or_refused(url, less):
    """Never more than its step fails: whatever is said around it in its record."""

    class Large(Reactor):
        @step
        async def output(self) -> bytes:
            return b"x" * (LIMIT - less)

    async with engine_on(url) as engine:
        async with asyncio.timeout(20):
            outcome = await engine.run(Large())
    if isinstance(outcome, Succeeded):
        assert len(outcome.value) == LIMIT - less
    else:
        assert outcome.error.kind == "ResultNotStorable"
