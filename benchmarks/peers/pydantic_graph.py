"""pydantic-graph: GraphBuilder's steps, broadcasts and joins.

A chain and a fan-out have exactly the shape's edges. For layers there are two forms: a join a layer with a broadcast to the next, which
is its idiom and by far the cheaper, and a join a step with exactly the shape's edges (steps that nobody reads must lead somewhere, so
they lead to the last join). The first is what it is judged by, the second is shown beside it.
"""

from __future__ import annotations

from typing import Any

from benchmarks.measure import Contestant, expect
from benchmarks.shapes import Shape


async def noop(ctx: Any) -> int:
    return 1


async def contestant(shape: Shape) -> Contestant:
    if shape.layers:
        return played("pydantic-graph", shape, joined_by_layer(shape), rounds=20, note="a join a layer")
    return played("pydantic-graph", shape, joined_by_step(shape), rounds=20)


async def exact_contestant(shape: Shape) -> Contestant:
    """Exactly the shape's edges, where the idiom has others."""
    return played("pydantic-graph, a join a step", shape, joined_by_step(shape), rounds=1, note="exact edges")


def played(name: str, shape: Shape, graph: Any, *, rounds: int, note: str = "") -> Contestant:
    async def once() -> None:
        expect(await graph.run(), 1)

    return Contestant(name, shape.steps, once, rounds, note)


def joined_by_step(shape: Shape) -> Any:
    from pydantic_graph import GraphBuilder, reduce_list_append

    g: Any = GraphBuilder(output_type=int)
    steps = [g.step(noop, node_id=f"s{at}") for at in range(shape.steps)]
    g.add(g.edge_from(g.start_node).to(*(steps[at] for at, parents in enumerate(shape.needs) if not parents)))
    for at, parents in enumerate(shape.needs):
        sources = (*parents, *shape.unread) if at == shape.output else parents
        if len(sources) > 1:
            join = g.join(reduce_list_append, initial_factory=list, node_id=f"j{at}")
            g.add(g.edge_from(*(steps[source] for source in sources)).to(join), g.edge_from(join).to(steps[at]))
        elif sources:
            g.add(g.edge_from(steps[sources[0]]).to(steps[at]))
    g.add(g.edge_from(steps[shape.output]).to(g.end_node))
    return g.build()


def joined_by_layer(shape: Shape) -> Any:
    from pydantic_graph import GraphBuilder, reduce_list_append

    g: Any = GraphBuilder(output_type=int)
    before = g.start_node
    for layer in range(shape.layers):
        steps = [g.step(noop, node_id=f"s{layer}_{at}") for at in range(shape.width)]
        join = g.join(reduce_list_append, initial_factory=list, node_id=f"j{layer}", preferred_parent_fork="closest")
        g.add(g.edge_from(before).to(*steps), g.edge_from(*steps).to(join))
        before = join
    output = g.step(noop, node_id="output")
    g.add(g.edge_from(before).to(output), g.edge_from(output).to(g.end_node))
    return g.build()
