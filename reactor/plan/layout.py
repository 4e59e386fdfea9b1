"""Where a plan's nodes stand and how its edges run: a layered layout (Sugiyama) from top to bottom, in pure Python.

Layers, then the order within them (sweeps of barycentres, the best kept), then coordinates, then routes through the bends. It is
deterministic, and its cost is bounded by the number of nodes and edges: very long edges of very large graphs get no bends.
Sizes are in pixels. How it is painted is `svg.py`'s business.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from reactor.plan.coordinates import Layers, centres_of, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactor.plan.plan import Plan

Point: TypeAlias = tuple[float, float]
Size: TypeAlias = tuple[float, float]
Chain: TypeAlias = tuple[int, ...]  # an edge's vertices: source, bends, target

GAP = 28.0  # between neighbours of a layer
_PORTS = 14.0  # between edges that enter one node, at most
_BEND = 6.0  # the width that an edge passing through a layer takes
_DROP = 44.0  # between layers, at least
_STEEPNESS = 24.0  # a long way sideways gets a taller drop: one pixel for so many
_SWEEPS = 12
_PATIENCE = 4  # sweeps without fewer crossings
_BENDS = 3  # at most so many for each node and edge


@dataclass(frozen=True, slots=True)
class Box:
    """One node: its index in the plan, the upper left corner, and its size."""

    index: int
    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True, slots=True)
class Route:
    """One edge, from the foot of its source down to the head of its target; every second leg is vertical."""

    source: int
    target: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Boxes by node index, routes, and the size of it all; the upper left corner is (0, 0)."""

    nodes: tuple[Box, ...]
    edges: tuple[Route, ...]
    width: float
    height: float


def layout(plan: Plan, sizes: Sequence[Size] | None = None) -> Layout:
    """Lay a plan out.

    Args:
        plan: what to lay out; its children are not looked at.
        sizes: width and height of each node in pixels; by default, what its name needs.

    >>> from reactor import Reactor, step
    >>> from reactor.plan.compile import plan_of
    >>> class Two(Reactor):
    ...     @step
    ...     async def one(self) -> int:
    ...         return 1
    ...
    ...     @step
    ...     async def output(self, n: int = one.result) -> int:
    ...         return n
    >>> above, below = layout(plan_of(Two)).nodes
    >>> above.y + above.h < below.y
    True
    """
    return arrange([node.parents for node in plan.nodes], sizes or [(len(node.name) * 7.5 + 40, 40) for node in plan.nodes])


def arrange(parents: Sequence[Sequence[int]], sizes: Sequence[Size]) -> Layout:
    """Lay out any graph without cycles, given each node's parents and size.

    Raises:
        ValueError: the parents are circular.
    """
    levels = _levels(parents)
    layers, chains = _layers(parents, sizes, levels)
    _reduce_crossings(layers)
    layers.settle()
    centres = centres_of(layers, GAP)
    bands = _bands(layers, centres, sizes)
    boxes = []
    for at, (width, height) in enumerate(sizes):
        boxes.append(Box(at, centres[at] - width / 2, sum(bands[levels[at]]) / 2 - height / 2, width, height))
    routes = [
        Route(chain[0], chain[-1], _route(chain, port, boxes, centres, bands[levels[chain[0]] : levels[chain[-1]] + 1]))
        for chain, port in zip(chains, _ports(chains, boxes, centres), strict=True)
    ]
    reach = max((centre + width / 2 for centre, width in zip(centres, layers.width, strict=True)), default=0.0)
    return Layout(tuple(boxes), tuple(routes), reach, bands[-1][1] if bands else 0.0)


# ---- layers ----------------------------------------------------------------------------------------------------


def _levels(parents: Sequence[Sequence[int]]) -> list[int]:
    """By node, its layer: below all its parents; then down towards its dependents where that makes its edges shorter."""
    below: list[list[int]] = [[] for _ in parents]
    for at, above in enumerate(parents):
        for parent in above:
            below[parent].append(at)
    order = _order(parents, below)
    levels = [0] * len(parents)
    for at in order:
        levels[at] = max((levels[parent] + 1 for parent in parents[at]), default=0)
    for at in reversed(order):
        if len(below[at]) > len(parents[at]):
            levels[at] = min(levels[child] for child in below[at]) - 1
    return levels


def _order(parents: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> list[int]:
    waiting = [len(above) for above in parents]
    order = [at for at, count in enumerate(waiting) if count == 0]
    for at in order:  # grows while it is read
        for child in below[at]:
            waiting[child] -= 1
            if waiting[child] == 0:
                order.append(child)
    if len(order) < len(parents):
        raise ValueError("a graph with a cycle has no layers")
    return order


def _layers(parents: Sequence[Sequence[int]], sizes: Sequence[Size], levels: Sequence[int]) -> tuple[Layers, list[Chain]]:
    """Rows with bends for the edges that pass through them, and each edge's chain of vertices."""
    count = len(parents)
    edges = [(parent, at) for at, above in enumerate(parents) for parent in above]
    longest = _longest_bent([levels[at] - levels[parent] for parent, at in edges], _BENDS * (count + len(edges)))
    chains, total = list[Chain](), count
    for source, target in edges:
        span = levels[target] - levels[source]
        bends = range(total, total + span - 1) if span <= longest else range(0)
        total += len(bends)
        chains.append((source, *bends, target))
    rows: list[list[int]] = [[] for _ in range(max(levels, default=-1) + 1)]
    layers = Layers(
        rows, [[] for _ in range(total)], [[] for _ in range(total)], [*(w for w, _ in sizes), *[_BEND] * (total - count)], first_bend=count
    )
    level = [*levels, *[0] * (total - count)]
    for chain in chains:
        if levels[chain[-1]] - levels[chain[0]] > longest:
            continue
        for upper, lower in pairwise(chain):
            layers.up[lower].append(upper)
            layers.down[upper].append(lower)
        for depth, bend in enumerate(chain[1:-1], levels[chain[0]] + 1):
            level[bend] = depth
    for vertex in _depth_first(layers, range(count)):
        rows[level[vertex]].append(vertex)
    return layers, chains


def _longest_bent(spans: list[int], budget: int) -> int:
    """The longest span whose edges still get bends, so that all bends together stay within the budget."""
    longest = 1
    for span in sorted(spans):
        budget -= span - 1
        if budget < 0:
            return longest
        longest = span
    return longest


def _depth_first(layers: Layers, nodes: range) -> list[int]:
    """All vertices so that kin come together: an order to begin with that has few crossings."""
    seen = [False] * len(layers.width)
    order = []
    for root in nodes:
        if layers.up[root]:
            continue
        stack = [root]
        while stack:
            vertex = stack.pop()
            if seen[vertex]:
                continue
            seen[vertex] = True
            order.append(vertex)
            stack.extend(reversed(layers.down[vertex]))
    return order


# ---- order -----------------------------------------------------------------------------------------------------


def _reduce_crossings(layers: Layers) -> None:
    """Sort rows by the barycentre of their neighbours, downwards and upwards in turn, and keep the best rows seen."""
    best = [list(row) for row in layers.rows]
    fewest = _crossings(layers, best)
    idle = 0
    for sweep in range(_SWEEPS):
        if fewest == 0 or idle == _PATIENCE:
            break
        _sweep(layers, downwards=sweep % 2 == 0, mirror=sweep % 4 >= 2)  # noqa: PLR2004 - ties fall left in two sweeps, right in two
        crossings = _crossings(layers, layers.rows)
        idle += 1
        if crossings < fewest:
            fewest, best, idle = crossings, [list(row) for row in layers.rows], 0
    layers.rows[:] = best


def _sweep(layers: Layers, *, downwards: bool, mirror: bool) -> None:
    neighbours = layers.up if downwards else layers.down
    place = place_of(layers.rows, len(layers.width))
    for row in layers.rows if downwards else reversed(layers.rows):
        centre = {vertex: _barycentre(neighbours[vertex], place, place[vertex]) for vertex in row}
        if mirror:
            row.reverse()
        row.sort(key=centre.__getitem__)
        for at, vertex in enumerate(row):
            place[vertex] = at


def _barycentre(neighbours: list[int], place: list[int], alone: int) -> float:
    if len(neighbours) == 1:  # every bend, and so most vertices of a large graph
        return place[neighbours[0]]
    return sum([place[other] for other in neighbours]) / len(neighbours) if neighbours else alone


def _crossings(layers: Layers, rows: Sequence[Sequence[int]]) -> int:
    """How often edges cross: the inversions between neighbouring rows."""
    place, up = place_of(rows, len(layers.width)), layers.up
    total = 0
    for row in rows[1:]:
        ends = [at for vertex in row for at in _places(up[vertex], place)]
        passed: list[int] = []
        for at in ends:
            total += len(passed) - bisect_right(passed, at)
            insort(passed, at)
    return total


def _places(neighbours: list[int], place: list[int]) -> list[int]:
    """Where a vertex's edges end, from left to right: they do not cross each other."""
    return [place[neighbours[0]]] if len(neighbours) == 1 else sorted([place[other] for other in neighbours])


# ---- bands and routes ------------------------------------------------------------------------------------------


def _bands(layers: Layers, centres: Sequence[float], sizes: Sequence[Size]) -> list[tuple[float, float]]:
    """The top and the bottom of each row."""
    bands, y = list[tuple[float, float]](), 0.0
    for row in layers.rows:
        height = max((sizes[vertex][1] for vertex in row if vertex < layers.first_bend), default=0.0)
        bands.append((y, y + height))
        sideways = max((abs(centres[lower] - centres[upper]) for upper in row for lower in layers.down[upper]), default=0.0)
        y += height + _DROP + min(sideways / _STEEPNESS, 3 * _DROP)
    return bands


def _ports(chains: Sequence[Chain], boxes: Sequence[Box], centres: Sequence[float]) -> list[float]:
    """By edge, the x where it enters its target: side by side in the order in which they come, so that arrows can be told apart."""
    entering: dict[int, list[int]] = {}
    for at, chain in enumerate(chains):
        entering.setdefault(chain[-1], []).append(at)
    ports = [0.0] * len(chains)
    for target, edges in entering.items():
        edges.sort(key=lambda at: centres[chains[at][-2]])
        apart = min(_PORTS, boxes[target].w * 0.6 / len(edges))
        for place, at in enumerate(edges):
            ports[at] = centres[target] + (place - (len(edges) - 1) / 2) * apart
    return ports


def _route(
    chain: Chain, port: float, boxes: Sequence[Box], centres: Sequence[float], bands: Sequence[tuple[float, float]]
) -> tuple[Point, ...]:
    """From the foot of the source, straight to the end of its band, by way of the bends, and straight into the head of the target."""
    source, target = boxes[chain[0]], boxes[chain[-1]]
    points = [(centres[chain[0]], source.y + source.h), (centres[chain[0]], bands[0][1])]
    for (top, bottom), bend in zip(bands[1:], chain[1:-1], strict=False):  # a very long edge has none
        points += [(centres[bend], top), (centres[bend], bottom)]
    points += [(port, bands[-1][0]), (port, target.y)]
    return tuple(points)
