"""What callers hand to an engine beside inputs: refused at once where it is not what it must be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

from reactor.define.outcomes import Status
from reactor.define.teaching import nearest
from reactor.errors import ReactorError
from reactor.run.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Iterable

ID = re.compile(r"[A-Za-z0-9_.:@-]{1,200}")


def checked_id(said: Any) -> str:
    """An id as it was said, or a new one. Raises ReactorError."""
    if said is None:
        return new_id()
    if not isinstance(said, str) or ID.fullmatch(said) is None:
        raise ReactorError(f"{said!r} is no id", code="bad-id", fix="use 1 to 200 of letters, digits and `_ . : @ -`")
    return said


def checked_tags(said: Any) -> tuple[str, ...]:
    """Tags as a tuple. Raises ReactorError: one text would be taken letter by letter."""
    tags: tuple[Any, ...] = () if isinstance(said, str) else tuple(said)
    if isinstance(said, str) or not all(isinstance(tag, str) for tag in tags):
        raise ReactorError(f"`tags` is {said!r}", code="bad-tags", fix=f"give a list of texts: `tags=[{str(said)!r}]`")
    return tags


def checked_status(said: Any) -> Status | None:
    """A status to look for. Raises ReactorError for one that no run can have."""
    known = get_args(Status)
    if said is None or said in known:
        found: Status | None = said
        return found
    raise ReactorError(
        f"no run is ever {said!r}", code="bad-status", known=known, nearest=nearest(str(said), known), fix="look for one of the known"
    )


def checked_observers(said: Iterable[Any]) -> tuple[Any, ...]:
    """Observers as a tuple. Raises ReactorError where one cannot be called."""
    observers = (said,) if callable(said) else tuple(said)
    if callable(said) or not all(callable(one) for one in observers):
        raise ReactorError(f"`observers` is {said!r}", code="bad-observers", fix="give a list of functions that take an Event")
    return observers
