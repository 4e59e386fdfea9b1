"""The graphs that are measured, as data: who needs whom. Every contestant builds its own form of them."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A graph of no-op steps; `needs[at]` are the steps that `at` waits for, the last step is the output."""

    name: str
    needs: tuple[tuple[int, ...], ...]
    layers: int = 0  # of a layered one: how many, each of the same width, before the output
    width: int = 0

    @property
    def steps(self) -> int:
        """How many steps there are: what a run's time is divided by."""
        return len(self.needs)

    @property
    def output(self) -> int:
        """The last step."""
        return len(self.needs) - 1

    @property
    def unread(self) -> tuple[int, ...]:
        """The steps that nobody needs, but for the output: those that a random graph leaves over. They run all the same."""
        needed = {parent for parents in self.needs for parent in parents}
        return tuple(at for at in range(self.output) if at not in needed)


def chain(steps: int = 1000) -> Shape:
    """Each step needs the one before it."""
    return Shape("chain", tuple((at - 1,) if at else () for at in range(steps)))


def fan(width: int = 1000) -> Shape:
    """One, then `width` that need it, then one that needs them all."""
    return Shape("fan-out", ((), *((0,) for _ in range(width)), tuple(range(1, width + 1))))


def layered(layers: int = 20, width: int = 50) -> Shape:
    """Layers of `width`, each step needs three of the layer before (seeded, so always the same three); the output needs the last layer."""
    rng = random.Random(1)
    needs = [
        () if layer == 0 else tuple((layer - 1) * width + at for at in rng.sample(range(width), 3))
        for layer in range(layers)
        for _ in range(width)
    ]
    return Shape("layered", (*needs, tuple(range((layers - 1) * width, layers * width))), layers, width)


def all_shapes(times: float = 1) -> list[Shape]:
    """The three, at `times` their usual size."""
    return [chain(int(1000 * times)), fan(int(1000 * times)), layered(int(20 * times), 50)]
