"""The words of the persistence port: what a store is given, and what it answers. `reactor.record.store` says what they mean to it.

Plain data; inputs, events and messages are bytes. This room refuses to know what is done with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from reactor.errors import StoreUnavailable

EVENT_LIMIT = 1 << 20  # bytes
BATCH_LIMIT = 8 << 20
MESSAGE_LIMIT = 64 << 10
MAIL_LIMIT = 64  # signals that wait for one run; settlements, cancels and undos are not counted
EARLY_LIMIT = 16  # messages that wait for one correlation id that nobody has opened
EARLY_KEPT = 86_400.0  # seconds
ONCE_KEPT = 7 * 86_400.0  # seconds, at least

HERE = ""  # the place of a record that any engine serving its reactor may drive; else the name of a queue

MessageKind: TypeAlias = Literal["signal", "settled", "cancel", "undo", "retry_rollback", "restart"]


class TooLarge(StoreUnavailable):
    """What was to be kept is over a limit: nothing was written, and trying again changes nothing."""

    code = "too-large"


# ---- what is written ------------------------------------------------------------------------------------------


class Served(msgspec.Struct, frozen=True):
    """A reactor that a process can drive: a name (its own, or an alias), and the version and fingerprint of its code."""

    name: str
    version: int
    fingerprint: str


class NewRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record to be created, with its first events. `token` claims it for its maker at once; else `due` says when it may be driven.

    A `due` of None: nobody, until a message moves it or `claim_run` takes it.
    """

    run: str
    root: str  # its own name, where it is a run
    parent: str | None = None
    reactor: str
    version: int = 1
    fingerprint: str = ""
    place: str = HERE
    status: str = "queued"
    due: float | None = 0.0
    token: str | None = None
    inputs: bytes = b""  # opaque: a join reads them back and compares
    elements: bytes = b""  # of a batch: dropped when it settles
    tags: tuple[str, ...] = ()
    index: Mapping[str, str] = {}  # indexed inputs, as text
    events: tuple[bytes, ...] = ()


class Message(msgspec.Struct, frozen=True):
    """What tells a run something. `number` is given by the store, rising within a record."""

    kind: MessageKind
    body: bytes
    number: int = 0


class Append(msgspec.Struct, frozen=True, kw_only=True):
    """What happened since the last append of a record, written whole or not at all.

    `seq` is how many events the writer believes are there; `op` names this append, so that one whose reply was lost is not done
    twice. `release` gives the claim back. `ended` is for a terminal status: the claim is given back, and the record expires from then on.
    `messages` go to other records of the same root (a child's settlement to its parent), as `deliver` with `moves` leaves them; one for
    a record that has ended or is not there is dropped. `children` are created with it; one whose name is taken stays as it is. `chunk`
    replaces the elements.
    """

    run: str
    token: str
    seq: int
    op: str
    events: tuple[bytes, ...] = ()
    status: str
    due: float | None = None  # when to look again though no message came: only where it is released
    release: bool = False
    ended: bool = False
    read_up_to: int = 0  # messages up to this number are consumed
    messages: tuple[tuple[str, Message], ...] = ()
    children: tuple[NewRecord, ...] = ()
    chunk: bytes | None = None
    snapshot: tuple[int, bytes] | None = None  # (seq, state): a cache
    reactor_version: tuple[int, str] | None = None  # (version, fingerprint) that the record takes over


# ---- what is answered -----------------------------------------------------------------------------------------


class Created(msgspec.Struct, frozen=True):
    """The name was free, and the record is there now. `fence`: of its maker, where it came with a token; below that of every claim."""

    at: float
    fence: int


class Appended(msgspec.Struct, frozen=True):
    """It is written (or was, by an earlier try of the same `op`: that one's `seq` and `at`). `unread`: newer messages than were read."""

    seq: int
    at: float
    unread: bool = False


class Unread(msgspec.Struct, frozen=True):
    """Nothing was written: a release or an end, and newer messages lie there. Read them first."""


class Fenced(msgspec.Struct, frozen=True):
    """Nothing was written: the token is another's now, or the record is gone. Drop everything."""


class Behind(msgspec.Struct, frozen=True):
    """Nothing was written: the store holds another number of events than the writer believes. Load, and go on from there."""

    seq: int


class Claimed(msgspec.Struct, frozen=True):
    """A record that is ours to drive. `fence` rises with every claim of it, also where the store lost writes in between."""

    run: str
    root: str
    reactor: str
    token: str
    fence: int


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """All of a record. `events` begin after `snapshot[0]` where there is one. `due` and `token`: one of them, or neither."""

    run: str
    root: str
    parent: str | None
    reactor: str
    version: int
    fingerprint: str
    place: str
    status: str
    due: float | None
    token: str | None
    fence: int
    seq: int
    inputs: bytes
    elements: bytes
    chunk: bytes | None
    tags: tuple[str, ...]
    created_at: float
    ended_at: float | None
    snapshot: tuple[int, bytes] | None
    events: tuple[bytes, ...]
    mail: tuple[Message, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One run as a list shows it."""

    run: str
    reactor: str
    status: str
    created_at: float
    ended_at: float | None
    tags: tuple[str, ...]
    index: Mapping[str, str]


class Delivered(msgspec.Struct, frozen=True):
    """The message lies there under this number. `moved`: nobody drove the record, and it is due now because of it."""

    number: int
    moved: bool


Refused: TypeAlias = Literal["unknown", "gone", "full"]  # no such record; ended or expired; 64 signals lie there
