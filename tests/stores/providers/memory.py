"""The store that keeps nothing: its handles are one object, its time is told to it."""

from __future__ import annotations

from copy import deepcopy

from reactor.stores.memory import MemoryStore
from reactor.testing.contract import Provider

OFFERS = frozenset({"days", "rewind"})


async def provider(tmp_path, kind=MemoryStore) -> Provider:
    """An empty one."""
    time = [1_700_000_000.0]
    store = kind(clock=lambda: time[0])

    async def open_store() -> MemoryStore:
        return store

    async def advance(seconds: float) -> None:
        time[0] += seconds

    async def snapshot() -> object:
        return deepcopy(store.data)

    async def restore(data: object) -> None:
        store.data = deepcopy(data)

    async def close() -> None:
        await store.close()

    return Provider(name="memory", open_store=open_store, advance=advance, close=close, snapshot=snapshot, restore=restore)
