"""A value ↔ bytes, by its declared type: what goes in comes back the same, or is refused at once."""

import math
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest

from reactor import ResultNotStorable
from reactor.record.codec import LIMIT, Codec

NAN = float("nan")


class Line(msgspec.Struct):
    sku: str
    price: float = 0.0


class Special(Line):
    discount: int = 0


class Cash(msgspec.Struct, tag=True):
    amount: int


class Wire(msgspec.Struct, tag=True):
    iban: str


class Loose(msgspec.Struct):
    anything: Any


@dataclass
class Point:
    x: float
    y: float = 0.0


@dataclass(eq=False)
class Nameless:
    x: int


@attrs.define
class Box:
    width: float
    label: str = ""


class Row(TypedDict):
    id: int
    name: str


class Sized(TypedDict):
    size: float


class Pair(NamedTuple):
    left: int
    right: float


class Model(pydantic.BaseModel):
    at: datetime
    weight: float = 1.0
    tags: list[str] = []


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


AT = datetime(2025, 1, 2, 3, 4, 5, 678, tzinfo=UTC)

# ---- what survives ----------------------------------------------------------------------------------------------------

SURVIVES = [
    (int, 0),
    (int, 2**63 - 1),
    (int, -(2**63)),
    (int, 2**64 - 1),
    (float, 1.5),
    (float, math.inf),
    (float, 3),  # an int where a float is declared is that float
    (bool, False),
    (str, ""),
    (str, "naïve 🙂"),
    (bytes, b"\x00\xff"),
    (type(None), None),
    (None, None),
    (list[int], []),
    (list[list[int]], [[1], []]),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (dict[str, int], {"a": 1}),
    (dict[int, str], {1: "a"}),
    (dict[tuple[int, int], str], {(1, 2): "a"}),
    (datetime, AT),
    (datetime, datetime(2025, 1, 2, 3, 4)),  # noqa: DTZ001  # without a zone
    (date, date(2025, 1, 2)),
    (timedelta, timedelta(days=2, microseconds=3)),
    (Decimal, Decimal("1.10")),
    (UUID, UUID(int=7)),
    (Colour, Colour.RED),
    (Level, Level.LOW),
    (Literal["a", "b"], "b"),
    (int | None, None),
    (int | str, "7"),
    (Annotated[int, msgspec.Meta(gt=0)], 1),
    (Line, Line("a", 1.5)),
    (list[Line], [Line("a")]),
    (Cash | Wire, Wire("de")),
    (Loose, Loose([1, {"a": None}])),
    (Point, Point(1.0, 2.0)),
    (Box, Box(1.0, "b")),
    (Row, {"id": 1, "name": "a"}),
    (Pair, Pair(1, 2.0)),
    (Model, Model(at=AT, tags=["a"])),
    (list[Model], [Model(at=AT)]),
    (Model | None, None),
    (Any, [1, "a", None, {"a": [True, 1.5]}]),
    (object, {"a": 1}),
    (list, [1, [2]]),
    (dict, {"a": [1]}),
]


@pytest.mark.parametrize(("declared", "value"), SURVIVES, ids=lambda value: repr(value)[:40])
def test_what_survives(declared, value):
    """It comes back equal, and of its declared type."""
    codec = Codec(declared)
    again = codec.round_trip(value)
    assert again == value
    assert again == codec.decode(codec.checked(value))
    if type(declared) is type:
        assert isinstance(again, declared)


def test_an_object_that_is_compared_by_identity_is_taken_at_its_types_word():
    """No comparison could tell whether it is the same."""
    assert Codec(Nameless).round_trip(Nameless(3)).x == 3


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (float, NAN),
        (Any, NAN),
        (list[float], [1.0, NAN]),
        (tuple[float, float], (NAN, 1.0)),
        (dict[str, float], {"a": NAN}),
        (Line, Line("a", NAN)),
        (Point, Point(NAN, 1.0)),
        (Box, Box(NAN)),
        (Pair, Pair(1, NAN)),
        (Sized, {"size": NAN}),
        (Model, Model(at=AT, weight=NAN)),
        (list[Point], [Point(1.0), Point(NAN)]),
    ],
    ids=repr,
)
def test_nan_is_itself(declared, value):
    """It is a float like any other: msgpack keeps it, wherever it stands, and `!=` does not count."""
    assert "nan" in repr(Codec(declared).round_trip(value))


def test_what_comes_back_is_a_copy():
    """Whoever changes it changes nobody else's."""
    value = {"a": [1]}
    again = Codec(dict[str, list[int]]).round_trip(value)
    again["a"].append(2)
    assert value == {"a": [1]}


# ---- what does not ------------------------------------------------------------------------------------------------------


def nested(depth):
    """A list in a list in a list."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


def shown(value):
    """A short name for a case."""
    return type(value).__name__ if isinstance(value, list) else repr(value)[:40]


REFUSED = [
    (int, "7", "Expected `int`, got `str`"),
    (int, True, "bool"),
    (int, 1.5, "float"),
    (str, 7, "Expected `str`"),
    (list[int], [1, "a"], r"\$\[1\]"),
    (Line, {"sku": 7}, r"\$.sku"),
    (Line, None, "Expected `object`"),
    (Line, Special("a", 1.0, 5), "would come back as"),
    (Annotated[int, msgspec.Meta(gt=0)], 0, ">= 1"),
    (Literal["a"], "b", "Invalid enum value"),
    (Row, {"id": 1}, "missing required field"),
    (Row, {"id": 1, "name": "a", "more": 2}, "would come back as"),
    (Cash | Wire, Line("a"), ""),
    (Model, {"at": "never"}, ""),
    (str, "\ud800", "surrogates"),
    (list[str], ["fine", "\udfff"], "surrogates"),
    (int, 2**64, "can.t serialize ints"),
    (int, -(2**63) - 1, "can.t serialize ints"),
    (Any, nested(100_000), "recursion"),
    (object, object(), "is not plain data"),
    (Any, Fraction(1, 2), "is not plain data"),
    (Any, lambda: 1, "is not plain data"),
    (Any, (1, 2), "would come back as"),
    (Any, {"a": (1,)}, "would come back as"),
    (object, datetime(2025, 1, 2), "would come back as"),  # noqa: DTZ001
    (None, {1, 2}, "would come back as"),
    (list, [(1, 2)], "would come back as"),
    (dict, {"a": date(2025, 1, 2)}, "would come back as"),
    (list[Any], [Decimal(1)], "would come back as"),
    (dict[str, Any], {"a": UUID(int=1)}, "would come back as"),
    (Any, Line("a"), "would come back as"),
    (Any, Point(1.0), "would come back as"),
    (Any, Colour.RED, "would come back as"),
    (Loose, Loose((1, 2)), "would come back as"),
    (Any | None, (1,), "would come back as"),
]


@pytest.mark.parametrize(("declared", "value", "why"), REFUSED, ids=shown)
def test_what_does_not_survive_is_refused_at_once(declared, value, why):
    """By `checked` and by `round_trip` alike; the error says the value's own type, the declared one and why."""
    codec = Codec(declared)
    for way in (codec.checked, codec.round_trip):
        with pytest.raises(ResultNotStorable, match=f"(?i){why}") as raised:
            way(value)
        assert f"a value of type {type(value).__name__} does not survive as " in str(raised.value)
        assert raised.value.code == "result-not-storable"
        assert raised.value.fix


def test_a_value_that_is_too_large_is_refused():
    """A store keeps records, not files; the limit is its own."""
    assert len(Codec(bytes).checked(b"x" * (LIMIT - 10))) <= LIMIT
    with pytest.raises(ResultNotStorable, match=r"1,048,582 bytes and at most 1,048,576 are kept") as raised:
        Codec(bytes).checked(b"x" * (LIMIT + 1))
    assert "return its key" in raised.value.fix
    assert Codec(str, limit=5).checked("abcd")
    with pytest.raises(ResultNotStorable, match="6 bytes"):
        Codec(str, limit=5).checked("abcde")


def test_bytes_that_do_not_fit_are_refused_when_they_are_read():
    """Written under another type, or not ours at all: never an error of msgspec's."""
    for data in (Codec(str).encode("a"), b"", b"\xc1", b"\x92\x01"):
        with pytest.raises(ResultNotStorable):
            Codec(int).decode(data)


class HostileEq(msgspec.Struct):  # noqa: PLW1641  # nobody hashes it
    x: int

    def __eq__(self, other):
        raise RuntimeError("do not compare me")


@dataclass
class HostilePlain:  # noqa: PLW1641  # nobody hashes it
    x: int

    def __eq__(self, other):
        raise RuntimeError("do not compare me")


class HostileInit(msgspec.Struct):
    x: int

    def __post_init__(self):
        if self.x == 7 and not TRUSTED:
            raise KeyError("x")


class HostileModel(pydantic.BaseModel):
    x: int

    @pydantic.field_validator("x", mode="before")
    @classmethod
    def check(cls, value):
        """Raises what pydantic does not catch."""
        if not TRUSTED:
            raise KeyError("x")
        return value


class HostileDump:
    def model_dump(self, mode):
        """As if it were pydantic's."""
        raise AttributeError("nothing to dump")


TRUSTED = []


@pytest.mark.parametrize(
    ("declared", "make"),
    [
        (HostileEq, lambda: HostileEq(1)),
        (HostilePlain, lambda: HostilePlain(1)),
        (HostileInit, lambda: HostileInit(7)),
        (HostileModel, lambda: HostileModel(x=1)),
        (HostileDump, HostileDump),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_whatever_a_value_raises_is_a_refusal(declared, make):
    """Its comparison, its `__post_init__`, its validator: an author's mistake never reaches the driver as it is."""
    TRUSTED.append(1)
    value = make()
    TRUSTED.clear()
    with pytest.raises(ResultNotStorable):
        Codec(declared).checked(value)


def test_equal_values_of_other_types_may_come_back_plain():
    """Under a type that leaves it open an ordered dict comes back as a dict, an IntEnum as an int: they are equal."""
    assert Codec(Any).round_trip(OrderedDict(a=1)) == {"a": 1}
    assert Codec(Any).round_trip(Level.LOW) == 1


def test_a_plain_namedtuple_is_a_tuple():
    """Untyped, it has no type to come back as."""
    plain = namedtuple("plain", "x y")  # noqa: PYI024  # as old code has them
    with pytest.raises(ResultNotStorable):
        Codec(Any).round_trip(plain(1, 2))


def test_a_default_that_is_made_anew_is_equal():
    """What the declared type adds by itself is no difference."""

    @dataclass
    class Defaults:
        items: list[int] = field(default_factory=list)

    assert Codec(Defaults).round_trip(Defaults()) == Defaults()
