"""Commits in the loop what came alone, so that a chain of steps waits for no other thread: 20 µs instead of 70.

A commit of a few small things is some writes to the page cache: no sync, no wait. All else goes to the thread that writes: what came
with many others, or is large, or finds the connection or the file at work; and everything for a while after a commit was slow.
It refuses to know what is written.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from reactor.stores.sqlite_lanes import Asked, Transaction
from reactor.stores.sqlite_writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor.stores.sqlite_file import Durability
    from reactor.stores.sqlite_lanes import Reader

P = ParamSpec("P")
T = TypeVar("T")

FEW = 4  # that came in one turn of the loop, at most: more are quicker on the thread, which goes on while the loop does
SLOW = 0.002  # seconds that a commit may keep the loop
TIMES = 10  # as long as one that was slower took, none does: a slow disk takes a tenth of the loop's time, at most


class QuickWriter(Writer):
    """The thread that writes, and a loop that may do it in its place."""

    def __init__(self, reader: Reader, clock: Callable[[], float], durability: Durability, patience: float) -> None:
        super().__init__(reader, clock, durability, patience)
        self._lends = durability == "normal"  # else every commit waits for the disk
        self._loop: asyncio.AbstractEventLoop | None = None  # the one that it is lent to
        self._came: list[Asked] = []  # in this turn of the loop
        self._not_before = 0.0  # the clock's, after a slow commit

    def do(self, work: Callable[Concatenate[Transaction, P], T], *arguments: P.args, **_none: P.kwargs) -> asyncio.Future[T]:
        """As any lane: behind what was asked before."""
        self._hand_over()
        return self._ask(work, arguments)

    def quickly(self, work: Callable[Concatenate[Transaction, P], T], *arguments: P.args, **_none: P.kwargs) -> asyncio.Future[T]:
        """The same for what is small, and asked often."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if not self._lends or self._closed or self._loop is not loop:
            return self._ask(work, arguments)
        future: asyncio.Future[T] = loop.create_future()
        self._came.append(Asked(work, arguments, future, time.monotonic()))
        if len(self._came) == 1:
            loop.call_soon(self._turn_over)
        return future

    def stop(self) -> None:
        """As any lane's."""
        self._hand_over()
        super().stop()

    def _hand_over(self) -> None:
        """The thread does it."""
        came, self._came = self._came, []
        for asked in came:
            self._queue.put(asked)

    def _is_free(self) -> bool:
        """Take the connection, where nobody needs it, or the disk, for longer."""
        return self._queue.empty() and not self._reader.folding and self.hold.acquire(blocking=False)

    def _turn_over(self) -> None:
        """Do what came in this turn, where it is little and nothing stands in the way."""
        came, began = self._came, time.monotonic()
        if not came or len(came) > FEW or began < self._not_before or not self._is_free():
            self._hand_over()
            return
        self._came = []
        try:
            answers, changes = self.together(list(came), more=False, waits=False)
        except BaseException as error:
            self.undo_all()
            self._came = came  # the thread tries again, and tells who waits what is wrong
            self._hand_over()
            if not isinstance(error, Exception):
                raise
            return
        finally:
            self.hold.release()
        took = time.monotonic() - began
        if took > SLOW:
            self._not_before = began + TIMES * took
        self._answer(answers, self._watchers if changes else (), changes, self._loop)
