"""The lease of one process: all its claims are this session's, renewed once for all its runs, on the store's clock.

Two thirds of a lease after the last renewal no call begins until the next one succeeds: the loop may have been blocked, the store
away. What began goes on: only a changed token says that another has the run. After that nothing is claimed for a lease. Where each
renewal takes so long that none is in time, that is the first such lease: whoever waited on, for as long as it is slow, would take up
nothing that a killed process left.
"""

from __future__ import annotations

import asyncio
from secrets import token_hex
from typing import TYPE_CHECKING

from reactor.errors import StoreUnavailable
from reactor.run.context import LOGGER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactor.record.store import Store


class Session:
    """One lease. `lease` in seconds; `clock` is monotonic."""

    def __init__(self, store: Store, lease: float, clock: Callable[[], float]) -> None:
        self.id = token_hex(12)
        self.store = store
        self.lease = lease
        self._clock = clock
        self._renewed = clock()
        self._claims_after = clock()  # after an outage nobody claims what merely expired
        self._is_late = False  # the last renewal came later than a lease allows
        self._renewals = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.is_away = False  # the store did not answer whoever closed before: it is waited for no more
        self.lapsed: Callable[[], Awaitable[None]] | None = None  # asked before anything begins again after it may have run out
        self.heard: Callable[[float, float, float], object] | None = None  # told the store's time, and ours before and after

    async def open(self) -> None:
        """Begin the lease, and keep it. Raises StoreUnavailable."""
        await self._renew_and_hear()
        if self.lease < FOREVER:
            self._task = asyncio.create_task(self._keep(), name="reactor session")

    def token(self) -> str:
        """A new token of this session."""
        return f"{self.id}:{token_hex(8)}"

    @property
    def may_begin(self) -> bool:
        """Whether a call may begin: the last renewal is not too old."""
        return self._closed or self._clock() - self._renewed < self.lease * 2 / 3

    async def ready(self) -> None:
        """Wait until a call may begin."""
        while not self.may_begin:
            self._renewals.clear()
            await self._renewals.wait()

    @property
    def may_claim(self) -> bool:
        """Whether records of leases that ran out may be claimed: not right after an outage, when every lease may have."""
        return self._clock() >= self._claims_after

    def doubt(self) -> None:
        """The store was away, or is another one now: wait a full lease before claiming what merely expired."""
        self._claims_after = self._clock() + self.lease

    async def claims(self) -> bool:
        """Renew it, and say whether anything may be claimed.

        Asked right before: a claim that waits for an answer while the store is away is heeded by the store as soon as it is back, when
        other leases have run out for no fault of their owners. Raises StoreUnavailable.
        """
        if self.lease < FOREVER:
            await self._renew()
        return self.may_claim

    async def _renew(self) -> None:
        asked = self._clock()
        if not await self.store.renew(self.id):
            await self.store.open_session(self.id, self.lease)
        silent = self._clock() - self._renewed
        was_late, self._is_late = self._is_late, silent >= self.lease * 2 / 3
        if self._is_late:  # the store was away, or the loop blocked
            if not was_late or silent >= 2 * self.lease:  # else both are slow, and were: a full lease has to be enough
                self.doubt()
            if self.lapsed is not None:
                await self.lapsed()
        self._renewed = max(self._renewed, asked)
        self._renewals.set()

    async def _renew_and_hear(self) -> None:
        """Both are asked at once: it takes no longer. The store's time and ours drift apart, and a machine that slept is far behind."""
        await asyncio.gather(self._renew(), self._hear())

    async def _hear(self) -> None:
        if self.heard is not None:
            asked = self._clock()
            stored = await self.store.now()
            self.heard(stored, asked, self._clock())

    async def _keep(self) -> None:
        wait = self.lease / 3
        while True:
            await asyncio.sleep(wait)
            try:
                await self._renew_and_hear()
                wait = self.lease / 3
            except StoreUnavailable as error:
                if wait == self.lease / 3:
                    LOGGER.warning("the lease of %s cannot be renewed: %s", self.id, error)
                wait = min(0.5, self.lease / 6)
            except Exception:  # noqa: BLE001  # a mistake of ours: a process whose lease runs out for it is worse
                LOGGER.exception("a renewal of %s failed", self.id)

    async def close(self) -> None:
        """End the lease: what it still holds is due at once."""
        self._closed = True
        self._renewals.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self.is_away:
            LOGGER.warning("the lease of %s is not ended, for its store does not answer: it runs out instead, in %g s", self.id, self.lease)
            return
        try:
            await self.store.close_session(self.id)
        except StoreUnavailable as error:
            LOGGER.warning("the lease of %s could not be ended: it runs out instead (%s)", self.id, error)


FOREVER = 1e9  # seconds: the lease of a store that has one process
