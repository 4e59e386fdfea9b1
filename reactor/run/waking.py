"""Who waits for a change of a record in this process: futures by name, resolved together."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from reactor.errors import ReactorError


class Wakings:
    """Futures that the next change resolves."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._futures: dict[str, list[asyncio.Future[None]]] = {}
        self.failed: dict[str, ReactorError] = {}  # why a record could not be driven here
        self.closed = False

    @contextmanager
    def next_change(self, name: str) -> Iterator[asyncio.Future[None]]:
        """Resolved by the next change of a record from here on; forgotten when left, waited for or not."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self.closed:
            future.set_result(None)
        else:
            self._futures.setdefault(name, []).append(future)
        try:
            yield future
        finally:
            futures = self._futures.get(name)
            if futures is not None and future in futures:
                futures.remove(future)
                if not futures:
                    del self._futures[name]

    def changed(self, name: str) -> None:
        """Something about a record has changed."""
        if name in self._futures:
            for future in self._futures.pop(name):
                if not future.done():
                    future.set_result(None)

    def close(self) -> None:
        """Let all who wait look again."""
        self.closed = True
        for name in list(self._futures):
            self.changed(name)
