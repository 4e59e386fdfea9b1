"""Ourselves over a store: the same runs as the peers', by the public `Engine`; and the limits, in the same process and loop.

Every act reads back what it did: the output of each run, and now and then the record itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

from benchmarks import durable_limits as limits
from benchmarks.durable_limits import Act
from benchmarks.durable_places import ALWAYS, EVERYSEC, FULL, NORMAL, OFF, Places
from benchmarks.measure import expect
from benchmarks.ours import reactor_of, taking_none, taking_one
from benchmarks.shapes import chain
from reactor import Ask, Engine, Parked, Reactor, Succeeded, interrupt, step

STEPS = 100
LONG = 10_000
CROWD, SHORT = 1_000, 10  # runs at once, steps of each
SIGNALS = 20  # a turn

SQLITE, MEMORY = "reactor, SQLite", "reactor, memory"
REDIS = {kept: f"reactor, Redis, {kept}" for kept in (OFF, EVERYSEC, ALWAYS)}
WIRE, REDIS_PY = "one EVALSHA, our connection", "one EVALSHA, redis-py"
COMMIT = {kept: f"one commit, {kept}" for kept in (NORMAL, FULL)}
ON_THREAD = f"one commit, {NORMAL}, on a thread"
APPEND = {who: f"our store alone, {who.removeprefix('reactor, ')}" for who in (SQLITE, REDIS[OFF])}

Chain = reactor_of(chain(STEPS))
LongChain = reactor_of(chain(LONG))
ShortChain = reactor_of(chain(SHORT))
OneStep = reactor_of(chain(1))

numbers = count(1)  # of runs that wait, unique in this process
reached: dict[int, asyncio.Future[float]] = {}  # by number: when the step behind the signal began


class Waits(Reactor):
    """Asks, and tells when the step behind the answer began."""

    number: int

    @interrupt
    async def approval(self) -> Ask[int]:
        return Ask()

    @step
    async def output(self, answer: int = approval.result) -> int:
        told = reached.pop(self.number, None)
        if told is not None:
            told.set_result(time.perf_counter())
        return answer


def long_waits(steps: int) -> Any:
    """The same behind a chain."""

    def body(names: dict[str, Any]) -> None:
        last = None
        for at in range(steps):
            fn = taking_none() if last is None else taking_one(last.result)
            fn.__name__ = fn.__qualname__ = f"s{at}"
            names[fn.__name__] = last = step(fn)
        names["__annotations__"] = {"number": int}
        names["approval"] = approval = interrupt(after=[last])(asking)
        names["output"] = step(answering(approval))

    return types.new_class(f"Waits{steps}", (Reactor,), {}, body)


def answering(approval: Any) -> Any:
    """The step behind the answer."""

    async def output(self: Any, answer: int = approval.result) -> int:
        reached.pop(self.number).set_result(time.perf_counter())
        return answer

    output.__qualname__ = "output"
    return output


async def asking(self: Any) -> Ask[int]:
    """What the interrupt asks."""
    return Ask()


LongWaits = long_waits(LONG)


@contextlib.asynccontextmanager
async def stage(places: Places) -> AsyncIterator[dict[tuple[str, str], Act]]:
    """Our acts, and the limits'."""
    acts: dict[tuple[str, str], Act] = {}
    async with contextlib.AsyncExitStack() as stack:
        stores = {SQLITE: places.sqlite("reactor.db")} | {REDIS[kept]: places.redis(kept) for kept in places.servers}
        engines = {who: await stack.enter_async_context(Engine(url)) for who, url in stores.items()}
        opened = {who: await stack.enter_async_context(opening) for who, opening in limits_of(places).items()}
        chains = {who: chain_act(engine) for who, engine in engines.items()} | opened
        beside = (SQLITE, *COMMIT.values(), ON_THREAD, APPEND[SQLITE], REDIS[OFF], WIRE, REDIS_PY, APPEND[REDIS[OFF]])
        for who in dict.fromkeys((*beside, *chains)):  # a ratio's sides one after the other; who syncs at every step comes last
            if who in chains:
                acts["chain", who] = chains[who]
        quick = {who: engines[who] for who in (SQLITE, REDIS[OFF])}
        for who, engine in quick.items():
            acts["crowd", who] = crowd_act(engine)
            acts["length", f"{who}, {STEPS} steps"] = length_act(engine, Chain, STEPS, LONG // STEPS)
            acts["length", f"{who}, {LONG:,} steps"] = length_act(engine, LongChain, LONG, 1)
            acts["load", who] = load_act(stores[who])
            acts["signal", f"{who}, another process"] = across_act(engine, stores[who])
        for who, engine in (quick | {MEMORY: await stack.enter_async_context(Engine())}).items():
            acts["signal", who] = signal_act(engine)
            acts["start", who] = start_act(engine)
        yield acts


def limits_of(places: Places) -> dict[str, contextlib.AbstractAsyncContextManager[Act]]:
    """The limits, to be opened."""
    return {
        WIRE: limits.evalsha_by_wire(places.servers[OFF]),
        REDIS_PY: limits.evalsha_by_redis_py(places.servers[OFF]),
        COMMIT[NORMAL]: limits.wal_commit(places.file("normal.db"), "NORMAL"),
        COMMIT[FULL]: limits.wal_commit(places.file("full.db"), "FULL"),
        ON_THREAD: limits.wal_commit_on_thread(places.file("thread.db"), "NORMAL"),
        APPEND[SQLITE]: limits.append(places.sqlite("append.db")),
        APPEND[REDIS[OFF]]: limits.append(places.redis(OFF, "append")),
    }


# ---- acts -------------------------------------------------------------------------------------------------------


def chain_act(engine: Engine) -> Act:
    """A chain, microseconds a step; then its record is looked at."""
    reactor = Chain

    async def act() -> list[float]:
        began = time.perf_counter()
        run_id = succeeded(await engine.run(reactor()), 1)
        took = time.perf_counter() - began
        expect(await recorded_steps(engine, run_id), STEPS)
        return [took / STEPS * 1e6]

    return act


def crowd_act(engine: Engine, runs: int = CROWD) -> Act:
    """Many short runs at once, microseconds of the whole for each of their steps."""
    reactor = ShortChain

    async def act() -> list[float]:
        began = time.perf_counter()
        outcomes = await asyncio.gather(*[engine.run(reactor()) for _ in range(runs)])
        took = time.perf_counter() - began
        ids = {succeeded(outcome, 1) for outcome in outcomes}
        expect((len(ids), await recorded_steps(engine, min(ids))), (runs, SHORT))
        return [took / (runs * SHORT) * 1e6]

    return act


def length_act(engine: Engine, reactor: Any, steps: int, runs: int) -> Act:
    """As many steps in short runs or in a long one, microseconds a step."""

    async def act() -> list[float]:
        began = time.perf_counter()
        for _ in range(runs):
            succeeded(await engine.run(reactor()), 1)
        return [(time.perf_counter() - began) / (steps * runs) * 1e6]

    return act


def signal_act(engine: Engine) -> Act:
    """Milliseconds from a signal until the step behind it begins, in one process."""

    async def act() -> list[float]:
        took = []
        for number in (next(numbers) for _ in range(SIGNALS)):
            run_id, began = await parked(engine, number)
            sent = time.perf_counter()
            await engine.signal(Waits.approval, number, run_id=run_id)
            took.append((await began - sent) * 1e3)
            run = await engine.get(run_id)
            expect(await run.result(10), number)
        return took

    return act


async def parked(engine: Engine, number: int, reactor: Any = Waits) -> tuple[str, asyncio.Future[float]]:
    """A run that waits for a signal: its name, and what will tell when the step behind it began."""
    began = reached[number] = asyncio.get_running_loop().create_future()
    outcome = await engine.run(reactor(number=number))
    if not isinstance(outcome, Parked):
        raise AssertionError(f"did not park: {outcome!r}")  # noqa: TRY004  # a figure of no run
    return outcome.run_id, began


def across_act(engine: Engine, url: str) -> Act:
    """The same, signalled by another process, which serves no reactor: the run goes on here."""

    async def act() -> list[float]:
        took = []
        async with signaller(url) as signalled:
            for number in (next(numbers) for _ in range(SIGNALS)):
                run_id, began = await parked(engine, number)
                sent = await signalled(run_id, number)
                took.append((await began - sent) * 1e3)
                run = await engine.get(run_id)
                expect(await run.result(10), number)
        return took

    return act


@contextlib.asynccontextmanager
async def signaller(url: str) -> AsyncIterator[Callable[[str, int], Awaitable[float]]]:
    """The other process: what it is asked to signal, and when it did."""
    words = [sys.executable, "-m", "benchmarks.durable_signaller", url]
    other = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    to, back = other.stdin, other.stdout
    if to is None or back is None:
        raise AssertionError("no pipes")

    async def signalled(run_id: str, number: int) -> float:
        to.write(json.dumps([run_id, number]).encode() + b"\n")
        return float(await back.readline())

    yield signalled
    to.close()
    expect(await other.wait(), 0)


def start_act(engine: Engine) -> Act:
    """Milliseconds from `start` of a run of one step until its result is there."""
    reactor = OneStep

    async def act() -> list[float]:
        took = []
        for _ in range(SIGNALS):
            began = time.perf_counter()
            run = await engine.start(reactor())
            expect(await run.result(10), 1)
            took.append((time.perf_counter() - began) * 1e3)
        return took

    return act


def load_act(url: str) -> Act:
    """Milliseconds from a signal for a run of 10,000 steps until the next one begins, in an engine that has never seen the run."""
    reactor = LongWaits

    async def act() -> list[float]:
        number = next(numbers)
        async with Engine(url, reactors=[reactor]) as engine:
            run_id, began = await parked(engine, number, reactor)
        async with Engine(url, reactors=[reactor]) as engine:
            sent = time.perf_counter()
            await engine.signal(reactor.approval, number, run_id=run_id)
            took = await began - sent
            run = await engine.get(run_id)
            expect(await run.result(10), number)
            expect(await recorded_steps(engine, run_id), LONG + 1)
        return [took * 1e3]

    return act


# ---- reading back -----------------------------------------------------------------------------------------------


def succeeded(outcome: Any, value: object) -> str:
    """The name of a run that ended with this value. Raises AssertionError for any other end."""
    if not isinstance(outcome, Succeeded):
        raise AssertionError(f"did not succeed: {outcome!r}")  # noqa: TRY004  # a figure of no run
    expect(outcome.value, value)
    return outcome.run_id


async def recorded_steps(engine: Engine, run_id: str) -> int:
    """How many steps succeeded by the record of a run."""
    run = await engine.get(run_id)
    return len([event async for event in run.events() if event.kind == "call_succeeded"])
