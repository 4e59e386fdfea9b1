"""Which values of a record are sealed: those of nodes whose declared type holds a secret, and a map's elements and results of such types.

A fact is sealed as it is written down and opened as it is read; in memory values are what they are. This room refuses to know how a value
is sealed, and inputs (`record/inputs.py`): they are sealed field by field.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from reactor.define.reactor import definition_of
from reactor.machine.events import Asked, ChildOpened, Closed, Compensated, Kept, RunStarted, SignalKept, Skipped
from reactor.record.sealing import CannotOpen, Whose, is_sealed, is_secret

if TYPE_CHECKING:
    from reactor.machine.events import Event
    from reactor.machine.state import State
    from reactor.record.sealing import Sealer

APART = (Asked, ChildOpened, RunStarted, SignalKept)  # what they hold is plain for all to see, or sealed before it comes here
MAY_HOLD_NONE = (Closed, Compensated, Kept, Skipped)
NIL = b"\xc0"


def seal_fact(sealer: Sealer, root: str, state: State, event: Event, raw: bytes) -> bytes:
    """The bytes of a fact's value as they are written down. `root`: the run's name."""
    if not raw or not sealer.seals or isinstance(event, APART) or is_sealed(raw):
        return raw
    node, version = _node(state, event.address)
    return seal_value(sealer, Whose(root, event.address), node, raw, version)


def seal_value(sealer: Sealer, whose: Whose, node: Any, raw: bytes, version: int = 1) -> bytes:
    """The bytes of what a node left, for its record."""
    return sealer.seal(raw, whose, version) if raw and holds_secret(node) else raw


def open_fact(sealer: Sealer, root: str, state: State, event: Event, raw: bytes) -> bytes:
    """The bytes of a fact's value as they were before. Raises CannotOpen."""
    if not raw or isinstance(event, APART):
        return raw
    if is_sealed(raw):
        return sealer.open(raw, Whose(root, event.address))
    if not sealer.seals or (raw == NIL and isinstance(event, MAY_HOLD_NONE)) or not holds_secret(_node(state, event.address)[0]):
        return raw
    return sealer.open(raw, Whose(root, event.address))


def holds_secret(node: Any) -> bool:
    """Whether what a node leaves is sealed: of a map, an element's result; of one that opens reactors, whatever one of them gives."""
    if not node.children:
        return is_secret(node.returns)
    definitions = map(definition_of, node.children)
    return any(is_secret(definition.nodes[definition.output].returns) for definition in definitions)


def _node(state: State, address: str) -> tuple[Any, int]:
    """The node at an address, and the version of its reactor."""
    try:
        scope, index = state.place(address)
    except KeyError:
        if not address.endswith("]"):
            raise
        scope, index = state.place(address.rpartition("[")[0])  # an element that a restart kept, and whose batch is not made yet
    plan: Any = scope.plan
    return plan.nodes[index], getattr(plan, "owner", plan).definition.version


# ---- a map's elements and chunks --------------------------------------------------------------------------------


def seal_elements(sealer: Sealer, record: str, node: Any, data: bytes) -> bytes:
    """The elements of a batch for its record."""
    return sealer.seal(data, _whose(record, "elements")) if data and sealer.seals and is_secret(node.definition.map.element) else data


def open_elements(sealer: Sealer, record: str, node: Any, data: bytes) -> bytes:
    """The elements of a batch from its record. Raises CannotOpen."""
    wanted = bool(data) and sealer.seals and is_secret(node.definition.map.element)
    return sealer.open(data, _whose(record, "elements")) if wanted or is_sealed(data) else data


def seal_chunk(sealer: Sealer, record: str, node: Any, data: bytes) -> bytes:
    """What a settled batch left, for its record."""
    return sealer.seal(data, _whose(record, "chunk")) if sealer.seals and holds_secret(node) else data


def open_chunk(sealer: Sealer, record: str, data: bytes, *, secret: bool) -> bytes:
    """What a settled batch left, from its record. Raises CannotOpen."""
    return sealer.open(data, _whose(record, "chunk")) if is_sealed(data) or (secret and sealer.seals) else data


def open_element(sealer: Sealer, whose: Whose, raw: bytes, *, secret: bool) -> bytes:
    """The bytes of one element's result, as its batch's facts have it. Raises CannotOpen."""
    wanted = secret and sealer.seals and raw != NIL
    return sealer.open(raw, whose) if wanted or is_sealed(raw) else raw


def _whose(record: str, part: str) -> Whose:
    root, _, address = record.partition("/")
    return Whose(root, address, part)


# ---- signals ----------------------------------------------------------------------------------------------------


def seal_payload(sealer: Sealer, declared: Any, raw: bytes, run: str | None, correlation_id: str | None) -> bytes:
    """A payload for the mail of a run, or where none is known yet, for whoever opens the correlation id."""
    return sealer.seal_as(declared, raw, _by_id(correlation_id) if run is None else _by_run(run))


def open_payload(sealer: Sealer, declared: Any, raw: bytes, run: str, correlation_id: str | None) -> bytes:
    """A payload that a run was sent, by whichever of the two. Raises CannotOpen where it was not meant for it, or cannot be read here."""
    if is_sealed(raw):
        with suppress(CannotOpen):
            return sealer.open(raw, _by_run(run))
        return sealer.open(raw, _by_id(correlation_id))
    return sealer.open_as(declared, raw, _by_run(run)) if sealer.seals else raw


def open_answer(sealer: Sealer, declared: Any, raw: bytes, run: str, address: str) -> bytes:
    """A payload, as the record of the run that took it has it. Raises CannotOpen."""
    return open_element(sealer, Whose(run, address), raw, secret=is_secret(declared))


def _by_run(run: str) -> Whose:
    return Whose(run, "", "signal")


def _by_id(correlation_id: str | None) -> Whose:
    return Whose("", correlation_id or "", "signal")
