"""A reactor ↔ the bytes of its inputs, as a record keeps them: a msgpack map {field: value}, secret fields sealed.

An input goes in as its type says and comes back by its type; no class is named in the data, and a reactor's rules across inputs are not
asked again. This room refuses to know where the bytes are kept.
"""

from __future__ import annotations

import functools
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from reactor.define.foreign import decode_foreign, encode_foreign
from reactor.define.kinds import name_of
from reactor.define.reactor import Reactor, inputs_of, record_of
from reactor.define.wording import told, told_of_secret
from reactor.errors import Incompatible, InputInvalid
from reactor.record.codec import LIMIT, same
from reactor.record.sealing import Whose, is_sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reactor.define.definition import InputDefinition
    from reactor.define.inputs import Inputs
    from reactor.record.sealing import Sealer

R = TypeVar("R", bound=Reactor)

_ENCODER = msgspec.msgpack.Encoder(enc_hook=encode_foreign)
_FIELDS = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the inputs of one class are read."""

    inputs: Inputs
    version: int
    whole: msgspec.msgpack.Decoder[msgspec.Struct]
    fields: Mapping[str, tuple[InputDefinition, msgspec.msgpack.Decoder[Any]]]


def _read_shape(cls: type[Reactor]) -> _Shape:
    inputs = inputs_of(cls)
    fields = {field.name: (field, msgspec.msgpack.Decoder(field.type, dec_hook=decode_foreign)) for field in inputs.fields}
    whole = msgspec.msgpack.Decoder(inputs.companion, dec_hook=decode_foreign)
    return _Shape(inputs, record_of(cls).options.version, whole, fields)


_shape_of = cast("Callable[[type[Reactor]], _Shape]", functools.lru_cache(maxsize=4096)(_read_shape))


# ---- to bytes -------------------------------------------------------------------------------------------------


def encode_inputs(reactor: Reactor, sealer: Sealer, run: str, address: str = "") -> bytes:
    """The bytes of a reactor's inputs, for the record of that run ("" is the run itself, else the child's address).

    Raises InputInvalid (`input-not-storable`) where one has no bytes, or all of them more than 1 MiB.

    >>> from reactor import Reactor
    >>> from reactor.record.sealing import Sealer
    >>> class Order(Reactor, abstract=True):
    ...     sku: str
    ...     count: int = 1
    >>> plain = Sealer((), plain=True)
    >>> decode_inputs(Order, encode_inputs(Order(sku="a"), plain, "order:1"), plain, "order:1")
    Order(sku='a', count=1)
    """
    shape = _shape_of(type(reactor))
    values: dict[str, Any] = {name: reactor.__dict__[name] for name in shape.inputs.names}
    if sealer.seals:
        for name in shape.inputs.secrets:
            raw = _encoded(reactor, values[name])
            values[name] = msgspec.Raw(sealer.seal(raw, Whose(run, address, name), shape.version))
    data = _encoded(reactor, values)
    if len(data) > LIMIT:
        said = f"they take {len(data):,} bytes and at most {LIMIT:,} are kept"
        raise _not_storable(reactor, "the inputs", said, "keep what is large elsewhere and hand in its key")
    return data


def exchanged_inputs(reactor: R, sealer: Sealer, run: str, address: str = "") -> tuple[R, bytes]:
    """The reactor as its bytes give it back, and the bytes. Raises InputInvalid where it would not be the same one."""
    data = encode_inputs(reactor, sealer, run, address)
    again = _come_back(reactor, data, sealer, Whose(run, address))
    for name in _shape_of(type(reactor)).inputs.names:
        if not _is_same(again.__dict__[name], reactor.__dict__[name]):
            raise _not_storable(reactor, f"the input `{name}`", "it would come back as another value", "annotate the type that it has")
    return again, data


def _come_back(reactor: R, data: bytes, sealer: Sealer, whose: Whose) -> R:
    try:
        return decode_inputs(type(reactor), data, sealer, whose.run, whose.address)
    except Incompatible as error:
        said = error.what.partition(": ")[2]
    raise _not_storable(reactor, "an input", f"it does not come back: {said}")


def _is_same(again: Any, value: Any) -> bool:
    try:
        return same(again, value)
    except Exception:  # noqa: BLE001  # an author's `__eq__` may raise anything
        return False


def _encoded(reactor: Reactor, value: Any) -> bytes:
    with suppress(Exception):  # an author's hook may raise anything; what is chained could tell a secret
        return _ENCODER.encode(value)
    name, why = _culprit(reactor)
    raise _not_storable(reactor, f"the input `{name}`", why)


def _culprit(reactor: Reactor) -> tuple[str, str]:
    """The first input that has no bytes, and why."""
    fields = _shape_of(type(reactor)).inputs.fields
    for field in fields:
        try:
            _ENCODER.encode(reactor.__dict__[field.name])
        except Exception as error:  # noqa: BLE001  # as above
            said = "" if field.secret else f": {error}"
            return field.name, f"it has no bytes as {name_of(field.type)}{said}"
    return fields[0].name, "it has no bytes every time"


def _not_storable(reactor: Reactor, what: str, why: str, fix: str = "") -> InputInvalid:
    return InputInvalid(
        f"{type(reactor).__name__}: {what} cannot be stored: {why}",
        code="input-not-storable",
        fix=fix or "hand in plain data: Structs, lists, dicts, numbers, text",
    )


# ---- from bytes -----------------------------------------------------------------------------------------------


def decode_inputs(cls: type[R], data: bytes, sealer: Sealer, run: str, address: str = "") -> R:
    """The reactor of the bytes that `encode_inputs` gave for the same run and address.

    An input that its class has no more is passed over, one that it has since gets its default; `__post_init__` is not asked. Raises
    Incompatible (`input-incompatible`) with the name of one that does not fit, CannotOpen for a secret that cannot be read here.
    """
    shape = _shape_of(cls)
    made = cls.__new__(cls)
    if not shape.inputs.secrets:
        with suppress(Exception):  # an author's validator may raise anything; which field it was is found below
            whole = shape.whole.decode(data)
            made.__dict__.update({name: getattr(whole, name) for name in shape.inputs.names})
            return made
    made.__dict__.update(_field_by_field(shape, _split(shape, data, run), sealer, Whose(run, address)))
    return made


def _split(shape: _Shape, data: bytes, run: str) -> dict[str, msgspec.Raw]:
    with suppress(msgspec.MsgspecError, RecursionError):
        return _FIELDS.decode(data)
    raise Incompatible(
        f"the inputs of {run} are no inputs of {shape.inputs.of}: the bytes cannot be read",
        code="input-incompatible",
        fix="whoever wrote to the store meanwhile knows: restore it",
    )


def _field_by_field(shape: _Shape, stored: Mapping[str, msgspec.Raw], sealer: Sealer, whose: Whose) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (field, decoder) in shape.fields.items():
        if name not in stored:
            if field.required:
                raise _incompatible(shape, whose.run, f"`{name}` is missing")
            continue
        raw = bytes(stored[name])
        if field.secret or is_sealed(raw):
            raw = sealer.open(raw, whose._replace(part=name))
        found[name] = _decoded(shape, field, decoder, raw, whose.run)
    whole = shape.inputs.companion(**found)  # checks nothing, and fills in defaults
    return {name: getattr(whole, name) for name in shape.inputs.names}


def _decoded(shape: _Shape, field: InputDefinition, decoder: msgspec.msgpack.Decoder[Any], raw: bytes, run: str) -> Any:
    try:
        return decoder.decode(raw)
    except Exception as error:  # noqa: BLE001  # an author's validator may raise anything
        path, said = _told(field, raw, str(error))
    raise _incompatible(shape, run, f"`{path}` {said}")


def _told(field: InputDefinition, raw: bytes, message: str) -> tuple[str, str]:
    if field.secret:
        return told_of_secret(field.name, field.type, message, f"is no valid `{name_of(field.type)}`")
    try:
        value = msgspec.msgpack.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return field.name, "is no readable value"
    return told(field.name, field.type, value, message)


def _incompatible(shape: _Shape, run: str, said: str) -> Incompatible:
    return Incompatible(
        f"the inputs of {run} do not fit {shape.inputs.of}: {said}",
        code="input-incompatible",
        fix="let the input take what older runs were given, or give it a default; a run keeps the inputs that it began with",
    )
