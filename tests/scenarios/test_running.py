"""Running, case by case: any asyncio inside a step, threads, contexts, resources, slots, and awaiting in a task that is cancelled."""

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import pytest

from reactor import (
    Ask,
    Engine,
    Failed,
    NeedsEngine,
    Reactor,
    ReactorError,
    Results,
    StepError,
    Succeeded,
    compose,
    interrupt,
    map_over,
    step,
    step_context,
    use,
)
from tests.scenarios.world import Boom, act, act_in_thread, compensate, engine, now, turns, undo, until, world

pytestmark = pytest.mark.anyio


# ---- any asyncio is legal -------------------------------------------------------------------------------------------


class AnyAsyncio(Reactor):
    @step
    async def timeouts(self) -> str:
        try:
            async with asyncio.timeout(5):
                await asyncio.sleep(60)
        except TimeoutError:
            return "timed out"
        return "never"

    @step
    async def groups(self) -> int:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(act(f"task {n}", n)) for n in range(3)]
        return sum(task.result() for task in tasks)

    @step
    async def anyios(self) -> str:
        with anyio.move_on_after(3) as scope:
            await anyio.sleep(60)
        async with anyio.create_task_group() as group:
            group.start_soon(act, "in anyio")
        return "moved on" if scope.cancelled_caught else "never"

    @step
    async def cancels_its_own(self) -> bool:
        task = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return task.cancelled()

    @step
    async def output(
        self, a: str = timeouts.result, b: int = groups.result, c: str = anyios.result, d: bool = cancels_its_own.result
    ) -> tuple[str, int, str, bool]:
        return a, b, c, d


async def test_any_asyncio_is_legal_inside_a_step(mode):
    """Timeouts, task groups, anyio's scopes and a step's own cancellations, all at once and side by side."""
    outcome = await mode(AnyAsyncio())
    assert isinstance(outcome, Succeeded)
    assert tuple(outcome.value) == ("timed out", 3, "moved on", True)
    assert now() == pytest.approx(5)


async def test_many_steps_in_sequence_keep_their_timeouts_apart(mode):
    """`asyncio.timeout` in one step ends with it: it cannot strike a later step that the same task happens to perform."""

    class Chain(Reactor):
        @step
        async def first(self) -> int:
            async with asyncio.timeout(5):
                await asyncio.sleep(0)
                return 1

        @step
        async def second(self, first: int = first.result) -> int:
            await asyncio.sleep(10)
            return first

        @step
        async def output(self, second: int = second.result) -> int:
            async with asyncio.timeout(5):
                await asyncio.sleep(1)
            return second

    assert (await mode(Chain())).value == 1


async def test_current_task_is_never_the_runners(mode):
    """A step that cancels its `current_task()` fails as a cancelled call does; the run ends, and its waiter is not cancelled."""

    class Suicidal(Reactor):
        @step
        async def first(self) -> str:
            return await act("first")

        @first.undo
        async def undo_first(self, value: str) -> None:
            await undo("first")

        @step
        async def output(self, first: str = first.result) -> str:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(1)
            return "never"

    outcome = await mode(Suicidal())
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert world.undone == ["first"]


# ---- contexts ---------------------------------------------------------------------------------------------------------

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


class Contexts(Reactor):
    @step
    async def sets(self) -> str:
        seen = who.get()
        who.set("sets")
        await asyncio.sleep(1)
        return seen

    @step
    async def beside(self) -> str:
        await asyncio.sleep(0.5)
        return who.get()

    @step
    async def after(self, sets: str = sets.result) -> str:
        return who.get()

    @step
    def in_thread(self, sets: str = sets.result) -> str:
        seen = who.get()
        who.set("thread")
        return seen

    @map_over([1, 2, 3], batch_size=2)
    async def each(self, n: int) -> str:
        seen = who.get()
        who.set(f"each {n}")
        await asyncio.sleep(0)
        return seen

    @step
    async def output(
        self,
        sets: str = sets.result,
        beside: str = beside.result,
        after: str = after.result,
        thread: str = in_thread.result,
        each: Results[str] = each.result,
    ) -> list[str]:
        return [sets, beside, after, thread, *await each.all()]


async def test_contextvars_reach_no_other_call(mode):
    """What a step sets is gone for every other call; what the caller had set is seen by all."""
    token = who.set("caller")
    outcome = await mode(Contexts())
    who.reset(token)
    assert isinstance(outcome, Succeeded)
    assert set(outcome.value) == {"caller"}


async def test_contextvars_do_not_leak_to_the_caller():
    """Nor to whoever awaited."""
    await Contexts()
    assert who.get() == "nobody"


async def test_a_contextvar_lives_through_a_call(mode):
    """Within a call a variable stays set over awaits."""

    class Keeps(Reactor):
        @step
        async def output(self) -> str:
            who.set("me")
            await asyncio.sleep(1)
            await turns(3)
            return who.get()

    assert (await mode(Keeps())).value == "me"


# ---- def steps -------------------------------------------------------------------------------------------------------


class Threads(Reactor):
    @step
    def here(self) -> str:
        return threading.current_thread().name

    @step
    def fails(self, here: str = here.result) -> str:
        return act_in_thread("thread", here)

    @step
    async def output(self, name: str = fails.result) -> bool:
        return name != threading.main_thread().name


async def test_def_steps_run_in_threads(mode):
    """A plain `def` is not run on the loop's thread; its result and its failure are like any other's."""
    assert (await mode(Threads())).value is True
    world.fails("thread", Boom("in a thread"))
    outcome = await mode(Threads())
    assert isinstance(outcome, Failed)
    assert outcome.step == "fails"
    assert outcome.error.is_a(Boom)


async def test_def_steps_run_at_once(mode):
    """Two of them that wait for each other get two threads."""
    barrier = threading.Barrier(2, timeout=10)

    class Pair(Reactor):
        @step
        def left(self) -> int:
            return int(barrier.wait() >= 0)

        @step
        def right(self) -> int:
            return int(barrier.wait() >= 0)

        @step
        async def output(self, left: int = left.result, right: int = right.result) -> int:
            return left + right

    assert (await mode(Pair())).value == 2


async def test_a_def_step_that_times_out(mode):
    """It is recorded when its thread returns; nothing of that address starts before; `cancelled` lets it stop early."""
    returned = threading.Event()

    class Stubborn(Reactor):
        @step(timeout=0.05)
        def output(self) -> str:
            context = step_context()
            while not context.cancelled:
                time.sleep(0.001)
            time.sleep(0.02)
            returned.set()
            return "too late"

        @output.compensate
        async def drop(self, error: StepError) -> None:
            world.note("returned before", str(returned.is_set()))
            assert error.is_a(TimeoutError)

    outcome = await mode(Stubborn())
    assert isinstance(outcome, Failed)
    assert outcome.error.is_a(TimeoutError)
    assert world.names("returned before") == ["True"]


async def test_an_async_def_behind_a_plain_def(mode):
    """A step context is found in the thread, too."""

    class Knows(Reactor):
        @step
        def output(self) -> str:
            return step_context().address

    assert (await mode(Knows())).value == "output"


# ---- awaiting --------------------------------------------------------------------------------------------------------


class Approved(Reactor):
    @step
    async def price(self) -> int:
        return await act("price", 1)

    @interrupt
    async def approval(self, price: int = price.result) -> Ask[bool]:
        return Ask("key")

    @step
    async def output(self, ok: bool = approval.result) -> bool:
        return ok


class InAChild(Reactor):
    @step
    async def before(self) -> str:
        return await act("before")

    @compose
    async def child(self, before: str = before.result) -> Approved:
        return Approved()

    @step
    async def output(self, child: bool = child.result) -> bool:
        return child


@pytest.mark.parametrize("kind", [Approved, InAChild])
async def test_awaiting_what_can_park_is_refused(kind):
    """Before anything begins, with the name of the interrupt; in a child, too."""
    with pytest.raises(NeedsEngine) as caught:
        await kind()
    assert "approval" in str(caught.value)
    assert world.began == []


class Long(Reactor):
    @step
    async def first(self) -> str:
        return await act("first")

    @first.undo
    async def undo_first(self, value: str) -> None:
        await undo("first")

    @step
    async def second(self, first: str = first.result) -> str:
        return await act("second")

    @second.compensate
    async def drop_second(self, error: StepError) -> None:
        world.note("error", error.kind)
        await compensate("second")

    @step
    async def output(self, second: str = second.result) -> str:
        return await act("output")


async def test_cancelling_the_awaiting_task_rolls_back():
    """Calls in flight are cancelled and compensated, what succeeded is undone under shield, then the cancellation goes on."""
    world.takes("second", 60)
    world.takes("undo first", 3)
    world.takes("compensate second", 2)
    task = asyncio.ensure_future(_await(Long()))
    await until(lambda: "second" in world.began)
    task.cancel()
    await asyncio.sleep(1)
    task.cancel()  # a second one does not break the shield
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.names("cancelled") == ["second"]
    assert world.names("error") == ["StepCancelled"]
    assert world.compensated == ["second"]
    assert world.undone == ["first"]
    assert "output" not in world.began


async def _await(reactor: Reactor) -> object:
    return await reactor  # type: ignore[misc]


async def test_an_asyncio_timeout_around_an_await_rolls_back():
    """The caller's own timeout is such a cancellation, and comes out as its `TimeoutError`."""
    world.takes("second", 60)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await Long()
    assert world.undone == ["first"]


async def test_an_anyio_scope_around_an_await_rolls_back():
    """Anyio's scopes cancel again and again; rollback is finished all the same, and the scope ends as it should."""
    world.takes("second", 60)
    world.takes("undo first", 3)
    with anyio.move_on_after(5) as scope:
        await Long()
    assert scope.cancelled_caught
    assert world.undone == ["first"]
    assert now() == pytest.approx(8)


async def test_a_task_group_around_an_await_rolls_back():
    """A sibling's failure cancels the awaiting task; the group raises that failure when the rollback is done."""
    world.takes("second", 60)

    async def sibling() -> None:
        await asyncio.sleep(1)
        raise Boom("sibling")

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(_await(Long()))
            group.create_task(sibling())

    with pytest.raises(ExceptionGroup) as caught:
        await both()
    assert caught.group_contains(Boom)
    assert world.undone == ["first"]


async def test_cancelling_the_waiter_of_an_engines_run_only_stops_waiting():
    """A client that goes away does not take the run along."""
    world.takes("second", 60)
    async with engine() as eng:
        run = await eng.start(Long(), id="l")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await run.result()
        with pytest.raises(TimeoutError):
            await run.result(timeout=5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await eng.run(Long(), id="l")
        assert await run.status() == "running"
        assert await run.result() == "output"
    assert world.undone == []
    assert world.began == ["first", "second", "output"]


async def test_awaiting_twice_is_two_runs():
    """An awaited reactor is kept nowhere: the same object awaited again is another run."""
    reactor = Long()
    assert await reactor == "output"
    assert await reactor == "output"
    assert world.began == ["first", "second", "output"] * 2


async def test_awaiting_under_gather():
    """Many at once do not mix."""

    class Echo(Reactor):
        n: int

        @step
        async def first(self) -> int:
            await asyncio.sleep(1)
            return self.n

        @step
        async def output(self, first: int = first.result) -> int:
            return first

    assert await asyncio.gather(*(_await(Echo(n=n)) for n in range(50))) == list(range(50))
    assert now() == pytest.approx(1)


# ---- awaited inside a step ----------------------------------------------------------------------------------------


class Inner(Reactor):
    @step
    async def a(self) -> str:
        return await act("inner a")

    @a.undo
    async def undo_a(self, value: str) -> None:
        await undo("inner a")

    @step
    async def output(self, a: str = a.result) -> str:
        return await act("inner output")


class Awaits(Reactor):
    @step
    async def first(self) -> str:
        return await Inner()

    @step
    async def output(self, first: str = first.result) -> str:
        return await act("output", first)


async def test_awaited_inside_a_step_is_no_part_of_that_saga():
    """A later failure of the outer run does not undo what the awaited one did."""
    world.fails("output", Boom("late"))
    async with engine() as eng:
        outcome = await eng.run(Awaits())
    assert isinstance(outcome, Failed)
    assert world.undone == []


async def test_debug_warns_of_it():
    """`debug=True` says which reactor is awaited inside which step; without it nothing is said."""
    async with Engine("memory://", debug=True) as eng:
        with pytest.warns(match="Inner.*first"):
            assert isinstance(await eng.run(Awaits()), Succeeded)
    async with engine() as eng:
        assert isinstance(await eng.run(Awaits()), Succeeded)


# ---- one slot --------------------------------------------------------------------------------------------------------


class Leaf(Reactor):
    n: int

    @step
    async def a(self) -> int:
        return await act(f"leaf a {self.n}", self.n)

    @step
    async def b(self) -> int:
        return await act(f"leaf b {self.n}", self.n)

    @step
    async def output(self, a: int = a.result, b: int = b.result) -> int:
        return a + b


class Branch(Reactor):
    @compose
    async def child(self) -> Leaf:
        return Leaf(n=1)

    @map_over([1, 2, 3], batch_size=2, in_flight=2)
    async def leaves(self, n: int) -> Leaf:
        return Leaf(n=n)

    @step
    async def awaits(self) -> int:
        return await Leaf(n=5)

    @step
    def thread(self) -> int:
        return 1

    @step
    async def output(
        self, child: int = child.result, leaves: Results[int] = leaves.result, awaited: int = awaits.result, thread: int = thread.result
    ) -> int:
        return child + sum(await leaves.all()) + awaited + thread


class Tree(Reactor):
    @map_over([1, 2, 3])
    async def branches(self, n: int) -> Branch:
        return Branch()

    @compose
    async def branch(self) -> Branch:
        return Branch()

    @step
    async def output(self, branches: Results[int] = branches.result, branch: int = branch.result) -> int:
        return sum(await branches.all()) + branch


@pytest.mark.parametrize("slots", [1, 2, 1000])
async def test_nesting_cannot_deadlock_on_slots(slots):
    """Maps, children, maps of children and reactors awaited inside steps, all through one slot."""
    world.takes("leaf a 2", 1)
    async with Engine("memory://", concurrency=slots) as eng:
        outcome = await eng.run(Tree())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == 4 * (2 + 12 + 10 + 1)


async def test_concurrency_bounds_calls_in_flight():
    """No more calls are in flight than there are slots, over all runs; undos, too, take one."""

    class Ten(Reactor):
        @map_over(list(range(10)))
        async def each(self, n: int) -> int:
            return await act(f"each {n}", n)

        @each.undo
        async def undo_each(self, value: int) -> None:
            await undo(f"each {value}")

        @step
        async def output(self, each: Results[int] = each.result) -> int:
            return await act("output")

    for n in range(10):
        world.takes(f"each {n}", 1)
        world.takes(f"undo each {n}", 1)
    world.always_fails("output", Boom("late"))
    async with Engine("memory://", concurrency=3) as eng:
        outcomes = await asyncio.gather(*(eng.run(Ten()) for _ in range(3)))
    assert all(isinstance(outcome, Failed) for outcome in outcomes)
    assert world.most_running == 3
    assert now() == pytest.approx(20, abs=3)


# ---- resources -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def pool() -> AsyncIterator[str]:
    """A resource with a life."""
    world.note("opened", "pool")
    yield "pool"
    world.note("closed", "pool")


@contextmanager
def file() -> Iterator[str]:
    """One of the other kind."""
    world.note("opened", "file")
    yield "file"
    world.note("closed", "file")


async def client() -> str:
    """One that is awaited."""
    world.note("opened", "client")
    return "client"


def constant() -> str:
    """One that is called."""
    world.note("opened", "constant")
    return "constant"


async def broken() -> str:
    """One that does not open."""
    raise Boom("will not open")


class Uses(Reactor):
    @step
    async def first(self, a: str = use(pool), b: str = use(file), c: str = use(client), d: str = use(constant)) -> list[str]:
        return [a, b, c, d]

    @first.undo
    async def undo_first(self, value: list[str], a: str = use(pool)) -> None:
        await undo(f"first with {a}")

    @step
    async def output(self, first: list[str] = first.result, a: str = use(pool)) -> list[str]:
        return await act("output", [*first, a])


OPENED = ["pool", "file", "client", "constant"]


async def test_resources_live_for_an_awaited_run():
    """Opened when first needed, once a run, closed at its end, in reverse."""
    assert await Uses() == [*OPENED, "pool"]
    assert sorted(world.names("opened")) == sorted(OPENED)
    assert sorted(world.names("closed")) == ["file", "pool"]


async def test_resources_live_for_the_engine():
    """Opened once an engine, whoever asks and how many at once; closed with it."""
    async with engine() as eng:
        await asyncio.gather(*(eng.run(Uses()) for _ in range(5)))
        assert sorted(world.names("opened")) == sorted(OPENED)
        assert world.names("closed") == []
    assert sorted(world.names("closed")) == ["file", "pool"]


async def test_resources_are_open_during_rollback(mode):
    """An undo gets what it asks for."""
    world.fails("output", Boom("late"))
    await mode(Uses())
    assert world.undone == ["first with pool"]


async def test_resources_can_be_replaced():
    """`resources=` of an engine gives another in its place."""

    def fake() -> str:
        return "fake"

    async with Engine("memory://", resources={pool: fake}) as eng:
        outcome = await eng.run(Uses())
    assert outcome.value == ["fake", "file", "client", "constant", "fake"]
    assert "pool" not in world.names("opened")


class UsesBroken(Reactor):
    @step
    async def before(self) -> str:
        return await act("before")

    @before.undo
    async def undo_before(self, value: str) -> None:
        await undo("before")

    @step
    async def output(self, before: str = before.result, broken: str = use(broken)) -> str:
        return await act("output")

    @output.compensate
    async def drop(self, error: StepError) -> None:
        await compensate("output")


async def test_a_resource_that_does_not_open_fails_its_step(mode):
    """The step never began: it is not compensated; what came before is undone."""
    outcome = await mode(UsesBroken())
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert outcome.error.is_a(Boom)
    assert world.began == ["before"]
    assert world.compensated == []
    assert world.undone == ["before"]


# ---- a step's own code -------------------------------------------------------------------------------------------


async def test_calling_a_step_inside_a_running_step_is_an_error(mode):
    """`self.first(...)` in a step would run unrecorded: it is refused."""

    class Calls(Reactor):
        @step
        async def first(self) -> str:
            return await act("first")

        @step
        async def output(self) -> str:
            return await self.first()

    outcome = await mode(Calls())
    assert isinstance(outcome, Failed)
    assert outcome.error.is_a(ReactorError)
    assert "first" in outcome.error.message
    assert world.began.count("first") == 1
