"""Time that passes only when nothing else can happen: an asyncio loop for tests, and the order of its tasks to play with.

A retry of an hour, a timeout of two days, a deadline: under this loop they take no time at all, in the order in which they would
come, and always the same. It refuses to know what runs on it: no reactor is mentioned here.
"""

from __future__ import annotations

import asyncio
import random
import selectors
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import anyio.to_thread

from reactor.errors import ReactorError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class Stalled(ReactorError):
    """Nothing is ready, no timer is set and no thread or socket is at work: on a real loop this would wait for ever.

    The message lists the tasks that wait and where. Set what they wait for, or mend who should have.
    """

    code = "stalled"


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose clock jumps to the next timer when nothing is ready.

    While a thread (`run_in_executor`, `asyncio.to_thread`, `anyio.to_thread`) or a socket is at work its clock goes at the wall's
    pace instead, since nobody can say how long that will take. `seed` permutes which of the ready tasks goes first, the same
    way for the same seed: what code relies on by luck then shows. `patience` is how many real seconds it waits for a thread that
    it cannot see, before it raises `Stalled`.

    >>> loop = VirtualTimeLoop()
    >>> loop.run_until_complete(asyncio.sleep(3600, "an hour later"))
    'an hour later'
    >>> loop.time()
    3600.0
    >>> loop.close()
    """

    def __init__(self, *, seed: int | None = None, patience: float = 1.0) -> None:
        self._now = 0.0
        self._threads = 0
        self._pool: Executor
        super().__init__(_Clockwork(self, random.Random(seed) if seed is not None else None, patience))  # noqa: S311  no secret
        self.set_default_executor(ThreadPoolExecutor(thread_name_prefix="virtual-time"))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def pass_time(self, seconds: float) -> None:
        """Move the clock forward by so many seconds; timers that are due then run next. From the loop's own thread only."""
        self._now += seconds

    def threads_at_work(self) -> bool:
        """Whether a thread that was given work through this loop is not back yet."""
        return self._threads > 0 or _anyio_threads() > 0

    def set_default_executor(self, executor: ThreadPoolExecutor) -> None:  # type: ignore[override]  # typeshed says Any
        """As asyncio's."""
        self._pool = executor
        super().set_default_executor(executor)

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """As asyncio's; the clock does not jump before the thread is back, even where its future was cancelled."""
        watched = _Watched(executor or self._pool)
        future = super().run_in_executor(watched, func, *args)
        self._threads += 1
        watched.submitted.add_done_callback(self._thread_is_back)  # after asyncio's own: the result is already on its way
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """As asyncio's, whose own timeout must not be jumped to."""
        self._threads += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._threads -= 1

    def _thread_is_back(self, _: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody asks any more
            self.call_soon_threadsafe(self._forget_thread)

    def _forget_thread(self) -> None:
        self._threads -= 1


class _Watched(Executor):
    """Passes work on, and remembers what became of it: asyncio keeps that future to itself."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.submitted: Future[Any]

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future = self._executor.submit(fn, *args, **kwargs)
        self.submitted = future
        return future


def _anyio_threads() -> int:
    try:
        return int(anyio.to_thread.current_default_thread_limiter().borrowed_tokens)
    except RuntimeError:  # anyio does not see this loop as running
        return 0


class _Clockwork(selectors.DefaultSelector):
    """Where asyncio would sleep: once a turn of the loop, with the seconds to the next timer, or None for no timer."""

    def __init__(self, loop: VirtualTimeLoop, order: random.Random | None, patience: float) -> None:
        super().__init__()
        self._loop = loop
        self._order = order
        self._patience = patience

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            if self._order:
                permute_tasks(self._loop, self._order)
            return super().select(0)
        if self._outside():
            return self._at_the_walls_pace(timeout)
        if events := super().select(0):
            return events
        if timeout is None:
            return self._wait_or_stall()
        self._loop.pass_time(timeout)
        return []

    def _outside(self) -> bool:
        only_the_loops_own_pipe = 1
        return len(self.get_map()) > only_the_loops_own_pipe or self._loop.threads_at_work()

    def _at_the_walls_pace(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.monotonic()
        events = super().select(timeout)
        took = time.monotonic() - began
        self._loop.pass_time(took if timeout is None or events else timeout)
        return events

    def _wait_or_stall(self) -> list[tuple[selectors.SelectorKey, int]]:
        if events := super().select(self._patience):
            return events
        waiting = [_where(task) for task in asyncio.all_tasks(self._loop)]
        raise Stalled(
            "every task waits for something that nobody will set, and no timer is left:\n"
            + "\n".join(f"    {line}" for line in sorted(waiting)),
            fix="set what they wait for, or mend who should have",
        )


def permute_tasks(loop: asyncio.BaseEventLoop, order: random.Random) -> None:
    """Let the ready tasks change places with each other; callbacks that are no task's keep theirs, as asyncio promises them."""
    ready = loop._ready  # type: ignore[attr-defined]  # noqa: SLF001  asyncio has no public view of it; the same since 3.4
    places = [at for at, handle in enumerate(ready) if isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)]  # noqa: SLF001
    handles = [ready[at] for at in places]
    order.shuffle(handles)
    for at, handle in zip(places, handles, strict=True):
        ready[at] = handle


def _where(task: asyncio.Task[Any]) -> str:
    """The lines that a task waits in, outermost first."""
    lines = []
    found: Any = task.get_coro()
    while found is not None:
        frame = getattr(found, "cr_frame", None) or getattr(found, "ag_frame", None) or getattr(found, "gi_frame", None)
        if frame is not None:
            lines.append(f"{frame.f_code.co_name} ({frame.f_code.co_filename}:{frame.f_lineno})")
        found = getattr(found, "cr_await", None) or getattr(found, "ag_await", None) or getattr(found, "gi_yieldfrom", None)
    return f"{task.get_name()}: {' > '.join(lines)}"


def run_virtual(main: Coroutine[Any, Any, T], *, seed: int | None = None) -> T:
    """`asyncio.run` under a `VirtualTimeLoop`: the coroutine's result.

    >>> async def later() -> str:
    ...     await asyncio.sleep(86_400)
    ...     return "tomorrow"
    >>> run_virtual(later())
    'tomorrow'
    """
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(seed=seed)) as runner:
        return runner.run(main)


def virtual_backend(*, seed: int | None = None) -> tuple[str, dict[str, Any]]:
    """A backend for anyio's pytest plugin: override its fixture in a module or a `conftest.py` and every async test is time-free.

    >>> import pytest
    >>> @pytest.fixture
    ... def anyio_backend():
    ...     return virtual_backend()
    """
    return "asyncio", {"loop_factory": lambda: VirtualTimeLoop(seed=seed)}
