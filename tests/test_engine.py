"""The composition root: what an engine is made of, which runs it holds, and what becomes of them."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from reactor import (
    Ask,
    Cancelled,
    DefinitionError,
    Engine,
    Expired,
    NeedsEngine,
    Reactor,
    ReactorError,
    Retry,
    RunConflict,
    Succeeded,
    UnknownRun,
    WrongState,
    compose,
    interrupt,
    step,
    use,
)
from reactor.define import reactor as reactors
from reactor.run.awaiting import perform
from reactor.testing import virtual_backend

pytestmark = pytest.mark.anyio
LOG: list[str] = []


@pytest.fixture
def anyio_backend():
    """Asyncio on a loop whose clock jumps."""
    return virtual_backend()


@pytest.fixture(autouse=True)
def _fresh():
    LOG.clear()


class Order(Reactor):
    """A step of so many seconds, which is undone."""

    number: int = 0
    seconds: float = 10.0

    @step
    async def output(self) -> int:
        LOG.append(f"do {self.number}")
        await asyncio.sleep(self.seconds)
        return self.number

    @output.undo
    async def undo_output(self, value: int) -> None:
        await asyncio.sleep(self.seconds)
        LOG.append(f"undo {self.number}")


class Bounded(Order, max_running=2):
    """At most two of them are driven at a time."""


@pytest.fixture
async def engine():
    """Open."""
    async with Engine() as made:
        yield made


# ---- made -------------------------------------------------------------------------------------------------------------


def test_importing_it_teaches_reactors_to_be_awaited():
    """Through the one slot that is filled."""
    assert reactors.perform is perform


@pytest.mark.parametrize("store", ["redis://localhost", "", "memory", "memory://x"])
def test_an_unknown_store(store):
    """It is refused when the engine is made, with those that there are."""
    with pytest.raises(ReactorError, match="no store answers to") as raised:
        Engine(store)
    assert raised.value.code == "unknown-store"
    assert "memory://" in raised.value.known


@pytest.mark.parametrize("limit", [0, -1])
def test_a_concurrency_that_is_none(limit):
    """No call could ever begin."""
    with pytest.raises(ReactorError, match="concurrency") as raised:
        Engine(concurrency=limit)
    assert raised.value.code == "bad-concurrency"


@pytest.mark.parametrize("option", ["settle", "retention"])
@pytest.mark.parametrize("value", [-1, "soon", None, float("inf")])
def test_a_time_that_is_none(option, value):
    """Seconds from 0, or a timedelta."""
    with pytest.raises(DefinitionError, match=option):
        Engine(**{option: value})
    Engine(**{option: 0})
    Engine(**{option: timedelta(minutes=1)})


def test_two_reactors_of_a_name():
    """In one engine they are an error, which names both; so is an alias that another one has."""

    class First(Reactor, name="order"):
        @step
        async def output(self) -> int:
            return 1

    class Second(Reactor, name="other", aliases=["order"]):
        @step
        async def output(self) -> int:
            return 1

    with pytest.raises(ReactorError, match="two reactors of this engine are called `order`") as raised:
        Engine(reactors=[First, Second])
    assert raised.value.code == "name-taken"
    assert "First" in str(raised.value)
    assert "Second" in str(raised.value)
    Engine(reactors=[First, First])


async def test_two_reactors_of_a_name_that_meet_later(engine):
    """When the second one is started; another engine does not mind."""

    class Other(Reactor, name="Order"):
        @step
        async def output(self) -> int:
            return 1

    await engine.start(Order())
    with pytest.raises(ReactorError, match="are called `Order`"):
        await engine.start(Other())
    async with Engine() as another:
        assert (await another.run(Other())).value == 1


# ---- open and closed ------------------------------------------------------------------------------------------------------


async def test_an_engine_that_is_not_open():
    """Nothing can be asked of it, before and after."""
    engine = Engine()

    async def refused():
        for asked in (engine.start(Order()), engine.run(Order()), engine.get("Order:x"), engine.find()):
            with pytest.raises(WrongState, match="the engine is not open") as raised:
                await asked
            assert raised.value.code == "engine-closed"

    await refused()
    async with engine:
        pass
    await refused()


async def test_it_is_opened_once(engine):
    """And shared."""
    with pytest.raises(WrongState, match="open already") as raised:
        await engine.__aenter__()
    assert raised.value.code == "engine-open"


async def test_it_can_be_opened_again():
    """With nothing of before: the same id is a new run, resources are opened anew."""

    @asynccontextmanager
    async def pool():
        LOG.append("opened")
        yield 1
        LOG.append("closed")

    class Uses(Reactor):
        @step
        async def output(self, it: int = use(pool)) -> int:
            return it

    engine = Engine()
    for _ in range(2):
        async with engine:
            assert (await engine.run(Uses(), id="u")).value == 1
    assert LOG == ["opened", "closed"] * 2


async def test_closing_undoes_what_is_going_on():
    """A run in memory could not go on elsewhere: it is cancelled and undone, however long that takes; then resources are closed."""

    @asynccontextmanager
    async def pool():
        yield 1
        LOG.append("closed")

    class Uses(Order):
        @step
        async def output(self, it: int = use(pool)) -> int:
            return it

        @step(after=[output])
        async def later(self) -> None:
            await asyncio.sleep(1000)

    async with Engine() as engine:
        run = await engine.start(Uses(number=7))
        await asyncio.sleep(1)
    assert await run.outcome() == Cancelled("the engine closed", run.id, [])
    assert LOG == ["undo 7", "closed"]


async def test_closing_waits_for_a_rollback_that_is_under_way():
    """It is not cut off."""
    async with Engine() as engine:
        run = await engine.start(Order(number=1))
        await run.outcome()
        await run.undo()
        await asyncio.sleep(1)
    assert LOG == ["do 1", "undo 1"]
    assert await run.status() == "undone"


async def test_closing_begins_nothing():
    """What waits for its turn is cancelled, without a call."""
    async with Engine() as engine:
        runs = [await engine.start(Bounded(number=number)) for number in range(4)]
        await asyncio.sleep(1)
    assert [await run.status() for run in runs] == ["cancelled"] * 4
    assert LOG == ["do 0", "do 1"]


@pytest.mark.parametrize("times", [1, 3])
async def test_closing_is_shielded(times):
    """Whoever closes it may be cancelled: all is undone first."""

    async def main():
        async with Engine() as engine:
            run = await engine.start(Order(number=1))
            await run.outcome()
            await run.undo()
            await engine.start(Order(number=2))
            await asyncio.sleep(1)

    before = asyncio.all_tasks()
    task = asyncio.ensure_future(main())
    await asyncio.sleep(11.5)
    for _ in range(times):
        await asyncio.sleep(1)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert LOG == ["do 1", "do 2", "undo 1"]
    assert asyncio.all_tasks() == before


async def test_closing_says_what_did_not_close():
    """Runs are over and other resources closed by then."""

    @asynccontextmanager
    async def pool():
        yield 1
        raise OSError("stuck")

    class Uses(Reactor):
        @step
        async def output(self, it: int = use(pool)) -> int:
            return it

    engine = Engine()
    await engine.__aenter__()
    assert (await engine.run(Uses())).value == 1
    with pytest.raises(ReactorError, match="OSError: stuck") as raised:
        await engine.__aexit__(None, None, None)
    assert raised.value.code == "not-closed"
    assert isinstance(raised.value.__cause__, ExceptionGroup)
    await engine.__aexit__(None, None, None)


async def test_what_is_raised_inside_is_raised():
    """An engine swallows nothing."""

    async def body():
        async with Engine():
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await body()


# ---- start, run, get --------------------------------------------------------------------------------------------------------


async def test_start_returns_at_once(engine):
    """The run goes on; `run` waits for its end."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    run = await engine.start(Order(number=5), id="o-5")
    assert (loop.time(), run.id, await run.status()) == (began, "Order:o-5", "running")
    assert await engine.run(Order(number=5), id="o-5") == Succeeded(5, "Order:o-5")
    assert loop.time() == began + 10


async def test_the_same_reactor_and_id_is_the_same_run(engine):
    """Whoever asks and how often, while it runs and after: it is called once."""
    runs = [await engine.start(Order(number=1), id="a") for _ in range(3)]
    outcomes = await asyncio.gather(*(run.outcome() for run in runs))
    assert (await engine.start(Order(number=1), id="a")).id == "Order:a"
    assert await engine.run(Order(number=1), id="a") == outcomes[0]
    assert LOG == ["do 1"]


async def test_other_inputs_under_the_same_id(engine):
    """They are refused, and nothing is begun."""
    await engine.start(Order(number=1), id="a")
    with pytest.raises(RunConflict, match="Order:a exists with other inputs"):
        await engine.start(Order(number=2), id="a")
    assert (await engine.find()).total == 1


async def test_an_id_belongs_to_its_reactor(engine):
    """Another reactor may use the same."""
    await engine.start(Order(number=1), id="a")
    assert (await engine.start(Bounded(number=2), id="a")).id == "Bounded:a"


async def test_without_an_id_each_is_a_run_of_its_own(engine):
    """A uuid7, so that they sort by time."""
    runs = [await engine.start(Order(number=1)) for _ in range(3)]
    ids = [run.id for run in runs]
    assert len(set(ids)) == 3
    assert ids == sorted(ids)


@pytest.mark.parametrize("bad", ["", "a b", "a/b", "a~2", "ä", "x" * 201, 7, b"a"])
async def test_a_bad_id(engine, bad):
    """It is refused before anything begins."""
    with pytest.raises(ReactorError) as raised:
        await engine.start(Order(), id=bad)
    assert raised.value.code == "bad-id"
    assert (await engine.find()).total == 0


@pytest.mark.parametrize("thing", [Order, 3, None, "Order"], ids=repr)
async def test_what_is_no_reactor(engine, thing):
    """The class instead of an instance, say: the error shows how to make one."""
    with pytest.raises(ReactorError, match="is no reactor") as raised:
        await engine.start(thing)
    assert raised.value.code == "not-a-reactor"


async def test_get_by_name(engine):
    """By a whole name, or by reactor and id; an unknown one is a clear error."""
    run = await engine.start(Order(number=1), id="a")
    for again in (await engine.get("Order:a"), await engine.get(Order, "a")):
        assert again.id == run.id
        assert again._live is run._live
    for asked in (engine.get("Order:b"), engine.get(Order, "b"), engine.get("a"), engine.get(Bounded, "a")):
        with pytest.raises(UnknownRun, match="there is no run"):
            await asked


async def test_offload_needs_a_queue(engine):
    """There is none here; a node that says `offload` runs here."""
    for said in (True, "reports"):
        with pytest.raises(NeedsEngine) as raised:
            await engine.start(Order(), offload=said)
        assert raised.value.code == "no-queue"

    class Offloads(Reactor):
        @step(offload=True)
        async def output(self) -> int:
            return 1

    assert (await engine.run(Offloads())).value == 1


async def test_a_deadline_is_seconds(engine):
    """From now; none that is no time."""
    outcome = await engine.run(Order(number=1), deadline=5)
    assert outcome.error.is_a(TimeoutError)
    assert isinstance(await engine.run(Order(number=2), deadline=timedelta(seconds=50)), Succeeded)
    for bad in (-1, "soon"):
        with pytest.raises(DefinitionError, match="deadline"):
            await engine.start(Order(number=3), deadline=bad)
    assert [one for one in LOG if one.startswith("do")] == ["do 1", "do 2"]


async def test_an_interrupt_cannot_be_answered_here(engine):
    """A store in memory keeps no parked runs, and refuses reactors that could park."""

    class Asks(Reactor):
        @interrupt
        async def approval(self) -> Ask[bool]:
            return Ask("k")

        @step
        async def output(self, ok: bool = approval.result) -> bool:
            return ok

    class Around(Reactor):
        @compose
        async def output(self) -> Asks:
            return Asks()

    for reactor in (Asks, Around):
        with pytest.raises(NeedsEngine):
            await engine.start(reactor())
    with pytest.raises(NeedsEngine, match="approval") as raised:
        await engine.signal(Asks.approval, True, correlation_id="k")
    assert raised.value.code == "cannot-park"


# ---- options -----------------------------------------------------------------------------------------------------------------


async def test_resources_can_be_replaced():
    """As tests want it."""

    def real():
        raise AssertionError("never in a test")

    class Uses(Reactor):
        @step
        async def output(self, it: str = use(real)) -> str:
            return it

    async with Engine(resources={real: lambda: "fake"}) as engine:
        assert (await engine.run(Uses())).value == "fake"


async def test_calls_without_a_timeout_have_so_long_to_settle():
    """When their run is failing."""
    loop = asyncio.get_running_loop()

    class Fails(Reactor):
        @step
        async def slow(self) -> int:
            await asyncio.sleep(3600)
            return 1

        @step
        async def output(self) -> int:
            raise ValueError

    for settle in (0, 5, timedelta(seconds=7)):
        began = loop.time()
        async with Engine(settle=settle) as engine:
            await engine.run(Fails())
        assert loop.time() - began == (settle if isinstance(settle, int) else 7)


async def test_observers_hear_of_every_run():
    """And of those that restarts make."""
    heard = []
    async with Engine(observers=[lambda event: heard.append(event.run_id)]) as engine:
        run = await engine.start(Order(number=1), id="a")
        await run.outcome()
        await (await run.restart()).outcome()
    assert set(heard) == {"Order:a", "Order:a~2"}


# ---- max_running --------------------------------------------------------------------------------------------------------------


async def test_so_many_runs_of_a_reactor_are_driven(engine):
    """The others are queued, and begin in turn; other reactors do not count."""
    runs = [await engine.start(Bounded(number=number)) for number in range(5)]
    other = await engine.start(Order(number=9))
    await asyncio.sleep(1)
    assert [await run.status() for run in runs] == ["running"] * 2 + ["queued"] * 3
    assert await other.status() == "running"
    await asyncio.sleep(10)
    assert [await run.status() for run in runs] == ["succeeded"] * 2 + ["running"] * 2 + ["queued"]
    assert [await run.result() for run in runs] == list(range(5))
    assert [one for one in LOG if one != "do 9"] == [f"do {number}" for number in range(5)]


@pytest.mark.parametrize("how", ["undo", "cancel"])
async def test_a_queued_run_can_be_stopped(engine, how):
    """It never begins, and the ones behind it move up."""
    runs = [await engine.start(Bounded(number=number)) for number in range(4)]
    await (runs[2].undo() if how == "undo" else runs[2].cancel("enough"))
    await asyncio.gather(*(run.outcome() for run in runs))
    assert [await run.status() for run in runs] == ["succeeded", "succeeded", "undone" if how == "undo" else "cancelled", "succeeded"]
    assert LOG == ["do 0", "do 1", "do 3"]


async def test_an_undo_after_the_end_is_not_bounded(engine):
    """Neither does it make room twice."""
    runs = [await engine.start(Bounded(number=number)) for number in range(3)]
    await runs[0].outcome()
    await runs[0].undo()
    await asyncio.sleep(1)
    assert await runs[2].status() == "running"
    await asyncio.gather(*(run.outcome() for run in runs))
    more = [await engine.start(Bounded(number=number)) for number in range(10, 13)]
    await asyncio.sleep(1)
    assert [await run.status() for run in more] == ["running", "running", "queued"]


async def test_a_failed_run_makes_room(engine):
    """Like any other that ended."""

    class Fails(Reactor, max_running=1):
        @step
        async def output(self) -> int:
            await asyncio.sleep(1)
            raise ValueError

    runs = [await engine.start(Fails()) for _ in range(3)]
    for run in runs:
        await run.outcome()
    assert [await run.status() for run in runs] == ["failed"] * 3


# ---- retention -----------------------------------------------------------------------------------------------------------------


async def test_an_ended_run_is_kept_for_so_long():
    """Then its id stays taken: a tombstone answers."""
    async with Engine(retention=60) as engine:
        run = await engine.start(Order(number=1), id="a")
        await run.outcome()
        await asyncio.sleep(59)
        assert (await engine.get(Order, "a")).id == "Order:a"
        await asyncio.sleep(2)
        for asked in (engine.get(Order, "a"), engine.get("Order:a"), engine.start(Order(number=1), id="a")):
            with pytest.raises(Expired, match="past retention"):
                await asked
        assert (await engine.find()).total == 0
        assert await run.result() == 1, "who holds a handle can still read it"


async def test_a_run_that_goes_on_is_never_forgotten():
    """However long ago it ended first: an undo that is under way is kept, and waited for when the engine closes."""
    async with Engine(retention=1) as engine:
        run = await engine.start(Order(number=1, seconds=100), id="a")
        await run.outcome()
        await asyncio.sleep(0.5)
        await run.undo()
        await asyncio.sleep(50)
        assert (await engine.find()).total == 1
        assert await (await engine.get("Order:a")).status() == "rolling_back"
    assert LOG == ["do 1", "undo 1"]


async def test_a_run_is_kept_from_its_last_end_on():
    """An undo that ended later counts; the ones after it are forgotten in their own time."""
    async with Engine(retention=60) as engine:
        first = await engine.start(Order(number=1, seconds=0), id="a")
        await first.outcome()
        await asyncio.sleep(30)
        second = await engine.start(Order(number=2, seconds=0), id="b")
        await second.outcome()
        await asyncio.sleep(10)
        await first.undo()
        await first.outcome()
        await asyncio.sleep(55)
        assert [run.id for run in (await engine.find()).items] == ["Order:a"]
        await asyncio.sleep(6)
        assert (await engine.find()).total == 0


async def test_a_superseded_run_is_forgotten_too():
    """Its successor is what the name means."""
    async with Engine(retention=60) as engine:
        run = await engine.start(Order(number=1, seconds=0), id="a")
        await run.outcome()
        await asyncio.sleep(40)
        again = await run.restart(from_step="output")
        await again.outcome()
        await asyncio.sleep(61)
        with pytest.raises(Expired):
            await engine.get("Order:a")


async def test_a_stuck_run_waits_for_a_person():
    """It is kept like any other that ended, and can be tried again."""

    class Sticky(Order):
        @step
        async def output(self) -> int:
            return 1

        @output.undo(retry=Retry(1))
        async def stuck(self, value: int) -> None:
            if not LOG:
                LOG.append("mended")
                raise OSError

    async with Engine() as engine:
        run = await engine.start(Sticky(), id="a")
        await run.outcome()
        await run.undo()
        await run.outcome()
        assert await run.status() == "stuck"
        await asyncio.sleep(3600)
        await (await engine.get("Sticky:a")).retry_rollback()
        await run.outcome()
        assert await run.status() == "undone"
