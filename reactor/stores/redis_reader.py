"""What has changed, heard from the shards' streams: one task a process, on a connection of its own, from the first who watches on.

It is a hint: what is missed while a connection is made anew, a sweep finds.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from reactor.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from redis.asyncio.connection import AbstractConnection

BLOCK = 5.0  # seconds that the server waits for something new
TOGETHER = 1000  # entries of one stream in one answer, at most
PAUSE, LONGEST_PAUSE = 0.05, 1.0
LOST = (StoreUnavailable, RedisError, TimeoutError, OSError, EOFError)

log = logging.getLogger("reactor.stores.redis")


class Reader:
    """Calls whoever watches with the names of the records that changed. `newest` asks for the newest entry of each stream."""

    def __init__(
        self,
        make: Callable[[], AbstractConnection],
        streams: Sequence[str],
        newest: Callable[[], Awaitable[Sequence[Any]]],
        *,
        timeout: float,
    ) -> None:
        self._make = make
        self._newest = newest
        self._timeout = timeout
        self._at: dict[bytes, bytes] = dict.fromkeys((stream.encode() for stream in streams), b"$")
        self._watchers: dict[object, Callable[[str], None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def watch(self, changed: Callable[[str], None]) -> Callable[[], None]:
        """Call this from now on, until what is returned is called."""
        watcher = object()
        self._watchers[watcher] = changed
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._read(self._newest()), name="reactor: redis reader")

        def end() -> None:
            self._watchers.pop(watcher, None)

        return end

    async def _read(self, newest: Awaitable[Sequence[Any]] | None) -> None:
        failures, begun = 0, False
        while True:
            connection: Any = self._make()  # redis-py's own types differ between its releases
            try:
                if not begun:
                    first, newest = newest or self._newest(), None  # asked before the first to watch went on: it misses nothing
                    self._begin(await first)
                    begun = True
                async with asyncio.timeout(self._timeout):
                    await connection.connect()
                while True:
                    self._tell(await self._next(connection))
                    failures = 0
            except LOST as error:
                log.debug("the reader lost its connection: %s", error)
                failures += 1
            except Exception:
                log.exception("the reader of changes stumbled; it goes on")
                failures += 1
            finally:
                await connection.disconnect(nowait=True)
            await asyncio.sleep(min(PAUSE * 2 ** min(failures, 10), LONGEST_PAUSE) * random.uniform(0.5, 1.0))  # noqa: S311  # a pause is no secret

    def _begin(self, newest: Sequence[Any]) -> None:
        for stream, entries in zip(tuple(self._at), newest, strict=True):
            self._at[stream] = entries[0][0] if entries else b"0-0"

    async def _next(self, connection: Any) -> Any:
        words = ("XREAD", "COUNT", TOGETHER, "BLOCK", int(BLOCK * 1000), "STREAMS", *self._at.keys(), *self._at.values())
        async with asyncio.timeout(BLOCK + self._timeout):
            await connection.send_packed_command(connection.pack_command(*words), check_health=False)
            return await connection.read_response()

    def _tell(self, streams: Any) -> None:
        names: dict[str, None] = {}
        for stream, entries in streams or ():
            self._at[stream] = entries[-1][0]
            names.update((fields[1].decode("utf-8", "replace"), None) for _, fields in entries if fields)
        for name in names:
            for watcher, changed in tuple(self._watchers.items()):
                if watcher in self._watchers:
                    try:
                        changed(name)
                    except Exception:
                        log.exception("a watcher failed on %s; it goes on", name)

    async def close(self) -> None:
        """End the task and the connection; nobody is called any more."""
        self._closed = True
        self._watchers.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
