"""The reference is made from the docstrings, and no public name is missing in it."""

import re

from docs import make_reference


def test_the_reference_is_what_the_docstrings_say():
    """`python docs/make_reference.py --write` was run after the last change of a public docstring or signature."""
    assert make_reference.PAGE.read_text(encoding="utf-8") == make_reference.page()


def test_no_private_name_is_shown():
    """A reader can import each name that a signature says."""
    assert not re.findall(r"\b_[A-Z]\w+", make_reference.page())


def test_each_overload_has_a_line():
    """`Engine.get` by a whole name, and by a reactor and an id."""
    assert make_reference.page().count("- `await get(") == 2


def test_no_public_name_is_missing():
    """Every name of `reactor.__all__` stands in a group, errors in docs/errors.md."""
    assert make_reference.forgotten() == set()
