"""`redis://…`, finding, watching, keeping house."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.record.keeping import cursor_of, has_text, place_of
from reactor.record.store import Row
from reactor.stores.redis_ground import Ground, understood
from reactor.stores.redis_records import input_key, sized, unsized
from reactor.stores.redis_server import SECTIONS, Health, facts_of, health_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reactor.stores.redis_reader import Reader

TOGETHER = 500  # rows of one shard in one look, where each must be looked at


class RedisOperations(Ground):
    """Finding, watching, keeping house."""

    _reader: Reader
    _newest = 0.0

    async def now(self) -> float:
        """As the port says."""
        self._newest = max(float(await self._call("now", self._keys.meta)), self._newest)
        return self._newest

    async def put_definition(self, fingerprint: str, definition: bytes) -> None:
        """As the port says."""
        await self._wire.send("SET", self._definition(fingerprint), definition, "NX")

    async def definition(self, fingerprint: str) -> bytes | None:
        """As the port says."""
        kept: bytes | None = await self._wire.send("GET", self._definition(fingerprint))
        return kept

    def _definition(self, fingerprint: str) -> bytes:
        name = fingerprint.encode()
        return self._keys.registering(name).encode() + b"p:" + name

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
        """As the port says. By reactor, status and time from indexes; by tag, input and text each candidate is looked at."""
        wanted = Wanted(reactor, status, tag, since, until, where or {}, text or "")
        after = None if cursor is None else place_of(cursor)
        if wanted.from_index:
            found = await asyncio.gather(*[self._rows(shard, wanted, after, limit + 1) for shard in self._keys.shards])
            rows, total = [row for _, newest in found for row in newest], sum(count for count, _ in found)
        else:
            every = await asyncio.gather(*[self._matching(shard, wanted) for shard in self._keys.shards])
            rows = [row for matching in every for row in matching]
            total = len(rows)
        rows.sort(key=_newness, reverse=True)
        rest = [row for row in rows if after is None or _newness(row) < after]
        page = rest[:limit]
        more = cursor_of(page[-1].created_at, page[-1].run) if page and len(rest) > limit else None
        return page, more, total

    async def _rows(self, shard: str, wanted: Wanted, after: tuple[float, str] | None, limit: int) -> tuple[int, list[Row]]:
        """How many a shard's index holds, and the newest of them behind a place."""
        before = "+inf" if wanted.until is None else f"({wanted.until!r}"
        since = "-inf" if wanted.since is None else repr(wanted.since)
        place = ("", "") if after is None else (repr(after[0]), after[1])
        chosen = (b"" if wanted.reactor is None else sized(wanted.reactor), wanted.status or "")
        total, rows = await self._call("rows", shard, limit, since, before, *place, wanted.base, *chosen)
        with understood("the index of runs"):
            return total, [_row(row) for row in rows if row[1] is not None]

    async def _matching(self, shard: str, wanted: Wanted) -> list[Row]:
        """All that match, a page at a time: none is a long stop of the server."""
        matching: list[Row] = []
        after: tuple[float, str] | None = None
        while True:
            _, rows = await self._rows(shard, wanted, after, TOGETHER)
            matching += [row for row in rows if wanted.matches(row)]
            if len(rows) < TOGETHER:
                return matching
            after = _newness(rows[-1])

    async def counts(self, reactor: str | None = None) -> Mapping[str, int]:
        """As the port says."""
        counts: defaultdict[str, int] = defaultdict(int)
        for held in await asyncio.gather(*[self._wire.send("HGETALL", f"{shard}h") for shard in self._keys.shards]):
            with understood("the count of runs"):
                for name, count in zip(held[::2], held[1::2], strict=True):
                    of, status = unsized(name)
                    if reactor in (None, of):
                        counts[status.decode()] += int(count)
        return dict(counts)

    async def expire(self, retention: float, tombstones: float, *, limit: int = 1000) -> int:
        """As the port says: first their correlation ids, then the runs, so that nothing is left behind where this is cut off."""
        count = 0
        while count < limit:
            old = await asyncio.gather(*[self._call("old", shard, repr(retention), limit - count) for shard in self._keys.shards])
            found = [
                (float(ended), run, shard, names) for shard, runs in zip(self._keys.shards, old, strict=True) for run, ended, names in runs
            ]
            if not found:
                break
            count += await self._drop(sorted(found)[: limit - count], retention, tombstones)  # fewer, where others were quicker
        return count

    async def _drop(self, runs: Sequence[tuple[float, bytes, str, Sequence[bytes]]], retention: float, tombstones: float) -> int:
        freed = [self._call("free_wait", self._keys.registering(name), name, run) for _, run, _, names in runs for name in names]
        await asyncio.gather(*freed)
        by_shard: defaultdict[str, list[bytes]] = defaultdict(list)
        for _, run, shard, _ in runs:
            by_shard[shard].append(run)
        dropping = [self._call("drop", shard, repr(retention), repr(tombstones), *dropped) for shard, dropped in by_shard.items()]
        return sum(await asyncio.gather(*dropping))

    def watch(self, changed: Callable[[str], None]) -> Callable[[], None]:
        """As the port says."""
        return self._reader.watch(changed)

    async def health(self) -> Health:
        """How the server is, for `doctor`."""
        facts: dict[str, str] = {}
        for info in await asyncio.gather(*[self._wire.send("INFO", section) for section in SECTIONS]):
            facts |= facts_of(info)
        asked = await asyncio.gather(self._wire.send("CONFIG", "GET", "appendfsync"), return_exceptions=True)
        fsync = asked[0][1].decode() if isinstance(asked[0], list) and len(asked[0]) > 1 else None  # managed servers hide CONFIG
        return health_of(facts, fsync, self._keys)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; None and empty are for anything."""

    reactor: str | None
    status: str | None
    tag: str | None
    since: float | None
    until: float | None
    where: Mapping[str, str]
    text: str

    @property
    def from_index(self) -> bool:
        """Whether the indexes of reactor, status and time answer it."""
        return self.tag is None and not self.where and not self.text

    @property
    def base(self) -> bytes:
        """The key of the smallest index that holds all that match; empty is reactor and status."""
        if self.where:
            return b"w:" + input_key(*next(iter(self.where.items())))
        return b"" if self.tag is None else b"g:" + self.tag.encode()

    def matches(self, row: Row) -> bool:
        """Whether a run of the index is one of these; its time is."""
        return (
            self.reactor in (None, row.reactor)
            and self.status in (None, row.status)
            and (self.tag is None or self.tag in row.tags)
            and all(row.index.get(name) == value for name, value in self.where.items())
            and has_text(self.text, row.run, row.index)
        )


def _newness(row: Row) -> tuple[float, str]:
    return row.created_at, row.run


def _row(found: Sequence[Any]) -> Row:
    """A run as lua/rows.lua gives it."""
    run, status, created, ended, reactor, shown = found
    tags, index, _ = msgspec.msgpack.decode(shown) if shown else ((), {}, ())
    return Row(
        run=run.decode(),
        reactor=unsized(reactor)[0],
        status=status.decode(),
        created_at=float(created),
        ended_at=None if ended is None else float(ended),
        tags=tuple(tags),
        index=index,
    )
