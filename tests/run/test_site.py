"""What all runs of one engine share: time, slots, resources, threads."""

import asyncio
import time
from contextlib import contextmanager

import pytest

from reactor.run.site import SETTLE, Site
from reactor.run.slots import Slots

pytestmark = pytest.mark.anyio


async def test_time_goes_with_the_loop():
    """Under virtual time an hour is an hour; it began at the wall's."""
    before = time.time()
    site = Site()
    assert before <= site.now() <= time.time()
    began = site.now()
    await asyncio.sleep(3600)
    assert site.now() - began == pytest.approx(3600)


def test_on_a_standard_loop_time_is_the_walls():
    """Set once: it never jumps when the wall's clock is set."""

    async def main():
        site = Site()
        assert site.clock is time.monotonic
        assert abs(site.now() - time.time()) < 1

    asyncio.run(main())


async def test_a_site_needs_a_loop_and_nothing_else():
    """An awaited run has no slots to share, and the usual time to settle."""
    site = Site()
    assert site.slots is None
    assert (site.settle, site.debug, site.fence) == (SETTLE, False, 1)
    slots = Slots(3)
    assert Site(slots=slots, settle=1.0, debug=True).slots is slots


async def test_threads_are_made_when_they_are_needed():
    """A run without `def` steps has no pool; closing lets its threads go, and they are made anew for who comes back."""
    site = Site()
    assert not site.has_threads
    assert await asyncio.get_running_loop().run_in_executor(site.threads, lambda: 3) == 3
    assert site.has_threads
    pool = site.threads
    await site.close()
    assert not site.has_threads
    with pytest.raises(RuntimeError):
        pool.submit(print)


async def test_closing_closes_the_resources():
    """What steps had opened."""
    site, closed = Site(), []

    @contextmanager
    def pool():
        yield 1
        closed.append("pool")

    await site.resources.open([pool])
    await site.close()
    assert closed == ["pool"]
