"""A record, read back: its bytes become facts, each value decoded to the type that its node declares today, and the facts a machine.

It refuses to know who drives the record, and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from reactor.errors import Incompatible, ReactorError, ResultNotStorable
from reactor.machine.events import Answered as AnsweredFact
from reactor.machine.events import (
    Asked,
    CallStarted,
    CallSucceeded,
    ChildOpened,
    Closed,
    Compensated,
    Event,
    Kept,
    RunStarted,
    SignalKept,
    Skipped,
)
from reactor.plan.compile import child_plan
from reactor.record import facts
from reactor.record.inputs import decode_inputs
from reactor.record.sealing import CannotOpen
from reactor.run.fitting import Unread
from reactor.run.references import Shelf, is_reference, results_from
from reactor.run.sealed import open_fact
from reactor.run.values import codec_of, declared_type, held_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactor.define.reactor import Reactor
    from reactor.machine.machine import Machine
    from reactor.machine.state import Scope, State
    from reactor.record.sealing import Sealer
    from reactor.record.store import Store

NIL = b"\xc0"


class Reading:
    """Reads the facts of one record into its machine. `reactor` is whose methods the calls are: of a run itself, of a batch its map's."""

    def __init__(self, store: Store, name: str, reactor: Reactor, *, root: str, sealer: Sealer) -> None:
        self.store = store
        self.name = name
        self.root = root
        self.reactor = reactor
        self.sealer = sealer
        self.shelf = Shelf(store, sealer)
        self.began: dict[tuple[str, str], float] = {}  # when the first of the attempts that go on began

    def replay(self, machine: Machine, data: Sequence[bytes]) -> list[Event]:
        """Fold them all; the facts. Raises Incompatible where one cannot be read, or does not fit the plan."""
        read = []
        for one in data:
            event = self.read(machine.state, one)
            try:
                machine.apply(event)
            except (KeyError, IndexError) as error:
                raise self._unfit(event.address, f"the code has no place for it ({error})") from error
            read.append(event)
        machine.forget_answered()
        return read

    def read(self, state: State, data: bytes) -> Event:
        """One fact with its value."""
        event, raw = facts.decode(data)
        kind = type(event)
        if kind is CallStarted:
            key = (event.address, event.call)  # type: ignore[attr-defined]  # it is one
            if event.attempt == 1 or key not in self.began:  # type: ignore[attr-defined]
                self.began[key] = event.at
            return event
        name = facts.VALUED.get(kind)
        if name is None:
            return event
        try:
            value = VALUES[kind](self, state, event, open_fact(self.sealer, self.root, state, event, raw))
        except (KeyError, IndexError) as error:
            raise self._unfit(event.address, f"the code has no place for it ({error})") from error
        except ReactorError as error:
            if isinstance(error, CannotOpen):
                raise
            if isinstance(error, Incompatible):
                error.address = error.address or event.address
                raise
            raise self._unfit(event.address, str(error)) from error
        return msgspec.structs.replace(event, **{name: value})

    def _unfit(self, address: str, why: str) -> Incompatible:
        error = Incompatible(
            f"`{address}` of {self.name} does not fit the code: {why}",
            code="record-unfit",
            fix="deploy code that reads it, or cancel the run with `undo=False`",
        )
        error.address = address
        return error

    # ---- values, by kind of fact ------------------------------------------------------------------------------

    def started(self, _state: State, _event: Event, _raw: bytes) -> Any:
        """The reactor itself."""
        return self.reactor

    def succeeded(self, state: State, event: Event, raw: bytes, *, optional: bool = False) -> Any:
        """A step's result; an element's stays encoded."""
        scope, index = state.place(event.address)
        if is_reference(raw):
            return self._results(scope, index, raw)
        if scope.is_batch:
            return raw or NIL
        return self._decoded(scope, index, raw, optional=optional)

    def other(self, state: State, event: Event, raw: bytes) -> Any:
        """What Skip or Continue said: None where the fact holds none."""
        return None if not raw or raw == NIL else self.succeeded(state, event, raw, optional=True)

    def skipped(self, state: State, event: Event, raw: bytes) -> Any:
        """A Skip's value: of an element, its bytes, be they None's."""
        scope, _ = state.place(event.address)
        return (raw or NIL) if scope.is_batch else self.other(state, event, raw)

    def closed(self, state: State, event: Event, raw: bytes) -> Any:
        """A map's results, an element's output; a child's is in its scope."""
        scope, index = state.place(event.address)
        if is_reference(raw):
            return self._results(scope, index, raw)
        return raw if scope.is_batch else None

    def kept(self, state: State, event: Event, raw: bytes) -> Any:
        """What a restart kept: of an element, its bytes."""
        try:
            return self.other(state, event, raw)
        except KeyError:
            return raw

    def child(self, state: State, event: Event, raw: bytes) -> Any:
        """The reactor that a compose, or an element, returned."""
        scope, index = state.place(event.address)
        name = event.reactor  # type: ignore[attr-defined]  # it is a ChildOpened
        owner, at = (scope.plan.owner, scope.plan.map_node.index) if scope.is_batch else (scope.plan, index)
        return decode_inputs(child_plan(owner, at, name).definition.cls, raw, self.sealer, self.root, event.address)

    def asked(self, _state: State, _event: Event, raw: bytes) -> Any:
        """What an interrupt shows: plain data."""
        return codec_of(Any).decode(raw) if raw else None

    def _results(self, scope: Scope, index: int, raw: bytes) -> Any:
        try:
            return results_from(raw, self.shelf, held_type(scope.plan.nodes[index]))
        except ResultNotStorable as error:
            return Unread(error.what)

    def _decoded(self, scope: Scope, index: int, raw: bytes, *, optional: bool = False) -> Any:
        try:
            return codec_of(declared_type(scope, index), optional=optional).decode(raw)
        except ResultNotStorable as error:  # whether anything needs it is asked when it is known what else is on record: `fitting.py`
            return Unread(error.what)


VALUES: dict[type[Event], Any] = {
    RunStarted: Reading.started,
    CallSucceeded: Reading.succeeded,
    Skipped: Reading.skipped,
    Compensated: Reading.other,
    Closed: Reading.closed,
    Kept: Reading.kept,
    ChildOpened: Reading.child,
    Asked: Reading.asked,
    AnsweredFact: Reading.succeeded,
    SignalKept: lambda _reading, _state, _event, raw: raw,
}
