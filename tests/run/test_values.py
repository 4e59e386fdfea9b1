"""Which codec a value of a node goes through, one for each declared type."""

from typing import Annotated, Any

import pytest
from msgspec import Meta

from reactor import ResultNotStorable, Results
from reactor.run.values import codec_of, round_trip, storable


def test_one_codec_a_type():
    """Made when the type is first met, and kept."""
    assert codec_of(list[int]) is codec_of(list[int])
    assert codec_of(list[int]) is not codec_of(list[str])
    assert codec_of(int) is not codec_of(int, optional=True)


def test_a_type_that_cannot_be_a_key_gets_one_each_time():
    """An Annotated with metadata that has no hash."""
    declared = Annotated[int, Meta(ge=0), ["a list"]]
    assert codec_of(declared).round_trip(3) == 3


def test_none_is_a_value_where_it_may_be():
    """A Skip's, or the output of a child whose `when` was false."""
    assert round_trip(int, None, optional=True) is None
    with pytest.raises(ResultNotStorable):
        round_trip(int, None)


def test_no_declared_type_leaves_all_open():
    """`-> None` gives None; what it really returns is looked at all the same."""
    assert round_trip(None, None) is None
    assert round_trip(Any, [1, {"a": None}]) == [1, {"a": None}]
    assert round_trip(None, 3, optional=True) == 3


def test_what_a_map_left_is_kept_as_it_is():
    """It is a handle on bytes already."""
    results = Results.of([1, 2])
    assert storable(Results[int], results) is results
    assert round_trip(Results[int], results) is results


def test_storable_is_the_bytes():
    """Those that the codec of its type would read back."""
    assert codec_of(list[int]).decode(storable(list[int], [1, 2])) == [1, 2]
