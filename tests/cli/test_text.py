"""Words for people: nothing of an author's can be obeyed by a terminal, and figures read well."""

import json
from pathlib import Path

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.cli.shapes import example, is_structured, spell
from reactor.cli.text import ASCII_MARKS, MARKS, clean, clean_lines, duration, escape_json, listed, marks_for, nearest
from reactor.cli.values import as_json


@given(st.text(st.characters(), max_size=80))
def test_cleaned_text_is_one_printable_line(text):
    """Whatever goes in, no control, format, bidi, surrogate or line separator comes out, and it can be encoded."""
    said = clean(text, 50)
    assert said.isprintable()
    said.encode()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_escaped_json_is_the_same_value(text):
    """Escaping for terminals changes no value, and leaves nothing unprintable."""
    said = as_json([text])
    assert json.loads(said) == [text]
    assert said.isprintable()


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_value_has_json(value):
    """Ints of any size, NaN and lone surrogates too: at worst a repr."""
    json.loads(as_json(value))


def test_a_broken_repr_is_survived():
    """An output whose repr raises is still told."""

    class Broken:
        def __repr__(self):
            raise RuntimeError

    assert as_json(Broken()) == '"<Broken: its repr raised RuntimeError>"'


def test_blocks_keep_their_shape():
    """Lines of code keep their indentation; escapes in them are spelt."""
    assert clean_lines("if x:\n\treturn\x1b[0m\n") == ["if x:", "    return\\x1b[0m"]


@pytest.mark.parametrize(("seconds", "said"), [(-1, "0 ms"), (0.0004, "0 ms"), (59.94, "59.9 s"), (60, "1:00"), (3600, "1:00:00")])
def test_durations(seconds, said):
    """Short below a minute, a clock above; never negative."""
    assert duration(seconds) == said


def test_marks_fit_the_output():
    """Every state has a mark in both alphabets; an encoding that lacks one gets ASCII."""
    assert MARKS.keys() == ASCII_MARKS.keys()
    assert marks_for("utf-8") is MARKS
    assert marks_for("ascii") is marks_for(None) is marks_for("nonsense") is ASCII_MARKS


def test_nearest_and_listed():
    """A near name is found whatever its case; a far one is not; long lists are counted."""
    assert nearest("CHECKOUT", ["Checkout", "Refund"]) == "Checkout"
    assert nearest("zzz", ["Checkout"]) is None
    assert listed([str(n) for n in range(20)]).endswith("and 8 more")


def test_shapes():
    """A type has an example of its JSON, or is known to be structured where msgspec cannot tell."""
    assert example(dict[str, tuple[int, bool]]) == {"…": [1, True]}
    assert is_structured(pydantic.create_model("Model", n=(int, ...))) is True
    assert (is_structured(Path), example("nonsense")) == (False, "…")
    assert spell(list[int] | None) == "list[int] | None"
    assert escape_json('"a"') == '"a"'
