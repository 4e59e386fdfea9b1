"""The same shapes as reactors: what an author could write, in a loop instead of a thousand times by hand.

What is timed is all of `await Chain()`: the instance, the run, the output. The plan is compiled once before, as the peers' graphs are.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.measure import expect
from benchmarks.shapes import Shape
from reactor import Reactor, RunFailed, step


def contestant_of(shape: Shape) -> Callable[[], Awaitable[Any]]:
    """One `await` of the shape's reactor a call."""
    reactor = reactor_of(shape)

    async def once() -> None:
        expect(await reactor(), 1)

    return once


def failing_of(shape: Shape) -> Callable[[], Awaitable[Any]]:
    """One `await` that fails in the last step and undoes all the others: two calls a step."""
    undone = 0

    async def undo(self: Any, value: int) -> None:
        nonlocal undone
        undone += 1

    reactor = reactor_of(shape, undo=undo, fails=True)

    async def once() -> None:
        nonlocal undone
        undone = 0
        try:
            await reactor()
        except RunFailed:
            expect(undone, shape.steps - 1)
        else:
            raise AssertionError("the last step did not fail")

    return once


def reactor_of(shape: Shape, *, undo: Callable[..., Awaitable[None]] | None = None, fails: bool = False) -> type[Any]:
    """A reactor class of the shape's steps; with `undo` every step has it, with `fails` the last one raises."""

    def body(names: dict[str, Any]) -> None:
        steps: list[Any] = []
        for at, parents in enumerate(shape.needs):
            last = at == shape.output
            fn = step_body([steps[parent].result for parent in parents], fails=fails and last)
            fn.__name__ = fn.__qualname__ = "output" if last else f"s{at}"
            node = step(fn)
            steps.append(node)
            names[fn.__name__] = node
            if undo is not None:
                names[f"undo_{fn.__name__}"] = node.undo(undo)

    title = f"{shape.name.title().replace('-', '')}{shape.steps}{'Failing' if fails else ''}"
    return types.new_class(title, (Reactor,), {}, body)


def step_body(parents: list[Any], *, fails: bool = False) -> Callable[..., Any]:
    """A no-op with the parents as defaults: one by one, or as a list where they are many."""
    if fails:
        return raising(parents)
    match parents:
        case []:
            return taking_none()
        case [a]:
            return taking_one(a)
        case [a, b, c]:
            return taking_three(a, b, c)
        case _:
            return taking_many(parents)


def taking_none() -> Callable[..., Any]:
    async def none(self: Any) -> int:
        return 1

    return none


def taking_one(parent: Any) -> Callable[..., Any]:
    async def one(self: Any, a: int = parent) -> int:
        return 1

    return one


def taking_three(first: Any, second: Any, third: Any) -> Callable[..., Any]:
    async def three(self: Any, a: int = first, b: int = second, c: int = third) -> int:
        return 1

    return three


def taking_many(parents: list[Any]) -> Callable[..., Any]:
    async def many(self: Any, values: list[int] = parents) -> int:
        return 1

    return many


def raising(parents: list[Any]) -> Callable[..., Any]:
    async def failing(self: Any, values: list[int] = parents) -> int:
        raise ValueError(values)

    return failing
