"""One connection to a Redis, shared by all that a process asks of it.

What is asked in one turn of the loop, or while a round trip is under way, goes out together in the next (group commit); each caller
gets its own answer. A round trip has a deadline. Where it fails, the connection is made anew and what was not answered is sent again,
with growing, jittered pauses, until the patience of each caller is over: so all that is sent must be safe to send twice. A caller that
is cancelled stops waiting; its command goes its way.

This room refuses to know what the commands mean.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError, ResponseError

from reactor.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.connection import AbstractConnection

    from reactor.stores.redis_scripts import Script

TOGETHER = 1000  # commands in one round trip, at most
TOGETHER_BYTES = 4 << 20  # … and bytes, but one command always goes
WAITING = 100_000  # commands that wait, at most: more is back pressure
PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between tries
PASSING = ("LOADING", "READONLY", "MISCONF", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS")  # what a server says for a while
LOST = (RedisConnectionError, RedisError, TimeoutError, OSError, EOFError)


class _Command:
    __slots__ = ("deadline", "future", "script", "words")

    def __init__(self, words: tuple[Any, ...], script: Script | None, future: asyncio.Future[Any], deadline: float) -> None:
        self.words = words
        self.script = script
        self.future = future
        self.deadline = deadline


class Wire:
    """Sends commands and hands back replies. `timeout` bounds a round trip, `patience` all tries for one command; both in seconds."""

    def __init__(self, make: Callable[[], AbstractConnection], *, timeout: float, patience: float) -> None:
        self._make = make
        self._timeout = timeout
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Command] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._connection: AbstractConnection | None = None
        self._failures = 0
        self._closed = False
        self.server: str | None = None  # the run_id of the server that answered last
        self.when_other_server: list[Callable[[], None]] = []  # told when it is another one, or the same started anew

    def call(self, script: Script, prefix: str, *words: Any) -> asyncio.Future[Any]:
        """Run a script on one shard: its answer is to be awaited. Raises StoreUnavailable, then or now."""
        return self._put(_Command(("EVALSHA", script.digest, 1, prefix, *words), script, *self._promise()))

    def send(self, *words: Any) -> asyncio.Future[Any]:
        """Send a command: its answer is to be awaited. Raises StoreUnavailable, then or now."""
        return self._put(_Command(words, None, *self._promise()))

    def _promise(self) -> tuple[asyncio.Future[Any], float]:
        if self._closed:
            raise StoreUnavailable("the store is closed", fix="open it again")
        if len(self._waiting) >= WAITING:
            raise StoreUnavailable(f"{WAITING:,} commands wait for the server", fix="start fewer runs at once, or give Redis a faster disk")
        return self._loop.create_future(), self._loop.time() + self._patience

    def _put(self, command: _Command) -> asyncio.Future[Any]:
        self._waiting.append(command)
        if self._sending is None:
            self._sending = self._loop.create_task(self._send_all(), name="reactor: redis")
        return command.future

    async def _send_all(self) -> None:
        batch: deque[_Command] = deque()
        try:
            while self._waiting:
                batch = self._take()
                try:
                    await self._round_trip(batch)
                except LOST as error:
                    await self._lost(batch, error)
        except BaseException as error:
            self._give_up([*batch, *self._waiting], error)  # the loop is being closed under us, or a fault of ours: let nobody wait for ever
            self._waiting.clear()
            raise
        finally:
            self._sending = None

    def _take(self) -> deque[_Command]:
        """What goes out next: all that waits, within bounds."""
        if len(self._waiting) == 1:
            batch, self._waiting = self._waiting, deque()
            return batch
        batch, size = deque(), 0
        while self._waiting and len(batch) < TOGETHER and size < TOGETHER_BYTES:
            command = self._waiting.popleft()
            size += sum(len(word) for word in command.words if isinstance(word, (bytes, str)))
            batch.append(command)
        return batch

    async def _round_trip(self, batch: deque[_Command]) -> None:
        """Send these and settle those that are answered: what is left in `batch` is not."""
        unknown: list[_Command] = []
        async with asyncio.timeout(self._timeout) as limit:
            connection = self._connection or await self._connect()
            await connection.send_packed_command(connection.pack_commands([command.words for command in batch]), check_health=False)
            while batch:
                try:
                    reply = await connection.read_response()
                except ResponseError as error:
                    self._refused(batch[0], error, unknown)
                else:
                    if not batch[0].future.done():
                        batch[0].future.set_result(reply)
                batch.popleft()
                if len(batch) % 64 == 0:
                    limit.reschedule(self._loop.time() + self._timeout)  # it is alive: much that is asked takes long
            if unknown:
                await self._teach(connection, {command.script for command in unknown if command.script is not None})
        self._failures = 0
        self._waiting.extendleft(reversed(unknown))

    def _refused(self, command: _Command, error: ResponseError, unknown: list[_Command]) -> None:
        """The server answered with an error."""
        if isinstance(error, NoScriptError) and command.script is not None:
            unknown.append(command)
        elif str(error).startswith(PASSING):
            raise RedisConnectionError(str(error)) from error  # perhaps it is no longer the one to speak to: connect anew, ask again
        elif not command.future.done():
            command.future.set_exception(refusal(error))

    async def _teach(self, connection: AbstractConnection, scripts: set[Script]) -> None:
        """Tell the server scripts that it has not seen, or has forgotten."""
        for script in scripts:
            await connection.send_packed_command(connection.pack_command("SCRIPT", "LOAD", script.text), check_health=False)
            await connection.read_response()

    async def _connect(self) -> AbstractConnection:
        connection = self._connection = self._make()
        await connection.connect()
        await connection.send_packed_command(connection.pack_command("INFO", "server"), check_health=False)
        server = run_id_of(await connection.read_response())
        former, self.server = self.server, server
        if former is not None and server != former:
            for tell in tuple(self.when_other_server):
                tell()
        return connection

    async def _lost(self, batch: deque[_Command], error: BaseException) -> None:
        """The connection broke: whoever is out of patience is told, the others are sent again after a pause."""
        await self._disconnect()
        self._failures += 1
        batch.extend(self._waiting)
        self._waiting = deque()
        now = self._loop.time()
        self._give_up([command for command in batch if command.deadline <= now], error)
        rest = deque(command for command in batch if command.deadline > now)
        batch.clear()
        rest.extend(self._waiting)  # a caller that was told may have asked again
        self._waiting = rest
        if rest and self._failures > 1:
            pause = min(PAUSE * 2 ** min(self._failures - 2, 10), LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311  # a pause is no secret
            await asyncio.sleep(min(pause, max(rest[0].deadline - now, 0.0)))

    def _give_up(self, commands: list[_Command], error: BaseException) -> None:
        for command in commands:
            if not command.future.done():
                command.future.set_exception(unreachable(error))

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Let what was asked be answered, or given up, and end the connection."""
        self._closed = True
        while self._sending is not None:
            await asyncio.wait([self._sending])
        await self._disconnect()


def run_id_of(info: object) -> str | None:
    """Which start of which server this is, as it says.

    >>> run_id_of(b"# Server" + bytes([13, 10]) + b"run_id:5fe2" + bytes([13, 10]))
    '5fe2'
    """
    lines = info.decode() if isinstance(info, bytes) else str(info)
    return next((line.partition(":")[2] for line in lines.splitlines() if line.startswith("run_id:")), None)


def refusal(error: RedisError) -> StoreUnavailable:
    """What a caller is told where the server answers with an error."""
    if isinstance(error, OutOfMemoryError) or str(error).startswith(("OOM", "command not allowed when used memory")):
        told = StoreUnavailable("Redis is out of memory and takes no writes; nothing was lost", fix="raise `maxmemory`, or drop old runs sooner")
    else:
        told = StoreUnavailable(f"Redis refused: {error}")
    told.__cause__ = error
    return told


def unreachable(error: BaseException) -> StoreUnavailable:
    """What a caller is told where the server did not answer in time."""
    said = str(error) or "no answer in time"
    told = StoreUnavailable(f"Redis cannot be reached: {said}", fix="see that it runs and that the URL is right; asking again is safe")
    told.__cause__ = error if isinstance(error, Exception) else None
    return told
