"""The orders that a machine gives, imperative: its runner performs them and records what happened.

An order is no fact: it is never stored, and a replayed machine gives again the orders that no fact has answered.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from reactor.machine.events import Call as CallKind
from reactor.machine.events import EndStatus, StopMode


class Call(msgspec.Struct):
    """Call a node's code, or its undo or compensate. The hot path: its address is at hand."""

    scope: Any
    index: int
    address: str
    node: Any  # PlanNode
    call: CallKind = "do"
    attempt: int = 1


class Order(msgspec.Struct):
    """An order about node `index` of a scope (`Scope`, typed loosely: `state.py` stands above this file)."""

    scope: Any
    index: int

    @property
    def address(self) -> str:
        """The occurrence that it is about."""
        return str(self.scope.names[self.index]) if self.index >= 0 else str(self.scope.address)


class Skip(Order):
    """Record that a node's `when` was false."""


class OpenMap(Order):
    """Open a map's source."""


class Dispatch(Order):
    """Take the next batch from the source and hand it on."""

    batch: int


class CloseSource(Order):
    """Take nothing more from the source."""


class StopBatch(Order):
    """Tell a batch in flight to stop."""

    batch: int
    mode: StopMode


class UndoBatch(Order):
    """Undo the elements of a batch; `again`: only those whose undo failed for good."""

    batch: int
    again: bool = False


class Close(Order):
    """Record that a child, or a map, has succeeded."""


class CancelCall(Order):
    """Cancel a call in flight."""

    reason: str


class Expire(Order):
    """The deadline has gone by."""


class End(Order):
    """Record the end of the run, or of the batch."""

    status: EndStatus


Command: TypeAlias = Call | Skip | OpenMap | Dispatch | CloseSource | StopBatch | UndoBatch | Close | CancelCall | Expire | End
