"""The store in a file: its handles are as processes are, its time is told to it, and a copy of the file brings the past back."""

from __future__ import annotations

import sqlite3

from reactor.stores.sqlite import SqliteStore
from reactor.testing.contract import Provider

OFFERS = frozenset({"days", "rewind"})


def copied(one: str, other: str) -> None:
    """What is in one file is all that is in the other, under whoever has it open."""
    source, target = sqlite3.connect(one), sqlite3.connect(other)
    source.backup(target)
    source.close()
    target.close()


async def provider(tmp_path) -> Provider:
    """An empty one."""
    time = [1_700_000_000.0]
    path = str(tmp_path / "runs.db")

    async def open_store() -> SqliteStore:
        return await SqliteStore.open(path, clock=lambda: time[0])

    async def advance(seconds: float) -> None:
        time[0] += seconds

    async def snapshot() -> str:
        kept = str(tmp_path / "kept.db")
        copied(path, kept)
        return kept

    async def restore(kept: str) -> None:
        copied(kept, path)

    async def close() -> None:
        for file in tmp_path.iterdir():
            file.unlink()

    return Provider(name="sqlite", open_store=open_store, advance=advance, close=close, snapshot=snapshot, restore=restore)
