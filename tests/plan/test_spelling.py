"""What a person reads is short, and harmless to a terminal."""

import typing
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.define.definition import Key
from reactor.plan.spelling import printable, spell_path, spell_seconds, spell_type, spell_value


class Line(msgspec.Struct):
    sku: str


@dataclass
class Hostile:
    token: str


@pytest.mark.parametrize(
    ("annotation", "spelt"),
    [
        (int, "int"),
        (None, "None"),
        (type(None), "None"),
        (Line, "Line"),
        (list[Line], "list[Line]"),
        (Line | None, "Line | None"),
        (typing.Optional[int], "int | None"),  # noqa: UP045 - as old code says it
        (dict[str, tuple[int, ...]], "dict[str, tuple[int, ...]]"),
        (typing.Annotated[int, msgspec.Meta(gt=0)], "int"),
        (typing.Literal["a", 1], "Literal['a', 1]"),
        (Callable[[int], str], "Callable[[int], str]"),
        (typing.Any, "Any"),
        ("Later", "Later"),
    ],
)
def test_types_read_as_their_author_wrote_them(annotation, spelt):
    """Modules are left out; unions are bars; Annotated is transparent."""
    assert spell_type(annotation) == spelt


def test_paths_read_as_code():
    """A path is spelt as in the author's default."""
    assert spell_path(()) == ""
    assert spell_path(("lines", 0, Key('q"'))) == ".lines[0]['q\"']"


def test_seconds_take_the_largest_whole_unit():
    """Two days are two days, and ninety seconds stay seconds."""
    assert [spell_seconds(s) for s in (0.25, 5, 60, 90, 7200, 172800)] == ["0.25 s", "5 s", "1 min", "90 s", "2 h", "2 d"]


def test_only_plain_constants_are_shown():
    """An object's repr may hold an address or a secret, so only its class is shown."""
    assert spell_value(False) == "False"
    assert spell_value("a\x1b") == "'a\\x1b'"
    assert spell_value([]) == "[]"
    assert spell_value(Hostile("sesame")) == "Hostile(…)"
    assert spell_value(["sesame"]) == "list(…)"
    assert spell_value(spell_value) == "spell_value"


@given(st.text())
def test_nothing_unprintable_is_left(text):
    """No control character, line break or lone surrogate reaches a terminal or a file, and the length is bounded."""
    shown = printable(text, 50)
    assert shown.isprintable()
    assert len(shown) <= 50
    shown.encode()
