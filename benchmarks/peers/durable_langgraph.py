"""LangGraph with its SQLite checkpointer: `AsyncSqliteSaver`, WAL.

`durability="sync"` is what durable means here: a checkpoint is stored before the next step begins. It comes with SQLite's own default,
FULL; NORMAL is set beside it, as ours has it. Its functional API stores what a task returned in the background, whatever the mode:
the next task has begun by then. It is shown, and judged by nobody.

A chain is its cheaper form: one node that loops, in place of a node a step.
"""

from __future__ import annotations

import asyncio
import contextlib
import operator
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypedDict
from uuid import uuid4

from benchmarks.durable_limits import Act
from benchmarks.durable_places import Places
from benchmarks.measure import expect

STEPS = 100
CROWD, SHORT = 100, 10  # runs at once, steps of each
SIGNALS = 20


class State(TypedDict):
    done: Annotated[int, operator.add]


class Waiting(TypedDict):
    answer: int


async def noop(state: State) -> State:
    return {"done": 1}


@contextlib.asynccontextmanager
async def stage(places: Places) -> AsyncIterator[dict[tuple[str, str], Act]]:
    """Its acts, with and without an fsync a commit."""
    async with saver_of(places.file("langgraph-full.db")) as full, saver_of(places.file("langgraph.db"), "NORMAL") as normal:
        acts: dict[tuple[str, str], Act] = {}
        for saver, kept in ((full, "FULL"), (normal, "NORMAL")):
            acts["chain", f"LangGraph, {kept}"] = chain_of(saver, STEPS)
            acts["chain", f"LangGraph, a node a step, {kept}"] = chain_of(saver, STEPS, loops=False)
        acts["chain", "LangGraph, functional, NORMAL"] = tasks_of(normal, STEPS)
        acts["crowd", "LangGraph, NORMAL"] = crowd_of(normal)
        acts["signal", "LangGraph, NORMAL"] = signal_of(normal)
        acts["start", "LangGraph, NORMAL"] = start_of(normal)
        yield acts


@contextlib.asynccontextmanager
async def saver_of(path: str, synchronous: str | None = None) -> AsyncIterator[Any]:
    """The checkpointer on a file."""
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    async with aiosqlite.connect(path) as connection:
        if synchronous:
            await connection.execute(f"PRAGMA synchronous = {synchronous}")
        yield AsyncSqliteSaver(connection)


def config_of(steps: int) -> dict[str, Any]:
    """A new thread, with room for so many supersteps."""
    return {"configurable": {"thread_id": str(uuid4())}, "recursion_limit": steps + 10}


def graph_of(saver: Any, steps: int, *, loops: bool) -> Any:
    """A chain: a node that loops, or a node a step."""
    from langgraph.graph import END, START, StateGraph

    builder = StateGraph(State)
    if loops:
        builder.add_node("s", noop)
        builder.add_edge(START, "s")
        builder.add_conditional_edges("s", lambda state: "s" if state["done"] < steps else END, ["s", END])
        return builder.compile(checkpointer=saver)
    for at in range(steps):
        builder.add_node(f"s{at}", noop)
        builder.add_edge(f"s{at - 1}" if at else START, f"s{at}")
    builder.add_edge(f"s{steps - 1}", END)
    return builder.compile(checkpointer=saver)


async def kept(saver: Any, config: dict[str, Any]) -> int:
    """How many checkpoints a thread has."""
    cursor = await saver.conn.execute("SELECT count(*) FROM checkpoints WHERE thread_id = ?", (config["configurable"]["thread_id"],))
    (count,) = await cursor.fetchone()
    return int(count)


def chain_of(saver: Any, steps: int, *, loops: bool = True) -> Act:
    graph = graph_of(saver, steps, loops=loops)

    async def act() -> list[float]:
        config = config_of(steps)
        began = time.perf_counter()
        state = await graph.ainvoke({"done": 0}, config, durability="sync")
        took = time.perf_counter() - began
        expect((state["done"], await kept(saver, config)), (steps, steps + 2))  # one for the input, one before the first step
        return [took / steps * 1e6]

    return act


def tasks_of(saver: Any, steps: int) -> Act:
    from langgraph.func import entrypoint, task

    @task
    async def one(value: int) -> int:
        return 1

    @entrypoint(checkpointer=saver)
    async def flow(count: int) -> int:
        done = 0
        for _ in range(count):
            done += await one(done)
        return done

    async def act() -> list[float]:
        began = time.perf_counter()
        expect(await flow.ainvoke(steps, config_of(steps), durability="sync"), steps)
        return [(time.perf_counter() - began) / steps * 1e6]

    return act


def crowd_of(saver: Any) -> Act:
    graph = graph_of(saver, SHORT, loops=True)

    async def act() -> list[float]:
        began = time.perf_counter()
        states = await asyncio.gather(*[graph.ainvoke({"done": 0}, config_of(SHORT), durability="sync") for _ in range(CROWD)])
        took = time.perf_counter() - began
        expect([state["done"] for state in states], [SHORT] * CROWD)
        return [took / (CROWD * SHORT) * 1e6]

    return act


def signal_of(saver: Any) -> Act:
    """From `Command(resume=…)` until the node behind the one that was interrupted begins."""
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Command, interrupt

    began: list[float] = []

    async def approval(state: Waiting) -> Waiting:
        return {"answer": interrupt("?")}

    async def after(state: Waiting) -> Waiting:
        began.append(time.perf_counter())
        return {"answer": state["answer"]}

    builder = StateGraph(Waiting)
    builder.add_node("approval", approval)
    builder.add_node("after", after)
    builder.add_edge(START, "approval")
    builder.add_edge("approval", "after")
    builder.add_edge("after", END)
    graph = builder.compile(checkpointer=saver)

    async def act() -> list[float]:
        took = []
        for number in range(1, SIGNALS + 1):
            config = config_of(2)
            await graph.ainvoke({"answer": 0}, config, durability="sync")
            sent = time.perf_counter()
            state = await graph.ainvoke(Command(resume=number), config, durability="sync")
            expect(state["answer"], number)
            took.append((began.pop() - sent) * 1e3)
        return took

    return act


def start_of(saver: Any) -> Act:
    graph = graph_of(saver, 1, loops=True)

    async def act() -> list[float]:
        took = []
        for _ in range(SIGNALS):
            began = time.perf_counter()
            state = await graph.ainvoke({"done": 0}, config_of(1), durability="sync")
            took.append((time.perf_counter() - began) * 1e3)
            expect(state["done"], 1)
        return took

    return act
