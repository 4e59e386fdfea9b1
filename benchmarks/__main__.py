"""`python -m benchmarks`: everything, as tables; `check` exits 1 where a target is missed; `--write` fills docs/benchmarks.md."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass, field

from benchmarks import maps, race, report, scale, soak

GROWTH = 1.5  # the dearest size by the cheapest: above it a step's cost is not flat; larger graphs do leave the processor's caches
MEGABYTES = 50.0  # what a million results may take
ELEMENTS = 100_000.0  # no-op elements a second
PARTS = ("race", "scale", "map", "soak")


@dataclass
class Figures:
    """What was measured, ready to be read, and the targets that were missed."""

    text: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def add(self, title: str, *tables: str, missed: list[str]) -> None:
        """One part, shown at once."""
        self.text.append("\n\n".join([f"## {title}", *tables]))
        self.missed += missed
        print(self.text[-1] + "\n", flush=True)


async def measure_race(figures: Figures, rounds: int) -> None:
    """The three shapes, ourselves beside the references and the peers."""
    races = await race.races(rounds, tell)
    figures.add("Cost a step", report.races_table(races), missed=[miss for one in races for miss in one.misses()])


async def measure_scale(figures: Figures, rounds: int) -> None:
    """The sizes and the way back."""
    tell("sizes …")
    sizes = await scale.sizes(max(2, rounds // 5))
    ways = await scale.way_back(max(2, rounds // 5))
    missed = [f"{size.shape}: a step costs {size.growth:.2f} times as much at one size" for size in sizes if size.growth > GROWTH]
    short = report.one_step_line(*await scale.one_step(max(2, rounds // 5)))
    figures.add("Size and failure", report.sizes_table(sizes), short, report.way_back_table(ways), missed=missed)


async def measure_map(figures: Figures, _rounds: int) -> None:
    """A million elements: memory and speed, each in a fresh process."""
    tell("maps …")
    memory, noop, wide = (maps.apart(name) for name in ("memory", "noop", "noop-wide"))
    missed = []
    if memory["grew_mb"] >= MEGABYTES:
        missed.append(f"a million results took {memory['grew_mb']:.1f} MB, under {MEGABYTES:g} is wanted")
    if noop["a_second"] <= ELEMENTS:
        missed.append(f"{noop['a_second']:,.0f} no-op elements a second, over {ELEMENTS:,.0f} is wanted")
    figures.add("Maps", report.maps_table(memory, noop, wide), missed=missed)


async def measure_soak(figures: Figures, _rounds: int) -> None:
    """Twenty thousand runs."""
    tell("soak …")
    points = await soak.soak()
    figures.add("Twenty thousand runs", report.soak_table(points), missed=soak.leaks(points))


MEASURES = {"race": measure_race, "scale": measure_scale, "map": measure_map, "soak": measure_soak}


def tell(line: str) -> None:
    """Progress, out of the way of the tables."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Measure what is asked for, print it, and say what was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("mode", nargs="?", choices=("show", "check"), default="show", help="check: exit 1 where a target is missed")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part only; may be repeated")
    parser.add_argument("--rounds", type=int, default=race.ROUNDS, help="best of how many")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    said = parser.parse_args()
    figures = Figures([report.machine()])
    print(figures.text[0] + "\n")
    for part in said.only or PARTS:
        asyncio.run(MEASURES[part](figures, said.rounds))
    if said.write:
        report.write("\n\n".join(figures.text))
    for miss in figures.missed:
        tell(f"missed: {miss}")
    return 1 if said.mode == "check" and figures.missed else 0


if __name__ == "__main__":
    sys.exit(main())
