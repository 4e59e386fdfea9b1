"""Types and constants become text by structure: equal structures alike, other structures otherwise."""

import datetime as dt
import decimal
import enum
import functools
import json
import pathlib
import re
import typing
from dataclasses import dataclass, field

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypeAliasType

from reactor.plan.rendering import Renderer, sorted_by_text


def type_text(annotation):
    """An annotation in a document of its own."""
    return json.dumps(Renderer().type(annotation))


def value_text(value):
    """A constant in a document of its own."""
    return json.dumps(Renderer().value(value))


def struct(*fields, **options):
    """A Struct called Line."""
    return msgspec.defstruct("Line", fields, **options)


class Tree(msgspec.Struct):
    kids: "list[Tree]"
    parent: "Tree | None" = None


def two_dataclasses():
    """Two classes of one name that differ in a default."""

    @dataclass
    class Line:
        sku: str
        n: int = 1

    first = Line

    @dataclass
    class Line:
        sku: str
        n: int = 2

    return first, Line


class Later(typing.NamedTuple):
    gone: "Nowhere"  # noqa: F821 - a name that only a checker could see


Kept = typing.TypeVar("Kept")
Other = typing.TypeVar("Other")


SAME = [
    ("Nowhere", typing.ForwardRef("Nowhere")),
    (typing.Callable[[int], str], typing.Callable[[int], str]),
    (typing.Callable[..., str], typing.Callable[..., str]),
    (int | str, typing.Union[str, int]),  # noqa: UP007 - as old code says it
    (int | None, typing.Optional[int]),  # noqa: UP045
    (struct(("sku", str), ("n", int, 1)), struct(("sku", str), ("n", int, 1))),
    (typing.Literal["a", "b"], typing.Literal["b", "a"]),
    (typing.NewType("Euro", int), int),
    (typing.Annotated[int, msgspec.Meta(gt=0, description="x")], typing.Annotated[int, msgspec.Meta(gt=0, title="y")]),
    (None, type(None)),
]
OTHER = [
    (typing.Callable[[int], str], typing.Callable[[str], str]),
    (typing.Callable[[int], str], typing.Callable[..., str]),
    (list[Kept], list[Other]),
    (Later, typing.NamedTuple("Later", [("gone", int)])),
    (typing.Any, object),
    (TypeAliasType("Rows", list[int]), TypeAliasType("Rows", list[str])),
    (typing.Self, typing.Never),
    (int, float),
    (list[int], list[str]),
    (list[int], tuple[int, ...]),
    (int, int | None),
    (struct(("sku", str)), struct(("sku", int))),
    (struct(("sku", str)), struct(("sku", str), ("n", int))),
    (struct(("sku", str)), struct(("sku", str, ""))),
    (struct(("sku", str)), struct(("sku", str), tag=True)),
    (struct(("sku", str), tag="a"), struct(("sku", str), tag="b")),
    (struct(("sku", str)), struct(("sku", str), array_like=True)),
    (struct(("sku_no", str)), struct(("sku_no", str), rename="camel")),
    (two_dataclasses()[0], two_dataclasses()[1]),
    (attrs.make_class("A", {"x": attrs.field(type=int)}), attrs.make_class("A", {"x": attrs.field(type=str)})),
    (pydantic.create_model("A", x=(int, ...)), pydantic.create_model("A", x=(str, ...))),
    (typing.TypedDict("A", {"x": int}), typing.TypedDict("A", {"x": str})),
    (typing.TypedDict("A", {"x": int}), typing.TypedDict("A", {"x": int}, total=False)),
    (typing.NamedTuple("A", [("x", int)]), typing.NamedTuple("A", [("x", str)])),
    (enum.Enum("A", {"X": 1}), enum.Enum("A", {"X": 2})),
    (typing.Literal["a"], typing.Literal["b"]),
    (typing.Literal[1], typing.Literal["1"]),
    (typing.Annotated[int, msgspec.Meta(gt=0)], typing.Annotated[int, msgspec.Meta(gt=1)]),
    ("Later", "Never"),
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=range(len(SAME)))
def test_equal_types_read_alike(one, other):
    """Spelling, order of a union, prose, and which class object it is make no difference."""
    assert type_text(one) == type_text(other)


@pytest.mark.parametrize(("one", "other"), OTHER, ids=range(len(OTHER)))
def test_a_changed_type_reads_otherwise(one, other):
    """A field, its type, default, name on the wire, tag or constraint: each shows."""
    assert type_text(one) != type_text(other)


def test_a_type_may_contain_itself():
    """A recursive Struct is written once, and meant by number inside."""
    assert type_text(Tree).count("kids") == 1
    assert type_text(list[Tree]) != type_text(Tree)


CHANGED = [
    (1, 1.0),
    (1, True),
    (0, False),
    (None, False),
    ("1", 1),
    ([1, 2], [2, 1]),
    ([1], (1,)),
    ({"a": 1}, {"a": 2}),
    (b"a", b"b"),
    (dt.date(2024, 1, 1), dt.date(2024, 1, 2)),
    (dt.timedelta(1), dt.timedelta(2)),
    (decimal.Decimal("1.0"), decimal.Decimal("1.5")),
    (re.compile("a"), re.compile("b")),
    (re.compile("a"), re.compile("a", re.IGNORECASE)),
    (pathlib.PurePath("a"), pathlib.PurePath("b")),
    (functools.partial(int, base=2), functools.partial(int, base=3)),
    (len, print),
    (int, str),
    (Tree([]), Tree([Tree([])])),
    (2**70, 2**70 + 1),
    (float("inf"), float("-inf")),
    ("\ud800", "\ud801"),
]


@pytest.mark.parametrize(("one", "other"), CHANGED, ids=range(len(CHANGED)))
def test_a_changed_constant_reads_otherwise(one, other):
    """Values that differ, or are of another type, never read alike."""
    assert value_text(one) != value_text(other)


def test_constants_without_an_order_read_alike():
    """Sets and dicts are written in an order of their own."""
    assert value_text({"a", "b", "c"}) == value_text({"c", "b", "a"})
    assert value_text({"a": 1, "b": 2}) == value_text({"b": 2, "a": 1})


def test_functions_go_by_their_qualified_names():
    """A lambda or function in a constant is its module and name, never an address in memory."""
    assert value_text(lambda: 1) == json.dumps(
        ["named", f"{__name__}.test_functions_go_by_their_qualified_names.<locals>.<lambda>"],
    )


class Opaque:
    """An object that nobody can look into."""

    __slots__ = ()


@dataclass
class Policy:
    limit: int
    also: list = field(default_factory=list)


def test_no_address_in_memory_is_ever_read():
    """Two equal objects at two addresses read alike, known to msgspec or not."""
    for make in (Opaque, object, lambda: Policy(1), lambda: Policy(1, [Opaque()]), lambda: (x for x in ())):
        assert value_text(make()) == value_text(make())
        assert "0x" not in value_text(make())
    assert value_text(Policy(1)) != value_text(Policy(2))


def test_a_constant_may_contain_itself():
    """A list inside itself ends."""
    loop = [1]
    loop.append(loop)
    assert value_text(loop) == json.dumps(["list", ["int", "1"], "itself"])


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(PLAIN, PLAIN)
def test_plain_data_reads_alike_exactly_if_equal(one, other):
    """Equality of text is equality of value and type."""
    alike = repr(one) == repr(other) or (one == other and value_text(one) == value_text(other))
    assert (value_text(one) == value_text(other)) is alike


def test_sorting_is_by_text():
    """Texts and lists of texts have one order."""
    assert sorted_by_text([["b"], "a", ["a"]]) == sorted_by_text([["a"], ["b"], "a"])
