"""Where the vertices of ordered layers stand from left to right: Brandes and Köpf's four alignments, averaged.

Each alignment hangs every vertex below (or above) the median of its neighbours, long edges first, so that they run straight. The
four results are sound each for itself: the order of a layer is kept and no two of its vertices come closer than the gap; so is
their average of medians. Linear in vertices and edges, and no recursion, however deep the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Edge: TypeAlias = tuple[int, int]


@dataclass(slots=True)
class Layers:
    """Vertices in ordered layers; edges join neighbouring layers only, with bends standing in for what passes through."""

    rows: list[list[int]]
    up: list[list[int]]  # by vertex: its neighbours in the layer above, in their order
    down: list[list[int]]
    width: list[float]  # by vertex
    first_bend: int  # vertices from here on are bends
    place: list[int] = field(default_factory=list)  # by vertex: its place in its row

    def settle(self) -> None:
        """Note each vertex's place, and put neighbours in the order of theirs: after the rows have changed."""
        self.place = place_of(self.rows, len(self.width))
        for neighbours in (*self.up, *self.down):
            if len(neighbours) > 1:
                neighbours.sort(key=self.place.__getitem__)


def place_of(rows: Iterable[Sequence[int]], count: int) -> list[int]:
    """By vertex, its place in its row."""
    place = [0] * count
    for row in rows:
        for at, vertex in enumerate(row):
            place[vertex] = at
    return place


def centres_of(layers: Layers, gap: float) -> list[float]:
    """The x of every vertex's centre, the leftmost edge at 0; rows keep their order and at least `gap` between neighbours."""
    crossed = _crossed(layers)
    results = []
    for downwards in (True, False):
        for rightwards in (True, False):
            root = _align(layers, crossed, downwards=downwards, rightwards=rightwards)
            results.append(_compact(layers, root, gap, rightwards=rightwards))
    return _balance(results, layers.width)


def _crossed(layers: Layers) -> set[Edge]:
    """Edges (upper, lower) that cross the inside of a longer edge: they give way to it."""
    crossed: set[Edge] = set()
    for above, below in pairwise(layers.rows):
        _cross(layers, above, below, crossed)
    return crossed


def _cross(layers: Layers, above: Sequence[int], below: Sequence[int], crossed: set[Edge]) -> None:
    place, first_bend = layers.place, layers.first_bend
    left, scanned = 0, 0
    for at, vertex in enumerate(below):
        inner = layers.up[vertex][0] if vertex >= first_bend and layers.up[vertex][0] >= first_bend else None
        if inner is None and at < len(below) - 1:
            continue
        right = len(above) if inner is None else place[inner]
        for lower in below[scanned : at + 1]:
            for upper in layers.up[lower]:
                if not left <= place[upper] <= right and (lower < first_bend or upper < first_bend):
                    crossed.add((upper, lower))
        left, scanned = right, at + 1


def _align(layers: Layers, crossed: set[Edge], *, downwards: bool, rightwards: bool) -> list[int]:
    """By vertex, the first vertex of its block: the vertical line of vertices that will share one x."""
    place, neighbours = layers.place, layers.up if downwards else layers.down
    root = list(range(len(place)))
    taken = [False] * len(place)  # has a vertex hung below it already
    for row in layers.rows if downwards else reversed(layers.rows):
        limit = -1 if rightwards else len(place)
        for vertex in row if rightwards else reversed(row):
            for other in _medians(neighbours[vertex], rightwards=rightwards):
                free = place[other] > limit if rightwards else place[other] < limit
                if free and not taken[other] and ((other, vertex) if downwards else (vertex, other)) not in crossed:
                    root[vertex], taken[other], limit = root[other], True, place[other]
                    break
    return root


def _medians(neighbours: list[int], *, rightwards: bool) -> list[int]:
    """The middle neighbour, or the middle two, the one to be tried first first."""
    count = len(neighbours)
    if count <= 1:
        return neighbours
    if count % 2:
        return [neighbours[count // 2]]
    pair = neighbours[count // 2 - 1 : count // 2 + 1]
    return pair if rightwards else pair[::-1]


def _compact(layers: Layers, root: list[int], gap: float, *, rightwards: bool) -> list[float]:
    """Push the blocks together: first all to one side, then each as near to its neighbours on the other side as it can be."""
    apart = _separations(layers, root, gap, rightwards=rightwards)
    after: dict[int, list[tuple[int, float]]] = {}
    waiting: dict[int, int] = dict.fromkeys(root, 0)
    for (one, other), distance in apart.items():
        after.setdefault(one, []).append((other, distance))
        waiting[other] += 1
    order = [block for block, count in waiting.items() if count == 0]
    x = dict.fromkeys(waiting, 0.0)
    for block in order:  # grows while it is read
        for other, distance in after.get(block, ()):
            x[other] = max(x[other], x[block] + distance)
            waiting[other] -= 1
            if waiting[other] == 0:
                order.append(other)
    for block in reversed(order):
        if block in after:
            x[block] = max(x[block], min(x[other] - distance for other, distance in after[block]))
    sign = 1 if rightwards else -1
    return [sign * x[block] for block in root]


def _separations(layers: Layers, root: list[int], gap: float, *, rightwards: bool) -> dict[Edge, float]:
    """Which block stands beside which, and how far their centres must be apart."""
    width, apart = layers.width, dict[Edge, float]()
    for row in layers.rows:
        for left, right in pairwise(row):
            pair = (root[left], root[right]) if rightwards else (root[right], root[left])
            distance = (width[left] + width[right]) / 2 + gap
            if apart.get(pair, 0.0) < distance:
                apart[pair] = distance
    return apart


def _balance(results: list[list[float]], width: list[float]) -> list[float]:
    """Bring the four results over the narrowest of them, and take the mean of the middle two for each vertex."""
    if not width:
        return []
    halves = [w / 2 for w in width]
    lefts = [min(x - half for x, half in zip(xs, halves, strict=True)) for xs in results]
    rights = [max(x + half for x, half in zip(xs, halves, strict=True)) for xs in results]
    narrow = min(range(4), key=lambda at: rights[at] - lefts[at])
    shifts = [  # the rightward results (even) stand on the left edge, the others lean on the right one
        (rights[narrow] - rights[at]) if at % 2 else (lefts[narrow] - lefts[at]) for at in range(4)
    ]
    shifted = [[x + shift for x in xs] for xs, shift in zip(results, shifts, strict=True)]
    centres = [sum(sorted(xs)[1:3]) / 2 for xs in zip(*shifted, strict=True)]
    start = min(x - half for x, half in zip(centres, halves, strict=True))
    return [x - start for x in centres]
