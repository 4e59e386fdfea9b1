"""One call of an author's code: in a context of its own, on whichever task awaits it, or in a thread."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context

import pytest

from reactor.run.calls import Flight, InContext, as_coroutine, in_thread

pytestmark = pytest.mark.anyio
COLOUR: ContextVar[str] = ContextVar("COLOUR", default="none")


def begun(coro):
    """A coroutine as a lane has it: begun in a context of its own, waiting for its first future."""
    context = copy_context()
    return InContext(coro, context, context.run(coro.send, None)), context


# ---- in a context ------------------------------------------------------------------------------------------------------


async def test_contextvars_that_a_call_sets_are_its_own():
    """Before and after every wait; the task that awaits it never sees them."""
    seen = []

    async def call():
        COLOUR.set("red")
        await asyncio.sleep(1)
        seen.append(COLOUR.get())
        COLOUR.set("blue")
        await asyncio.sleep(1)
        seen.append(COLOUR.get())
        return 7

    waiting, context = begun(call())
    assert await waiting == 7
    assert seen == ["red", "blue"]
    assert COLOUR.get() == "none"
    assert context[COLOUR] == "blue"


async def test_a_call_that_fails_raises():
    """What it raised, with its own traceback."""

    async def call():
        await asyncio.sleep(1)
        raise ValueError("it")

    waiting, _ = begun(call())
    with pytest.raises(ValueError, match="it") as raised:
        await waiting
    assert raised.traceback[-1].name == "call"


async def test_a_cancellation_reaches_the_call():
    """It is thrown in where the call waits; it may clean up, in its own context, and wait for that."""
    log = []

    async def call():
        COLOUR.set("red")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            log.append(COLOUR.get())
            raise

    waiting, _ = begun(call())

    async def lane():
        await waiting

    task = asyncio.ensure_future(lane())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["red"]


async def test_a_call_may_swallow_its_cancellation():
    """Its value counts then."""

    async def call():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "all the same"

    waiting, _ = begun(call())

    async def lane():
        return await waiting

    task = asyncio.ensure_future(lane())
    await asyncio.sleep(1)
    task.cancel()
    assert await task == "all the same"


async def test_asyncios_own_tools_work_in_a_call():
    """`timeout`, task groups and `current_task` find the task that awaits."""

    async def call():
        async with asyncio.timeout(1):
            await asyncio.sleep(0.5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.sleep(60)
        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(asyncio.sleep(1, part)) for part in (1, 2)]
        return asyncio.current_task(), [part.result() for part in parts]

    async def lane():
        waiting, _ = begun(call())
        return await waiting

    task = asyncio.ensure_future(lane())
    assert await task == (task, [1, 2])


async def test_a_bare_yield_to_the_loop_is_a_wait():
    """`sleep(0)` yields no future."""

    async def call():
        await asyncio.sleep(0)
        return 3

    waiting, _ = begun(call())
    assert await waiting == 3


async def test_an_awaitable_that_is_no_coroutine_is_made_one():
    """A future, or an object with `__await__`."""

    class Later:
        def __await__(self):
            yield from asyncio.sleep(1).__await__()
            return 5

    assert await as_coroutine(Later()) == 5
    future = asyncio.get_running_loop().create_future()
    future.set_result(6)
    assert await as_coroutine(future) == 6


async def test_what_cannot_be_awaited_is_the_authors_mistake():
    """The error says so when the call is driven."""
    with pytest.raises(TypeError, match="can't be used in 'await' expression"):
        await as_coroutine(3)


# ---- in a thread -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pool():
    """Threads of our own."""
    with ThreadPoolExecutor(2) as made:
        yield made


async def test_a_plain_function_runs_in_a_thread_with_the_calls_context(pool):
    """It sees the contextvars of its call, and sets none of anybody else's."""
    context = copy_context()
    context.run(COLOUR.set, "red")

    def work(more):
        seen = COLOUR.get()
        COLOUR.set("blue")
        return seen + more, threading.current_thread()

    value, thread = await in_thread(asyncio.get_running_loop(), pool, context, work, ("!",))
    assert value == "red!"
    assert thread is not threading.current_thread()
    assert COLOUR.get() == "none"


@pytest.mark.parametrize("error", [ValueError("it"), KeyboardInterrupt(), SystemExit(2)], ids=repr)
async def test_what_a_thread_raises_is_raised(pool, error):
    """What would otherwise end a thread, too."""

    def work():
        raise error

    with pytest.raises(Caught) as raised:
        await _catching(in_thread(asyncio.get_running_loop(), pool, copy_context(), work, ()))
    assert raised.value.args[0] is error


async def test_a_thread_may_raise_what_a_future_refuses(pool):
    """StopIteration is told as asyncio tells it of a coroutine; nothing waits for ever."""

    def work():
        return next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"):
        await in_thread(asyncio.get_running_loop(), pool, copy_context(), work, ())


class Caught(Exception):
    """Carries what a coroutine cannot raise."""


async def _catching(awaitable):
    steps = awaitable.__await__()
    try:
        future = next(steps)
        while True:
            try:
                await asyncio.wait([future])
                future = steps.send(None)
            except asyncio.CancelledError as error:
                future = steps.throw(error)
    except BaseException as error:
        raise Caught(error) from error


async def test_a_cancellation_waits_for_the_thread(pool):
    """What it does is not over before: however often it is cancelled, it ends when the thread is back."""
    started, release, done = threading.Event(), threading.Event(), []

    def work():
        started.set()
        release.wait(5)
        done.append(1)
        return 1

    task = asyncio.ensure_future(in_thread(asyncio.get_running_loop(), pool, copy_context(), work, ()))
    assert await asyncio.to_thread(started.wait, 5)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [1]


async def test_a_thread_that_fails_after_a_cancellation_says_what_failed(pool):
    """The failure tells more than that it was cancelled."""
    started, release = threading.Event(), threading.Event()

    def work():
        started.set()
        release.wait(5)
        raise ValueError("half-way")

    task = asyncio.ensure_future(in_thread(asyncio.get_running_loop(), pool, copy_context(), work, ()))
    assert await asyncio.to_thread(started.wait, 5)
    task.cancel()
    await asyncio.sleep(0)
    release.set()
    with pytest.raises(ValueError, match="half-way"):
        await task


# ---- flights ---------------------------------------------------------------------------------------------------------------


async def test_the_first_reason_to_end_a_call_counts():
    """A timeout that comes while it is being cancelled changes nothing."""
    task = asyncio.ensure_future(asyncio.sleep(60))
    await asyncio.sleep(0)
    flight = Flight(task)
    flight.end("cancelled")
    flight.end("timeout")
    assert flight.why == "cancelled"
    assert task.cancelling() == 1
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_thread_cannot_be_interrupted():
    """The reason is kept: `step_context().cancelled` shows it, and it is recorded when the thread is back."""
    flight = Flight(None)
    flight.end("timeout")
    assert flight.why == "timeout"
