"""What callers hand to an engine beside inputs: refused at once where it is not what it must be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

from reactor.define.outcomes import Status
from reactor.define.teaching import nearest
from reactor.errors import ReactorError, UnknownRun
from reactor.run.failures import shown
from reactor.run.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_ID = 200  # characters of a correlation id
ID = re.compile(r"[A-Za-z0-9_.:@-]{1,200}")


def is_text(said: Any) -> bool:
    """Whether it is text that a store can keep: a lone surrogate has no bytes."""
    if not isinstance(said, str):
        return False
    try:
        said.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_correlation_id(said: Any) -> bool:
    """Whether an interrupt can ask under it."""
    return is_text(said) and 0 < len(said) <= LONGEST_ID


def check_address(name: str, run_id: Any, correlation_id: Any, delivery_id: Any) -> None:
    """Whom a signal for the interrupt `name` is for. Raises ReactorError where nobody can be meant, UnknownRun."""
    if run_id is None and correlation_id is None:
        raise ReactorError(f"a signal for `{name}` says no run", code="signal-to-nobody", fix="give `run_id=` or `correlation_id=`")
    if run_id is not None and not is_text(run_id):
        raise UnknownRun(f"there is no run {shown(run_id)}", fix="say its whole name, `{reactor}:{id}`")
    if correlation_id is not None and not is_correlation_id(correlation_id):
        raise ReactorError(
            f"no interrupt can ask under the correlation id {shown(correlation_id)}",
            code="bad-correlation-id",
            fix=f"give the text of 1 to {LONGEST_ID} characters that its `Ask` has",
        )
    if delivery_id is not None and not is_text(delivery_id):
        raise ReactorError(f"{shown(delivery_id)} is no delivery id", code="bad-delivery-id", fix="give its sender's own id, as text")


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
    if isinstance(said, str) or not all(is_text(tag) for tag in tags):
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
