"""Which codec a value of a node goes through, one for each declared type."""

from typing import Annotated, Any

import pytest
from msgspec import Meta

from reactor import Reactor, ResultNotStorable, Results, compose, map_over, step
from reactor.machine.machine import Machine
from reactor.plan.compile import plan_of
from reactor.run.values import codec_of, declared_type, element_type, kept


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
    assert kept(int, None, optional=True) == (None, b"\xc0")
    with pytest.raises(ResultNotStorable):
        kept(int, None)


def test_no_declared_type_leaves_all_open():
    """`-> None` gives None; what it really returns is looked at all the same."""
    assert kept(None, None)[0] is None
    assert kept(Any, [1, {"a": None}])[0] == [1, {"a": None}]
    assert kept(None, 3, optional=True)[0] == 3


def test_what_a_map_left_is_kept_as_it_is():
    """It is a handle on bytes already."""
    results = Results.of([1, 2])
    assert kept(Results[int], results) == (results, results.reference())


def test_kept_is_what_comes_back_and_its_bytes():
    """Dependents get a copy, never the object itself; of an element, only the bytes are kept."""
    value = [1, 2]
    again, raw = kept(list[int], value)
    assert again == value
    assert again is not value
    assert codec_of(list[int]).decode(raw) == value
    assert kept(list[int], value, encoded=True) == (raw, raw)


class Leaf(Reactor):
    @step
    async def output(self) -> str:
        return "leaf"


class Other(Reactor):
    @step
    async def output(self) -> int:
        return 1


class Silent(Reactor):
    @step
    async def output(self) -> None: ...


class Typed(Reactor):
    @step
    async def plain(self) -> int:
        return 1

    @map_over([1])
    async def numbers(self, one: int) -> float:
        return 1.0

    @map_over([1])
    async def leaves(self, one: int) -> Leaf:
        return Leaf()

    @map_over([1])
    async def silent(self, one: int) -> Silent:
        return Silent()

    @compose
    async def either(self) -> Leaf | Other:
        return Leaf()

    @step(after=[plain, numbers, leaves, silent, either])
    async def output(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("name", "declared"), [("plain", int), ("numbers", float), ("leaves", str), ("silent", type(None)), ("either", Any)], ids=str
)
def test_the_type_of_a_nodes_own_result(name, declared):
    """A step's; an element's; the output of the reactor that is returned, or whatever where it may be one of several."""
    plan = plan_of(Typed)
    index = plan.index[name]
    assert element_type(plan.nodes[index]) is declared
    assert declared_type(Machine(plan).state.root, index) is declared
