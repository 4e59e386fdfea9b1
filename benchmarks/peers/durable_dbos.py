"""DBOS on SQLite, as it comes: a rollback journal, FULL, notifications polled once a second."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.durable_limits import Act
from benchmarks.durable_places import Places
from benchmarks.measure import expect

STEPS = 100
CROWD, SHORT = 100, 10  # runs at once, steps of each
STARTS = 20
POLL = 0.005  # seconds between two looks of whoever waits for a result: its default is a second, and a look is the first thing it does


@contextlib.asynccontextmanager
async def stage(places: Places) -> AsyncIterator[dict[tuple[str, str], Act]]:
    """Its acts."""
    config = {"name": "bench", "system_database_url": f"sqlite:///{places.file('dbos.db')}", "log_level": "ERROR"}
    async with acts_of(config, "DBOS", signals=3) as acts:
        yield acts


@contextlib.asynccontextmanager
async def acts_of(config: dict[str, Any], name: str, signals: int) -> AsyncIterator[dict[tuple[str, str], Act]]:
    """A chain, a crowd, a message, a start, with this configuration."""
    from dbos import DBOS

    @DBOS.step()
    async def one(value: int) -> int:
        return 1

    @DBOS.workflow()
    async def chain(steps: int) -> int:
        done = 0
        for _ in range(steps):
            done += await one(done)
        return done

    waiting, began = waiting_of()
    DBOS(config=config)
    DBOS.launch()
    try:
        await audited(chain)
        yield {
            ("chain", name): chain_of(chain),
            ("crowd", name): crowd_of(chain),
            ("signal", name): signal_of(waiting, began, signals),
            ("start", name): start_of(chain),
        }
    finally:
        DBOS.destroy()


def waiting_of() -> tuple[Any, list[float]]:
    """A workflow that receives, then takes a step; and when that step began."""
    from dbos import DBOS

    began: list[float] = []

    @DBOS.step()
    async def after(answer: int) -> int:
        began.append(time.perf_counter())
        return answer

    @DBOS.workflow()
    async def waiting() -> int:
        return int(await after(await DBOS.recv_async()))

    return waiting, began


async def audited(chain: Any) -> None:
    """A run's steps are in the database."""
    from dbos import DBOS

    handle = await DBOS.start_workflow_async(chain, STEPS)
    await handle.get_result(polling_interval_sec=POLL)
    expect(len(await DBOS.list_workflow_steps_async(handle.workflow_id)), STEPS)


def chain_of(chain: Any) -> Act:
    async def act() -> list[float]:
        clock = time.perf_counter()
        expect(await chain(STEPS), STEPS)
        return [(time.perf_counter() - clock) / STEPS * 1e6]

    return act


def crowd_of(chain: Any) -> Act:
    async def act() -> list[float]:
        clock = time.perf_counter()
        expect(await asyncio.gather(*[chain(SHORT) for _ in range(CROWD)]), [SHORT] * CROWD)
        return [(time.perf_counter() - clock) / (CROWD * SHORT) * 1e6]

    return act


def signal_of(waiting: Any, began: list[float], signals: int) -> Act:
    """From `send` until the step behind `recv` begins."""
    from dbos import DBOS

    async def act() -> list[float]:
        took = []
        for number in range(1, signals + 1):
            handle = await DBOS.start_workflow_async(waiting)
            await asyncio.sleep(0.1)  # until it waits
            clock = time.perf_counter()
            await DBOS.send_async(handle.workflow_id, number)
            expect(await handle.get_result(polling_interval_sec=POLL), number)
            took.append((began.pop() - clock) * 1e3)
        return took

    return act


def start_of(chain: Any) -> Act:
    from dbos import DBOS

    async def act() -> list[float]:
        took = []
        for _ in range(STARTS):
            clock = time.perf_counter()
            handle = await DBOS.start_workflow_async(chain, 1)
            expect(await handle.get_result(polling_interval_sec=POLL), 1)
            took.append((time.perf_counter() - clock) * 1e3)
        return took

    return act
