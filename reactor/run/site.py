"""What all runs of one engine share, or what the one awaited run has for itself: time, slots, resources, threads."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from reactor.run.resources import Resources
from reactor.run.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

THREADS = min(32, (os.cpu_count() or 1) + 4)  # plain `def` calls at a time
SETTLE = 30.0  # seconds that a call without a timeout has when its run is failing


class Site:
    """Where runs are driven.

    The clock is the loop's, set once to the wall's: it never jumps, and a loop in virtual time carries it along.
    """

    __slots__ = ("_threads", "clock", "debug", "fence", "loop", "offset", "resources", "settle", "slots", "thread_slots")

    def __init__(
        self,
        *,
        slots: Slots | None = None,
        overrides: Mapping[Callable[..., Any], Callable[..., Any]] | None = None,
        settle: float = SETTLE,
        debug: bool = False,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        standard = type(self.loop).time is asyncio.BaseEventLoop.time
        self.clock: Callable[[], float] = time.monotonic if standard else self.loop.time  # the same, without a frame in between
        self.offset = time.time() - self.clock()
        self.slots = slots
        self.resources = Resources(overrides)
        self.settle = settle
        self.debug = debug
        self.fence = 1
        self.thread_slots = Slots(THREADS)
        self._threads: ThreadPoolExecutor | None = None

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.clock() + self.offset

    @property
    def threads(self) -> ThreadPoolExecutor:
        """The private pool of plain `def` steps."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="reactor")
        return self._threads

    @property
    def has_threads(self) -> bool:
        """Whether a `def` step has run."""
        return self._threads is not None

    async def close(self) -> None:
        """Close the resources and let the threads go."""
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._threads = None
        await self.resources.close()
