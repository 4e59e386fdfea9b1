"""How the work in a store stands: what is due and nobody drives, and who holds what. For `doctor`; no store need answer it.

Not part of the port: a store that has `standing()` is asked, another is not.
"""

from __future__ import annotations

import msgspec


class Due(msgspec.Struct, frozen=True):
    """Records of one reactor in one place that are due and unowned: how many, and since when the longest (store's time, seconds)."""

    reactor: str
    place: str
    count: int
    since: float


class SessionStanding(msgspec.Struct, frozen=True):
    """One process's lease: until when (store's time, seconds; 0.0: it is not there any more), and how many records it holds."""

    name: str
    until: float
    holds: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Of all records, children included, at one time of the store's."""

    now: float
    due: tuple[Due, ...] = ()
    sessions: tuple[SessionStanding, ...] = ()
