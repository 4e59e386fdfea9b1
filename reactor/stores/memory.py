"""`memory://`: the store that keeps nothing past its process, and the law in code: what another store answers is what this one does.

One process, one loop; nothing here awaits, so every method is one step. It refuses to be fast where that would be harder to read.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from reactor.record.keeping import check_message, cursor_of, has_text, place_of, root_of, session_of, takes_over
from reactor.record.store import EARLY_KEPT, EARLY_LIMIT, ONCE_KEPT, Row
from reactor.stores.memory_data import Early, Ground, Kept, Wait
from reactor.stores.memory_records import MemoryRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class _Registry(Ground):
    """Correlation ids."""

    async def open_wait(self, scope: str, correlation_id: str, run: str, address: str) -> Sequence[bytes] | Literal["taken"]:
        """As the port says."""
        name = (scope, correlation_id)
        wait = self.data.waits.get(name)
        if wait is None or takes_over(run, wait.run):
            early = tuple(message.body for message in self._early(name))
            self.data.early.pop(name, None)
            wait = self.data.waits[name] = Wait(run, address, open=True, early=early)
        elif (wait.run, wait.address) != (run, address):
            return "taken"
        wait.open = True
        return wait.early

    async def close_wait(self, scope: str, correlation_id: str, run: str, address: str) -> None:
        """As the port says."""
        wait = self.data.waits.get((scope, correlation_id))
        if wait is not None and (wait.run, wait.address) == (run, address):
            wait.open = False

    async def find_waiting(self, scope: str, correlation_id: str) -> tuple[str, str, bool] | None:
        """As the port says."""
        wait = self.data.waits.get((scope, correlation_id))
        return None if wait is None else (wait.run, wait.address, wait.open)

    async def keep_early(
        self, scope: str, correlation_id: str, body: bytes, delivery_id: str | None
    ) -> Literal["kept", "duplicate", "full", "open"]:
        """As the port says."""
        check_message(correlation_id, body)
        name = (scope, correlation_id)
        if name in self.data.waits:
            return "open"
        kept = self.data.early[name] = self._early(name)
        if any(early.delivery_id == delivery_id and (delivery_id is not None or early.body == body) for early in kept):
            return "duplicate"
        if len(kept) >= EARLY_LIMIT:
            return "full"
        kept.append(Early(body, delivery_id, self.time() + EARLY_KEPT))
        return "kept"

    def _early(self, name: tuple[str, str]) -> list[Early]:
        return [early for early in self.data.early.get(name, []) if early.until > self.time()]

    async def once(self, delivery_id: str, answer: bytes) -> bytes | None:
        """As the port says."""
        until, first = self.data.answers.get(delivery_id, (0.0, b""))
        if until > self.time():
            return first
        self.data.answers[delivery_id] = (self.time() + ONCE_KEPT, answer)
        return None


class _Operations(Ground):
    """Finding, watching, keeping house."""

    async def now(self) -> float:
        """As the port says."""
        return self.time()

    async def put_definition(self, fingerprint: str, definition: bytes) -> None:
        """As the port says."""
        self.data.definitions.setdefault(fingerprint, definition)

    async def definition(self, fingerprint: str) -> bytes | None:
        """As the port says."""
        return self.data.definitions.get(fingerprint)

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
        wanted = _Wanted(reactor, status, tag, since, until, where or {}, text or "")
        found = sorted(
            (kept for kept in self._runs() if wanted.matches(kept)), key=lambda kept: (kept.created_at, kept.made.run), reverse=True
        )
        rest = [kept for kept in found if after is None or (kept.created_at, kept.made.run) < after]
        page = rest[:limit]
        more = cursor_of(page[-1].created_at, page[-1].made.run) if len(rest) > limit else None
        return [kept.row() for kept in page], more, len(found)

    async def counts(self, reactor: str | None = None) -> Mapping[str, int]:
        """As the port says."""
        counts: dict[str, int] = {}
        for kept in self._runs():
            if reactor in (None, kept.made.reactor):
                counts[kept.status] = counts.get(kept.status, 0) + 1
        return counts

    def _runs(self) -> list[Kept]:
        return [kept for kept in self.data.records.values() if kept.made.parent is None]

    async def expire(self, retention: float, tombstones: float, *, limit: int = 1000) -> int:
        """As the port says."""
        data, now = self.data, self.time()
        old = [(kept.ended_at, kept.made.run) for kept in self._runs() if kept.ended_at is not None and kept.ended_at + retention <= now]
        dropped = {run for _, run in sorted(old)[:limit]}
        data.records = {run: kept for run, kept in data.records.items() if kept.made.root not in dropped}
        data.waits = {name: wait for name, wait in data.waits.items() if root_of(wait.run) not in dropped}
        data.tombstones = {run: until for run, until in data.tombstones.items() if until > now} | dict.fromkeys(dropped, now + tombstones)
        data.answers = {name: kept for name, kept in data.answers.items() if kept[0] > now}
        data.early = {name: early for name in data.early if (early := [one for one in data.early[name] if one.until > now])}
        held = {session_of(kept.token) for kept in data.records.values() if kept.token is not None}
        data.leases = {session: lease for session, lease in data.leases.items() if lease.until > now or session in held}
        return len(dropped)

    def watch(self, changed: Callable[[str], None]) -> Callable[[], None]:
        """As the port says."""
        watcher = object()
        self._watchers[watcher] = (asyncio.get_running_loop(), changed)

        def end() -> None:
            self._watchers.pop(watcher, None)

        return end

    async def close(self) -> None:
        """As the port says: there is nothing to let go of."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is looked for; None and empty are for anything."""

    reactor: str | None
    status: str | None
    tag: str | None
    since: float | None
    until: float | None
    where: Mapping[str, str]
    text: str

    def matches(self, kept: Kept) -> bool:
        """Whether a run is one of these."""
        made = kept.made
        return (
            self.reactor in (None, made.reactor)
            and self.status in (None, kept.status)
            and (self.tag is None or self.tag in made.tags)
            and (self.since is None or kept.created_at >= self.since)
            and (self.until is None or kept.created_at < self.until)
            and all(made.index.get(name) == value for name, value in self.where.items())
            and has_text(self.text, made.run, made.index)
        )


class MemoryStore(MemoryRecords, _Registry, _Operations):
    """A store in plain Python. `clock` gives the wall's time in seconds since the epoch; the store's never goes back behind it.

    >>> from reactor.record.store import NewRecord
    >>> async def example() -> tuple[str, int]:
    ...     store = MemoryStore(clock=lambda: 5.0)
    ...     made = await store.create(NewRecord(run="shop:1", root="shop:1", reactor="shop"))
    ...     return type(made).__name__, (await store.counts())["queued"]
    >>> asyncio.run(example())
    ('Created', 1)
    """
