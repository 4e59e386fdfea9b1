"""Ten times smaller and ten times larger, and the way back: whether a step costs the same.

Every sample is of as many steps, so a short run is repeated within it: else it would be timed on a processor whose caches the
collection before it has emptied, and a long one would not.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import ours
from benchmarks.limit import limit_of
from benchmarks.measure import Contestant, Once, interleave
from benchmarks.shapes import Shape, all_shapes, chain

SIZES = (0.1, 1, 10)
ROUNDS = 12
SAMPLE = 10_000  # steps in a sample
SHORT = 1000  # runs of one step in a sample


@dataclass(frozen=True)
class Sizes:
    """One shape at the three sizes, microseconds a step."""

    shape: str
    steps: tuple[int, ...]
    ours: tuple[float, ...]
    limit: tuple[float, ...]

    @property
    def growth(self) -> float:
        """The dearest size by the cheapest: 1 is flat."""
        return max(self.ours) / min(self.ours)


async def sizes(rounds: int = ROUNDS) -> list[Sizes]:
    """All shapes at all sizes, in turns."""
    return [await sizes_of(number, rounds) for number in range(len(all_shapes()))]


async def sizes_of(number: int, rounds: int) -> Sizes:
    """One shape at the three sizes, all in the same rounds."""
    shapes = [all_shapes(times)[number] for times in SIZES]
    mine = [repeated("ours", shape, ours.contestant_of(shape)) for shape in shapes]
    limits = [repeated("limit", shape, limit_of(shape)) for shape in shapes]
    await interleave([*mine, *limits], rounds)
    return Sizes(
        shapes[0].name,
        tuple(shape.steps for shape in shapes),
        tuple(one.best for one in mine),
        tuple(one.best for one in limits),
    )


def repeated(name: str, shape: Shape, once: Once, times: int = 0) -> Contestant:
    """So many runs in a row as one sample: by default as many as make up the steps of a sample."""
    runs = times or max(1, SAMPLE // shape.steps)

    async def in_a_row() -> None:
        for _ in range(runs):
            await once()

    return Contestant(name, shape.steps * runs, in_a_row)


async def one_step(rounds: int = ROUNDS) -> tuple[float, float]:
    """A run of a single step, ours and the hand-written one: what a run costs besides its steps."""
    shape = chain(1)
    us, limit = repeated("ours", shape, ours.contestant_of(shape), SHORT), repeated("limit", shape, limit_of(shape), SHORT)
    await interleave([us, limit], rounds)
    return us.best, limit.best


@dataclass(frozen=True)
class WayBack:
    """A chain that succeeds, and one of the same length that fails in its last step and undoes all the others; microseconds a step."""

    steps: int
    success: float
    failure: float


async def way_back(rounds: int = ROUNDS) -> list[WayBack]:
    """At 100, 1,000 and 10,000 steps."""
    shapes = [chain(int(1000 * times)) for times in SIZES]
    forward = [repeated("success", shape, ours.contestant_of(shape)) for shape in shapes]
    back = [repeated("failure", shape, ours.failing_of(shape)) for shape in shapes]
    await interleave([*forward, *back], rounds)
    return [WayBack(shape.steps, ok.best, failed.best) for shape, ok, failed in zip(shapes, forward, back, strict=True)]
