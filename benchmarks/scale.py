"""Ten times smaller and ten times larger, and the way back: whether a step costs the same."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import ours
from benchmarks.limit import limit_of
from benchmarks.measure import Contestant, interleave
from benchmarks.shapes import all_shapes, chain

SIZES = (0.1, 1, 10)
ROUNDS = 12


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
    mine = [Contestant(f"ours {shape.steps}", shape.steps, ours.contestant_of(shape)) for shape in shapes]
    limits = [Contestant(f"limit {shape.steps}", shape.steps, limit_of(shape)) for shape in shapes]
    await interleave([*mine, *limits], rounds)
    return Sizes(
        shapes[0].name,
        tuple(shape.steps for shape in shapes),
        tuple(one.best for one in mine),
        tuple(one.best for one in limits),
    )


@dataclass(frozen=True)
class WayBack:
    """A chain that succeeds, and one of the same length that fails in its last step and undoes all the others; microseconds a step."""

    steps: int
    success: float
    failure: float


async def way_back(rounds: int = ROUNDS) -> list[WayBack]:
    """At 100, 1,000 and 10,000 steps."""
    shapes = [chain(int(1000 * times)) for times in SIZES]
    forward = [Contestant("success", shape.steps, ours.contestant_of(shape)) for shape in shapes]
    back = [Contestant("failure", shape.steps, ours.failing_of(shape)) for shape in shapes]
    await interleave([*forward, *back], rounds)
    return [WayBack(shape.steps, ok.best, failed.best) for shape, ok, failed in zip(shapes, forward, back, strict=True)]
