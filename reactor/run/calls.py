"""One call of an author's code: in a context of its own, on whichever task awaits it, or in a thread."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextvars import Context
    from types import CoroutineType


class Flight:
    """A call in flight that has let go of the loop: how to end it, and why it was ended."""

    __slots__ = ("task", "timer", "why")

    def __init__(self, task: asyncio.Task[Any] | None) -> None:
        self.task = task  # None: a thread, which cannot be interrupted
        self.timer: asyncio.TimerHandle | None = None
        self.why: str | None = None

    def end(self, why: str) -> None:
        """Cancel the call; the first reason counts."""
        if self.why is None:
            self.why = why
            if self.task is not None:
                self.task.cancel()


class InContext:
    """Drives a coroutine, which was begun and waits for `future`, in a context of its own from the task that awaits this.

    The contextvars that it sets stay its own; `current_task()` in it is the awaiting task.
    """

    __slots__ = ("context", "coro", "future")

    def __init__(self, coro: CoroutineType[Any, Any, Any], context: Context, future: Any) -> None:
        self.coro = coro
        self.context = context
        self.future = future

    def __await__(self) -> Generator[Any, Any, Any]:
        run, send, throw, future = self.context.run, self.coro.send, self.coro.throw, self.future
        try:
            while True:
                try:
                    value = yield future
                except BaseException as error:  # noqa: BLE001  # a cancellation is thrown into the step, as asyncio does
                    future = run(throw, error)
                else:
                    future = run(send, value)
        except StopIteration as end:
            return end.value


def as_coroutine(made: Any) -> CoroutineType[Any, Any, Any]:
    """What an author's function returned where that is no coroutine: any other awaitable will do."""

    async def awaiting() -> Any:
        return await made

    return awaiting()  # type: ignore[return-value]  # it is one


async def in_thread(loop: asyncio.AbstractEventLoop, pool: Any, context: Context, fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Run a plain function in a thread. A cancellation waits for the thread: what it does is not over before."""

    def work() -> tuple[bool, Any]:
        try:
            return True, context.run(fn, *args)
        except BaseException as error:  # noqa: BLE001  # handed over to the loop, StopIteration too, which a future refuses
            return False, error

    future = loop.run_in_executor(pool, work)
    interrupted: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            interrupted = error
    fine, value = future.result()
    if fine and interrupted is None:
        return value
    raise interrupted if fine and interrupted is not None else value
