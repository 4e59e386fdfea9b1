"""Whether a run can only go on with a signal, and what it waits for: read off its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.machine.asking import early_for
from reactor.machine.events import Waited
from reactor.machine.machine import is_due
from reactor.machine.marks import DONE, FAILED, FORWARD, IDLE, OPEN, RECOVERED, SKIPPED

if TYPE_CHECKING:
    from reactor.machine.state import Scope, State

AT_REST = frozenset((IDLE, DONE, SKIPPED, RECOVERED))


def is_parked(state: State) -> bool:
    """Whether nothing can go on without a signal: no call, no wait, no order, no batch. The time to answer does not count as one."""
    if not state.asks and not any(elements.parked for scope in state.scopes() for elements in scope.maps.values()):
        return False
    if state.ended is not None or any(is_due(state, order) for order in state.orders):
        return False
    return _waits(state, state.root)


def _waits(state: State, scope: Scope) -> bool:
    """Whether all that is open in a scope waits for a signal."""
    if scope.phase != FORWARD or scope.left == 0:
        return False
    for index, mark in enumerate(scope.marks):
        if not (_open_waits(state, scope, index) if mark == OPEN else mark in AT_REST or (mark == FAILED and scope.collects)):
            return False
    return True


def _open_waits(state: State, scope: Scope, index: int) -> bool:
    child = scope.children.get(index)
    if child is not None:
        return _waits(state, child)
    if index in scope.maps:
        return _map_waits(scope, index)
    asking = state.asks.get(scope.names[index])
    return asking is not None and asking.scope is scope and early_for(state, asking) is None


def _map_waits(scope: Scope, index: int) -> bool:
    """All its open batches are parked, and it can take no other."""
    elements = scope.maps[index]
    if elements.cut or elements.dispatching or not elements.open or not elements.open <= elements.parked.keys():
        return False
    return elements.ended or len(elements.open) >= scope.plan.nodes[index].map.in_flight


def waiting_in(state: State, record: str) -> tuple[Waited, ...]:
    """The open interrupts, in this record (whose name is given) and in parked batches."""
    found = [
        Waited(record, address, asking.asked.correlation_id, asking.asked.deadline, asking.name, asking.asked.occurrence)
        for address, asking in state.asks.items()
        if asking.is_open
    ]
    for scope in state.scopes():
        for index, elements in scope.maps.items():
            if scope.marks[index] == OPEN:
                found.extend(one for waiting in elements.parked.values() for one in waiting)
    return tuple(found)
