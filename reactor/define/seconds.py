"""Durations as an author says them: seconds as a number, or a timedelta."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TypeAlias

from reactor.define.teaching import author_span
from reactor.errors import DefinitionError

Seconds: TypeAlias = float | timedelta


def as_seconds(said: object, option: str, *, zero: bool = False) -> float:
    """The same in seconds.

    >>> as_seconds(timedelta(minutes=2), "timeout")
    120.0

    Raises DefinitionError for anything but a finite positive number (zero where it is allowed) or timedelta.
    """
    number = said.total_seconds() if isinstance(said, timedelta) else said
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise _wrong(said, option, zero=zero)
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise _wrong(said, option, zero=zero)
    return float(number)


def _wrong(said: object, option: str, *, zero: bool) -> DefinitionError:
    return DefinitionError(
        f"`{option}` is {said!r}",
        code="not-seconds",
        where=author_span(),
        fix=f"give {option} seconds {'from 0' if zero else 'above 0'} as a number, or a timedelta",
    )
