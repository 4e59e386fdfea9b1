"""What must come to its end, whoever is cancelled meanwhile."""

import asyncio

import anyio
import pytest

from reactor.run.shielding import shielded

pytestmark = pytest.mark.anyio


class Work:
    """Takes a while; tells when it is done."""

    def __init__(self, fails=None):
        self.done = False
        self.fails = fails

    async def __call__(self):
        await asyncio.sleep(10)
        self.done = True
        if self.fails is not None:
            raise self.fails


async def test_work_is_done():
    """As if it were awaited."""
    work = Work()
    await shielded(work())
    assert work.done


async def test_what_work_raises_is_raised():
    """It tells more than a cancellation."""
    with pytest.raises(OSError, match="no"):
        await shielded(Work(OSError("no"))())


@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancellation_waits_for_the_work(times):
    """However often it comes; then it is raised."""
    work = Work()
    task = asyncio.ensure_future(shielded(work()))
    for _ in range(times):
        await asyncio.sleep(1)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.done


async def test_what_work_raises_goes_before_a_cancellation():
    """A failure of what had to be done must not be swallowed."""
    task = asyncio.ensure_future(shielded(Work(OSError("no"))()))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(OSError, match="no"):
        await task


async def test_a_cancelled_scope_of_anyio_is_kept_off():
    """It strikes at every wait as long as it is cancelled: not in here, but at the end, like asyncio's."""
    work, after = Work(), []
    with anyio.move_on_after(1) as scope:
        await shielded(work())
        after.append("reached")
        await anyio.sleep(1)
        after.append("passed")
    assert scope.cancelled_caught
    assert work.done
    assert after == []


async def test_a_deadline_of_asyncio_is_kept_off():
    """It is felt at the end."""
    work = Work()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await shielded(work())
    assert work.done
