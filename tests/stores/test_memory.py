"""`memory://`, where it promises more than every store does."""

import pytest

from reactor.record.keeping import life_of, next_fence, place_of, takes_over
from reactor.record.store import NewRecord, Served
from reactor.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio


async def test_its_clock_may_be_set_and_never_goes_back():
    """The wall's time, or the last that was told where the wall's goes back."""
    times = iter([100.0, 90.0, 101.0])
    store = MemoryStore(clock=lambda: next(times))
    assert [await store.now() for _ in range(3)] == [100.0, 100.0, 101.0]


async def test_a_lease_runs_out_by_its_clock():
    """No waiting: the clock is moved, and others may claim."""
    time = [0.0]
    store = MemoryStore(clock=lambda: time[0])
    await store.create(NewRecord(run="shop:1", root="shop:1", reactor="shop"))
    await store.open_session("one", 30)
    await store.claim_run("one", "shop:1")
    time[0] = 29.9
    await store.open_session("two", 30)
    assert not await store.claim("two", [Served("shop", 1, "fp")])
    time[0] = 30.0
    assert [claimed.run for claimed in await store.claim("two", [Served("shop", 1, "fp")])] == ["shop:1"]


async def test_two_stores_have_nothing_in_common():
    """Each is its own."""
    one, other = MemoryStore(), MemoryStore()
    await one.create(NewRecord(run="shop:1", root="shop:1", reactor="shop"))
    assert await other.load("shop:1") is None


def test_lives_of_a_run_are_told_apart():
    """By the number behind `~`, of a run and of its children; other runs are no lives of it."""
    assert life_of("shop:1~2/ship[1~9]#0") == ("shop:1", 2)
    assert takes_over("shop:1~10", "shop:1~9")
    assert takes_over("shop:1~2/ship#0", "shop:1/ship#0")
    assert not takes_over("shop:1", "shop:1~2")
    assert not takes_over("shop:12", "shop:1")


def test_fences_rise_by_count_and_by_time():
    """Two in a millisecond rise; one after a loss rises too."""
    assert next_fence(5000, 5.0) == 5001
    assert next_fence(0, 5.0) == 5000


@pytest.mark.parametrize("cursor", ["", "x", "kg==", "kssAAA", "ä"])
def test_what_is_no_cursor_has_no_place(cursor):
    """An error with a code, whatever the text."""
    with pytest.raises(Exception, match="bad-cursor"):
        place_of(cursor)
