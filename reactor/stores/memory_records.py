"""`memory://`, its records: create, claim, append, deliver, load. Nothing here awaits, so every method is one step."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Literal

import msgspec

from reactor.record.keeping import check_append, check_message, check_record, next_fence, session_of
from reactor.record.store import (
    HERE,
    MAIL_LIMIT,
    Append,
    Appended,
    Behind,
    Claimed,
    Created,
    Delivered,
    Fenced,
    Loaded,
    Message,
    NewRecord,
    Refused,
    Served,
    Unread,
)
from reactor.stores.memory_data import Ground, Kept, Lease

if TYPE_CHECKING:
    from collections.abc import Sequence


class MemoryRecords(Ground):
    """What drives a run."""

    async def create(self, record: NewRecord) -> Created | Loaded | Literal["expired"]:
        """As the port says."""
        check_record(record)
        kept = self.data.records.get(record.run)
        if kept is None:
            if self.buried(record.run):
                return "expired"
            kept = self.keep(record)
        elif record.token is None or kept.token != record.token:
            return msgspec.structs.replace(kept.loaded(len(kept.events)), mail=())
        return Created(kept.created_at, kept.fence)

    async def claim(self, session: str, serves: Sequence[Served], place: str = HERE, *, limit: int = 100) -> Sequence[Claimed]:
        """As the port says."""
        if not self.alive(session):
            return ()
        now = self.time()
        due = [(since, kept) for kept in self.data.records.values() if (since := self.due_since(kept)) is not None and since <= now]
        fitting = [(since, kept) for since, kept in due if kept.made.place == place and kept.fits(serves)]
        fitting.sort(key=lambda pair: pair[0])
        return [self._take(session, kept) for _, kept in fitting[:limit]]

    async def claim_run(self, session: str, run: str) -> Claimed | None:
        """As the port says."""
        kept = self.data.records.get(run)
        if kept is None or kept.ended_at is not None or not self.alive(session):
            return None
        if kept.token is not None and self.alive(session_of(kept.token)):
            return None
        return self._take(session, kept)

    def _take(self, session: str, kept: Kept) -> Claimed:
        kept.token = f"{session}:{token_hex(8)}"
        kept.fence = next_fence(kept.fence, self.time())
        kept.due = None
        return _claimed(kept, kept.token)

    async def held(self, session: str) -> Sequence[Claimed]:
        """As the port says."""
        return [_claimed(kept, kept.token) for kept in self._of(session) if kept.token is not None] if session in self.data.leases else ()

    def _of(self, session: str) -> list[Kept]:
        return [kept for kept in self.data.records.values() if kept.token is not None and session_of(kept.token) == session]

    async def refuse(self, run: str, token: str, fingerprint: str) -> bool:
        """As the port says."""
        kept = self.data.records.get(run)
        if kept is None:
            return False
        if kept.token == token:
            kept.refused_by.add(fingerprint)
            kept.token, kept.status, kept.due = None, "incompatible", self.time()
            self.changed(run)
        return fingerprint in kept.refused_by

    async def append(self, append: Append) -> Appended | Unread | Fenced | Behind:
        """As the port says."""
        check_append(append)
        kept = self.data.records.get(append.run)
        if kept is None:
            return Fenced()
        unread = kept.unread(append.read_up_to)
        if kept.last is not None and kept.last[0] == append.op:
            return msgspec.structs.replace(kept.last[1], unread=unread)
        if kept.token != append.token:
            return Fenced()
        if len(kept.events) != append.seq:
            return Behind(len(kept.events))
        if unread and (append.release or append.ended):
            return Unread()
        return msgspec.structs.replace(self._write(kept, append), unread=unread)

    def _write(self, kept: Kept, append: Append) -> Appended:
        kept.events += append.events
        kept.mail = [message for message in kept.mail if message.number > append.read_up_to]
        kept.status = append.status
        kept.snapshot = append.snapshot or kept.snapshot
        if append.chunk is not None:
            kept.chunk, kept.elements = append.chunk, b""
        if append.reactor_version is not None:
            kept.version, kept.fingerprint = append.reactor_version
        if append.release or append.ended:
            kept.token = None
            kept.due = None if append.ended else append.due
            kept.ended_at = self.time() if append.ended else None
        for child in append.children:
            if child.run not in self.data.records:
                self.keep(child)
        for run, message in append.messages:
            to = self.data.records.get(run)
            if to is not None and to.takes(message):
                self.leave(to, message, moves=True)
        appended = Appended(len(kept.events), self.time())
        kept.last = (append.op, appended)
        self.changed(append.run)
        return appended

    async def deliver(self, run: str, message: Message, *, moves: bool, operation: str) -> Delivered | Refused:
        """As the port says."""
        check_message(run, message.body)
        kept = self.data.records.get(run)
        if kept is None:
            return "gone" if self.buried(run) else "unknown"
        if operation not in kept.delivered:
            if not kept.takes(message):
                return "gone"
            if message.kind == "signal" and sum(waiting.kind == "signal" for waiting in kept.mail) >= MAIL_LIMIT:
                return "full"
            kept.delivered[operation] = self.leave(kept, message, moves=moves)
        return kept.delivered[operation]

    async def load(self, run: str, *, after: int | None = None) -> Loaded | None:
        """As the port says."""
        kept = self.data.records.get(run)
        return None if kept is None else kept.loaded(after)

    async def mail(self, run: str, after: int) -> Sequence[Message]:
        """As the port says."""
        kept = self.data.records.get(run)
        return () if kept is None else tuple(message for message in kept.mail if message.number > after)

    async def open_session(self, session: str, lease: float) -> None:
        """As the port says."""
        self.data.leases[session] = Lease(lease, self.time() + lease)

    async def renew(self, session: str) -> bool:
        """As the port says."""
        lease = self.data.leases.get(session)
        if lease is None:
            return False
        lease.until = self.time() + lease.seconds
        return True

    async def close_session(self, session: str) -> int:
        """As the port says."""
        if self.data.leases.pop(session, None) is None:
            return 0
        held = self._of(session)
        for kept in held:
            kept.token, kept.due = None, self.time()
            self.changed(kept.made.run)
        return len(held)


def _claimed(kept: Kept, token: str) -> Claimed:
    return Claimed(kept.made.run, kept.made.root, kept.made.reactor, token, kept.fence)
