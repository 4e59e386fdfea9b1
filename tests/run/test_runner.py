"""Drives one record: lanes that take ready calls back to back, and decide nothing by themselves."""

import asyncio
import gc
import logging
import threading
import time
import weakref
from contextvars import ContextVar

import pytest

from reactor import Continue, Engine, Reactor, Retry, StepError, WrongState, map_over, step, step_context, use
from reactor.machine.events import RunStarted, StopRequested
from reactor.machine.machine import Machine
from reactor.plan.compile import plan_of
from reactor.run import perform, runner
from reactor.run.runner import Runner
from reactor.run.site import Site
from reactor.run.slots import Slots

pytestmark = pytest.mark.anyio
COLOUR: ContextVar[str] = ContextVar("COLOUR", default="none")


class Sleeper(Reactor):
    """A step that sleeps, and an undo that does."""

    seconds: float = 60.0

    @step
    async def first(self) -> int:
        return 1

    @first.undo
    async def undo_first(self, value: int) -> None:
        await asyncio.sleep(self.seconds)

    @step(after=[first])
    async def output(self) -> int:
        await asyncio.sleep(self.seconds)
        return 1


def started(reactor, **options):
    """A runner of its own, with its first fact."""
    made = Runner(Site(), Machine(plan_of(type(reactor))), "it", **options)
    made.note(RunStarted(made.site.now(), "", inputs=reactor, settle=30.0))
    return made


# ---- lanes ------------------------------------------------------------------------------------------------------------


async def test_calls_that_suspend_are_concurrent():
    """Another lane opens when one of them lets go of the loop."""

    class Wide(Reactor):
        @map_over(list(range(100)), batch_size=100)
        async def output(self, one: int) -> int:
            await asyncio.sleep(60)
            return one

    loop = asyncio.get_running_loop()
    began = loop.time()
    assert len(await Wide()) == 100
    assert loop.time() - began == 60


async def test_the_task_of_a_call_is_never_the_runners():
    """Nor that of whoever awaits the run; concurrent calls have one each."""
    tasks = []

    class Wide(Reactor):
        @map_over([1, 2, 3])
        async def output(self, one: int) -> int:
            tasks.append(asyncio.current_task())
            await asyncio.sleep(1)
            tasks.append(asyncio.current_task())
            return one

    await Wide()
    assert len(set(tasks)) == 3
    assert asyncio.current_task() not in tasks
    assert sorted(map(id, tasks[:3])) == sorted(map(id, tasks[3:]))


async def test_contextvars_of_a_call_reach_no_other():
    """Neither the next one on its lane, nor its followers, nor whoever awaits; what was set before the run is seen."""
    seen = []

    class Paints(Reactor):
        @step
        async def a(self) -> None:
            seen.append(COLOUR.get())
            COLOUR.set("red")

        @step(after=[a])
        async def b(self) -> None:
            seen.append(COLOUR.get())
            await asyncio.sleep(1)
            COLOUR.set("blue")

        @step(after=[b])
        def output(self) -> None:
            seen.append(COLOUR.get())

    COLOUR.set("outside")
    await Paints()
    assert seen == ["outside"] * 3
    assert COLOUR.get() == "outside"


def test_a_run_of_many_steps_lets_the_loop_turn():
    """100,000 elements that never suspend: a heartbeat beside them goes on, at least every few hundredths of a second."""

    class Hungry(Reactor):
        @map_over(range(100_000), batch_size=20_000, in_flight=1)
        async def output(self, one: int) -> int:
            return one

    async def main():
        gaps, over = [], asyncio.Event()

        async def beat():
            last = time.perf_counter()
            while not over.is_set():
                await asyncio.sleep(0)
                now = time.perf_counter()
                gaps.append(now - last)
                last = now

        beating = asyncio.ensure_future(beat())
        assert (await Hungry()).succeeded == 100_000
        over.set()
        await beating
        return gaps

    gaps = asyncio.run(main())
    assert len(gaps) > 20
    assert max(gaps) < 1.0


async def test_a_slice_of_time_is_given_back(monkeypatch):
    """A lane keeps the loop for so long, and then lets others go first: a chain of quick steps is no exception."""
    monkeypatch.setattr(runner, "SLICE", -1.0)
    turns = 0

    class Chain(Reactor):
        @step
        async def a(self) -> int:
            return turns

        @step
        async def b(self, a: int = a.result) -> int:
            return turns - a

        @step
        async def output(self, b: int = b.result) -> int:
            return b

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    assert await Chain() >= 1
    counting.cancel()


async def test_a_cancel_that_comes_between_two_calls_of_a_lane_is_heard(monkeypatch):
    """What follows from it is decided before the lane begins another call."""
    monkeypatch.setattr(runner, "SLICE", -1.0)
    log, began = [], asyncio.Event()

    class Quick(Reactor):
        @step
        async def a(self) -> None:
            log.append("a")
            began.set()

        @step(after=[a])
        async def output(self) -> None:
            log.append("output")

    async with Engine() as engine:
        run = await engine.start(Quick())
        await began.wait()
        await run.cancel("now")
        await run.outcome()
    assert log == ["a"]


# ---- timers -----------------------------------------------------------------------------------------------------------


async def test_a_run_that_waits_holds_no_task():
    """A retry in an hour is a timer."""

    class Retried(Reactor):
        @step(retry=Retry(2, base=3600, max_wait=3600, jitter=False))
        async def output(self) -> int:
            if step_context().attempt == 1:
                raise OSError
            return 1

    before = len(asyncio.all_tasks())
    async with Engine() as engine:
        run = await engine.start(Retried())
        await asyncio.sleep(60)
        assert len(asyncio.all_tasks()) == before
        assert await run.result() == 1


async def test_the_earliest_of_several_timers_wakes_it():
    """Whatever order they were set in."""
    log = []
    loop = asyncio.get_running_loop()

    class Retried(Reactor):
        @step(retry=Retry(2, base=100, max_wait=100, jitter=False))
        async def late(self) -> None:
            log.append(loop.time())
            if len(log) < 3:
                raise OSError

        @step(retry=Retry(2, base=10, jitter=False))
        async def soon(self) -> None:
            log.append(loop.time())
            if len(log) < 3:
                raise OSError

        @step(after=[late, soon])
        async def output(self) -> int:
            return 1

    began = loop.time()
    await Retried()
    assert log == [began, began, began + 10, began + 100]


async def test_a_run_that_ended_keeps_no_timer():
    """Its deadline would keep it alive."""
    async with Engine() as engine:
        run = await engine.start(Sleeper(seconds=0.0), deadline=3600)
        await run.result()
        await asyncio.sleep(1)
        assert run._live.runner._timer is None
        assert run._live.runner.tasks == set()


async def test_a_run_that_ended_is_let_go_of():
    """Nothing but its engine holds it: neither the loop nor a task."""
    async with Engine(retention=0) as engine:
        run = await engine.start(Sleeper(seconds=1.0), deadline=3600)
        await run.result()
        gone = weakref.ref(run._live)
        await asyncio.sleep(1)
        await engine.find()
        del run
        gc.collect()
        assert gone() is None


# ---- what breaks ------------------------------------------------------------------------------------------------------


class Oops(Exception):
    """A mistake of ours, no author's."""


class Maps(Reactor, max_running=1):
    """One element; its name is asked for."""

    @map_over([1])
    async def output(self, one: int) -> str:
        return step_context().run_id


@pytest.fixture
def broken(monkeypatch):
    """Closing a map fails, so many times."""
    real, left = perform.PERFORM[perform.Close], []

    def close(*args):
        if left:
            left.pop()
            raise Oops
        return real(*args)

    monkeypatch.setitem(perform.PERFORM, perform.Close, close)
    return left


async def test_a_mistake_of_ours_is_told_to_whoever_waits(broken, caplog):
    """Instead of letting them wait for ever; it is logged, and nothing can be asked of the run any more."""
    broken.append(1)
    async with Engine() as engine:
        run = await engine.start(Maps(), id="m")
        with pytest.raises(Oops):
            await run.outcome()
        assert await run.status() == "stuck"
        with pytest.raises(WrongState, match="driver") as raised:
            await run.cancel("enough")
    assert raised.value.code == "driver-broke"
    assert "the driver of Maps:m broke" in caplog.text


async def test_whoever_awaits_a_reactor_is_told_too(broken):
    """It is no failure of a step's: what was raised is raised."""
    broken.append(1)
    with pytest.raises(Oops):
        await Maps()


async def test_a_mistake_of_ours_in_a_batch_breaks_the_run_around_it(monkeypatch):
    """At any depth: nobody waits for a batch alone."""
    real = runner.begin

    def begin(driver, *args):
        if driver.batch is not None:
            raise Oops
        return real(driver, *args)

    monkeypatch.setattr(runner, "begin", begin)
    async with Engine() as engine:
        with pytest.raises(Oops):
            await engine.run(Maps())


async def test_a_broken_run_makes_room_for_others(broken):
    """It counts no longer among those that are driven."""
    broken.append(1)
    async with Engine() as engine:
        first, second = await engine.start(Maps()), await engine.start(Maps())
        with pytest.raises(Oops):
            await first.outcome()
        assert (await second.result()).succeeded == 1


# ---- slots ------------------------------------------------------------------------------------------------------------


async def test_a_slot_that_was_handed_over_to_a_run_that_ends_comes_back():
    """It is cancelled in the same turn of the loop: nobody's slot is lost with it."""
    async with Engine(concurrency=1) as engine:
        holds = await engine.start(Sleeper(seconds=1.0))
        await asyncio.sleep(0.5)
        waits = await engine.start(Sleeper(seconds=1.0))
        await asyncio.sleep(0.5)
        await waits.cancel("in the very turn in which it gets its slot")
        await waits.outcome()
        await holds.outcome()
        assert engine._site.slots.free == 1
        assert (await asyncio.wait_for(engine.run(Sleeper(seconds=1.0)), 60)).value == 1


@pytest.mark.parametrize("when", [0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
async def test_every_slot_comes_back_whenever_runs_are_cancelled(when):
    """Some before they had one, some while they had, some while they undo."""
    async with Engine(concurrency=2) as engine:
        runs = [await engine.start(Sleeper(seconds=1.0)) for _ in range(6)]
        await asyncio.sleep(when)
        for run in runs[::2]:
            if await run.status() in ("queued", "running"):
                await run.cancel("enough")
        for run in runs:
            await run.outcome()
        assert engine._site.slots.free == 2


async def test_a_runner_without_slots_is_bound_by_nothing():
    """An awaited run."""
    alone = started(Sleeper())
    assert alone.slots is None
    assert alone.take_slot()
    assert alone.loan(None) is None


async def test_a_task_that_outlived_its_step_has_no_slot_to_lend():
    """It waits for a run like anybody outside."""
    kept = []
    async with Engine(concurrency=1) as engine:

        class Leaves(Reactor):
            @step
            async def output(self) -> int:
                async def later() -> int:
                    await asyncio.sleep(5)
                    return (await engine.run(Sleeper(seconds=1.0))).value + await Sleeper(seconds=1.0)

                kept.append(asyncio.ensure_future(later()))
                return 1

        assert (await engine.run(Leaves())).value == 1
        assert await kept[0] == 2
        assert engine._site.slots.free == 1


# ---- holding, telling, releasing ------------------------------------------------------------------------------------------


async def test_a_held_runner_takes_facts_and_drives_nothing():
    """Until what it waits for is done."""
    held = started(Sleeper(seconds=0.0))
    held.held = True
    held.pump()
    held.tell(StopRequested(held.site.now(), "", "cancel", "because"))
    await asyncio.sleep(1)
    assert held.machine.state.ended is None
    held.held = False
    held.pump()
    await held.end
    assert held.machine.state.ended == "cancelled"


async def test_a_batch_is_driven_by_a_fork():
    """With the run's name, slots and secrets; it has a record of its own, which nobody reads."""
    parent = started(Sleeper(), slots=Slots(3))
    parent.secrets = ("hush",)
    child = parent.fork(Machine(plan_of(Sleeper)), None)
    assert (child.run_id, child.slots, child.secrets, child.record) == ("it", parent.slots, ("hush",), None)


async def test_a_name_is_drawn_once_though_threads_ask():
    """A `def` step may ask in its thread."""
    drawn = []

    def draw():
        drawn.append(1)
        threading.Event().wait(0.01)
        return f"it:{len(drawn)}"

    lazy = Runner(Site(), Machine(plan_of(Sleeper)), draw)
    names = await asyncio.gather(*(asyncio.to_thread(lambda: lazy.run_id) for _ in range(5)))
    assert set(names) == {"it:1"}


async def test_a_run_that_is_let_go_of_ends_its_calls():
    """They are cancelled, and nothing is recorded of it: another process may go on."""
    ended = []
    facts = []

    class Waits(Reactor):
        @step
        async def output(self) -> int:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append(1)
            return 1

    runner = Runner(Site(), Machine(plan_of(Waits)), "it:1", record=facts.append)
    runner.tell(RunStarted(runner.site.now(), "", inputs=Waits()))
    await asyncio.sleep(1)
    await runner.release()
    assert ended == [1]
    assert [type(fact).__name__ for fact in facts] == ["RunStarted", "CallStarted"]


async def test_an_undo_is_never_cut_off():
    """An engine that closes waits for it; nor is a compensate."""
    log = []

    class Backwards(Reactor):
        @step
        async def first(self) -> int:
            return 1

        @first.undo
        async def undo_first(self, value: int) -> None:
            await asyncio.sleep(20)
            log.append("undone")

        @step(after=[first])
        async def output(self) -> int:
            raise OSError

    async with Engine() as engine:
        await engine.start(Backwards())
        await asyncio.sleep(1)
    assert log == ["undone"]


async def test_no_task_is_left_when_an_engine_closes():
    """Whatever was going on: calls, sources, retries, resources that open, cancels of the last moment."""

    async def slow():
        await asyncio.sleep(3600)

    class Opens(Reactor):
        @step
        async def output(self, it: None = use(slow)) -> int:
            return 1

    class Maps(Reactor):
        @map_over([1, 2, 3, 4], batch_size=1, in_flight=1, retry=Retry(3, base=60))
        async def output(self, one: int) -> int:
            raise OSError

    before = asyncio.all_tasks()
    async with Engine() as engine:
        for make in (Sleeper, Opens, Maps):
            await engine.start(make())
            cancelled = await engine.start(make())
            await asyncio.sleep(1)
            await cancelled.cancel("at the last moment")
    assert asyncio.all_tasks() == before


async def test_a_lane_that_somebody_cancelled_is_replaced():
    """By nobody of us: what it was at has failed, and the run goes on."""

    class Meddles(Reactor):
        @step
        async def victim(self) -> int:
            await asyncio.sleep(5)
            return 1

        @victim.compensate
        async def answer(self, error: StepError) -> Continue[int]:
            return Continue(2)

        @step
        async def output(self, victim: int = victim.result) -> int:
            return victim

    async with Engine() as engine:
        run = await engine.start(Meddles())
        await asyncio.sleep(1)
        for task in list(run._live.runner.tasks):
            task.cancel()
        assert await asyncio.wait_for(run.result(), 100) == 2


async def test_an_element_of_an_awaited_run_may_ask_for_its_name():
    """Which nobody has asked for yet: a batch asks the run around it."""
    [name] = await (await Maps()).all()
    assert name.startswith("Maps:")


def test_the_log_has_a_place_to_go():
    """The library's logger prints nothing by itself."""
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("reactor").handlers)
