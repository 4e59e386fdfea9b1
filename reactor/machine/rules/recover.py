"""A call was cut off by a crash or a release: it is made again under its key, in a failing run too, or, in a cancelled one, not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.machine.constants import LOST
from reactor.machine.events import CallCut
from reactor.machine.marks import CUT

if TYPE_CHECKING:
    from reactor.machine.state import Scope, State

PATIENT = ("settle", "halt")  # the ways to stop in which calls in flight settle


def cut(state: State, event: CallCut) -> None:
    """A crash raises the attempt and spends no retry; a release counts nothing."""
    scope, index = state.place(event.address)
    call = (index, event.call)
    if event.lost:
        scope.attempts[call] = event.attempt + 1
        scope.lost[call] = scope.lost.get(call, 0) + 1
        scope.cuts[call] = scope.cuts.get(call, 0) + 1
    else:
        scope.attempts[call] = event.attempt
        scope.lost.setdefault(call, 0)
    if event.call != "do":
        state.call_back(scope, index, event.call)
        return
    scope.marks[index] = CUT
    if event.lost:
        scope.doubt[index] = max(event.until, scope.doubt.get(index, 0.0))
    if scope.phase and state.stop_mode not in PATIENT:
        give_up(state, scope, index)
    else:
        state.ready.append((scope, index, "do"))


def give_up(state: State, scope: Scope, index: int) -> None:
    """A cancelled run does not make the call again: it is compensated, and listed as in doubt."""
    state.doubtful.append(scope.names[index])
    state.fail(scope, index, LOST)


def cancelled(state: State, scope: Scope, index: int) -> None:
    """The run is cancelled while a call waits to be made again."""
    if scope.marks[index] == CUT:
        give_up(state, scope, index)


APPLY = {CallCut: cut}
MOVES = {"cancelled": cancelled}
