"""Who waits for a change of a record in this process."""

import asyncio

import pytest

from reactor.run.waking import Wakings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def wakings():
    """Of this loop."""
    return Wakings(asyncio.get_running_loop())


async def test_a_change_wakes_all_who_wait_for_that_record(wakings):
    """And nobody else; once."""
    with wakings.next_change("a") as first, wakings.next_change("a") as second, wakings.next_change("b") as other:
        wakings.changed("a")
        assert [one.done() for one in (first, second, other)] == [True, True, False]
        wakings.changed("a")
        wakings.changed("nobody waits for it")


async def test_a_change_while_nobody_waits_yet_is_not_missed(wakings):
    """Who asks, then looks, then waits: what changes in between is heard."""
    with wakings.next_change("a") as change:
        wakings.changed("a")
        await asyncio.wait_for(change, 0)


async def test_who_waits_no_more_is_forgotten(wakings):
    """Whether the change came, or the look was enough, or it was cancelled: nothing is kept of a record that nobody waits for."""
    with wakings.next_change("a"):
        pass
    with pytest.raises(ValueError), wakings.next_change("a"):  # noqa: PT011  # as raised here
        raise ValueError
    with wakings.next_change("a") as change, wakings.next_change("a"):
        wakings.changed("a")
        await change
    assert wakings._futures == {}


async def test_who_was_cancelled_disturbs_nobody(wakings):
    """A future that is done already is passed over."""
    with wakings.next_change("a") as gone, wakings.next_change("a") as stays:
        gone.cancel()
        wakings.changed("a")
        assert stays.done()


async def test_closing_lets_all_look_again(wakings):
    """Those who wait, and those who come later: there is nothing more to wait for."""
    with wakings.next_change("a") as waits:
        wakings.close()
        assert waits.done()
    with wakings.next_change("b") as late:
        assert late.done()
    assert wakings._futures == {}
