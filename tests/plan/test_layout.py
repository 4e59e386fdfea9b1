"""The picture holds for any graph: downwards, nothing on top of anything, and quick."""

import math
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.plan.layout import GAP, Layout, arrange
from tests.plan.graphs import any_graph, chain, fan, growth, layered, tangled


def plain(parents: list[list[int]]) -> Layout:
    """Laid out with boxes of one size."""
    return arrange(parents, [(120, 40)] * len(parents))


def crossings(placed: Layout) -> int:
    """Pairs of straightened edges that cross."""
    lines = [(edge.points[0], edge.points[-1]) for edge in placed.edges]
    return sum(_cross(one, other) for one, other in combinations(lines, 2))


def _cross(one, other):
    (a, b), (c, d) = one, other
    if a in (c, d) or b in (c, d):
        return False

    def turn(p, q, r):
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0


@given(any_graph(), st.data())
def test_every_picture_is_sound(parents, data):
    """Every edge runs downwards from foot to head; no two boxes overlap; all lies inside; all edges are there."""
    sizes = [data.draw(st.tuples(st.integers(20, 400), st.integers(20, 200))) for _ in parents]
    placed = arrange(parents, sizes)
    assert [(box.index, box.w, box.h) for box in placed.nodes] == [(at, *size) for at, size in enumerate(sizes)]
    assert sorted((edge.source, edge.target) for edge in placed.edges) == sorted((p, at) for at, above in enumerate(parents) for p in above)
    for edge in placed.edges:
        source, target = placed.nodes[edge.source], placed.nodes[edge.target]
        (x1, y1), (x2, y2) = edge.points[0], edge.points[-1]
        assert math.isclose(y1, source.y + source.h)
        assert source.x <= x1 <= source.x + source.w
        assert math.isclose(y2, target.y)
        assert target.x <= x2 <= target.x + target.w
        assert all(upper[1] <= lower[1] + 1e-6 for upper, lower in pairwise(edge.points))
        assert y1 < y2
    for box in placed.nodes:
        assert box.x >= -1e-6
        assert box.x + box.w <= placed.width + 1e-6
        assert box.y >= -1e-6
        assert box.y + box.h <= placed.height + 1e-6
    for one, other in combinations(placed.nodes, 2):
        apart_x = one.x + one.w + GAP <= other.x + 1e-6 or other.x + other.w + GAP <= one.x + 1e-6
        assert apart_x or one.y + one.h < other.y or other.y + other.h < one.y


@given(any_graph())
def test_a_route_passes_through_no_box(parents):
    """Between its ends an edge's vertical legs keep clear of every node: it goes around, not through."""
    placed = plain(parents)
    for edge in placed.edges:
        for (x1, y1), (x2, y2) in pairwise(edge.points):
            if x1 != x2:
                continue
            for box in placed.nodes:
                if box.index in (edge.source, edge.target):
                    continue
                assert not (box.x < x1 < box.x + box.w and y1 < box.y + box.h and box.y < y2)


@given(any_graph())
def test_the_picture_is_the_same_every_time(parents):
    """Nothing is left to chance: a picture can be cached by fingerprint, and compared."""
    assert plain(parents) == plain([list(above) for above in parents])


def test_no_node_at_all_is_an_empty_picture():
    """Nothing to lay out takes no room."""
    assert arrange([], []) == Layout((), (), 0.0, 0.0)


def test_a_chain_is_one_straight_line():
    """Nodes that follow each other stand under each other, a thousand deep, without recursion."""
    placed = plain(chain(3000))
    assert {box.x for box in placed.nodes} == {0.0}
    assert all(len({x for x, _ in edge.points}) == 1 for edge in placed.edges)


def test_a_diamond_is_symmetrical():
    """Both branches stand side by side, and the ends in the middle between them."""
    top, left, right, bottom = plain([[], [0], [0], [1, 2]]).nodes
    assert left.y == right.y
    assert top.x == bottom.x
    assert math.isclose(top.x * 2, left.x + right.x)


def test_a_long_edge_runs_straight_beside_what_it_passes():
    """An edge over three layers is vertical inside, so the eye can follow it."""
    placed = plain([[], [0], [1], [2], [0, 3]])
    (long,) = [edge for edge in placed.edges if (edge.source, edge.target) == (0, 4)]
    assert len({x for x, _ in long.points[2:-2]}) == 1


def test_a_root_stands_next_to_what_needs_it():
    """A node without parents moves down to its first dependent: its edges get shorter."""
    placed = plain([[], [0], [1], [2], [], [3, 4]])
    assert placed.nodes[4].y == placed.nodes[3].y


def test_a_tree_is_drawn_without_a_crossing():
    """Whatever the order of its nodes, a tree needs no crossing and gets none."""
    parents = [[], *[[(at - 1) // 3] for at in range(1, 40)]]
    names = [at * 7 % 40 for at in range(40)]
    shuffled = [[] for _ in parents]
    for at, above in enumerate(parents):
        shuffled[names[at]] = [names[parent] for parent in above]
    assert crossings(plain(shuffled)) == 0


def test_crossings_are_reduced():
    """Crossed pairs are uncrossed: two columns that the definition interleaves come out side by side."""
    assert crossings(plain([[], [], [1], [0], [2], [3]])) == 0


def test_a_cycle_is_refused():
    """A graph that has no top has no layers; it is said, not looped over."""
    with pytest.raises(ValueError, match="cycle"):
        plain([[1], [0]])


def test_edges_that_are_too_long_for_the_budget_still_run_downwards():
    """Where bends would outnumber the nodes by far, the longest edges get none: they are straight, and cost nothing."""
    placed = plain([[], *[sorted({0, at - 1}) for at in range(1, 600)]])
    assert len(placed.edges) == 598 + 599
    assert all(upper[1] <= lower[1] for edge in placed.edges for upper, lower in pairwise(edge.points))
    assert sum(len(edge.points) for edge in placed.edges) < 20 * len(placed.edges)


@pytest.mark.parametrize(
    "shape",
    [chain, fan, lambda count: layered(count // 50, 50), lambda count: tangled(count, 40), lambda count: tangled(count, count)],
    ids=["chain", "fan", "layered", "near", "far"],
)
def test_cost_grows_with_the_size_and_no_faster(shape):
    """Eight times the nodes cost about eight times as much (far below the square, 64 times), whatever the shape."""

    def work(count):
        parents = shape(count)
        return lambda: plain(parents)

    assert growth(work) < 32
