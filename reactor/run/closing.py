"""Closing on a store that does not last: what goes on is cancelled and undone, for it could not go on elsewhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from reactor.machine.events import StopRequested
from reactor.run.context import LOGGER

if TYPE_CHECKING:
    from reactor.run.driver import Driver
    from reactor.run.hosting import Host


async def cancel_all(host: Host) -> None:
    """Cancel all runs that are driven here, and wait until they are undone. No other run begins meanwhile."""
    host.takes_runs = False
    for driver in _runs(host):
        driver.is_queued = False
        driver.tell(StopRequested(host.site.now(), "", "cancel", "the engine closed"))
    while left := _runs(host):
        await asyncio.wait([driver.end for driver in left], timeout=max(host.site.settle, 1.0))
        if left := _runs(host):
            names = ", ".join(driver.run_id for driver in left[:10])
            LOGGER.warning("the engine is closing and waits for %d runs: %s", len(left), names)


def _runs(host: Host) -> list[Driver]:
    return [driver for driver in host.drivers.values() if driver.batch is None and not driver.broken and not driver.is_over]
