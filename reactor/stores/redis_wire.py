"""One connection to a Redis, shared by all that a process asks of it.

What is asked in one turn of the loop goes out together (group commit), also while other answers are under way; each caller gets its
own. An answer that does not come in time breaks the connection. Where it broke, it is made anew, and what was not answered is sent
again, after growing, jittered pauses, until the patience of each caller is over: so all that is sent must be safe to send twice. A
caller that is cancelled stops waiting; its command goes its way.

This room refuses to know what the commands mean.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING, Any

from hiredis import pack_command
from redis.exceptions import RedisError

from reactor.errors import StoreUnavailable
from reactor.stores.redis_line import Line, said_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.connection import AbstractConnection

    from reactor.stores.redis_scripts import Script

WAITING = 100_000  # commands that wait, at most: more is back pressure
PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between tries
PASSING = ("LOADING", "READONLY", "MISCONF", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS")  # what is over after a while
LOST = (RedisError, TimeoutError, OSError, EOFError)


class _Command:
    __slots__ = ("deadline", "future", "packed", "script")

    def __init__(self, words: tuple[Any, ...], script: Script | None, future: asyncio.Future[Any] | None, deadline: float) -> None:
        self.packed: bytes = pack_command(words)
        self.script = script
        self.future = future  # None: nobody waits for it
        self.deadline = deadline


class Wire:
    """Sends commands and hands back replies. `timeout` bounds a round trip, `patience` all tries for one command; both in seconds."""

    def __init__(self, make: Callable[[], AbstractConnection], *, timeout: float, patience: float) -> None:
        self._make = make
        self._timeout = timeout
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Command] = deque()  # not sent
        self._sent: deque[_Command] = deque()  # sent, and not answered
        self._line: Line | None = None
        self._flushing = False
        self._mending: asyncio.Task[None] | None = None
        self._failures = 0
        self._idle: asyncio.Future[None] | None = None  # somebody waits for all to be answered
        self._taught: set[Script | None] = set()  # what the server is being told
        self._closed = False
        self.server: str | None = None  # the run_id of the server that answered last
        self.when_other_server: list[Callable[[], None]] = []  # told when it is another one, or the same started anew

    def call(self, script: Script, prefix: str, *words: Any) -> asyncio.Future[Any]:
        """Run a script on one shard: its answer is to be awaited. Raises StoreUnavailable, then or now."""
        return self._put(("EVALSHA", script.digest, 1, prefix, *words), script)

    def send(self, *words: Any) -> asyncio.Future[Any]:
        """Send a command: its answer is to be awaited. Raises StoreUnavailable, then or now."""
        return self._put(words, None)

    def _put(self, words: tuple[Any, ...], script: Script | None) -> asyncio.Future[Any]:
        if self._closed:
            raise StoreUnavailable("this store was closed", code="store-closed", fix="use it inside of its engine's `async with`")
        if len(self._waiting) >= WAITING:
            raise StoreUnavailable(f"{WAITING:,} commands wait for the server", fix="start fewer runs at once, or give Redis a faster disk")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(_Command(words, script, future, self._loop.time() + self._patience))
        if self._line is None:
            self._mend_soon()
        elif not self._sent and not self._flushing:
            self._flush()  # the first of many costs a packet of its own; the only one does not wait for the loop's next turn
        else:
            self._flush_soon()
        return future

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send what waits."""
        self._flushing = False
        if self._line is None or self._line.full or not self._waiting:
            return
        waiting, self._waiting = self._waiting, deque()
        first = not self._sent
        self._sent.extend(waiting)
        self._line.write(waiting[0].packed if len(waiting) == 1 else b"".join([command.packed for command in waiting]), first=first)

    # ---- what the line tells ----------------------------------------------------------------------------------

    def pending(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._sent)

    def ready(self) -> None:
        """The line takes more."""
        self._flush_soon()

    def answered(self, reply: object) -> None:
        """The oldest command that was sent has its answer."""
        command = self._sent.popleft()
        if isinstance(reply, Exception):
            self._refused(command, str(reply))
        elif command.future is None:
            self._taught.discard(command.script)
        elif not command.future.done():
            command.future.set_result(reply)
        self._failures = 0
        if self._idle is not None and not self._sent and not self._waiting and not self._idle.done():
            self._idle.set_result(None)

    def _refused(self, command: _Command, said: str) -> None:
        """The server answered with an error."""
        if said.startswith("NOSCRIPT") and command.script is not None:
            self._teach(command, command.script)
        elif said.startswith(PASSING):
            self._sent.appendleft(command)
            raise ConnectionResetError(said)  # perhaps it is no longer the one to speak to: connect anew, ask again
        elif command.future is not None and not command.future.done():
            command.future.set_exception(refusal(said))

    def _teach(self, command: _Command, script: Script) -> None:
        """The server does not know a script, or has forgotten it: it is told, once, and asked again."""
        if script not in self._taught:
            self._taught.add(script)
            self._waiting.appendleft(_Command(("SCRIPT", "LOAD", script.text), script, None, command.deadline))
        self._waiting.append(command)
        self._flush_soon()

    def lost(self, line: Line, error: BaseException) -> None:
        """The connection broke: whoever is out of patience is told, the others are sent again."""
        if line is not self._line:
            return
        self._line = None
        self._failures += 1
        self._taught.clear()
        self._sent.extend(self._waiting)
        self._waiting, self._sent = self._sent, deque()
        self._give_up(error, self._loop.time())
        if self._waiting:
            self._mend_soon()

    # ---- making the connection --------------------------------------------------------------------------------

    def _mend_soon(self) -> None:
        if self._mending is None:
            self._mending = self._loop.create_task(self._mend(), name="reactor: redis")

    async def _mend(self) -> None:
        """Connect, and send what waits: until it works, or nobody waits any more."""
        try:
            while self._waiting and self._line is None:
                await self._pause()
                try:
                    async with asyncio.timeout(self._timeout):
                        self._line = await self._connect()
                except LOST as error:
                    self._failures += 1
                    self._give_up(error, self._loop.time())
        except BaseException as error:
            self._give_up(error)  # the loop is being closed under us, or a fault of ours: let nobody wait for ever
            raise
        finally:
            self._mending = None
        self._flush()

    async def _pause(self) -> None:
        """Before the third try and those that follow."""
        if self._failures > 1 and self._waiting:
            pause = min(PAUSE * 2 ** min(self._failures - 2, 10), LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
            await asyncio.sleep(max(min(pause, self._waiting[0].deadline - self._loop.time()), 0.0))
            self._give_up(TimeoutError(), self._loop.time())

    async def _connect(self) -> Line:
        connection: Any = self._make()  # redis-py's own types differ between its releases
        try:
            await connection.connect()
            await connection.send_packed_command(connection.pack_command("INFO", "server"), check_health=False)
            server = run_id_of(await connection.read_response())
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        former, self.server = self.server, server
        if former is not None and server != former:
            for tell in tuple(self.when_other_server):
                tell()
        return Line(connection, self, self._timeout)

    def _give_up(self, error: BaseException, now: float | None = None) -> None:
        """Tell those whose deadline is over, or all. Nothing is on its way here: what was sent waits again."""
        rest: deque[_Command] = deque()
        for command in self._waiting:
            if command.future is None or command.future.done():
                continue
            if now is not None and command.deadline > now:
                rest.append(command)
            else:
                command.future.set_exception(unreachable(error))
        self._waiting = rest
        if self._idle is not None and not rest and not self._idle.done():
            self._idle.set_result(None)

    async def close(self) -> None:
        """Let what was asked be answered, or given up, and end the connection."""
        self._closed = True
        if self._waiting or self._sent:
            self._idle = self._idle or self._loop.create_future()
            await asyncio.wait([self._idle])
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.wait([self._mending])
        line, self._line = self._line, None
        if line is not None:
            await line.close()


def run_id_of(info: object) -> str | None:
    """Which start of which server this is, as it says.

    >>> run_id_of(b"# Server" + bytes([13, 10]) + b"run_id:5fe2" + bytes([13, 10]))
    '5fe2'
    """
    lines = info.decode() if isinstance(info, bytes) else str(info)
    return next((line.partition(":")[2] for line in lines.splitlines() if line.startswith("run_id:")), None)


def refusal(said: str) -> StoreUnavailable:
    """What a caller is told where the server answers with an error."""
    if said.startswith("OOM"):
        fix = "raise `maxmemory`, or drop old runs sooner"
        return StoreUnavailable("Redis is out of memory and takes no writes; nothing was lost", code="store-full", fix=fix)
    if "WRONGTYPE" in said:
        return StoreUnavailable(f"a record is damaged: {said}", code="store-corrupt", fix="keep a copy, and bring back a backup")
    return StoreUnavailable(f"Redis refused: {said}")


def unreachable(error: BaseException) -> StoreUnavailable:
    """What a caller is told where the server did not answer in time."""
    told = StoreUnavailable(
        f"Redis cannot be reached: {said_by(error)}", fix="see that it runs and that the URL is right; asking again is safe"
    )
    told.__cause__ = error if isinstance(error, Exception) else None
    return told
