"""One occurrence of an interrupt, from when it asks the outside: what it waits for, and what was kept for it before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.define.waiting import wait_name
from reactor.machine.marks import BACKOFF, CUT, FORWARD, IDLE, OPEN, READY, RUNNING

if TYPE_CHECKING:
    from reactor.machine.events import Asked, SignalKept
    from reactor.machine.state import Scope, State

COMING = frozenset((IDLE, READY, RUNNING, BACKOFF, CUT))
ANYWHERE = "*."  # before the name of an interrupt: whichever occurrence of it asks first


class Asking:
    """What an interrupt asks, and what came of it."""

    __slots__ = ("asked", "delivery", "index", "is_overdue", "refused", "scope")

    def __init__(self, scope: Scope, index: int, asked: Asked) -> None:
        self.scope = scope
        self.index = index
        self.asked = asked
        self.refused = 0  # payloads that did not validate
        self.is_overdue = False  # its time is up, and the order was given
        self.delivery: str | None = None  # the message that answered it

    @property
    def is_open(self) -> bool:
        """Whether it waits for an answer."""
        return self.scope.marks[self.index] == OPEN

    @property
    def name(self) -> str:
        """The interrupt's, its reactor's before it."""
        return wait_name(self.scope.plan.definition.cls, self.scope.plan.nodes[self.index].name)


def early_for(state: State, asking: Asking) -> SignalKept | None:
    """The payload that was kept for this occurrence and came first."""
    if not state.early:
        return None
    found = state.early.get(asking.asked.address) or state.early.get(ANYWHERE + asking.name)
    return found[0] if found else None


def forget_early(state: State, asking: Asking, delivery: str) -> None:
    """A payload that was kept is consumed."""
    for address in (asking.asked.address, ANYWHERE + asking.name) if state.early else ():
        left = [one for one in state.early.get(address, ()) if one.delivery != delivery]
        if left:
            state.early[address] = left
        else:
            state.early.pop(address, None)


def may_ask(scope: Scope, index: int) -> bool:
    """Whether a node that is not open may still come to be."""
    return scope.phase == FORWARD and scope.marks[index] in COMING
