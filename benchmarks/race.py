"""Who is measured against whom, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import ours
from benchmarks.limit import bare_machine_of, limit_of
from benchmarks.measure import Contestant, Once, interleave, paired, ratio
from benchmarks.shapes import Shape, all_shapes

ROUNDS = 60

OURS = "reactor"
LIMIT = "one task a step"
BARE = "bare machine"

AT_MOST_LIMIT = 1.0  # what a step costs, in hand-written ones
AIM = 0.6
AT_LEAST = {"pydantic-graph": 15.0, "LangGraph": 30.0, "Hamilton async": 4.0}  # what a peer's step costs, in ours


@dataclass
class Race:
    """One shape and all who ran it."""

    shape: Shape
    contestants: list[Contestant]

    @property
    def ours(self) -> Contestant:
        """Ourselves."""
        return next(one for one in self.contestants if one.name == OURS)

    def ratio_of(self, other: Contestant) -> float:
        """How many times what we cost the other costs."""
        return ratio(other, self.ours)

    def misses(self) -> list[str]:
        """The targets that were missed on this shape, by the ratio of the bests and by the median of the pairs alike.

        On a machine that others use too, one of the two may be off: the best because no moment was quiet, the median because most were not.
        """
        wrong = []
        for other in self.contestants:
            times = max(self.ratio_of(other), paired(other, self.ours))
            if other.name == LIMIT and 1 / times > AT_MOST_LIMIT:
                wrong.append(f"{self.shape.name}: a step costs {1 / times:.2f} of {LIMIT}, at most {AT_MOST_LIMIT} is allowed")
            if times < AT_LEAST.get(other.name, 0.0):
                wrong.append(f"{self.shape.name}: {other.name} costs {times:.1f} times ours, at least {AT_LEAST[other.name]:g} is wanted")
        return wrong


async def races(rounds: int = ROUNDS, tell: Callable[[str], None] = print) -> list[Race]:
    """All three shapes."""
    done = []
    for shape in all_shapes():
        tell(f"{shape.name}: {shape.steps} steps, {rounds} rounds …")
        race = Race(shape, await contestants_of(shape))
        await interleave(race.contestants, rounds)
        done.append(race)
    return done


async def contestants_of(shape: Shape) -> list[Contestant]:
    """Ourselves, the references, the peers. Raises ImportError where a peer is not installed: see requirements.txt."""
    from benchmarks.peers import hamilton, langgraph, llama_index, pydantic_graph

    mine: dict[str, Callable[[Shape], Once]] = {OURS: ours.contestant_of, LIMIT: limit_of, BARE: bare_machine_of}
    entered = [Contestant(name, shape.steps, make(shape)) for name, make in mine.items()]
    entered += [await peer.contestant(shape) for peer in (hamilton, pydantic_graph, langgraph, llama_index)]
    if shape.layers:
        entered.append(await pydantic_graph.exact_contestant(shape))
    return entered
