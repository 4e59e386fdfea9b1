"""What a process does that has been away for longer than its lease allows: see which of its records are still its own.

The loop was blocked, the process stopped, or the store out of reach. Others may have claimed its records meanwhile: those are let go of,
and their calls cancelled, before any call begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reactor.run.residence import Residence


async def see_what_is_held(host: Residence) -> None:
    """Let go of records that another has now. The lease was renewed before: what is held stays held. Raises StoreUnavailable."""
    drivers = [driver for driver in host.drivers.values() if driver.writer.seq]  # one that is only being made is in no store yet
    if not drivers:
        return
    held = {(one.run, one.token) for one in await host.store.held(host.session.id)}
    for driver in drivers:
        if (driver.record_name, driver.writer.token) not in held and host.drivers.get(driver.record_name) is driver:
            driver.lose()
