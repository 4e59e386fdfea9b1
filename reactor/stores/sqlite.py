"""`sqlite:///path`: the durable store that needs no server: one file, one writer thread a process, several processes on one file.

A write is answered when it is committed. Those that come while one commit runs share the next, so a thousand runs cost little more
than one. It refuses to know SQL, which is in the `sqlite_*` modules beside it.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Literal

from reactor.errors import ReactorError
from reactor.record.keeping import check_append, check_message, check_record, place_of
from reactor.record.store import HERE
from reactor.stores import sqlite_finding, sqlite_owning, sqlite_records, sqlite_registry
from reactor.stores.sqlite_file import SYNCHRONOUS, Durability
from reactor.stores.sqlite_lanes import Reader, Transaction
from reactor.stores.sqlite_writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reactor.record.store import (
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
        Row,
        Served,
        Unread,
    )

PATIENCE = 10.0  # seconds
DROPPED = 50  # runs in one commit, so that nobody waits long behind it


class _Lanes:
    """The two threads that every method asks."""

    _writer: Writer
    _reader: Reader


class _Records(_Lanes):
    """What drives a run."""

    async def create(self, record: NewRecord) -> Created | Loaded | Literal["expired"]:
        """As the port says."""
        check_record(record)
        return await self._writer.do(sqlite_records.create, record)

    async def claim(self, session: str, serves: Sequence[Served], place: str = HERE, *, limit: int = 100) -> Sequence[Claimed]:
        """As the port says."""
        return await self._writer.do(sqlite_owning.claim, session, tuple(serves), place, limit)

    async def claim_run(self, session: str, run: str) -> Claimed | None:
        """As the port says."""
        return await self._writer.do(sqlite_owning.claim_run, session, run)

    async def held(self, session: str) -> Sequence[Claimed]:
        """As the port says. Asked of the writer: behind a claim that somebody gave up waiting for."""
        return await self._writer.do(sqlite_owning.held, session)

    async def refuse(self, run: str, token: str, fingerprint: str) -> bool:
        """As the port says."""
        return await self._writer.do(sqlite_owning.refuse, run, token, fingerprint)

    async def append(self, append: Append) -> Appended | Unread | Fenced | Behind:
        """As the port says."""
        check_append(append)
        return await self._writer.do(sqlite_records.append, append)

    async def deliver(self, run: str, message: Message, *, moves: bool, operation: str) -> Delivered | Refused:
        """As the port says."""
        check_message(run, message.body)
        return await self._writer.do(partial(sqlite_records.deliver, moves=moves), run, message, operation)

    async def load(self, run: str, *, after: int | None = None) -> Loaded | None:
        """As the port says."""
        return await self._reader.do(sqlite_records.load, run, after)

    async def mail(self, run: str, after: int) -> Sequence[Message]:
        """As the port says."""
        return await self._reader.do(sqlite_records.mail, run, after)

    async def open_session(self, session: str, lease: float) -> None:
        """As the port says."""
        await self._writer.do(sqlite_owning.open_session, session, lease)

    async def renew(self, session: str) -> bool:
        """As the port says."""
        return await self._writer.do(sqlite_owning.renew, session)

    async def close_session(self, session: str) -> int:
        """As the port says."""
        return await self._writer.do(sqlite_owning.close_session, session)


class _Registry(_Lanes):
    """Correlation ids."""

    async def open_wait(self, scope: str, correlation_id: str, run: str, address: str) -> Sequence[bytes] | Literal["taken"]:
        """As the port says."""
        return await self._writer.do(sqlite_registry.open_wait, scope, correlation_id, run, address)

    async def close_wait(self, scope: str, correlation_id: str, run: str, address: str) -> None:
        """As the port says."""
        await self._writer.do(sqlite_registry.close_wait, scope, correlation_id, run, address)

    async def find_waiting(self, scope: str, correlation_id: str) -> tuple[str, str, bool] | None:
        """As the port says."""
        return await self._reader.do(sqlite_registry.find_waiting, scope, correlation_id)

    async def keep_early(
        self, scope: str, correlation_id: str, body: bytes, delivery_id: str | None
    ) -> Literal["kept", "duplicate", "full", "open"]:
        """As the port says."""
        check_message(correlation_id, body)
        return await self._writer.do(sqlite_registry.keep_early, scope, correlation_id, body, delivery_id)

    async def once(self, delivery_id: str, answer: bytes) -> bytes | None:
        """As the port says."""
        return await self._writer.do(sqlite_registry.once, delivery_id, answer)


class _Operations(_Lanes):
    """Finding, watching, keeping house."""

    async def now(self) -> float:
        """As the port says."""
        return await self._reader.do(_now)

    async def put_definition(self, fingerprint: str, definition: bytes) -> None:
        """As the port says."""
        await self._writer.do(sqlite_registry.put_definition, fingerprint, definition)

    async def definition(self, fingerprint: str) -> bytes | None:
        """As the port says."""
        return await self._reader.do(sqlite_registry.definition, fingerprint)

    async def find(  # noqa: PLR0913  # as the port
        self,
        *,
        reactor: str | None = None,
        status: str | None = None,
        tag: str | None = None,
        since: float | None = None,
        until: float | None = None,
        where: Mapping[str, str] | None = None,
        text: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[Sequence[Row], str | None, int]:
        """As the port says."""
        after = None if cursor is None else place_of(cursor)
        wanted = sqlite_finding.Wanted(reactor, status, tag, since, until, dict(where or {}), text or "")
        return await self._reader.do(sqlite_finding.find, wanted, limit, after)

    async def counts(self, reactor: str | None = None) -> Mapping[str, int]:
        """As the port says."""
        return await self._reader.do(sqlite_finding.counts, reactor)

    async def expire(self, retention: float, tombstones: float, *, limit: int = 1000) -> int:
        """As the port says. A few runs a commit: writes of others go in between."""
        dropped = 0
        while dropped < limit:
            some = min(DROPPED, limit - dropped)
            done = await self._writer.do(sqlite_finding.expire, retention, tombstones, some)
            dropped += done
            if done < some:
                break
        await self._writer.do(sqlite_finding.tidy)
        return dropped

    def watch(self, changed: Callable[[str], None]) -> Callable[[], None]:
        """As the port says. What other processes write is looked for every few milliseconds, while somebody watches."""
        return self._writer.watch(changed)

    async def close(self) -> None:
        """As the port says. What was asked before is done first; whoever is cancelled here only stops waiting for that."""
        await self._writer.close()


class SqliteStore(_Records, _Registry, _Operations):
    """A store in one file, with a log beside it (`-wal`, `-shm`) while it is open. Not for a network drive.

    >>> import asyncio, tempfile
    >>> from reactor.record.store import NewRecord
    >>> async def example(path: str) -> tuple[str, int]:
    ...     store = await SqliteStore.open(path)
    ...     try:
    ...         made = await store.create(NewRecord(run="shop:1", root="shop:1", reactor="shop"))
    ...         return type(made).__name__, (await store.counts())["queued"]
    ...     finally:
    ...         await store.close()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     asyncio.run(example(f"{folder}/runs.db"))
    ('Created', 1)
    """

    def __init__(self, path: str, writer: Writer, reader: Reader) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "normal",
        clock: Callable[[], float] = time.time,
        patience: float = PATIENCE,
    ) -> SqliteStore:
        """Open a file, or make it; its folder must be there.

        `durability`: what is acknowledged survives the end of the process, however it ends; with "full" also a power cut, for a sync of
        the disk at every commit. `clock`: the wall's, in seconds since the epoch. `patience`: seconds that a write waits while other
        processes write. Raises StoreUnavailable where the file cannot be had: no folder, not ours, newer, read-only, damaged.
        """
        if durability not in SYNCHRONOUS:
            raise ReactorError(f"there is no durability {durability!r}", code="bad-durability", known=tuple(SYNCHRONOUS))
        name = os.fspath(path)
        reader = Reader(name, clock, patience)
        store = cls(name, Writer(reader, clock, durability, patience), reader)
        await store._writer.open()
        try:
            await store._reader.open()
        except BaseException:
            await store._writer.close()
            raise
        return store


def _now(tx: Transaction) -> float:
    return tx.now
