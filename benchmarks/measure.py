"""How a figure is taken: contestants in turns, the best of many, a step's share of a whole run."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

Once = Callable[[], Awaitable[object]]  # one whole run, ready to be timed


@dataclass
class Contestant:
    """Somebody who runs a shape. A slow one plays `rounds` rounds, spread evenly over those of the others."""

    name: str
    steps: int
    once: Once
    rounds: int = 1_000_000
    note: str = ""  # how its form of the shape differs
    times: dict[int, float] = field(default_factory=dict)  # microseconds a step, by round

    @property
    def best(self) -> float:
        """Microseconds a step in the best run."""
        return min(self.times.values())

    def plays(self, number: int, rounds: int) -> bool:
        """Whether it takes part in this round of so many."""
        mine = min(self.rounds, rounds)
        return number * mine // rounds != (number - 1) * mine // rounds


async def interleave(contestants: Sequence[Contestant], rounds: int) -> None:
    """Every contestant once a round, so that whatever slows the machine down meets all of them.

    What lives already is set aside from the collector, so nobody pays for the modules that another imported; collection itself stays
    on, since it is part of what a run costs.
    """
    for contestant in contestants:
        await contestant.once()  # not timed: imports, caches, plans
    gc.collect()
    gc.freeze()
    try:
        for number in range(rounds):
            for contestant in contestants:
                if contestant.plays(number, rounds):
                    contestant.times[number] = await microseconds_a_step(contestant)
    finally:
        gc.unfreeze()


async def microseconds_a_step(contestant: Contestant) -> float:
    """Time one run, by the processor's time that this process takes.

    Nobody here ever waits for anything, so on a quiet machine that is the wall clock's time; on a busy one it leaves out what others took.
    """
    gc.collect()
    began = time.process_time()
    await contestant.once()
    return (time.process_time() - began) / contestant.steps * 1e6


def ratio(one: Contestant, other: Contestant) -> float:
    """How many times what the other costs, best by best, over the rounds that both played: as many draws for each."""
    shared = one.times.keys() & other.times.keys()
    return min(one.times[number] for number in shared) / min(other.times[number] for number in shared)


def paired(one: Contestant, other: Contestant) -> float:
    """The median of the ratios within a round: a second opinion, deaf to slow drift."""
    shared = one.times.keys() & other.times.keys()
    return statistics.median(one.times[number] / other.times[number] for number in shared)


def expect(got: object, wanted: object) -> None:
    """A run that did not do its work is no figure. Raises AssertionError."""
    if got != wanted:
        raise AssertionError(f"got {got!r}, wanted {wanted!r}")
