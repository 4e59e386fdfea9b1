"""An interrupt asks the outside and waits: it is answered, once; it times out, or is refused too often; it is dropped with its scope."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.machine.asking import Asking, early_for, forget_early
from reactor.machine.commands import Accept, TimeOut
from reactor.machine.constants import CUT_OFF
from reactor.machine.events import Answered, AnswerRefused, Asked, SignalKept
from reactor.machine.marks import FORWARD, OPEN

if TYPE_CHECKING:
    from reactor.machine.state import Scope, State


def asked(state: State, event: Asked) -> None:
    """Its method returned: it waits from now on, unless its scope is stopping, or a payload was kept for it."""
    scope, index = state.place(event.address)
    scope.marks[index] = OPEN
    asking = state.asks[event.address] = Asking(scope, index, event)
    if scope.phase != FORWARD:
        stop(state, scope, index)
        return
    if early_for(state, asking) is not None:
        state.orders.append(Accept(scope, index))
    if event.deadline is not None:
        state.set_timer(event.deadline, "answer", scope, index)


def answered(state: State, event: Answered) -> None:
    """The payload is the node's result; it is never undone. What else was kept for this occurrence came too late."""
    asking = state.asks[event.address]
    asking.delivery = event.delivery
    forget_early(state, asking, event.delivery)
    state.early.pop(event.address, None)
    state.done(asking.scope, asking.index, event.value)


def refused(state: State, event: AnswerRefused) -> None:
    """A payload did not validate: it waits on. Whether it was the last that may not, its runner says as a failed call."""
    asking = state.asks[event.address]
    asking.refused = event.attempt
    forget_early(state, asking, event.delivery)
    if early_for(state, asking) is not None:
        state.orders.append(Accept(asking.scope, asking.index))


def kept(state: State, event: SignalKept) -> None:
    """A payload came before its interrupt asked, or before it was known which one it is for."""
    there = state.early.setdefault(event.address, [])
    if all(one.delivery != event.delivery for one in there):
        there.append(event)
    for asking in state.asks.values():
        if asking.is_open and early_for(state, asking) is event:
            state.orders.append(Accept(asking.scope, asking.index))
            return


def overdue(state: State, scope: Scope, index: int) -> None:
    """The time to answer has gone by; timers of former occurrences ring, too, and say nothing new."""
    asking = state.asks.get(scope.names[index])
    if asking is None or asking.scope is not scope or asking.is_overdue or asking.asked.deadline is None:
        return
    if asking.is_open and asking.asked.deadline <= state.now:
        asking.is_overdue = True
        state.orders.append(TimeOut(scope, index))


def stop(state: State, scope: Scope, index: int) -> None:
    """The scope around is stopping: it is dropped."""
    if scope.marks[index] == OPEN:
        state.fail(scope, index, CUT_OFF)


APPLY = {Asked: asked, Answered: answered, AnswerRefused: refused, SignalKept: kept}
STOP = {"interrupt": stop}
TIMERS = {"answer": overdue}
