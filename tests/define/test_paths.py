"""Paths through types: what is certain is refused, what an author's class may hold is not."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest

from reactor.define.definition import Key
from reactor.define.paths import Astray, follow, is_no_sequence
from reactor.define.results import Results

T = TypeVar("T")


class Line(msgspec.Struct):
    sku: str
    kind: ClassVar[str] = "line"

    @property
    def short(self) -> str:
        return self.sku[:2]


class Quote(msgspec.Struct):
    lines: list[Line]
    rates: dict[str, float]
    pair: tuple[int, str]
    note: Annotated[str, msgspec.Meta(max_length=9)] = ""


class Boxed(msgspec.Struct, Generic[T]):
    value: T


@dataclass
class Plain:
    total: int


@dataclass
class Late:
    total: int

    def __post_init__(self) -> None:
        self.double = self.total * 2


@attrs.define
class Attrs:
    total: int


class Model(pydantic.BaseModel):
    total: int


class Pair(NamedTuple):
    left: int
    right: str


class Typed(TypedDict):
    total: int


class Open(msgspec.Struct):
    total: int

    def __getattr__(self, name: str) -> int:
        return 0


class Own:
    def __init__(self) -> None:
        self.total = 1


@pytest.mark.parametrize(
    ("annotation", "path", "end"),
    [
        (Quote, ("lines",), list[Line]),
        (Quote, ("lines", 0, "sku"), str),
        (Quote, ("lines", -1), Line),
        (Quote, ("rates", Key("eur")), float),
        (Quote, ("pair", 1), str),
        (Annotated[Quote, "note"], ("pair", 0), int),
        (Line, ("short",), Any),
        (Line, ("kind",), Any),
        (Boxed[int], ("value",), Any),
        (Plain, ("total",), int),
        (Late, ("double",), Any),
        (Attrs, ("total",), int),
        (Model, ("total",), int),
        (Pair, ("left",), int),
        (Pair, (0,), Any),
        (Typed, (Key("total"),), int),
        (Own, ("total",), Any),
        (Open, ("anything",), Any),
        (Any, ("a", 0, Key("b")), Any),
        (object, ("a",), Any),
        (Quote | None, ("lines",), Any),
        (Sequence[int], (0,), int),
        (tuple[int, ...], (5,), int),
        (str, (0,), Any),
        (list, (0,), Any),
        (int, ("real",), Any),
        (T, ("a",), Any),
    ],
    ids=range(27),
)
def test_where_a_path_leads(annotation, path, end):
    """The type at its end, or Any where nobody can tell."""
    assert follow(annotation, path) == end


@pytest.mark.parametrize(
    ("annotation", "path", "part", "known"),
    [
        (Quote, ("totall",), "totall", "lines"),
        (Quote, ("lines", 0, "skuu"), "skuu", "sku"),
        (Plain, ("totel",), "totel", "total"),
        (Pair, ("middle",), "middle", "left"),
        (Typed, (Key("totel"),), "['totel']", "total"),
        (tuple[int, str], (2,), "[2]", "[0]"),
        (Quote, (0,), "[0]", None),
        (int, (0,), "[0]", None),
        (int, ("lines",), "lines", "real"),
        (type(None), ("a",), "a", None),
        (list[int], ("total",), "total", "append"),
    ],
    ids=range(11),
)
def test_where_a_path_goes_astray(annotation, path, part, known):
    """Only where the type certainly has no such part; what it has is told."""
    with pytest.raises(Astray) as caught:
        follow(annotation, path)
    assert caught.value.part == part
    assert known is None or known in caught.value.known


@pytest.mark.parametrize("annotation", [int, None.__class__, str, dict[str, int], set[int], Quote, bool])
def test_what_is_certainly_no_sequence(annotation):
    """A map over it cannot work."""
    assert is_no_sequence(annotation)


@pytest.mark.parametrize(
    "annotation", [list[int], tuple[int, ...], Sequence[int], Any, Own, Quote | None, range, Pair, Results[int]], ids=range(9)
)
def test_what_may_be_a_sequence(annotation):
    """Not certain: not refused here."""
    assert not is_no_sequence(annotation)


def test_a_field_s_own_type_may_be_unknown_yet():
    """A Struct whose annotations do not resolve has its names, and Any for their types."""

    class Ahead(msgspec.Struct):
        later: "NotThereYet"  # noqa: F821 - that is the point

    assert follow(Ahead, ("later", "x")) is Any
    with pytest.raises(Astray):
        follow(Ahead, ("latr",))


def test_a_default_is_no_field_of_another_kind():
    """dataclasses.field is the dataclass's own."""

    @dataclass
    class Listed:
        items: list[int] = field(default_factory=list)

    assert follow(Listed, ("items", 0)) is int
