"""Where an interrupt stands in a run: each of its occurrences that is open, answered, over, or still to come. Read off the state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from reactor.define.reactor import definition_of
from reactor.define.waiting import wait_name
from reactor.machine.asking import may_ask
from reactor.machine.marks import DONE, FORWARD, OPEN, SKIPPED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reactor.machine.state import Scope, State

Stands: TypeAlias = Literal["open", "answered", "over", "coming"]


class Occurrence(NamedTuple):
    """One occurrence of an interrupt; `value` is the answer, as its record keeps it."""

    address: str
    stands: Stands
    occurrence: str = ""
    deadline: float | None = None
    value: Any = None
    delivery: str | None = None
    in_map: bool = False  # still to come, in elements of a map


def occurrences_in(state: State, names: Sequence[str]) -> Iterator[Occurrence]:
    """All occurrences of an interrupt of one of these names, in one record."""
    goes_on = state.ended is None
    todo = [state.root]
    while todo:
        scope = todo.pop()
        todo.extend(scope.children.values())
        for index, node in enumerate(scope.plan.nodes):
            if node.kind == "interrupt" and wait_name(scope.plan.definition.cls, node.name) in names:
                yield _of(state, scope, index, goes_on=goes_on)
            elif node.children and index not in scope.children:
                yield from _inside(scope, index, names, goes_on=goes_on)


def _of(state: State, scope: Scope, index: int, *, goes_on: bool) -> Occurrence:
    address, mark = scope.names[index], scope.marks[index]
    asking = state.asks.get(address)
    if asking is not None and asking.scope is not scope:
        asking = None
    if mark == OPEN and asking is not None and goes_on:
        return Occurrence(address, "open", asking.asked.occurrence, asking.asked.deadline)
    if mark in (DONE, SKIPPED):
        return Occurrence(address, "answered", value=scope.values[index], delivery=None if asking is None else asking.delivery)
    return Occurrence(address, "coming" if goes_on and may_ask(scope, index) else "over")


def _inside(scope: Scope, index: int, names: Sequence[str], *, goes_on: bool) -> Iterator[Occurrence]:
    """One that a child could have, which is not opened: or that elements of a map have, in records of their own."""
    node = scope.plan.nodes[index]
    reached = _reached(node.children, names, in_map=node.kind == "map", seen=set())
    if reached:
        comes = goes_on and (may_ask(scope, index) or (node.kind == "map" and scope.marks[index] == OPEN and scope.phase == FORWARD))
        yield Occurrence(scope.names[index], "coming" if comes else "over", in_map=reached == "map")


def _reached(children: Sequence[type[Any]], names: Sequence[str], *, in_map: bool, seen: set[Any]) -> Literal["here", "map", ""]:
    """Whether an interrupt can be reached in children, and whether only by way of a map."""
    found: Literal["here", "map", ""] = ""
    for child in children:
        if child in seen:
            continue
        seen.add(child)
        for node in definition_of(child).nodes.values():
            if node.kind == "interrupt" and wait_name(child, node.name) in names:
                found = "map" if in_map else "here"
            elif node.children:
                found = found or _reached(node.children, names, in_map=in_map or node.kind == "map", seen=seen)
    return found
