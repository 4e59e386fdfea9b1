"""Hamilton's async driver: a function a step, its parameters' names are its dependencies. No saga, no retries, no record.

The edges are exactly the shape's. The driver runs only what a requested variable needs, so the steps that nobody reads are requested too.
"""

from __future__ import annotations

from typing import Any

from benchmarks.measure import Contestant, expect
from benchmarks.shapes import Shape


async def contestant(shape: Shape) -> Contestant:
    from hamilton import ad_hoc_utils, async_driver

    module = ad_hoc_utils.create_temporary_module(*(function(at, parents) for at, parents in enumerate(shape.needs)))
    driver = await async_driver.Builder().with_modules(module).build()
    wanted = [f"s{at}" for at in (*shape.unread, shape.output)]

    async def once() -> None:
        results = await driver.execute(wanted)
        expect(results[f"s{shape.output}"], 1)

    return Contestant("Hamilton async", shape.steps, once, rounds=30)


def function(at: int, parents: tuple[int, ...]) -> Any:
    """A no-op with the parents' names as parameters: they must be real ones, so the text is compiled."""
    names: dict[str, Any] = {}
    parameters = ", ".join(f"s{parent}: int" for parent in parents)
    exec(f"async def s{at}({parameters}) -> int:\n    return 1\n", names)  # noqa: S102
    return names[f"s{at}"]
