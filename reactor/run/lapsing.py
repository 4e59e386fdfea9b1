"""What a process does that cannot know whether what it remembers still holds: it sees which of its records are still its own, and whole.

Its loop was blocked, or the store out of reach, for longer than its lease allows; or another server answers, which may have lost what
was written last. It refuses to know what is in a record.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from reactor.errors import StoreUnavailable

if TYPE_CHECKING:
    from reactor.run.hosting import Host
    from reactor.run.residence import Residence

HEAD = 1 << 62  # past every event
PAUSE = 0.5  # seconds


async def see_what_is_held(host: Residence) -> None:
    """Let go of records that another has now. The lease was renewed before: what is held stays held. Raises StoreUnavailable."""
    drivers = [driver for driver in host.drivers.values() if driver.writer.seq]  # one that is only being made is in no store yet
    if not drivers:
        return
    held = {(one.run, one.token) for one in await host.store.held(host.session.id)}
    for driver in drivers:
        if (driver.record_name, driver.writer.token) not in held and host.drivers.get(driver.record_name) is driver:
            driver.lose()


async def see_what_is_kept(host: Host) -> None:
    """Another server answers: go on from what it holds, where that is less than we remember. A run that only waits would never hear."""
    while not host.is_closing:
        try:
            await _see_each(host)
            await host.take_up_held()
        except StoreUnavailable:
            await asyncio.sleep(PAUSE)
        else:
            return


async def _see_each(host: Host) -> None:
    for driver in list(host.drivers.values()):
        if not driver.writer.seq:
            continue
        try:
            loaded = await host.store.load(driver.record_name, after=HEAD)
        except StoreUnavailable as error:
            if not error.is_damage:
                raise
            continue  # its next append tells
        if host.drivers.get(driver.record_name) is not driver:
            continue
        if loaded is None or loaded.token != driver.writer.token:
            driver.lose()
        elif loaded.seq < driver.writer.seq:
            driver.lose(went_back=True)
