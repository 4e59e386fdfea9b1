"""The virtual clock: it jumps when nothing is ready, waits for threads and sockets, permutes tasks by seed, and tells when all is lost."""

import asyncio
import concurrent.futures
import socket
import threading
import time

import anyio
import anyio.to_thread
import pytest

from reactor.testing import Stalled, VirtualTimeLoop, run_virtual, virtual_backend


@pytest.fixture
def anyio_backend():
    """Under anyio's own plugin."""
    return virtual_backend()


@pytest.mark.anyio
async def test_it_serves_anyios_plugin():
    """A month passes in no time, in a test that anyio runs."""
    began = time.monotonic()
    await anyio.sleep(30 * 86_400)
    assert asyncio.get_running_loop().time() == pytest.approx(30 * 86_400)
    assert time.monotonic() - began < 5


def test_timers_fire_in_order_and_on_time():
    """Whoever is due first runs first, at its very second."""

    async def main() -> list[tuple[float, int]]:
        loop = asyncio.get_running_loop()
        seen: list[tuple[float, int]] = []

        async def late(seconds: int) -> None:
            await asyncio.sleep(seconds)
            seen.append((loop.time(), seconds))

        await asyncio.gather(*(late(seconds) for seconds in (300, 1, 86_400 * 3, 20)))
        return seen

    assert run_virtual(main()) == [(1, 1), (20, 20), (300, 300), (86_400 * 3, 86_400 * 3)]


def test_timeouts_work():
    """Asyncio's and anyio's."""

    async def main() -> tuple[bool, bool]:
        with anyio.move_on_after(60) as scope:
            await asyncio.sleep(3600)
        try:
            async with asyncio.timeout(60):
                await asyncio.sleep(3600)
        except TimeoutError:
            return scope.cancelled_caught, asyncio.get_running_loop().time() == 120
        return False, False

    assert run_virtual(main()) == (True, True)


@pytest.mark.parametrize("how", ["executor", "own pool", "to_thread", "anyio"])
def test_it_does_not_jump_past_a_thread(how):
    """While a thread is at work, a timer of an hour does not fire."""
    go = threading.Event()

    def work() -> str:
        assert go.wait(10)
        return "done"

    async def main() -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(3600, lambda: None)
        loop.call_later(0.01, go.set)  # comes at the wall's pace
        with concurrent.futures.ThreadPoolExecutor() as pool:
            match how:
                case "executor":
                    said = await loop.run_in_executor(None, work)
                case "own pool":
                    said = await loop.run_in_executor(pool, work)
                case "to_thread":
                    said = await asyncio.to_thread(work)
                case _:
                    said = await anyio.to_thread.run_sync(work)
        alarm.cancel()
        return said, loop.time()

    said, at = run_virtual(main())
    assert said == "done"
    assert at < 3000


def test_a_thread_holds_the_clock_after_its_future_was_cancelled():
    """A timeout does not end a thread; the clock goes on jumping when it is back."""
    back = threading.Event()

    def work() -> None:
        time.sleep(0.05)
        back.set()

    async def main() -> tuple[bool, float]:
        loop = asyncio.get_running_loop()
        with anyio.move_on_after(0.01):
            await asyncio.to_thread(work)
        await asyncio.sleep(3600)
        return back.is_set(), loop.time()

    assert run_virtual(asyncio.wait_for(main(), None))[0] is True


def test_sockets_hold_the_clock():
    """An answer that comes over a socket comes before a timer of an hour."""

    async def main() -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            threading.Timer(0.02, theirs.send, [b"hello"]).start()
            async with asyncio.timeout(3600):
                return await asyncio.get_running_loop().sock_recv(ours, 5)

    assert run_virtual(main()) == b"hello"


def test_a_thread_that_it_cannot_see_may_come_back():
    """Where no timer is set it waits some real time for a call from outside."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        threading.Timer(0.02, lambda: loop.call_soon_threadsafe(future.set_result, "from outside")).start()
        return await future

    assert run_virtual(main()) == "from outside"


def test_a_stall_is_told():
    """Instead of waiting for ever it says which tasks wait, and where."""

    async def waits_in_vain() -> None:
        await asyncio.Event().wait()

    loop = VirtualTimeLoop(patience=0.01)
    with pytest.raises(Stalled) as caught, asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(waits_in_vain())
    assert "waits_in_vain" in str(caught.value)
    assert "fix:" in str(caught.value)


async def race() -> list[int]:
    """Six tasks that are ready at once."""
    seen: list[int] = []

    async def one(number: int) -> None:
        await asyncio.sleep(0)
        seen.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(one(number))
    return seen


def test_no_seed_is_asyncios_own_order():
    """First come, first served."""
    assert run_virtual(race()) == list(range(6))


def test_a_seed_permutes_and_repeats():
    """The same seed gives the same order, others give others, none loses a task."""
    orders = [tuple(run_virtual(race(), seed=seed)) for seed in range(10)]
    assert orders == [tuple(run_virtual(race(), seed=seed)) for seed in range(10)]
    assert len(set(orders)) > 5
    assert all(sorted(order) == list(range(6)) for order in orders)


def test_what_asyncio_promises_still_holds():
    """Plain callbacks keep their order, queues and locks stay fair enough to end."""

    async def main() -> tuple[list[int], list[int]]:
        loop = asyncio.get_running_loop()
        called: list[int] = []
        for number in range(5):
            loop.call_soon(called.append, number)
        queue: asyncio.Queue[int] = asyncio.Queue(2)
        lock = asyncio.Lock()
        taken: list[int] = []

        async def take() -> None:
            for _ in range(10):
                item = await queue.get()
                async with lock:
                    await asyncio.sleep(0)
                    taken.append(item)

        async with asyncio.TaskGroup() as group:
            group.create_task(take())
            group.create_task(take())
            for number in range(20):
                await queue.put(number)
        return called, taken

    for seed in range(20):
        called, taken = run_virtual(main(), seed=seed)
        assert called == list(range(5))
        assert sorted(taken) == list(range(20))


def test_closing_waits_for_threads_in_peace():
    """Asyncio's own timeout for joining threads is not jumped to."""

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.05)

    run_virtual(main())
