"""LangGraph: a compiled StateGraph, `ainvoke`, no checkpointer.

The edges are exactly the shape's; a list of start keys waits for all of them. The state is the cheapest that still shows every node
ran: one counter that a reducer sums, in place of a value an edge.
"""

from __future__ import annotations

import operator
from typing import Annotated, TypedDict

from benchmarks.measure import Contestant, expect
from benchmarks.shapes import Shape


class State(TypedDict):
    done: Annotated[int, operator.add]


async def noop(state: State) -> State:
    return {"done": 1}


async def contestant(shape: Shape) -> Contestant:
    from langgraph.graph import END, START, StateGraph

    builder = StateGraph(State)
    for at in range(shape.steps):
        builder.add_node(f"s{at}", noop)
    for at, parents in enumerate(shape.needs):
        if len(parents) > 1:
            builder.add_edge([f"s{parent}" for parent in parents], f"s{at}")
        else:
            builder.add_edge(f"s{parents[0]}" if parents else START, f"s{at}")
    builder.add_edge(f"s{shape.output}", END)
    graph = builder.compile()
    config = {"recursion_limit": shape.steps + 10}  # it counts supersteps, a chain has one a step

    async def once() -> None:
        state = await graph.ainvoke({"done": 0}, config)
        expect(state["done"], shape.steps)

    return Contestant("LangGraph", shape.steps, once, rounds=8)
