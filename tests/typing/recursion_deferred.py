"""Reactors that contain themselves: clean to both checkers with deferred annotations too."""

from __future__ import annotations

from reactor import Engine, Reactor, Results, Step, Succeeded, compose, map_over, step


class Countdown(Reactor):
    n: int

    @step
    async def goes_on(self) -> bool:
        return self.n > 0

    @compose(when=goes_on)
    async def rest(self) -> Countdown:
        return Countdown(n=self.n - 1)

    @step
    async def told(self, rest: str | None = rest.result) -> str:
        return f"{self.n} {rest or 'lift-off'}"

    output: Step[str] = told


class Tree(Reactor):
    depth: int

    @step
    async def below(self) -> list[int]:
        return [self.depth - 1] * min(self.depth, 2)

    @map_over(below.result)
    async def branch(self, depth: int) -> Tree:
        return Tree(depth=depth)

    @step
    async def size(self, sizes: Results[int] = branch.result) -> int:
        return 1 + sum([n async for n in sizes])

    output: Step[int] = size


async def callers(engine: Engine) -> str:
    """What comes out has the type that was said."""
    size: int = await Tree(depth=3)
    told: str = await (await engine.start(Countdown(n=size))).value(Countdown.output)
    match await engine.run(Countdown(n=3)):
        case Succeeded(value):
            return value
        case _:
            return told
