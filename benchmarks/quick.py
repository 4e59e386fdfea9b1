"""In under twenty seconds: us beside the hand-written scheduler on the three shapes, and a map. `python -m benchmarks.quick`."""

from __future__ import annotations

import asyncio

from benchmarks import maps, ours
from benchmarks.limit import bare_machine_of, limit_of
from benchmarks.measure import Contestant, interleave, paired
from benchmarks.shapes import all_shapes

ROUNDS = 60
ELEMENTS = 100_000


async def main() -> None:
    """Print a line a shape, then the map's."""
    for shape in all_shapes():
        us = Contestant("reactor", shape.steps, ours.contestant_of(shape))
        limit = Contestant("one task a step", shape.steps, limit_of(shape))
        bare = Contestant("bare machine", shape.steps, bare_machine_of(shape))
        await interleave([us, limit, bare], ROUNDS)
        print(
            f"{shape.name:8} ours {us.best:6.2f} us a step, one task a step {limit.best:5.2f}, bare machine {bare.best:5.2f}: "
            f"{us.best / limit.best:.2f} of the limit (median of pairs {paired(us, limit):.2f}), {us.best / bare.best:.2f} of the bare one"
        )
    for reactor in (maps.Noops, maps.WideNoops):
        figures = await maps.rate(reactor, ELEMENTS)
        print(f"map      {figures['a_second']:,.0f} no-op elements a second ({reactor.__name__})")


if __name__ == "__main__":
    asyncio.run(main())
