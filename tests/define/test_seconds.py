"""Durations: seconds as a number, or a timedelta."""

from datetime import timedelta

import pytest

from reactor.define.seconds import as_seconds


@pytest.mark.parametrize(("said", "seconds"), [(5, 5.0), (0.25, 0.25), (timedelta(days=2), 172800.0)])
def test_both_spellings(said, seconds):
    """A number is seconds; a timedelta is itself."""
    assert as_seconds(said, "timeout") == seconds


@pytest.mark.parametrize("said", [0, -1, float("nan"), float("inf"), "5", None, True, timedelta(0), timedelta(seconds=-1)])
def test_anything_else_is_refused(refuses, said):
    """Zero, negative, endless and other types: the option is named."""
    with refuses(code="not-seconds", line="as_seconds(said", fix="give timeout seconds above 0", what="`timeout` is"):
        as_seconds(said, "timeout")


def test_zero_where_it_makes_sense():
    """A delay may be none."""
    assert as_seconds(0, "after", zero=True) == 0.0
