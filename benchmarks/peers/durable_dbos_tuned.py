"""DBOS on SQLite as ours keeps, by an engine of one's own: WAL, NORMAL; and notifications polled a hundred times a second."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.durable_limits import Act
from benchmarks.durable_places import Places
from benchmarks.peers.durable_dbos import acts_of

POLLED = 0.01  # seconds


@contextlib.asynccontextmanager
async def stage(places: Places) -> AsyncIterator[dict[tuple[str, str], Act]]:
    """Its acts."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(f"sqlite:///{places.file('dbos-tuned.db')}")

    @sqlalchemy.event.listens_for(engine, "connect")
    def tuned(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"  # this and the next two are what DBOS does for itself
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    config = {
        "name": "bench",
        "system_database_url": f"sqlite:///{places.file('dbos-tuned.db')}",
        "system_database_engine": engine,
        "notification_listener_polling_interval_sec": POLLED,
        "log_level": "ERROR",
    }
    async with acts_of(config, "DBOS tuned", signals=10) as acts:
        yield acts
