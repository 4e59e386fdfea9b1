"""Rows keep their order and their distances; long edges run straight."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reactor.plan.coordinates import Layers, centres_of, place_of


def layers_of(rows, edges, bends=(), width=100.0):
    """Layers of nodes 0…, with the vertices in `bends` (the last ones) as bends of no width."""
    count = sum(map(len, rows))
    layers = Layers(rows, [[] for _ in range(count)], [[] for _ in range(count)], [width] * count, count - len(bends))
    for bend in bends:
        layers.width[bend] = 0.0
    for upper, lower in edges:
        layers.up[lower].append(upper)
        layers.down[upper].append(lower)
    layers.settle()
    return layers


@st.composite
def any_layers(draw):
    """Any rows, and any edges between neighbouring ones."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))
    rows, total = [], 0
    for size in sizes:
        rows.append(draw(st.permutations(range(total, total + size))))
        total += size
    edges = {
        (draw(st.sampled_from(above)), draw(st.sampled_from(below)))
        for above, below in pairwise(rows)
        for _ in range(draw(st.integers(0, 8)))
    }
    return layers_of([list(row) for row in rows], sorted(edges), width=draw(st.integers(1, 200)))


@given(any_layers(), st.integers(0, 50))
def test_order_and_distance_hold(layers, gap):
    """In every row the centres rise by at least a width and the gap, and the leftmost edge is at 0."""
    centres = centres_of(layers, gap)
    for row in layers.rows:
        for left, right in pairwise(row):
            assert centres[right] - centres[left] >= layers.width[left] + gap - 1e-6
    assert min(centre - width / 2 for centre, width in zip(centres, layers.width, strict=True)) == 0


def test_a_parent_stands_over_the_middle_of_its_children():
    """Three children, the parent over the second; two children, over the gap between."""
    three = centres_of(layers_of([[0], [1, 2, 3]], [(0, 1), (0, 2), (0, 3)]), 10)
    assert three[0] == three[2]
    two = centres_of(layers_of([[0], [1, 2]], [(0, 1), (0, 2)]), 10)
    assert two[0] == (two[1] + two[2]) / 2


def test_a_short_edge_gives_way_to_a_long_one():
    """Where an edge crosses the inside of a longer one, the longer one is the one that runs straight."""
    # 0 and 1; then 2 and the bend 6; then the bend 7 and 3; then 4 and 5: 1 → 6 → 7 → 4 is long, 2 → 3 crosses it
    layers = layers_of([[0, 1], [2, 6], [7, 3], [4, 5]], [(0, 2), (1, 6), (6, 7), (7, 4), (2, 3), (3, 5)], bends=(6, 7))
    centres = centres_of(layers, 10)
    assert centres[6] == centres[7]


def test_places_are_counted_in_each_row():
    """Each vertex's place is its index in its own row."""
    assert place_of([[2, 0], [1]], 3) == [1, 0, 0]
