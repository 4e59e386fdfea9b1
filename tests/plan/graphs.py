"""Graphs without cycles, by each node's parents: shapes for layouts and plans."""

import random
import time
from collections.abc import Callable

from hypothesis import strategies as st


def chain(count: int) -> list[list[int]]:
    """One after the other."""
    return [[at - 1] if at else [] for at in range(count)]


def fan(count: int) -> list[list[int]]:
    """One, then many at once, then one."""
    return [[], *[[0] for _ in range(count - 2)], list(range(1, count - 1))]


def layered(layers: int, width: int) -> list[list[int]]:
    """Each node reads three of the layer above."""
    rng = random.Random(1)
    return [
        [] if layer == 0 else sorted((layer - 1) * width + at for at in rng.sample(range(width), 3))
        for layer in range(layers)
        for _ in range(width)
    ]


def tangled(count: int, reach: int, seed: int = 1) -> list[list[int]]:
    """Each node reads one to three of the `reach` before it."""
    rng = random.Random(seed)
    return [sorted({rng.randrange(max(0, at - reach), at) for _ in range(rng.randint(1, 3))}) if at else [] for at in range(count)]


@st.composite
def any_graph(draw: st.DrawFn, most: int = 25) -> list[list[int]]:
    """Any graph without cycles, its nodes in any order; roots, islands and long edges included."""
    count = draw(st.integers(1, most))
    above = [draw(st.sets(st.integers(0, at - 1), max_size=4)) if at else set() for at in range(count)]
    names = draw(st.permutations(range(count)))
    shuffled: list[list[int]] = [[] for _ in range(count)]
    for at, parents in enumerate(above):
        shuffled[names[at]] = sorted(names[parent] for parent in parents)
    return shuffled


def growth(work: Callable[[int], Callable[[], object]]) -> float:
    """How many times more a work of 2,000 nodes costs than one of 250, in processor time, best of five; linear is 8, the square is 64."""
    small, large = (min(_seconds(work(count)) for _ in range(5)) for count in (250, 2000))
    return large / small


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
