"""Errors: one tree, one shape, and text that teaches."""

import inspect
import pickle

import pytest

from reactor import errors
from reactor.define.definition import Span
from reactor.errors import DeadlineExceeded, DefinitionError, MissingArguments, NoSuchAttribute, ReactorError

ALL = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, ReactorError)]


@pytest.mark.parametrize("error", ALL)
def test_every_error_is_drawn_in_the_tree(error):
    """The module's docstring shows every class there is."""
    assert f" {error.__name__} " in (errors.__doc__ or "") or f" {error.__name__}\n" in (errors.__doc__ or "")


@pytest.mark.parametrize("error", ALL)
def test_every_error_has_a_code_of_its_own(error):
    """No two classes share a code, so that a code finds its page."""
    assert [other for other in ALL if other.code == error.code] == [error]


def test_an_error_says_all_it_knows():
    """Code, what, file and line, nearest name, known set and fix, each on its line."""
    error = DefinitionError(
        "no `pricee`", code="x", where=Span("shop.py", 7, 9), fix="say `price`", known=["price", "ship"], nearest="price"
    )
    assert str(error).split("\n") == [
        "[x] no `pricee`",
        "  at shop.py:7",
        "  did you mean `price`?",
        "  known: price, ship",
        "  fix: say `price`",
    ]


def test_a_long_known_set_is_counted_past_twelve():
    """Two thousand nodes do not fill the screen."""
    assert "n11 and 1,988 more" in str(ReactorError("x", known=[f"n{n}" for n in range(2000)]))


def test_a_bare_error_is_one_line_with_its_own_code():
    """The class's code stands where none is given; nothing else is said."""
    assert str(DeadlineExceeded("too late")) == "[deadline-exceeded] too late"


def test_an_error_survives_pickling():
    """An error may cross a process: all it says goes along."""
    error = DefinitionError("what", code="x", where=Span("f.py", 1, 2), fix="f", known=["a"], nearest="a")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("error", "builtin"), [(NoSuchAttribute, AttributeError), (MissingArguments, TypeError), (DeadlineExceeded, TimeoutError)]
)
def test_some_are_python_s_own_too(error, builtin):
    """Who knows only Python's error catches it."""
    assert issubclass(error, builtin)
    assert issubclass(error, ReactorError)
