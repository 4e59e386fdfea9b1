"""What msgspec says of a wrong value: one sentence, with the allowed values, and of a secret only the rule."""

import enum
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import pytest
from msgspec import Meta

from reactor.define.wording import told, told_of_secret

CANARY = "s3cr3t-canary"


class Currency(enum.Enum):
    EUR = "EUR"
    USD = "USD"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Card(msgspec.Struct, tag="card"):
    currency: Currency


class Wire(msgspec.Struct, tag="wire"):
    level: Literal["a", 1] = 1


class Pair(NamedTuple):
    currency: Currency


class Loud(msgspec.Struct):
    text: str

    def __post_init__(self) -> None:
        raise ValueError(f"Expected `{self.text}`")


def complaint(declared, value):
    """What msgspec itself says."""
    with pytest.raises(msgspec.MsgspecError) as caught:
        msgspec.convert(value, declared)
    return str(caught.value)


@pytest.mark.parametrize(
    ("declared", "value", "path", "text"),
    [
        (int, "7", "", "expected `int`, got '7'"),
        (Annotated[tuple[int, int], Meta(description="a pair")], [1], "", "expected `array` of length 2, got [1]"),
        (Currency, "GBP", "", "expected one of 'EUR', 'USD', got 'GBP'"),
        (Currency | None, "GBP", "", "expected one of 'EUR', 'USD', got 'GBP'"),
        (Level, 7, "", "expected one of 1, 2, got 7"),
        (Annotated[Literal["x", "y"], Meta(title="axis")], "z", "", "expected one of 'x', 'y', got 'z'"),
        (list[Currency], ["EUR", "GBP"], "[1]", "expected one of 'EUR', 'USD', got 'GBP'"),
        (tuple[int, Currency], [1, "GBP"], "[1]", "expected one of 'EUR', 'USD', got 'GBP'"),
        (Pair, ["GBP"], "[0]", "expected one of 'EUR', 'USD', got 'GBP'"),
        (dict[str, Currency], {"a": "GBP"}, "[...]", "expected one of 'EUR', 'USD'"),
        (dict[Currency, int], {"GBP": 1}, "", "expected one of 'EUR', 'USD', in a key of {'GBP': 1}"),
        (Card | Wire, {"type": "cash"}, ".type", "expected one of 'card', 'wire', got 'cash'"),
        (Card | Wire, {"type": "wire", "level": "z"}, ".level", "expected one of 1, 'a', got 'z'"),
        (dict[str, list[Card]], {"a": [{"type": "card", "currency": "GBP"}]}, "[...][0].currency", "expected one of 'EUR', 'USD'"),
        (dict[str, list[int]], {"a": ["x"]}, "[...][0]", "expected `int`, got `str`"),
        (list[dict[int, str]], [{"x": "a"}], "[0]", "expected `int`, got `str`, in a key of {'x': 'a'}"),
    ],
    ids=range(16),
)
def test_one_sentence(declared, value, path, text):
    """Where it is, what is expected, what was given."""
    assert told("at", declared, value, complaint(declared, value)) == ("at" + path, text)


def test_what_cannot_be_looked_up_is_left_out():
    """The allowed values of a type that msgspec cannot read, and a path that leads nowhere."""
    assert told("at", Card | str | bytes | list[int] | Any | set, "x", "Invalid enum value 'x'") == ("at", "no allowed value, got 'x'")
    assert told("at", "Undefined", "x", "Invalid enum value 'x'") == ("at", "no allowed value, got 'x'")
    assert told("at", dict, {}, "Expected `int`, got `str` - at `$.a.b`") == ("at.a.b", "expected `int`, got `str`")


@pytest.mark.parametrize(
    ("declared", "value", "text"),
    [
        (Annotated[str, Meta(min_length=99)], CANARY, "expected `str` of length >= 99"),
        (Annotated[str, Meta(pattern="^a+$")], CANARY, "expected `str` matching regex '^a+$'"),
        (Annotated[int, Meta(multiple_of=7)], 5, "expected `int` that's a multiple of 7"),
        (Annotated[float, Meta(gt=0.5)], -1.0, "expected `float` > 0.5"),
        (int | None, CANARY, "expected `int | null`"),
        (list[int], [CANARY], "expected `int`"),
        (Currency, CANARY, "expected one of 'EUR', 'USD'"),
        (dict[Currency, int], {CANARY: 1}, "expected one of 'EUR', 'USD'"),
        (Loud, {"text": CANARY}, "is not right"),
    ],
    ids=range(9),
)
def test_of_a_secret_only_the_rule_is_told(declared, value, text):
    """The type's own words, never an author's: a validator may repeat what it was given."""
    assert told_of_secret("key", declared, complaint(declared, value), "is not right") == ("key", f"{text}, got ********")
