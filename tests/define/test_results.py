"""Results: what a map leaves, one shape whatever keeps the values."""

import pytest

from reactor.define.results import ElementFailure, Results

pytestmark = pytest.mark.anyio

MIXED = Results.of([1, ElementFailure(1, "no stock"), 3, 0])


async def test_counts_and_order():
    """`len` counts all, iteration gives what succeeded, in the order of the source; falsy values are values."""
    assert (len(MIXED), MIXED.succeeded, MIXED.failed) == (4, 3, 1)
    assert [value async for value in MIXED] == [1, 3, 0] == await MIXED.all()
    assert [item async for item in MIXED.items()] == [(0, 1), (1, ElementFailure(1, "no stock")), (2, 3), (3, 0)]
    assert [failure async for failure in MIXED.failures()] == [ElementFailure(1, "no stock")]


async def test_nothing_mapped_is_empty():
    """An empty source leaves an empty Results."""
    empty = Results.of([])
    assert (len(empty), await empty.all(), [f async for f in empty.failures()]) == (0, [], [])
    assert not empty


async def test_it_is_read_as_often_as_asked():
    """Two readers do not share a place."""
    assert await MIXED.all() == await MIXED.all()


async def test_of_keeps_a_copy():
    """A list that changes later changes no result."""
    values = [1, 2]
    results = Results.of(values)
    values.clear()
    assert await results.all() == [1, 2]


async def test_a_kind_of_its_own_overrides_read_alone():
    """The seam is one method: all else follows."""

    class Counting(Results):
        async def read(self, start=0):
            for index in range(start, 3):
                yield index, index * 10

    results = Counting(3)
    assert await results.all() == [0, 10, 20]
    assert [item async for item in results.read(2)] == [(2, 20)]
    assert [failure async for failure in results.failures()] == []


@pytest.mark.parametrize("using", [list, lambda r: r[0], lambda r: 1 in r, sorted], ids=["list", "index", "in", "sorted"])
async def test_reading_at_once_is_refused(refuses, using):
    """A plain `for` would block the loop on a million elements: the fix names both ways."""
    with refuses(code="results-read-at-once", line=None, fix="await results.all()"):
        using(MIXED)


def test_it_prints_its_counts():
    """Not a million values."""
    assert repr(MIXED) == "<Results: 3 succeeded, 1 failed>"
