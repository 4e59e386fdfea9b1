"""How records come to be driven here: by being made, by a claim, by a word that they have mail; so many of a reactor at a time."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from reactor import Engine, Reactor, Results, StoreUnavailable, Succeeded, map_over, step
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
        store = engine._host.store
        await store.deliver(second.id, Message("restart", b""), moves=True, operation="1")
        while (await store.load(second.id)).mail:
            engine._host.wake(second.id)
            engine._host.hinted(second.id)
            await asyncio.sleep(0.005)
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


async def test_an_engine_claims_only_what_it_may_begin(url):
    """The rest is for others, who begin it at once: as many run as all engines together have room for."""
    names = [f"{number:02}" for number in range(30)]
    for name in names:
        GATES[name] = asyncio.Event()
    async with engine_on(url) as engine:
        for name in names:
            await engine.start(Narrow(name=name), id=name)
    LOG.clear()
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(engine_on(url, Narrow)) for _ in range(3)]
        await until(lambda: len(LOG) == 3)
        store = engines[0]._host.store
        for _ in range(3):  # however often they look
            for engine in engines:
                await engine._host.claim_due()
                assert len(await store.held(engine._host.session.id)) == 1
        assert len(LOG) == 3
        for name in names:
            GATES[name].set()
        await until(lambda: len(LOG) == 30)
    assert sorted(LOG) == [f"began {name}" for name in names]


async def test_what_one_engine_has_no_room_for_another_begins(url):
    """From the start on: who started it does not keep it."""
    for name in "abc":
        GATES[name] = asyncio.Event()
    async with engine_on(url) as one, engine_on(url, Narrow) as other:
        runs = [await one.start(Narrow(name=name), id=name) for name in "abc"]
        await until(lambda: len(LOG) == 2)
        assert sorted(await asyncio.gather(*[run.status() for run in runs])) == ["queued", "running", "running"]
        assert [len(engine._host.drivers) for engine in (one, other)] == [1, 1]
        GATES[LOG[1][-1]].set()
        await until(lambda: len(LOG) == 3)
        for gate in GATES.values():
            gate.set()
        assert [await run.result() for run in runs] == ["a", "b", "c"]


async def test_whoever_ends_makes_room_at_once(url):
    """Without a sweep: one after the other, the longest due first, also where somebody waits for the last."""
    async with Engine(url, reactors=[Narrow], lease=600) as engine:
        runs = [await engine.start(Narrow(name=f"{number:02}"), id=str(number)) for number in range(40)]
        async with asyncio.timeout(20):
            await asyncio.gather(*[run.result() for run in reversed(runs)])
    assert [f"began {number:02}" for number in range(40)] == LOG


async def test_a_queued_run_with_a_deadline_is_kept(url):
    """Somebody has to see to it."""
    GATES["a"] = asyncio.Event()
    async with engine_on(url, Narrow) as engine:
        await engine.start(Narrow(name="a"), id="a")
        late = await engine.start(Narrow(name="b"), id="b", deadline=0.1)
        async with asyncio.timeout(20):
            outcome = await late.outcome()
        assert outcome.error.kind == "DeadlineExceeded"
        GATES["a"].set()
    assert LOG == ["began a"]


class NarrowMap(Reactor, max_running=1):
    """One at a time, with a batch for each element."""

    name: str = ""

    @map_over([0, 1, 2], batch_size=1)
    async def some(self, one: int) -> int:
        LOG.append(f"began {self.name} {one}")
        if self.name in GATES:
            await GATES[self.name].wait()
        return one

    @step
    async def output(self, some: Results[int] = some.result) -> list[int]:
        return await some.all()


async def test_batches_of_a_run_need_no_room(url):
    """Who takes a run over goes on with its batches, though there is no room for another run."""
    for name in "ab":
        GATES[name] = asyncio.Event()
    async with engine_on(url) as engine:
        for name in "ab":
            await engine.start(NarrowMap(name=name), id=name)
        await until(lambda: len(LOG) == 3)
    LOG.clear()
    async with Engine(url, reactors=[NarrowMap], lease=600) as engine:
        await until(lambda: len(LOG) == 3)
        assert len({one[:7] for one in LOG}) == 1
        for name in "ab":
            GATES[name].set()
        for name in "ab":
            assert await (await engine.get(NarrowMap, name)).result() == [0, 1, 2]


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


async def test_a_run_of_a_higher_version_is_waited_for_with_a_word(url, caplog):
    """Here it goes on only by another process, which may never come: that is said, once."""

    class Newer(Waits, name="Waits", version=2):
        pass

    GATES["a"] = asyncio.Event()
    async with Engine(url, reactors=[Newer], lease=LEASE) as engine:
        await engine.start(Newer(name="a"), id="1")
    async with Engine(url, reactors=[Waits], lease=LEASE, sweep=False) as engine:
        run = await engine.get(Waits, "1")
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await run.outcome(timeout=0.05)
    told = [one.getMessage() for one in caplog.records]
    assert told == ["Waits:1 goes on where version 2 of Waits is served, and waits for that: this process serves version 1"]
