"""A hundred thousand runs that wait for a signal, in one Redis: what each takes there, what looking after them costs, how soon one goes on.

They are parked by a process that ends; another one, with default settings, keeps house while it is measured, and takes the signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from benchmarks.durable_limits import Act
from benchmarks.durable_ours import Waits, numbers, parked, reached, signal_act
from benchmarks.durable_places import OFF, Places, places
from benchmarks.durable_stage import Stage, stages
from benchmarks.report import shown, table
from reactor import Engine

MARKS = ("<!-- parked figures: begin (written by `python -m benchmarks durable --full --write`) -->", "<!-- parked figures: end -->")
FEW, MANY = 10, 100_000
AT_ONCE = 500
WATCHED = 30.0  # seconds of keeping house: ten sweeps at the default lease
TURNS = 10  # of signals

BYTES = 3000.0  # a run
SHARE = 0.05  # of a core
SLOWER = 1.5  # a resume among many, in one among few


@dataclass(frozen=True)
class Found:
    """What was measured. Shares are of a core; latencies in milliseconds, medians."""

    runs: int
    bytes_a_run: float
    ours: float  # our process's share while nothing happens
    server: float  # the server's
    few: float
    many: float
    parked_a_second: float


@contextlib.asynccontextmanager
async def stage(places: Places) -> AsyncIterator[dict[tuple[str, str], Act]]:
    """An engine, and what is asked of it: park some, keep house, go on after a signal."""
    async with Engine(places.redis(OFF), reactors=[Waits]) as engine:
        yield {
            ("parked", "some"): park_act(engine, FEW),
            ("parked", "many"): park_act(engine, MANY),
            ("parked", "signal"): signal_act(engine),
            ("parked", "keep house"): keep_house,
        }


def park_act(engine: Engine, runs: int) -> Act:
    """Park so many, some at a time: how many a second."""

    async def act() -> list[float]:
        began, left = time.perf_counter(), runs
        while left:
            some = min(left, AT_ONCE)
            await asyncio.gather(*[parked(engine, next(numbers)) for _ in range(some)])
            left -= some
        reached.clear()
        return [runs / (time.perf_counter() - began)]

    return act


async def keep_house() -> list[float]:
    """Nothing happens but what an open engine does: the share of a core that this process takes."""
    cpu, clock = time.process_time(), time.perf_counter()
    await asyncio.sleep(WATCHED)
    return [(time.process_time() - cpu) / (time.perf_counter() - clock)]


def measure() -> Found:
    """Few, then many, in a server of their own."""
    from redis import Redis

    with places(OFF) as at, Redis.from_url(at.servers[OFF]) as server:
        with stages(["parked"], at) as opened:
            opened["parked"].play("parked", "some")
            few = signalled(opened["parked"])
            empty = used_bytes(server)
            (rate,) = opened["parked"].play("parked", "many")
            full = used_bytes(server)
        with stages(["parked"], at) as opened:
            many = signalled(opened["parked"])
            busy, clock = busy_seconds(server), time.perf_counter()
            (ours,) = opened["parked"].play("parked", "keep house")
            share = (busy_seconds(server) - busy) / (time.perf_counter() - clock)
    return Found(MANY, (full - empty) / MANY, ours, share, few, many, rate)


def signalled(stage: Stage) -> float:
    """The median of many signals, after some untimed."""
    stage.play("parked", "signal")
    return statistics.median([took for _ in range(TURNS) for took in stage.play("parked", "signal")])


def used_bytes(server: object) -> int:
    """What the server holds."""
    return int(server.info("memory")["used_memory"])  # type: ignore[attr-defined]


def busy_seconds(server: object) -> float:
    """What the server has taken of a processor."""
    cpu = server.info("cpu")  # type: ignore[attr-defined]
    return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])


def misses(found: Found) -> list[str]:
    """The targets that were missed."""
    wrong = []
    if found.bytes_a_run > BYTES:
        wrong.append(f"a parked run takes {found.bytes_a_run:,.0f} bytes in Redis, at most {BYTES:,.0f} is allowed")
    if found.ours >= SHARE:
        wrong.append(f"keeping house takes {found.ours:.1%} of a core, under {SHARE:.0%} is wanted")
    if found.many / found.few > SLOWER:
        wrong.append(f"a resume among {found.runs:,} parked runs takes {found.many / found.few:.2f} times one among {FEW}")
    return wrong


def text(found: Found) -> str:
    """As a table."""
    rows = [
        ["bytes a run in the server, everything counted", f"{found.bytes_a_run:,.0f}"],
        [f"our process's share of a core while all wait, over {WATCHED:g} s, default lease", f"{found.ours:.2%}"],
        ["the server's share of a core meanwhile", f"{found.server:.2%}"],
        [f"from a signal to the next step, p50, {FEW} parked", f"{shown(found.few)} ms"],
        [f"from a signal to the next step, p50, {found.runs:,} parked", f"{shown(found.many)} ms"],
        ["started and parked a second", f"{found.parked_a_second:,.0f}"],
    ]
    return "### A hundred thousand parked runs\n\n" + table([f"{found.runs:,} runs that wait, in Redis, AOF off", ""], rows)
