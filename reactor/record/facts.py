"""An event ↔ the bytes that a store keeps: msgpack arrays, a tag first, values raw.

A value (a result, an input, what a compensate gave) is encoded by its own codec before and stays raw here: only who knows its declared
type can decode it, and no class is ever named in the data. Fields are only ever appended to an event, with a default; what an older
release wrote is brought up by `UPCASTS` before it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from reactor.errors import Incompatible
from reactor.machine import events
from reactor.machine.events import CallSucceeded as Succeeded
from reactor.machine.events import ChildOpened, Closed, Compensated, Event, Kept, RunStarted, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable

VALUED: dict[type[Event], str] = {
    Succeeded: "value",
    Skipped: "value",
    Compensated: "value",
    Closed: "value",
    Kept: "value",
    ChildOpened: "inputs",
    RunStarted: "inputs",
}
"""The one field of an event that holds an author's value."""

KNOWN: dict[str, type[Event]] = {
    str(kind.__struct_config__.tag): kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
}
UPCASTS: dict[str, Callable[[list[msgspec.Raw]], list[msgspec.Raw]]] = {}
"""By tag: the fields as an older release wrote them, to the fields as they are now."""

NOTHING = msgspec.Raw(b"\xc0")  # nil
_ENCODER = msgspec.msgpack.Encoder()
_PARTS = msgspec.msgpack.Decoder(list[msgspec.Raw])
_TAG = msgspec.msgpack.Decoder(str)
_FIELDS: dict[type[Event], tuple[Any, ...]] = {}


def encode(event: Event, value: bytes = b"") -> bytes:
    r"""The bytes of an event; `value` are those of its value, where it holds one.

    >>> decode(encode(Succeeded(1.5, "price"), b"\x07"))
    (CallSucceeded(at=1.5, address='price', value=None), b'\x07')
    """
    if type(event) is Succeeded:  # the hot path
        return _ENCODER.encode(Succeeded(event.at, event.address, msgspec.Raw(value) if value else NOTHING))
    name = VALUED.get(type(event))
    if name is None:
        return _ENCODER.encode(event)
    return _ENCODER.encode(msgspec.structs.replace(event, **{name: msgspec.Raw(value) if value else NOTHING}))


def decode(data: bytes) -> tuple[Event, bytes]:
    """An event without its value, and the bytes of that. Raises Incompatible for what no release of ours wrote."""
    try:
        parts = _PARTS.decode(data)
        tag = _TAG.decode(parts[0])
        kind = KNOWN[tag]
        fields = UPCASTS.get(tag, list)(parts[1:])
        return _made(kind, fields)
    except (msgspec.MsgspecError, LookupError, TypeError, RecursionError) as error:
        raise Incompatible(
            f"a record holds an event that cannot be read: {error}",
            code="unreadable-event",
            fix="read it with the release that wrote it, or a newer one",
        ) from error


def _made(kind: type[Event], fields: list[msgspec.Raw]) -> tuple[Event, bytes]:
    valued = VALUED.get(kind)
    value = b""
    said: dict[str, Any] = {}
    for (name, decoder), raw in zip(_decoders(kind), fields, strict=False):  # fields of a newer release are passed over
        if name == valued:
            value = bytes(raw)
        else:
            said[name] = decoder.decode(raw)
    return kind(**said), value


def _decoders(kind: type[Event]) -> tuple[Any, ...]:
    found = _FIELDS.get(kind)
    if found is None:
        hints = {field.name: field.type for field in msgspec.structs.fields(kind)}
        found = _FIELDS[kind] = tuple((name, msgspec.msgpack.Decoder(hint)) for name, hint in hints.items())
    return found
