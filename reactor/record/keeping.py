"""What all stores do alike before they touch their data: limits, names, fences, cursors. It refuses to know how data are kept."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING

import msgspec

from reactor.errors import ReactorError
from reactor.record.words import BATCH_LIMIT, EVENT_LIMIT, MESSAGE_LIMIT, Append, NewRecord, TooLarge

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACE = msgspec.msgpack.Decoder(tuple[float, str])


def check_record(record: NewRecord) -> None:
    """Raises TooLarge where an event or the elements are."""
    _check(record.elements, BATCH_LIMIT, f"the elements of `{record.run}`")
    for event in record.events:
        _check(event, EVENT_LIMIT, f"an event of `{record.run}`")


def check_append(append: Append) -> None:
    """Raises TooLarge where anything in it is."""
    for event in append.events:
        _check(event, EVENT_LIMIT, f"an event of `{append.run}`")
    for to, message in append.messages:
        check_message(to, message.body)
    for child in append.children:
        check_record(child)
    _check(append.chunk or b"", BATCH_LIMIT, f"the results of `{append.run}`")


def check_message(to: str, body: bytes) -> None:
    """Raises TooLarge where a message is."""
    _check(body, MESSAGE_LIMIT, f"a message to `{to}`")


def session_of(token: str) -> str:
    """Whose a token is.

    >>> session_of("host:17:5f")
    'host:17'
    """
    return token.rpartition(":")[0]


def root_of(run: str) -> str:
    """The run that a record belongs to.

    >>> root_of("shop:1~2/ship#3")
    'shop:1~2'
    """
    return run.partition("/")[0]


def life_of(run: str) -> tuple[str, int]:
    """Which run it is, restarts left aside, and its which life.

    >>> life_of("shop:1"), life_of("shop:1~2/ship#3")
    (('shop:1', 1), ('shop:1', 2))
    """
    name, _, number = root_of(run).partition("~")
    return name, int(number) if number.isdecimal() else 1


def takes_over(run: str, former: str) -> bool:
    """Whether a run is a later life of that one, and has its correlation ids."""
    (name, number), (other, lower) = life_of(run), life_of(former)
    return name == other and number > lower


def next_fence(fence: int, now: float) -> int:
    """A higher one, which time alone makes higher even where the store lost the last ones."""
    return max(fence + 1, int(now * 1000))


def cursor_of(created_at: float, run: str) -> str:
    """Where a page ended.

    >>> place_of(cursor_of(1.5, "shop:1"))
    (1.5, 'shop:1')
    """
    return urlsafe_b64encode(msgspec.msgpack.encode((created_at, run))).decode()


def place_of(cursor: str) -> tuple[float, str]:
    """After which run a page begins. Raises ReactorError for what is no cursor."""
    try:
        return _PLACE.decode(urlsafe_b64decode(cursor))
    except (ValueError, msgspec.MsgspecError) as error:
        said = f"{cursor!r:.80} is no cursor of a search"
        raise ReactorError(said, code="bad-cursor", fix="take the `cursor` of the page before") from error


def has_text(text: str, run: str, index: Mapping[str, str]) -> bool:
    """Whether a run is found by this beginning of its name, its id or an index value.

    >>> has_text("1", "shop:17", {}), has_text("7", "shop:17", {"order": "o-7"})
    (True, False)
    """
    return any(value.startswith(text) for value in (run, run.partition(":")[2], *index.values()))


def _check(data: bytes, limit: int, what: str) -> None:
    if len(data) > limit:
        said = f"{what} takes {len(data):,} bytes and at most {limit:,} are kept"
        raise TooLarge(said, fix="keep it elsewhere and hand on its name")
