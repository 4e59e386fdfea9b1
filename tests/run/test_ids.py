"""Ids: a uuid7 where the author gives none, and what an id may look like."""

import time
import uuid

import pytest

from reactor.run.checking import ID
from reactor.run.ids import new_id


def test_a_drawn_id_is_a_uuid7():
    """Version 7, the variant of RFC 9562, and the time it was drawn in its first 48 bits."""
    before = time.time_ns() // 1_000_000
    drawn = uuid.UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (drawn.version, drawn.variant) == (7, uuid.RFC_4122)
    assert before <= drawn.int >> 80 <= after


def test_drawn_ids_sort_by_time(monkeypatch):
    """Within a millisecond too: they differ by less than a microsecond's share."""
    times = iter([1_700_000_000_000_000_000 + 1_000 * n for n in range(1000)])
    monkeypatch.setattr(time, "time_ns", lambda: next(times))
    drawn = [new_id() for _ in range(1000)]
    assert drawn == sorted(drawn)


def test_drawn_ids_are_unique(monkeypatch):
    """In the same nanosecond even."""
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_a_drawn_id_is_an_id():
    """What is drawn would be accepted from an author."""
    assert ID.fullmatch(new_id())


@pytest.mark.parametrize("good", ["1", "o-1", "a.b:c@d_e-F9", "x" * 200])
def test_what_an_id_may_be(good):
    """1 to 200 of letters, digits and `_ . : @ -`."""
    assert ID.fullmatch(good)


@pytest.mark.parametrize("bad", ["", "a b", "a/b", "a~2", "ä", "a\n", "\na", "x" * 201, "a#b", "é"])
def test_what_an_id_may_not_be(bad):
    """`~` and `/` are ours: restarts and idempotency keys."""
    assert not ID.fullmatch(bad)
