"""The bytes of one connection: redis-py makes it (address, TLS, password, database), then it is read and written here.

redis-py's own pipeline was measured first: it reads through a stream, a task and a timer for each answer, and a bare script's round trip
took 53 µs; with this protocol, in which an answer wakes its caller at once, it takes 25.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, cast

from hiredis import ProtocolError, Reader

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection


class Owner(Protocol):
    """Who is told what comes in."""

    def pending(self) -> bool: ...  # noqa: D102
    def ready(self) -> None: ...  # noqa: D102
    def answered(self, reply: object) -> None: ...  # noqa: D102
    def lost(self, line: Line, error: BaseException) -> None: ...  # noqa: D102


class Line(asyncio.Protocol):
    """Takes over a connection that redis-py has made, and on which nothing is under way."""

    def __init__(self, connection: AbstractConnection, owner: Owner, timeout: float) -> None:
        self._owner = owner
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(replyError=ConnectionAbortedError)
        self._heard = self._loop.time()
        self._watch: asyncio.TimerHandle | None = None
        self._error: BaseException = EOFError("the server closed the connection")
        self.full = False  # the network takes no more for now
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._writer = taken_from(connection)  # held until the transport is closed: a writer that is dropped closes it
        self._transport = cast("asyncio.Transport", self._writer.transport)
        self._transport.set_protocol(self)

    def write(self, data: bytes, *, first: bool) -> None:
        """Send bytes. An answer is awaited for `timeout` seconds since the last one, or since this where it is the `first` awaited."""
        if first:
            self._heard = self._loop.time()
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout, self._look)
        self._transport.write(data)

    def _look(self) -> None:
        """Break a connection on which nothing was heard for too long. One timer for many round trips costs each of them nothing."""
        self._watch = None
        if self._owner.pending():
            silent = self._loop.time() - self._heard
            if silent >= self._timeout:
                self._break(TimeoutError(f"no answer in {self._timeout:g} s"))
            else:
                self._watch = self._loop.call_later(self._timeout - silent, self._look)

    def data_received(self, data: bytes) -> None:
        """Hand out the answers."""
        reader, answered = self._reader, self._owner.answered
        self._heard = self._loop.time()
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                answered(reply)
        except (ProtocolError, ConnectionResetError, IndexError) as error:
            self._break(error)

    def _break(self, error: BaseException) -> None:
        self._error = error
        self._transport.abort()
        self.connection_lost(error)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell the owner; it heeds the first time."""
        self._stop_looking()
        if not self._gone.done() and self._transport.is_closing():
            self._gone.set_result(None)
        self._owner.lost(self, exc or self._error)

    def pause_writing(self) -> None:
        """The network is full."""
        self.full = True

    def resume_writing(self) -> None:
        """It is not any more."""
        self.full = False
        self._owner.ready()

    def _stop_looking(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    async def close(self) -> None:
        """End the connection."""
        self._stop_looking()
        self._transport.close()
        await asyncio.wait([self._gone], timeout=self._timeout)


def taken_from(connection: AbstractConnection) -> asyncio.StreamWriter:
    """The open stream of a connection, which looks closed from then on. The one place that reaches into redis-py."""
    held: Any = connection
    writer: asyncio.StreamWriter = held._writer  # noqa: SLF001
    held._writer = held._reader = None  # noqa: SLF001
    return writer


def said_by(error: BaseException) -> str:
    """An error's words, or its kind where it has none."""
    return str(error) or type(error).__name__
