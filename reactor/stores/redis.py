"""`redis://host:6379/0?namespace=shop`: the store for many machines, on Redis 6.2 or Valkey 7.2 and newer.

    rx:{namespace}:{<shard>}:…    records; the shard is a hash of the root's name, so a root and its children lie in one slot
    rx:{namespace}:{c<n>}:…       correlation ids, delivery ids, definitions: slots of their own
    rx:{namespace}:{meta}:meta    how many shards the namespace was made with

What changes a record is one Lua script (`lua/`), safe to send twice; what is asked in one turn of the loop shares a round trip. The
server's clock is the only one. Nothing that is not terminal expires.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from reactor.stores.redis_operations import RedisOperations
from reactor.stores.redis_reader import Reader
from reactor.stores.redis_records import RedisRecords
from reactor.stores.redis_registry import RedisRegistry
from reactor.stores.redis_scripts import load_scripts
from reactor.stores.redis_server import SECTIONS, Namespace, StoreUnfit, check, connections, facts_of, split
from reactor.stores.redis_wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from redis.asyncio.connection import AbstractConnection

SHARDS = 16
TIMEOUT = 5.0  # seconds for one round trip
PATIENCE = 10.0  # seconds for all tries


class RedisStore(RedisRecords, RedisRegistry, RedisOperations):
    """A store on a Redis server: `store = await RedisStore.open("redis://host:6379/0?namespace=shop")`, and `await store.close()`."""

    def __init__(self, wire: Wire, keys: Namespace, make: Callable[[], AbstractConnection]) -> None:
        super().__init__(wire, keys)
        self._reader = Reader(make, [f"{shard}ev" for shard in keys.shards], self._ends, timeout=TIMEOUT)

    @classmethod
    async def open(cls, url: str, *, shards: int = SHARDS, timeout: float = TIMEOUT, patience: float = PATIENCE) -> Self:
        """Connect, and see that the server may keep runs.

        `shards` counts when the namespace is made, and never changes. `timeout` bounds one round trip, `patience` all tries for one
        call, in seconds. Raises StoreUnavailable where the server does not answer, StoreUnfit where it may lose data or is too old, or
        the namespace has another number of shards, ReactorError for a URL that is none.
        """
        address, namespace = split(url)
        make = connections(address, timeout=timeout)
        wire = Wire(make, timeout=timeout, patience=patience)
        keys = Namespace(namespace, shards)
        try:
            await _see_that_it_fits(wire, keys)
        except BaseException:
            await wire.close()
            raise
        return cls(wire, keys, make)

    def when_other_server(self, tell: Callable[[], None]) -> Callable[[], None]:
        """Call this when another server answers, or the same one that was started anew: what it lost, it does not say.

        What it returns ends it.
        """
        self._wire.when_other_server.append(tell)

        def end() -> None:
            if tell in self._wire.when_other_server:
                self._wire.when_other_server.remove(tell)

        return end

    def _ends(self) -> asyncio.Future[list[Any]]:
        """The newest entry of each shard's stream."""
        return asyncio.gather(*[self._wire.send("XREVRANGE", f"{shard}ev", "+", "-", "COUNT", 1) for shard in self._keys.shards])

    async def close(self) -> None:
        """As the port says."""
        await self._reader.close()
        await self._wire.close()


async def _see_that_it_fits(wire: Wire, keys: Namespace) -> None:
    """Raises StoreUnfit."""
    facts: dict[str, str] = {}
    for info in await asyncio.gather(*[wire.send("INFO", section) for section in SECTIONS]):
        facts |= facts_of(info)
    check(facts)
    made_with = await wire.call(load_scripts()["namespace"], keys.meta, len(keys.shards))
    if made_with != len(keys.shards):
        said = f"namespace `{keys.name}` was made with {made_with} shards, not {len(keys.shards)}: its runs would not be found"
        raise StoreUnfit(said, code="store-shards", fix=f"say shards={made_with}, or take another namespace")
