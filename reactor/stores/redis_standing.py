"""`redis://…`, how the work in a namespace stands: for `doctor`. It changes nothing."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from reactor.record.standing import Due, SessionStanding, Standing
from reactor.stores.redis_ground import Ground, understood
from reactor.stores.redis_records import sized, unsized

if TYPE_CHECKING:
    from collections.abc import Iterable

Held = tuple[bytes, float, int]  # a session, the end of its lease, what it holds


class RedisStanding(Ground):
    """What `doctor` asks of a namespace."""

    async def standing(self) -> Standing:
        """What is due in the place of every engine, and who holds what."""
        now = float(await self._call("now", self._keys.meta))
        shards = self._keys.shards
        due = await asyncio.gather(*[self._due_of(shard, now) for shard in shards])
        held = await asyncio.gather(*[self._sessions_of(shard) for shard in shards])
        return Standing(now=now, due=_added(one for some in due for one in some), sessions=_joined(one for some in held for one in some))

    async def _due_of(self, shard: str, now: float) -> list[Due]:
        """The lanes of the reactors that have runs here."""
        with understood("the count of runs"):
            reactors = sorted({unsized(name)[0] for name in await self._wire.send("HKEYS", f"{shard}h")})
        found = []
        for reactor in reactors:
            lanes = shard.encode() + b"L:" + sized(reactor) + sized("")
            for lane in await self._wire.send("SMEMBERS", lanes):
                queue = shard.encode() + b"q:" + sized(reactor) + sized("") + lane
                count = int(await self._wire.send("ZCOUNT", queue, "-inf", repr(now)))
                first = await self._wire.send("ZRANGE", queue, 0, 0, "WITHSCORES")
                if count:
                    found.append(Due(reactor, "", count, float(first[1])))
        return found

    async def _sessions_of(self, shard: str) -> list[Held]:
        """Those whose lease holds, and those that ran out."""
        found = []
        for family, holding in (("z", "c:"), ("zl", "cl:")):
            listed = await self._wire.send("ZRANGE", f"{shard}{family}", 0, -1, "WITHSCORES")
            for session, until in zip(listed[::2], listed[1::2], strict=True):
                holds = await self._wire.send("SCARD", shard.encode() + holding.encode() + session)
                found.append((session, float(until), int(holds)))
        return found


def _added(several: Iterable[Due]) -> tuple[Due, ...]:
    """Of all shards, by reactor and place."""
    counts: Counter[tuple[str, str]] = Counter()
    since: dict[tuple[str, str], float] = {}
    for one in several:
        name = (one.reactor, one.place)
        counts[name] += one.count
        since[name] = min(one.since, since.get(name, one.since))
    return tuple(Due(*name, counts[name], since[name]) for name in sorted(counts, key=lambda name: since[name]))


def _joined(several: Iterable[Held]) -> tuple[SessionStanding, ...]:
    """A session has a lease on each shard."""
    holds: defaultdict[bytes, int] = defaultdict(int)
    until: dict[bytes, float] = {}
    for session, end, held in several:
        holds[session] += held
        until[session] = max(end, until.get(session, 0.0))
    return tuple(SessionStanding(name.decode("utf-8", "replace"), until[name], holds[name]) for name in sorted(holds))
