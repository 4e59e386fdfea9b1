"""A thread that owns a connection to the file; a loop hands it work and awaits the answer. The one that reads is here, too.

Work is a function of a transaction. What a caller cancels is the waiting, never the work. This room refuses to know what the work is.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from reactor.errors import StoreUnavailable
from reactor.record.keeping import next_fence
from reactor.stores.sqlite_file import connect_reading, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

P = ParamSpec("P")
T = TypeVar("T")

STOP: Any = None


class Asked(NamedTuple):
    """Work that somebody awaits."""

    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: asyncio.Future[Any]


class Answered(NamedTuple):
    """… and what came of it."""

    future: asyncio.Future[Any]
    value: Any
    error: BaseException | None


class Watcher:
    """A function that is told, in its loop, of records that changed, until it is done."""

    __slots__ = ("changed", "done", "loop")

    def __init__(self, changed: Callable[[str], None]) -> None:
        self.changed = changed
        self.loop = asyncio.get_running_loop()
        self.done = False

    def tell(self, runs: Iterable[str]) -> None:
        """Tell it of these."""
        for run in runs:
            if self.done:
                return
            try:
                self.changed(run)
            except Exception as error:  # noqa: BLE001  # its own business, and no answer of ours may be lost for it
                self.loop.call_exception_handler({"message": "a watcher of a store failed", "exception": error})


class Transaction:
    """What work sees: SQL, the time of its commit, and where to say which records changed."""

    __slots__ = ("execute", "fence", "now", "touched")

    def __init__(self, execute: Callable[..., sqlite3.Cursor]) -> None:
        self.execute = execute
        self.now = 0.0
        self.fence = 0  # the highest that this process gave: higher than any that a file knows that went back in time
        self.touched: list[str] = []

    def fence_over(self, last: int) -> int:
        """A fence over every earlier one: of this record, of this process, and of what a file that went back has forgotten."""
        self.fence = max(next_fence(last, self.now), self.fence + 1)
        return self.fence


class Lane:
    """A thread that owns a connection, and does what it is asked in order."""

    def __init__(self, path: str, clock: Callable[[], float]) -> None:
        self.path = path
        self._clock = clock
        self._last = 0.0  # the latest time that was given: it never goes back
        self._queue: SimpleQueue[Asked] = SimpleQueue()
        self._closed = False
        self._stopping = False
        self._gone: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, name=f"reactor {type(self).__name__}", daemon=True)
        self._connection: sqlite3.Connection

    async def open(self) -> None:
        """Begin. Raises StoreUnavailable where the file cannot be had."""
        begun = self.do(nothing)
        self._thread.start()
        try:
            await begun
        except BaseException:
            await self.close()
            raise

    def do(self, work: Callable[Concatenate[Transaction, P], T], *arguments: P.args, **_none: P.kwargs) -> asyncio.Future[T]:
        """What the work returns, to be awaited. It is done, and once, whether or not its caller still waits.

        Raises StoreUnavailable.
        """
        if self._closed:
            raise closed(self.path)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(Asked(work, arguments, future))
        return future

    def stop(self) -> None:
        """Do what was asked before, then let go of the file; nothing waits for that."""
        if not self._closed:
            self._closed = True
            self._queue.put(STOP)

    async def close(self) -> None:
        """Stop; the thread is gone when this returns. Where the wait for it is cancelled, it goes by itself."""
        self.stop()
        await asyncio.shield(asyncio.wrap_future(self._gone))
        self._thread.join()

    def wait(self) -> None:
        """Stop, and keep this thread until the other is gone."""
        self.stop()
        if self._thread.ident is not None:  # it was begun
            self._thread.join()

    def _live(self) -> None:
        try:
            self._connect()
            try:
                while not self._stopping and (asked := self._next()) is not STOP:
                    self._perform(asked)
                    del asked  # or its answer lives until the next is asked
            finally:
                self._leave()
        except BaseException as error:  # noqa: BLE001  # whoever waits is told
            self._end(error)
        else:
            self._end(closed(self.path))

    def _end(self, error: BaseException) -> None:
        """Answer what has come, and what still comes, with an error; say that the thread is gone."""
        self._closed = True
        left = []
        while not self._queue.empty():
            asked = self._queue.get_nowait()
            if asked is not STOP:
                left.append(asked.future)
        self._answer([Answered(future, None, unavailable(self.path, error)) for future in left])
        self._gone.set_result(None)

    def _connect(self) -> None:
        raise NotImplementedError

    def _perform(self, asked: Asked) -> None:
        raise NotImplementedError

    def _leave(self) -> None:
        self._connection.close()

    def _next(self) -> Asked:
        return self._queue.get()

    def _waiting(self) -> Asked | None:
        """The next that has come already; a stop is remembered."""
        if self._stopping:
            return None
        try:
            asked = self._queue.get_nowait()
        except Empty:
            return None
        if asked is STOP:
            self._stopping = True
        return asked

    def _answer(self, answers: list[Answered], watchers: Iterable[Watcher] = (), runs: list[str] | None = None) -> None:
        """Wake each loop once, for all its answers and its news."""
        loops: dict[asyncio.AbstractEventLoop, tuple[list[Answered], list[Watcher]]] = {}
        for answer in answers:
            loops.setdefault(answer.future.get_loop(), ([], []))[0].append(answer)
        for watcher in watchers:
            loops.setdefault(watcher.loop, ([], []))[1].append(watcher)
        for loop, (given, told) in loops.items():
            with suppress(RuntimeError):  # a loop that was closed awaits nothing
                loop.call_soon_threadsafe(_settle, given, told, runs)

    def _time(self, stored: float) -> float:
        self._last = max(self._clock(), stored, self._last)
        return self._last


class Reader(Lane):
    """Reads, each in a transaction of its own: what was acknowledged before it began, it sees."""

    def __init__(self, path: str, clock: Callable[[], float], patience: float) -> None:
        super().__init__(path, clock)
        self._patience = patience

    def _connect(self) -> None:
        self._connection = connect_reading(self.path, self._patience)
        self._transaction = Transaction(self._connection.cursor().execute)

    def _perform(self, asked: Asked) -> None:
        execute = self._transaction.execute
        try:
            execute("BEGIN")
            stored = execute("SELECT at FROM commits ORDER BY number DESC LIMIT 1").fetchone()
            self._transaction.now = self._time(stored[0] if stored else 0.0)
            answer = Answered(asked.future, asked.work(self._transaction, *asked.arguments), None)
        except BaseException as error:  # noqa: BLE001  # its caller is told
            answer = Answered(asked.future, None, unavailable(self.path, error))
        with suppress(sqlite3.Error):
            execute("ROLLBACK")
        self._answer([answer])


def _settle(answers: list[Answered], watchers: list[Watcher], runs: list[str] | None) -> None:
    for future, value, error in answers:
        if future.done():  # its caller waits no more; what it asked for is done
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
    for watcher in watchers:
        watcher.tell(runs or ())


def nothing(_transaction: Transaction) -> None:
    """Only to see that the lane is there."""


def closed(path: str) -> StoreUnavailable:
    """The error of a store that is used after its end."""
    return StoreUnavailable(f"{path}: this store was closed", code="store-closed", fix="use it inside of its engine's `async with`")
