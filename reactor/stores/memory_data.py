"""What `memory://` keeps, its time, and who watches. It refuses to know what may be done when: that is its methods' law."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from reactor.record.keeping import next_fence, session_of
from reactor.record.store import Appended, Delivered, Loaded, Message, NewRecord, Row, Served

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

QUEUEING = frozenset({"signal", "cancel", "undo", "retry_rollback", "restart"})  # a settlement leaves the status
REOPENING = frozenset({"undo", "restart", "retry_rollback"})  # what a run that has ended still takes


@dataclass(slots=True)
class Kept:
    """A record."""

    made: NewRecord
    status: str
    due: float | None
    token: str | None
    fence: int
    created_at: float
    version: int
    fingerprint: str
    elements: bytes
    events: list[bytes]
    chunk: bytes | None = None
    ended_at: float | None = None
    snapshot: tuple[int, bytes] | None = None
    mail: list[Message] = field(default_factory=list)
    numbered: int = 0  # the highest number that was given to a message
    last: tuple[str, Appended] | None = None  # the last append: its operation, and what was answered
    delivered: dict[str, Delivered] = field(default_factory=dict)  # by operation
    refused_by: set[str] = field(default_factory=set)

    def fits(self, serves: Sequence[Served]) -> bool:
        """Whether one of these can drive it."""
        return any(
            served.name == self.made.reactor and served.version >= self.version and served.fingerprint not in self.refused_by
            for served in serves
        )

    def takes(self, message: Message) -> bool:
        """Whether this may be left: all of it, before the end."""
        return self.ended_at is None or message.kind in REOPENING

    def unread(self, read_up_to: int) -> bool:
        """Whether newer mail lies there."""
        return any(message.number > read_up_to for message in self.mail)

    def row(self) -> Row:
        """As a list shows it."""
        made = self.made
        return Row(
            run=made.run,
            reactor=made.reactor,
            status=self.status,
            created_at=self.created_at,
            ended_at=self.ended_at,
            tags=made.tags,
            index=made.index,
        )

    def loaded(self, after: int | None) -> Loaded:
        """All of it, as it is handed out."""
        made, snapshot = self.made, self.snapshot if after is None else None
        first = after if after is not None else snapshot[0] if snapshot else 0
        return Loaded(
            run=made.run,
            root=made.root,
            parent=made.parent,
            reactor=made.reactor,
            version=self.version,
            fingerprint=self.fingerprint,
            place=made.place,
            status=self.status,
            due=self.due,
            token=self.token,
            fence=self.fence,
            seq=len(self.events),
            inputs=made.inputs,
            elements=self.elements,
            chunk=self.chunk,
            tags=made.tags,
            created_at=self.created_at,
            ended_at=self.ended_at,
            snapshot=snapshot,
            events=tuple(self.events[first:]),
            mail=tuple(self.mail),
        )


@dataclass(slots=True)
class Lease:
    """A session: how long its lease is, and until when it holds."""

    seconds: float
    until: float


@dataclass(slots=True)
class Wait:
    """A correlation id that somebody opened."""

    run: str
    address: str
    open: bool
    early: tuple[bytes, ...]


@dataclass(slots=True)
class Early:
    """A message for a correlation id that nobody has opened."""

    body: bytes
    delivery_id: str | None
    until: float


@dataclass(slots=True)
class Data:
    """All that is kept."""

    records: dict[str, Kept] = field(default_factory=dict)
    tombstones: dict[str, float] = field(default_factory=dict)  # until when a name stays taken
    leases: dict[str, Lease] = field(default_factory=dict)
    waits: dict[tuple[str, str], Wait] = field(default_factory=dict)
    early: dict[tuple[str, str], list[Early]] = field(default_factory=dict)
    answers: dict[str, tuple[float, bytes]] = field(default_factory=dict)
    definitions: dict[str, bytes] = field(default_factory=dict)


class Ground:
    """The data, the time, and who watches."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.data = Data()
        self._clock = clock
        self._last = 0.0
        self._watchers: dict[object, tuple[asyncio.AbstractEventLoop, Callable[[str], None]]] = {}

    def time(self) -> float:
        """The store's: it never goes back."""
        self._last = max(self._clock(), self._last)
        return self._last

    def changed(self, run: str) -> None:
        """Tell who watches, soon."""
        for watcher, (loop, changed) in self._watchers.items():
            loop.call_soon(self._tell, watcher, changed, run)

    def _tell(self, watcher: object, changed: Callable[[str], None], run: str) -> None:
        if watcher in self._watchers:
            changed(run)

    def alive(self, session: str) -> bool:
        """Whether its lease holds."""
        lease = self.data.leases.get(session)
        return lease is not None and lease.until > self.time()

    def buried(self, run: str) -> bool:
        """Whether a tombstone keeps the name."""
        return self.data.tombstones.get(run, 0.0) > self.time()

    def due_since(self, kept: Kept) -> float | None:
        """When it could first have been claimed; None is never."""
        if kept.token is None:
            return kept.due
        lease = self.data.leases.get(session_of(kept.token))
        return 0.0 if lease is None else lease.until

    def keep(self, record: NewRecord) -> Kept:
        """Keep a record whose name is free."""
        now = self.time()
        kept = Kept(
            made=record,
            status=record.status,
            due=record.due if record.token is None else None,
            token=record.token,
            fence=next_fence(0, now),
            created_at=now,
            version=record.version,
            fingerprint=record.fingerprint,
            elements=record.elements,
            events=list(record.events),
        )
        self.data.records[record.run] = kept
        self.changed(record.run)
        return kept

    def leave(self, kept: Kept, message: Message, *, moves: bool) -> Delivered:
        """Leave a message at a record that takes it."""
        kept.numbered += 1
        kept.mail.append(msgspec.structs.replace(message, number=kept.numbered))
        moved = moves and kept.token is None
        if moved:
            kept.due = self.time()
            kept.ended_at = None
            if message.kind in QUEUEING:
                kept.status = "queued"
        self.changed(kept.made.run)
        return Delivered(kept.numbered, moved)
