"""What is woken at a time, by the store's clock."""

import asyncio

import pytest

from reactor.run.alarms import Alarms
from reactor.run.site import Site

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site():
    """With a clock of its own."""
    return Site()


@pytest.fixture
def rung():
    """What was woken, and after how many seconds of ours."""
    return []


@pytest.fixture
def alarms(site, rung):
    """They tell whom they wake."""
    began = site.clock()
    return Alarms(site, lambda name: rung.append((name, round(site.clock() - began))))


async def test_each_is_woken_once_in_time(alarms, site, rung):
    """In the order of their times; what is due already at once."""
    for name, seconds in {"b": 20, "a": 10, "c": -5}.items():
        alarms.set(name, site.now() + seconds)
    await asyncio.sleep(100)
    assert rung == [("c", 0), ("a", 10), ("b", 20)]


async def test_the_last_that_was_set_counts(alarms, site, rung):
    """Earlier or later."""
    for name, seconds in [("a", 10), ("a", 30), ("b", 20), ("b", 5)]:
        alarms.set(name, site.now() + seconds)
    await asyncio.sleep(100)
    assert rung == [("b", 5), ("a", 30)]


async def test_what_was_dropped_is_not_woken(alarms, site, rung):
    """One that was never set is nothing to drop."""
    for name in "abc":
        alarms.set(name, site.now() + 10)
    alarms.drop("a")
    alarms.drop("x")
    await asyncio.sleep(5)
    assert rung == []
    alarms.clear()
    await asyncio.sleep(100)
    assert rung == []


@pytest.mark.parametrize(("changed", "rings"), [(7.0, 3), (-7.0, 17), (100.0, 1)])
async def test_when_time_is_another_they_are_set_anew(alarms, site, rung, changed, rings):
    """Ours is told to be so much later."""
    alarms.set("a", site.now() + 10)
    await asyncio.sleep(1)
    site.offset += changed
    alarms.set_anew()
    await asyncio.sleep(100)
    assert rung == [("a", rings)]


async def test_one_that_rings_too_early_waits_on(alarms, site, rung):
    """Time was set back by so little that nobody was told."""
    alarms.set("a", site.now() + 10)
    site.offset -= 2.0
    await asyncio.sleep(100)
    assert rung == [("a", 12)]
