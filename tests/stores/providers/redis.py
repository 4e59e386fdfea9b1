"""The store on a real server: one for all checks, a namespace for each, its time told to it by a number that its scripts add."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING

from reactor.stores.redis import RedisStore
from reactor.stores.redis_scripts import Script
from reactor.testing.contract import Provider
from tests.stores.redis_server import shared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OFFERS = frozenset({"days", "rewind"})
NUMBERS = count(1)
TIME = "local t = call('TIME')"


def told(store: RedisStore, name: str) -> RedisStore:
    """The store, whose clock goes by the server's and the number that is kept under that name."""
    for script in tuple(store._scripts.values()):
        assert TIME in script.text
        added = f"{TIME}; t[1] = tonumber(t[1]) + tonumber(call('GET', '{name}') or 0)"
        store._scripts[script.name] = Script(script.name, script.text.replace(TIME, added))
    return store


@asynccontextmanager
async def lose_reply(store: RedisStore) -> AsyncIterator[None]:
    """The next answer comes, and the connection is lost before anybody sees it."""
    line = store._wire._line
    line.data_received = lambda _: line._break(ConnectionResetError("the reply was lost on its way"))
    yield
    del line.data_received


async def provider(tmp_path) -> Provider:
    """An empty namespace."""
    server, namespace = shared(), f"contract{next(NUMBERS)}"
    behind, clock = server.client(), f"clock:{namespace}"

    def keys() -> list[bytes]:
        return list(behind.scan_iter(f"rx:{namespace}:*", count=1000))

    async def open_store() -> RedisStore:
        return told(await RedisStore.open(f"{server.address}?namespace={namespace}"), clock)

    async def advance(seconds: float) -> None:
        behind.incrbyfloat(clock, seconds)

    async def snapshot() -> object:
        return [(key, max(behind.pttl(key), 0), behind.dump(key)) for key in keys()]

    async def restore(data) -> None:
        behind.delete(*keys())
        for key, left, value in data:
            behind.restore(key, left, value)

    async def close() -> None:
        behind.delete(clock, *keys())
        behind.close()

    return Provider(
        name="redis", open_store=open_store, advance=advance, close=close, lose_reply=lose_reply, snapshot=snapshot, restore=restore
    )
