"""One function an order: do it, and note what happened."""

import asyncio
import threading
from collections.abc import Awaitable
from contextlib import asynccontextmanager

import pytest

from reactor import Cancelled, Engine, Failed, Halt, Reactor, Results, Retry, StepError, map_over, step, use
from reactor.run.slots import Slots

pytestmark = pytest.mark.anyio


async def ran(reactor, **options):
    """Its outcome and the kinds of its events."""
    async with Engine(**options) as engine:
        run = await engine.start(reactor)
        outcome = await run.outcome()
        return outcome, [(event.kind, event.address) async for event in run.events()]


# ---- beginning --------------------------------------------------------------------------------------------------------


async def test_a_plain_def_may_return_something_to_await():
    """Its annotation says so: it is called on the loop, and what it returned is awaited."""

    class Returns(Reactor):
        @step
        def first(self) -> Awaitable[int]:
            return asyncio.ensure_future(asyncio.sleep(1, 5))

        @step
        def output(self, first: int = first.result) -> Awaitable[int]:
            return first

    outcome, _ = await ran(Returns())
    assert isinstance(outcome, Failed)
    assert (outcome.step, outcome.error.kind) == ("output", "TypeError")


class Order:
    """What a path leads through."""

    def __init__(self, total):
        self.total = total

    @property
    def hostile(self):
        """Raises whatever it was made with."""
        raise self.total


@pytest.mark.parametrize("total", [ValueError("no total"), Halt("stop"), SystemExit(3)], ids=repr)
async def test_a_path_that_leads_nowhere_fails_its_step(total):
    """By way of an author's property: the step never began, so it is not compensated, and a Halt in it is no Halt."""
    log = []

    class Reads(Reactor):
        @step
        async def order(self) -> Order:
            return Order(total)

        @order.undo
        async def undo_order(self, order: Order) -> None:
            log.append("undone")

        @step
        async def output(self, total: object = order.result.hostile) -> int:
            return 1

        @output.compensate
        async def answer(self, error: StepError) -> None:
            log.append("compensated")

    outcome, kinds = await ran(Reads())
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert log == ["undone"]
    assert ("call_started", "output") not in kinds


async def test_what_never_lets_go_of_the_loop_is_over_at_once():
    """It costs no task and no turn of the loop."""
    tasks = set()

    class Quick(Reactor):
        @step
        async def a(self) -> None:
            tasks.add(asyncio.current_task())

        @step(after=[a])
        async def b(self) -> None:
            tasks.add(asyncio.current_task())

        @step(after=[b])
        async def output(self) -> int:
            tasks.add(asyncio.current_task())
            return len(tasks)

    assert await Quick() == 1


async def test_what_is_no_coroutine_is_awaited_too():
    """A future, a task: an author's function that returns one."""

    class Returns(Reactor):
        @step
        async def a(self) -> int:
            return 1

        @step
        async def output(self, a: int = a.result) -> int:
            return await asyncio.ensure_future(asyncio.sleep(1, a))

    assert await Returns() == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit(), asyncio.CancelledError("by itself")], ids=repr)
@pytest.mark.parametrize("waits", [0, 1], ids=["at once", "later"])
async def test_whatever_a_step_raises_is_its_failure(error, waits):
    """It takes down neither the run nor the loop."""

    class Raises(Reactor):
        @step
        async def output(self) -> int:
            if waits:
                await asyncio.sleep(waits)
            raise error

    outcome, _ = await ran(Raises())
    assert isinstance(outcome, Failed)
    assert outcome.error.kind == type(error).__name__


async def test_a_call_waits_for_its_resources_without_having_begun():
    """Its timeout begins with the call; a cancel meanwhile finds nothing to compensate."""
    log = []

    @asynccontextmanager
    async def slow():
        await asyncio.sleep(60)
        yield "it"

    class Uses(Reactor):
        @step(timeout=5)
        async def output(self, it: str = use(slow)) -> str:
            log.append("called")
            return it

        @output.compensate
        async def answer(self, error: StepError) -> None:
            log.append("compensated")

    outcome, _ = await ran(Uses())
    assert outcome.value == "it"
    assert log == ["called"]
    log.clear()
    async with Engine() as engine:
        run = await engine.start(Uses())
        await asyncio.sleep(1)
        await run.cancel("enough")
        assert isinstance(await run.outcome(), Cancelled)
    assert log == []


async def test_a_call_whose_slot_was_taken_while_its_resource_opened_waits_again():
    """It begins later, once."""
    now, most = 0, 0

    @asynccontextmanager
    async def slow():
        await asyncio.sleep(1)
        yield "it"

    class Uses(Reactor):
        @step
        async def output(self, it: str = use(slow)) -> str:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(1)
            now -= 1
            return it

    async with Engine(concurrency=1) as engine:
        runs = [await engine.start(Uses()) for _ in range(4)]
        for run in runs:
            assert await run.result() == "it"
            assert [event.kind async for event in run.events()].count("call_started") == 1
    assert most == 1


async def test_the_resources_of_an_undo_are_opened_for_it():
    """And its timeout and attempts are its own."""
    log = []

    def pool():
        log.append("opened")
        return "pool"

    class Uses(Reactor):
        @step
        async def first(self) -> int:
            return 1

        @first.undo(timeout=5, retry=Retry(2, base=1, jitter=False))
        async def undo_first(self, value: int, db: str = use(pool)) -> None:
            log.append(db)
            if len(log) == 2:
                await asyncio.sleep(60)

        @step(after=[first])
        async def output(self) -> int:
            raise ValueError

    outcome, _ = await ran(Uses())
    assert list(outcome.rollback_failures) == []
    assert log == ["opened", "pool", "pool"]


# ---- threads -----------------------------------------------------------------------------------------------------------


async def test_a_plain_def_runs_in_a_private_thread():
    """The loop goes on; a cancelled one ends when its thread does."""
    release, threads = threading.Event(), []

    class Threaded(Reactor):
        @step
        def work(self) -> str:
            threads.append(threading.current_thread().name)
            release.wait(5)
            return "done"

        @step
        async def beside(self) -> None:
            release.set()

        @step(after=[beside])
        async def output(self, work: str = work.result) -> str:
            return work

    assert await Threaded() == "done"
    assert threads[0].startswith("reactor")


async def test_more_plain_defs_than_threads():
    """Each begins when it has a thread: its timeout counts from there, not from when it stood in a queue."""
    began = threading.Semaphore(0)
    gate = threading.Event()

    class Many(Reactor):
        @map_over(list(range(80)), batch_size=80, timeout=1.0)
        async def output(self, one: int) -> int:
            return one

    class ManyThreads(Reactor):
        number: int

        @step(timeout=30)
        def output(self) -> int:
            began.release()
            gate.wait(5)
            return self.number

    async with Engine() as engine:
        runs = [await engine.start(ManyThreads(number=number)) for number in range(50)]
        assert await asyncio.to_thread(began.acquire, timeout=5)
        gate.set()
        assert [await run.result() for run in runs] == list(range(50))
        assert engine._site.thread_slots.free > 0
    assert len(await Many()) == 80


async def test_plain_defs_and_others_take_turns():
    """Each needs a slot and a thread, and holds neither while it waits for the other; everything comes back."""

    def slow():
        return "it"

    class Mixed(Reactor):
        @map_over(list(range(5)), batch_size=2)
        async def some(self, one: int) -> int:
            await asyncio.sleep(1)
            return one

        @step
        def plain(self, it: str = use(slow)) -> int:
            return 1

        @step(after=[some, plain])
        def output(self) -> int:
            return 2

    async with Engine(concurrency=1) as engine:
        engine._site.thread_slots = Slots(1)
        runs = [await engine.start(Mixed()) for _ in range(10)]
        await asyncio.sleep(2.5)
        await runs[4].cancel("enough")
        for run in runs:
            await run.outcome()
        assert [await run.status() for run in runs].count("succeeded") == 9
        assert (engine._site.slots.free, engine._site.thread_slots.free) == (1, 1)


async def test_a_thread_that_times_out_is_recorded_when_it_is_back():
    """Nothing else of that address starts before."""
    release, log = threading.Event(), []

    class Threaded(Reactor):
        @step(timeout=0.05, retry=Retry(2, base=0.001, jitter=False))
        def output(self) -> int:
            log.append("began")
            threading.Event().wait(0.1)
            log.append("ended")
            return 1

    outcome, _ = await ran(Threaded())
    release.set()
    assert outcome.error.is_a(TimeoutError)
    assert log == ["began", "ended"] * 2


# ---- ending a call --------------------------------------------------------------------------------------------------------


async def test_a_step_that_cancels_its_own_run_is_cancelled():
    """As soon as it lets go of the loop, not when the run has run out of patience."""
    async with Engine() as engine:

        class Suicidal(Reactor):
            @step
            async def output(self) -> int:
                run = await engine.get(Suicidal, "s")
                await run.cancel("by myself")
                await asyncio.sleep(3600)
                return 1

        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome = await engine.run(Suicidal(), id="s")
    assert outcome.reason == "by myself"
    assert loop.time() == began


async def test_a_step_that_cancels_its_own_run_and_returns_has_succeeded():
    """Its value came all the same: it is undone."""
    undone = []
    async with Engine() as engine:

        class Suicidal(Reactor):
            @step
            async def output(self) -> int:
                await (await engine.get(Suicidal, "s")).cancel("by myself")
                return 7

            @output.undo
            async def undo_output(self, value: int) -> None:
                undone.append(value)

        assert isinstance(await engine.run(Suicidal(), id="s"), Cancelled)
    assert undone == [7]


async def test_a_cancelled_call_may_clean_up():
    """It is awaited; what it raised then is told as the cause."""

    class Cleans(Reactor):
        @step
        async def output(self) -> int:
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(5)
                raise OSError("cleanup failed")
            return 1

    async with Engine() as engine:
        run = await engine.start(Cleans())
        await asyncio.sleep(1)
        await run.cancel("enough")
        outcome = await run.outcome()
        [failure] = [event.detail["failure"] async for event in run.events() if event.kind == "call_failed"]
    assert isinstance(outcome, Cancelled)
    assert failure["kind"] == "StepCancelled"


@pytest.mark.parametrize("waits", [False, True], ids=["returns", "suspends"])
async def test_a_step_that_cancels_its_own_task_strikes_nobody_else(waits):
    """Neither at once nor later: the next call of its lane never feels it."""

    class Odd(Reactor):
        @step
        async def a(self) -> int:
            asyncio.current_task().cancel()
            if waits:
                await asyncio.sleep(1)
            return 1

        @step
        async def b(self) -> int:
            await asyncio.sleep(2)
            return 2

        @step
        async def output(self, b: int = b.result) -> int:
            return b

    _, kinds = await ran(Odd())
    assert ("call_succeeded", "b") in kinds


# ---- other orders ----------------------------------------------------------------------------------------------------------


async def test_an_elements_output_that_cannot_be_kept_fails_the_element():
    """It is undone, and the map fails: where it came from is the child's output."""
    undone = []

    class Leaf(Reactor):
        @step
        async def output(self) -> int:
            return "text"

        @output.undo
        async def undo_output(self, value: int) -> None:
            undone.append(value)

    class Maps(Reactor):
        @map_over([1])
        async def output(self, one: int) -> Leaf:
            return Leaf()

    outcome, _ = await ran(Maps())
    assert outcome.error.failure.code == "result-not-storable"
    assert outcome.step == "output[0].output"
    assert undone == ["text"]


async def test_an_element_may_leave_the_results_of_a_map():
    """They are kept as they are."""

    class Leaf(Reactor):
        one: int

        @map_over([1, 2])
        async def output(self, two: int) -> int:
            return self.one * two

    class Maps(Reactor):
        @map_over([10, 20])
        async def some(self, one: int) -> Leaf:
            return Leaf(one=one)

        @step
        async def output(self, some: Results[Results[int]] = some.result) -> list[list[int]]:
            return [await inner.all() async for inner in some]

    assert await Maps() == [[10, 20], [20, 40]]


async def test_the_deadline_ends_the_forward_phase():
    """What is in flight is cancelled; the rollback has none."""
    log = []

    class Late(Reactor):
        @step
        async def first(self) -> int:
            return 1

        @first.undo
        async def undo_first(self, value: int) -> None:
            await asyncio.sleep(3600)
            log.append("undone")

        @step(after=[first])
        async def output(self) -> int:
            await asyncio.sleep(3600)
            return 1

    async with Engine() as engine:
        outcome = await engine.run(Late(), deadline=10)
    assert outcome.error.is_a(TimeoutError)
    assert log == ["undone"]
