"""In what order a record is written and calls are made: nothing begins before its start is on record, and no append is one too many."""

import asyncio

import pytest

from reactor import Cancelled, Failed, Reactor, Results, Retry, StepError, Succeeded, compose, map_over, step, step_context
from reactor.run.session import FOREVER
from tests.places import place_of
from tests.run.witness import Witness

pytestmark = pytest.mark.anyio
LOG: list[str] = []


@pytest.fixture(autouse=True)
def _fresh():
    LOG.clear()


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


async def call(name, seconds=0.0, *, fails=False):
    """It is written to the diary when it begins."""
    LOG.append(name)
    await asyncio.sleep(seconds)
    if fails:
        raise OSError(name)
    return 1


class Chain(Reactor):
    """a → b → output."""

    @step
    async def a(self) -> int:
        return await call("a")

    @step
    async def b(self, a: int = a.result) -> int:
        return await call("b")

    @step
    async def output(self, b: int = b.result) -> int:
        return await call("output")


class Wave(Reactor):
    """Four at once, then the output."""

    seconds: float = 1.0

    @step
    async def a(self) -> int:
        return await call("a", self.seconds)

    @step
    async def b(self) -> int:
        return await call("b", self.seconds)

    @step
    async def c(self) -> int:
        return await call("c", self.seconds)

    @step
    async def d(self) -> int:
        return await call("d", self.seconds)

    @step(after=[a, b, c, d])
    async def output(self) -> int:
        return await call("output")


# ---- appends ------------------------------------------------------------------------------------------------------------


async def test_a_chain_costs_one_write_a_step(engine, witness):
    """A result goes with the start that follows from it; the first start with the record itself, the end by itself."""
    run = await engine.start(Chain(), id="c")
    assert await run.outcome() == Succeeded(1, run.id)
    assert witness.written(run.id) == [
        ["run_started", "call_started a"],
        ["call_succeeded a", "call_started b"],
        ["call_succeeded b", "call_started output"],
        ["call_succeeded output", "run_ended"],
    ]


async def test_a_wave_costs_two_at_most(engine, witness):
    """Its starts go together, and what comes while its first result is being written goes with the next."""
    run = await engine.start(Wave(), id="w")
    with witness.holding():
        await asyncio.sleep(10)
    await run.outcome()
    written = witness.written(run.id)
    assert written[0] == ["run_started", *[f"call_started {name}" for name in "abcd"]]
    assert [len(facts) for facts in written[1:]] == [1, 4, 2]
    assert sorted([*written[1], *written[2]]) == ["call_started output", *[f"call_succeeded {name}" for name in "abcd"]]


async def test_one_append_is_in_flight(engine, witness):
    """What happens meanwhile joins the next."""

    class Uneven(Reactor):
        @map_over(list(range(20)), batch_size=20)
        async def some(self, one: int) -> int:
            return await call(f"some {one}", one / 10)

        @step
        async def output(self, some: Results[int] = some.result) -> int:
            return some.succeeded

    with witness.holding():
        run = await engine.start(Wave(), id="w")
        await asyncio.sleep(100)
        assert len(witness.appends) == 1
        assert witness.appends[0].seq == 5
    await run.outcome()
    await engine.run(Uneven(), id="u")
    assert witness.most_in_flight == 1


# ---- calls --------------------------------------------------------------------------------------------------------------


async def test_nothing_is_called_before_its_start_is_on_record(engine, witness):
    """However long the store takes: the first starts are in the record that is made, the others in appends."""
    run = await engine.start(Chain(), id="c")
    with witness.holding():
        await asyncio.sleep(100)
        assert LOG == ["a"]
    await run.outcome()
    assert LOG == ["a", "b", "output"]


async def test_what_a_failure_overtakes_is_not_called(engine, witness):
    """Its start was on its way: it is noted as cancelled, and nothing of it is compensated, for it never began."""

    class Overtaken(Reactor):
        @step
        async def quick(self) -> int:
            return await call("quick", 1)

        @step
        async def breaks(self) -> int:
            return await call("breaks", 2, fails=True)

        @step
        async def late(self, quick: int = quick.result) -> int:
            return await call("late")

        @late.compensate
        async def answer(self, error: StepError) -> None:
            LOG.append("answer")

        @step(after=[late, breaks])
        async def output(self) -> int:
            return 1

    run = await engine.start(Overtaken(), id="o")
    with witness.holding():
        await asyncio.sleep(10)
    outcome = await run.outcome()
    assert isinstance(outcome, Failed)
    assert LOG == ["quick", "breaks"]
    written = [fact for facts in witness.written(run.id) for fact in facts]
    assert written.index("call_started late") < written.index("call_failed breaks") < written.index("call_failed late")


async def test_nothing_begins_while_the_lease_may_have_run_out(engine, witness):
    """What is on record as begun is called once that is sure again."""
    session = engine._host.session
    run = await engine.start(Chain(), id="c")
    session.lease = 3.0
    session._renewed = session._clock() - 2.5
    await asyncio.sleep(100)
    assert LOG == []
    session.lease = FOREVER
    session._renewals.set()
    assert await run.outcome() == Succeeded(1, run.id)


async def test_each_claim_has_a_higher_fence(place, witness):
    """A step may hand it to targets that refuse an older one."""
    fences = []

    class Fenced(Reactor):
        @step
        async def output(self) -> int:
            fences.append(step_context().fence)
            await asyncio.sleep(1000)
            return 1

    for _ in range(3):
        async with place.engine(reactors=[Fenced]) as engine:
            run = await engine.start(Fenced(), id="f")
            while run.id not in engine._host.drivers:
                await asyncio.sleep(1)
                engine._host.wake(run.id)
            await asyncio.sleep(1)
    assert len(fences) == 3
    assert fences == sorted(set(fences))


# ---- mail ---------------------------------------------------------------------------------------------------------------


async def test_mail_that_comes_with_the_last_result_is_read_before_the_end(engine, witness):
    """The end is refused while newer messages lie there: an undo that came in time is heeded."""
    run = await engine.start(Wave(seconds=1.0), id="w")
    with witness.holding():
        undoing = asyncio.ensure_future(run.undo())
        await asyncio.sleep(10)
    await undoing
    await run.outcome()
    assert await run.status() == "undone"


async def test_a_look_without_mail_changes_nothing(engine, witness):
    """A hint may be an echo."""
    run = await engine.start(Wave(seconds=100.0), id="w")
    await asyncio.sleep(1)
    before = len(witness.appends)
    for _ in range(5):
        engine._host.drivers[run.id].look()
        await asyncio.sleep(1)
    assert len(witness.appends) == before
    assert (await run.outcome()).value == 1


# ---- letting go ---------------------------------------------------------------------------------------------------------


async def test_a_release_cuts_calls_off_and_writes_that(engine, witness):
    """With all that was noted; the record is due at once, under nobody's token, and nothing is noted any more."""
    run = await engine.start(Wave(seconds=100.0), id="w")
    await asyncio.sleep(1)
    driver = engine._host.drivers[run.id]
    await driver.release()
    assert witness.written(run.id)[-1] == [f"call_cut {name}" for name in "abcd"]
    loaded = await engine._host.store.load(run.id)
    assert (loaded.token, loaded.status, loaded.due is not None) == (None, "running", True)
    assert driver.flights == {}
    before = len(witness.appends)
    driver.look()
    driver.pump()
    await asyncio.sleep(1000)
    assert len(witness.appends) == before


async def test_an_undo_is_let_end(engine, witness):
    """It is not cut off: whoever goes on begins with the next."""

    class Undoes(Reactor):
        @step
        async def first(self) -> int:
            return await call("first")

        @first.undo(retry=Retry(1))
        async def undo_first(self, value: int) -> None:
            await call("undo", 50)
            LOG.append("undone")

        @step(after=[first])
        async def output(self) -> int:
            return 1

    run = await engine.start(Undoes(), id="u")
    await run.outcome()
    await run.undo()
    await asyncio.sleep(1)
    await engine._host.drivers[run.id].release()
    assert LOG == ["first", "undo", "undone"]
    assert "undone first" in [fact for facts in witness.written(run.id)[-2:] for fact in facts]


async def test_what_another_has_is_let_go_of(engine, witness):
    """A changed token is the only word that counts: calls in flight are cancelled, and nothing is written or compensated."""

    class Lost(Reactor):
        @step
        async def slow(self) -> int:
            try:
                return await call("slow", 100)
            finally:
                LOG.append("cut off")

        @slow.compensate
        async def answer(self, error: StepError) -> None:
            LOG.append("answer")

        @step
        async def beside(self) -> int:
            return await call("beside", 5)

        @step(after=[slow, beside])
        async def output(self) -> int:
            return 1

    run = await engine.start(Lost(), id="l")
    await asyncio.sleep(1)
    driver, store = engine._host.drivers[run.id], engine._host.store
    store._store.store._store.data.records[run.id].token = "thief:1"
    await asyncio.sleep(50)
    assert driver.lost
    assert run.id not in engine._host.drivers
    assert LOG == ["slow", "beside", "cut off"]
    assert witness.written(run.id)[-1] == ["call_succeeded beside"], "that was refused"


# ---- children -----------------------------------------------------------------------------------------------------------


async def test_a_batch_is_made_with_the_fact_that_says_so(engine, witness):
    """Never before, never after: its record is in the append that starts it, claimed for us."""

    class Maps(Reactor):
        @map_over([1, 2], batch_size=1)
        async def some(self, one: int) -> int:
            return await call(f"some {one}", 10)

        @step
        async def output(self, some: Results[int] = some.result) -> int:
            return some.succeeded

    run = await engine.start(Maps(), id="m")
    await run.outcome()
    started = [order for order in witness.appends if order.children]
    made = {child.run: child.token for order in started for child in order.children}
    assert made.keys() == {"Maps:m/some#0", "Maps:m/some#1"}
    assert all(token.startswith(engine._host.session.id) for token in made.values())
    for order in started:
        assert sum(b"batch_started" in event for event in order.events) == len(order.children)


async def test_a_child_costs_no_record(engine, witness):
    """Its nodes live in its parent's."""

    class Around(Reactor):
        @compose
        async def child(self) -> Chain:
            return Chain()

        @step(after=[child])
        async def output(self) -> int:
            return 1

    run = await engine.start(Around(), id="a")
    await run.outcome()
    assert {order.run for order in witness.appends} == {run.id}
    assert "child_opened child" in [fact for facts in witness.written(run.id) for fact in facts]


async def test_who_cancels_cancels_what_was_on_its_way(engine, witness):
    """A cancel while starts are being written: none of them is called."""
    run = await engine.start(Chain(), id="c")
    await asyncio.sleep(0)
    with witness.holding():
        await asyncio.sleep(1)
        cancelling = asyncio.ensure_future(run.cancel("enough"))
        await asyncio.sleep(10)
    await cancelling
    assert await run.outcome() == Cancelled("enough", run.id)
    assert len(LOG) <= 2
