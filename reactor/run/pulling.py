"""A source, pulled by a task of its own and only when asked: what it has open is opened, used and closed by that one task."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from reactor.errors import SourceChanged
from reactor.run.context import LOGGER
from reactor.run.failures import exceptions_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextvars import Context


class Puller:
    """Takes elements from an async generator, so many at a time."""

    def __init__(self, make: Callable[[], AsyncIterator[Any]], context: Context, key: Callable[[Any], Any] | None = None) -> None:
        self._make = make
        self._context = context
        self._closing = False
        self._key = key
        self._last: Any = None
        self._want = 0
        self._answer: asyncio.Future[list[Any]] | None = None
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def take(self, count: int) -> list[Any]:
        """At most `count` elements, none when there are no more. Raises what the source raised."""
        if self._closing:
            return []
        loop = asyncio.get_running_loop()
        self._want = count
        self._answer = loop.create_future()
        if self._task is None:
            self._task = asyncio.Task(self._pull(), loop=loop, context=self._context)
        elif self._task.done():
            return []
        self._asked.set()
        return await self._answer

    async def _pull(self) -> None:
        taken: list[Any] = []
        iterator = None
        try:
            iterator = aiter(self._make())
            async for element in iterator:
                if self._key is not None:
                    self._rise(self._key(element))
                taken.append(element)
                if len(taken) >= self._want:
                    taken = await self._hand_over(taken)
        except BaseException as error:  # noqa: BLE001  # an author's source may raise anything
            self._refuse(None if self._closing else error)
        else:
            self._asked.clear()
            self._give(taken)
        finally:
            await _close(iterator)

    def _rise(self, key: Any) -> None:
        """Where it goes on after a takeover is the last key's place: that must be one place."""
        if self._last is not None and not self._last < key:
            raise SourceChanged(
                f"the source's key {key!r} comes after {self._last!r}: keys must rise",
                code="keys-must-rise",
                fix="order the source by its key, and use a key that no two elements share",
            )
        self._last = key

    async def _hand_over(self, taken: list[Any]) -> list[Any]:
        self._asked.clear()
        self._give(taken)
        await self._asked.wait()
        return []

    def _give(self, taken: list[Any]) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(taken)

    def _refuse(self, error: BaseException | None) -> None:
        if self._answer is None or self._answer.done():
            return
        if error is None:
            self._answer.cancel()
        else:
            self._answer.set_exception(error if isinstance(error, Exception) else RaisedInSource(error))

    async def close(self) -> None:
        """Stop pulling and close the source."""
        task, self._closing = self._task, True
        if task is None or task.done():
            return
        task.cancel()
        await asyncio.wait([task])
        self._refuse(None)  # where it had not had its first turn


async def _close(iterator: Any) -> None:
    """Close a source early. That it was left early is all that a clean close may raise."""
    close = getattr(iterator, "aclose", None)
    if close is None:
        return
    try:
        await close()
    except BaseException as error:  # noqa: BLE001  # an author's `finally` may raise anything
        if not all(isinstance(one, GeneratorExit | asyncio.CancelledError) for one in exceptions_in(error)):
            LOGGER.exception("a source did not close")


class RaisedInSource(Exception):
    """Carries a Halt, Skip or other BaseException out of a source, where they are errors like any other."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.__cause__ = error
