"""Where the author said it, and what the author may have meant."""

import functools
import linecache

import pytest

from reactor.define.definition import Span
from reactor.define.teaching import NOWHERE, author_span, def_span, line_of_field, nearest, parameter_span, said_before, span_of


def marked(fn):
    """Do nothing."""
    return fn


@marked
@marked
async def decorated(
    self,
    first: int,
    second: int = 2,
) -> str:
    """Say it over
several lines."""  # fmt: skip # noqa: D205, D207, D209 - text that is indented less than its code
    return "x"


def wrapped(fn):
    """Wrap it."""

    @functools.wraps(fn)
    def wrapper(*args):
        return fn(*args)

    return wrapper


def text(place):
    """The line that is spoken of."""
    return linecache.getline(place.file, place.line).strip()


def test_a_span_is_from_decorator_to_last_line():
    """Of the author's function, however it is wrapped."""
    span = span_of(decorated)
    assert text(span) == "@marked"
    assert linecache.getline(span.file, span.end_line).strip() == 'return "x"'
    assert span_of(wrapped(decorated)) == span


def test_the_line_of_the_def_and_of_a_parameter():
    """Below the decorators; a name that is no parameter is at the def's first line."""
    assert text(def_span(decorated)) == "async def decorated("
    assert text(parameter_span(decorated, "second")) == "second: int = 2,"
    assert text(parameter_span(decorated, "third")) == "@marked"


def test_what_has_no_source_is_still_placed():
    """Built-ins are nowhere; made of text, a function is at its first line."""
    assert span_of(len) == NOWHERE
    names = {}
    exec(compile("def made(a,\n b): pass", "<made>", "exec"), names)
    assert (def_span(names["made"]).file, def_span(names["made"]).line) == ("<made>", 1)
    assert parameter_span(names["made"], "b").line == 1


def test_the_line_of_a_field():
    """In the class body; if it is not there, the class's."""

    class Holder:
        amount: int
        amounts: list[int]

    here = author_span()
    start = next(n for n in range(here.line, 0, -1) if "class Holder" in linecache.getline(here.file, n))
    span = Span(here.file, start, start)
    assert text(line_of_field(span, "amounts")) == "amounts: list[int]"
    assert text(line_of_field(span, "absent_of_course")) == "class Holder:"
    assert Holder.__annotations__


def test_the_author_s_line_is_outside_of_the_package():
    """Whoever calls us."""
    assert "author_span()" in text(author_span())


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [("pricee", ["price", "reserve"], "price"), ("xyz", ["price"], None), ("Price", ["price"], "price"), ("a", [], None)],
    ids=range(4),
)
def test_the_nearest_name(name, known, expected):
    """Or none: a wild guess teaches nothing."""
    assert nearest(name, known) == expected


def test_what_a_class_body_says_so_far():
    """Inside one; outside, nothing."""

    class Body:
        first = 1
        seen = said_before("first")

    assert Body.seen == 1
    first = 2
    assert said_before("first") is None
    assert first == 2
