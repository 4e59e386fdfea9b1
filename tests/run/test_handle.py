"""A handle on one run: what callers wait for, read and command."""

import asyncio
from datetime import timedelta

import pytest

from reactor import (
    Cancelled,
    DefinitionError,
    Engine,
    Failed,
    Reactor,
    Results,
    RunFailed,
    RunStopped,
    StoreUnavailable,
    Succeeded,
    Undone,
    WrongState,
    map_over,
    step,
)

pytestmark = pytest.mark.anyio


class Slow(Reactor):
    """Two steps of ten seconds."""

    fails: bool = False

    @step
    async def first(self) -> int:
        await asyncio.sleep(10)
        return 1

    @first.undo
    async def undo_first(self, value: int) -> None:
        await asyncio.sleep(10)

    @map_over([1, 2], after=[first])
    async def some(self, one: int) -> int:
        return one

    @step
    async def output(self, first: int = first.result, some: Results[int] = some.result) -> str:
        await asyncio.sleep(10)
        if self.fails:
            raise ValueError("no")
        return "done"


@pytest.fixture
async def engine():
    """Open."""
    async with Engine() as made:
        yield made


# ---- waiting --------------------------------------------------------------------------------------------------------


async def test_an_outcome_is_waited_for(engine):
    """By as many as like; afterwards it is there at once."""
    run = await engine.start(Slow())
    outcomes = await asyncio.gather(*(run.outcome() for _ in range(3)))
    assert outcomes == [Succeeded("done", run.id)] * 3
    assert await run.outcome(timeout=0) == outcomes[0]


@pytest.mark.parametrize("limit", [5, 5.0, timedelta(seconds=5)])
async def test_who_is_out_of_patience_only_stops_waiting(engine, limit):
    """The run goes on."""
    run = await engine.start(Slow())
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimeoutError):
        await run.outcome(timeout=limit)
    assert loop.time() - began == 5
    with pytest.raises(TimeoutError):
        await run.result(timeout=0)
    assert await run.status() == "running"
    assert await run.result() == "done"


async def test_who_is_cancelled_only_stops_waiting(engine):
    """A client that disconnects takes no run along."""
    run = await engine.start(Slow())
    waiting = asyncio.ensure_future(run.outcome())
    await asyncio.sleep(1)
    waiting.cancel()
    assert await run.result() == "done"
    assert waiting.cancelled()


@pytest.mark.parametrize("limit", [-1, "soon", float("nan"), float("inf")])
async def test_a_limit_is_seconds(engine, limit):
    """From 0; anything else is an error at once."""
    run = await engine.start(Slow())
    with pytest.raises(DefinitionError, match="timeout"):
        await run.outcome(timeout=limit)


async def test_a_result_is_the_value_or_raises(engine):
    """RunFailed and RunStopped hold the outcome."""
    assert await (await engine.start(Slow())).result() == "done"
    failed = await engine.start(Slow(fails=True))
    with pytest.raises(RunFailed) as raised:
        await failed.result()
    assert isinstance(raised.value.outcome, Failed)
    assert isinstance(raised.value.__cause__, ValueError)
    stopped = await engine.start(Slow())
    await stopped.undo()
    with pytest.raises(RunStopped) as raised:
        await stopped.result()
    assert raised.value.outcome == Undone(stopped.id)


async def test_an_outcome_never_raises_for_a_run_that_failed(engine):
    """It says so."""
    assert isinstance(await (await engine.start(Slow(fails=True))).outcome(), Failed)


async def test_an_outcome_is_waited_for_through_an_undo(engine):
    """While the run rolls back nothing is known."""
    run = await engine.start(Slow())
    await run.outcome()
    await run.undo()
    assert await run.status() == "rolling_back"
    assert await run.outcome() == Undone(run.id)


async def test_an_engine_that_closes_tells_who_waits():
    """A run in memory could not go on elsewhere: it is cancelled and undone, and whoever waits or reads gets its end."""
    async with Engine() as engine:
        run = await engine.start(Slow())
        waiting = asyncio.ensure_future(run.outcome())
        reading = asyncio.ensure_future(_kinds(run))
        await asyncio.sleep(15)
    assert await waiting == Cancelled("the engine closed", run.id, [])
    kinds = await reading
    assert "undone" in kinds
    assert kinds[-1] == "run_ended"
    assert await run.status() == "cancelled"


async def test_a_run_that_never_began_is_let_go_of():
    """A restart that waited for its predecessor's undo when the engine closed: it will never begin, and says so."""
    async with Engine() as engine:
        run = await engine.start(Slow())
        await run.outcome()
        again = await run.restart(from_step="first")
        waiting = asyncio.ensure_future(again.outcome())
        await asyncio.sleep(1)
    for asked in (waiting, again.outcome(), again.cancel("enough"), again.undo()):
        with pytest.raises(StoreUnavailable, match="was let go of") as raised:
            await asked
        assert raised.value.code == "engine-closed"


async def test_a_run_that_ended_can_be_read_after_its_engine_closed():
    """Its outcome and record are in the handle's memory."""
    async with Engine() as engine:
        run = await engine.start(Slow())
        await run.outcome()
    assert await run.result() == "done"
    assert await run.status() == "succeeded"
    assert (await _kinds(run))[-1] == "run_ended"


async def _kinds(run, after=0):
    return [event.kind async for event in run.events(after)]


# ---- reading ------------------------------------------------------------------------------------------------------------


async def test_a_nodes_result_is_read_from_outside(engine):
    """As soon as it is there; of an inherited node, or one named by a subclass, too."""

    class Sub(Slow):
        """Nothing of its own."""

    run = await engine.start(Sub())
    with pytest.raises(WrongState, match=r"`first` of .* has no result: the run is running") as raised:
        await run.value(Slow.first)
    assert "wait" in raised.value.fix
    await asyncio.sleep(15)
    assert await run.value(Slow.first) == 1
    assert await (await run.value(Sub.some)).all() == [1, 2]
    await run.outcome()
    assert await run.value(Sub.output) == "done"


async def test_the_result_of_what_was_undone_can_still_be_read(engine):
    """It is what was undone."""
    run = await engine.start(Slow(fails=True))
    await run.outcome()
    assert await run.value(Slow.first) == 1
    with pytest.raises(WrongState):
        await run.value(Slow.output)


async def test_a_node_of_another_reactor(engine):
    """It is named, with those that there are."""

    class Other(Reactor):
        @step
        async def elsewhere(self) -> int:
            return 1

        output = elsewhere

    run = await engine.start(Slow())
    with pytest.raises(WrongState, match="no node") as raised:
        await run.value(Other.elsewhere)
    assert raised.value.code == "unknown-node"
    assert raised.value.known == ("first", "some", "output")


async def test_events_from_any_seq(engine):
    """Live, and after the end."""
    run = await engine.start(Slow())
    live = asyncio.ensure_future(_kinds(run, 2))
    await run.outcome()
    assert await live == await _kinds(run, 2)
    assert (await _kinds(run))[:2] == ["run_started", "call_started"]


async def test_a_handle_shows_where_its_run_stands(engine):
    """For whoever prints it."""
    run = await engine.start(Slow(), id="s")
    assert (run.id, run.reactor) == ("Slow:s", "Slow")
    assert repr(run) == "<Run Slow:s running>"
    await run.outcome()
    assert repr(run) == "<Run Slow:s succeeded>"


# ---- from inside a step ---------------------------------------------------------------------------------------------------


async def test_a_thread_of_a_step_may_wait_for_a_run_in_a_loop_of_its_own():
    """Its step's slot is another loop's: nothing is lent, and nothing is lost."""
    async with Engine(concurrency=5) as engine:

        class Asks(Reactor):
            @step
            def output(self) -> str:
                async def wait():
                    run = await engine.get("Slow:s")
                    return await run.status()

                return asyncio.run(wait())

        await engine.start(Slow(), id="s")
        assert (await engine.run(Asks())).value == "running"
        assert engine._site.slots.free == 4
