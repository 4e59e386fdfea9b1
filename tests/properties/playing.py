"""What the steps of a random graph do when they are called: they follow their script and write down what happened, by themselves.

Every reactor is given its `path` as an input, so that the trace names occurrences without asking the engine. A scope is a path that
ends in a dot, or is empty for the run itself; `n2#1.` is the child of the first call of compose `n2`, `n3[0].` an element's.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from reactor import Continue, Halt, Results, Skip, TryAgain
from tests.properties.model import SLOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.properties.model import Behaviour, Calls, Node

What: TypeAlias = Literal[
    "do", "ok", "skip", "fail", "halt", "cancelled", "undo", "undone", "undo failed", "compensate", "stands", "continue", "again",
]  # fmt: skip

RECOVERED = 5


class Boom(Exception):
    """What a script raises."""


@dataclass(frozen=True)
class Line:
    """One line of the trace."""

    what: What
    scope: str
    node: int
    element: int | None
    at: float

    @property
    def path(self) -> str:
        """The occurrence."""
        return path_of(self.scope, self.node, self.element)


def path_of(scope: str, node: int, element: int | None = None) -> str:
    """The path of an occurrence."""
    return f"{scope}n{node}" + ("" if element is None else f"[{element}]")


def address_of(path: str) -> str:
    """What the engine calls it."""
    return re.sub(r"#\d+", "", path).removesuffix(".")


@dataclass
class Trace:
    """What happened, in order."""

    lines: list[Line] = field(default_factory=list)
    counts: Counter[tuple[What, str]] = field(default_factory=Counter)
    values: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, what: What, scope: str, node: int, element: int | None = None) -> int:
        """Write a line; how many such lines there were before."""
        line = Line(what, scope, node, element, asyncio.get_running_loop().time())
        self.lines.append(line)
        self.counts[what, line.path] += 1
        return self.counts[what, line.path] - 1


trace = Trace()


def start_over() -> Trace:
    """A fresh trace, which the steps write to from now on."""
    global trace  # noqa: PLW0603  # the graphs under test have no other way to find it
    trace = Trace()
    return trace


def mixed(index: int, values: Sequence[Any]) -> int:
    """A step's value: of its place and what it was given; None counts as seven."""
    total = index + 1
    for value in values:
        total = (total * 31 + (7 if value is None else int(value))) % 1_000_003
    return total


def skipped_value(index: int) -> int:
    """What Skip carries."""
    return -index - 1


async def given(values: Sequence[Any]) -> list[Any]:
    """A map's results count as the sum of what succeeded, None as seven there, too."""
    return [await total(value) if isinstance(value, Results) else value for value in values]


async def total(results: Results[Any]) -> int:
    """The sum of what succeeded."""
    return sum([7 if value is None else value async for value in results])


async def perform(scope: str, node: Node, element: int | None, script: Calls, value: Any) -> Any:
    """One call of a step or of an element."""
    here = trace
    behaviour: Behaviour = script.nth(here.add("do", scope, node.index, element))
    try:
        await asyncio.sleep(SLOW if behaviour == "slow" else script.duration)
    except asyncio.CancelledError:
        here.add("cancelled", scope, node.index, element)
        raise
    if behaviour == "boom":
        here.add("fail", scope, node.index, element)
        raise Boom(path_of(scope, node.index, element))
    if behaviour == "halt":
        here.add("halt", scope, node.index, element)
        raise Halt(path_of(scope, node.index, element))
    if behaviour == "skip":
        here.add("skip", scope, node.index, element)
        raise Skip(skipped_value(node.index) if node.kind != "flag" else False)
    here.add("ok", scope, node.index, element)
    here.values[path_of(scope, node.index, element)] = value
    return value


async def play(scope: str, node: Node, values: Sequence[Any]) -> Any:
    """A step's own code."""
    value = mixed(node.index, await given(values))
    return await perform(scope, node, None, node.calls, value % 2 == 0 if node.kind == "flag" else value)


async def play_element(scope: str, node: Node, element: int, values: Sequence[Any]) -> Any:
    """An element's."""
    value = mixed(node.index, [element, *await given(values)])
    return await perform(scope, node, element, node.elements[element], value)


def enter(scope: str, node: Node, element: int | None = None) -> str:
    """A compose's, or a map's whose elements are reactors: the path of the child."""
    call = trace.add("do", scope, node.index, element)
    number = "" if node.kind == "map" else f"#{call + 1}"
    return f"{path_of(scope, node.index, element)}{number}."


async def unplay(scope: str, node: Node, value: Any) -> None:
    """An undo; of an element, whichever has this value and was not undone yet: its own path is in the value's place."""
    here = trace
    element = element_with(here, scope, node, value) if node.kind == "map" else None
    path = path_of(scope, node.index, element)
    call = here.add("undo", scope, node.index, element)
    if here.values.get(path) != value:
        here.problems.append(f"undo of {path} got {value!r}, not {here.values.get(path)!r}")
    await asyncio.sleep(1)
    if node.undo == "broken" or (node.undo == "flaky" and call == 0):
        here.add("undo failed", scope, node.index, element)
        raise Boom(f"undo {path}")
    here.add("undone", scope, node.index, element)


def element_with(here: Trace, scope: str, node: Node, value: Any) -> int | None:
    """Which element has this value: they differ, since each one's place is mixed into it."""
    for element in range(len(node.elements)):
        if here.values.get(path_of(scope, node.index, element)) == value:
            return element
    here.problems.append(f"undo of {scope}n{node.index} got {value!r}, which no element has")
    return None


async def answer(scope: str, node: Node) -> Any:
    """A compensate."""
    here = trace
    call = here.add("compensate", scope, node.index)
    await asyncio.sleep(1)
    answers = node.answers or ()
    said = answers[call] if call < len(answers) else "stands"
    here.add(said, scope, node.index)
    if said == "continue":
        return Continue(recovered_with(node))
    return TryAgain(1) if said == "again" else None


def recovered_with(node: Node) -> Any:
    """Continue's value."""
    if node.kind == "map":
        return Results.of([RECOVERED])
    return True if node.kind == "flag" else RECOVERED
