"""Closing on a store that does not last: what has not ended is cancelled and undone, parked or not, for it could not go on elsewhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from reactor.machine.events import StopRequested
from reactor.run.context import LOGGER
from reactor.run.mailing import letter

if TYPE_CHECKING:
    from reactor.run.driver import Driver
    from reactor.run.hosting import Host

WHY = "the engine closed"
AT_ONCE = 100  # parked runs that are undone at a time


async def cancel_all(host: Host) -> None:
    """Cancel all runs that have not ended, and wait until they are undone. No other run begins meanwhile."""
    host.takes_only = set()
    for driver in _runs(host):
        driver.is_queued = False
        driver.tell(_stop(host))
    await _until_over(host)
    names = [*await _at_rest(host, "parked"), *await _at_rest(host, "queued")]
    for first in range(0, len(names), AT_ONCE):
        for name in names[first : first + AT_ONCE]:
            await _take_up(host, name)
        await _until_over(host)


def _stop(host: Host) -> StopRequested:
    return StopRequested(host.site.now(), "", "cancel", WHY)


async def _until_over(host: Host) -> None:
    while left := _runs(host):
        await asyncio.wait([driver.end for driver in left], timeout=max(host.site.settle, 1.0))
        if left := _runs(host):
            names = ", ".join(driver.run_id for driver in left[:10])
            LOGGER.warning("the engine is closing and waits for %d runs: %s", len(left), names)


def _runs(host: Host) -> list[Driver]:
    return [driver for driver in host.drivers.values() if driver.batch is None and not driver.broken and not driver.is_over]


async def _at_rest(host: Host, status: str) -> list[str]:
    """Runs that nobody drives: they wait for a signal or a time, or for the run that they supersede."""
    names: list[str] = []
    cursor = None
    while True:
        rows, cursor, _ = await host.store.find(status=status, limit=1000, cursor=cursor)
        names += [row.run for row in rows]
        if cursor is None:
            return names


async def _take_up(host: Host, name: str) -> None:
    """Drive it once more, to its end."""
    if host.takes_only is not None:
        host.takes_only.add(name)
    await host.store.deliver(name, letter("cancel", _stop(host)), moves=True, operation="closing")
    await host.claim_one(name)
