"""Which stored results something may still read: code that is still to be called, an undo, a compensate, the outcome.

What nobody can need any more may be of any type. This room refuses to know whether a value can be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.define.definition import FromNode, SourceDefinition
from reactor.machine.batch import BatchPlan
from reactor.machine.marks import (
    COMPENSATE_FAILED,
    DONE,
    FAILED,
    FORWARD,
    HALTED,
    IDLE,
    LEFT,
    READY,
    RECOVERED,
    SKIPPED,
    UNDO_BACKOFF,
    UNDO_FAILED,
    UNDO_READY,
    UNDOING,
    UNDONE,
)
from reactor.plan.binding import names_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reactor.machine.state import Scope
    from reactor.plan.plan import PlanNode

TO_UNDO = frozenset((DONE, UNDO_READY, UNDOING, UNDO_BACKOFF, UNDO_FAILED))  # succeeded, and an undo may still be called
SUCCEEDED = TO_UNDO | {SKIPPED, RECOVERED, UNDONE}
TO_ANSWER = frozenset((COMPENSATE_FAILED, LEFT, HALTED))  # compensate may still be called
OVER = SUCCEEDED | TO_ANSWER | {FAILED}
UNBEGUN = frozenset((IDLE, READY))


def needed_in(scope: Scope) -> Iterator[tuple[int, str]]:
    """The nodes of a scope whose stored results something may still read, and what."""
    seen: set[int] = set()
    for index, reader in _readers(scope):
        if index not in seen and scope.marks[index] in SUCCEEDED:
            seen.add(index)
            yield index, reader


def _readers(scope: Scope) -> Iterator[tuple[int, str]]:
    plan, marks = scope.plan, scope.marks
    is_batch = isinstance(plan, BatchPlan)  # an element reads nothing of its own batch
    for node, mark, name in zip(plan.nodes, marks, scope.names, strict=True):
        index = scope.plan.index[name] if is_batch else node.index
        if mark in TO_UNDO and node.undo is not None:
            yield index, "its undo"
        for read in () if is_batch else _reads(node, mark, goes_on=scope.phase == FORWARD):
            yield plan.index[read], f"`{name}`"
    if scope.phase == FORWARD and not is_batch:
        yield plan.output, "the outcome" if scope.parent is None else f"`{scope.address}`"


def _reads(node: PlanNode, mark: int, *, goes_on: bool) -> Iterator[str]:
    """The names of what a node that stands there may still read: its code, and what takes it back."""
    may_run = mark not in OVER and (goes_on or mark not in UNBEGUN)
    if may_run:
        yield from _forward(node)
    if node.undo is not None and (may_run or mark in TO_UNDO):
        yield from names_of(node.undo.definition.params)
    if node.compensate is not None and (may_run or mark in TO_ANSWER):
        yield from names_of(node.compensate.definition.params)


def _forward(node: PlanNode) -> Iterator[str]:
    definition = node.definition
    yield from names_of(definition.params)
    if definition.when is not None:
        yield definition.when
    if definition.map is not None:
        elements = definition.map.elements
        if isinstance(elements, FromNode):
            yield elements.node
        elif isinstance(elements, SourceDefinition):
            yield from names_of(elements.params)
