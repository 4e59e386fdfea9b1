"""A signal's payload: checked against its interrupt's type before anybody is told of it, and encoded as the run will read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from reactor.define.foreign import decode_foreign
from reactor.define.inputs import has_secret
from reactor.define.kinds import name_of
from reactor.define.reactor import node_of
from reactor.define.waiting import wait_name
from reactor.define.wording import told, told_of_secret
from reactor.errors import DefinitionError, PayloadInvalid, ResultNotStorable
from reactor.record.words import MESSAGE_LIMIT
from reactor.run.values import codec_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reactor.define.definition import NodeDefinition
    from reactor.define.steps import Interrupt

LARGEST = MESSAGE_LIMIT - 4096  # bytes: a message says more than its payload
COUNTED = "payload-invalid"  # the code of those that an interrupt's `attempts` count


def definition_of_interrupt(interrupt: Interrupt[Any]) -> NodeDefinition:
    """What its author said. Raises DefinitionError for what is no interrupt of a reactor."""
    if getattr(interrupt, "kind", "") != "interrupt" or interrupt.owner is None:
        raise DefinitionError(
            f"{interrupt!r} is no interrupt of a reactor", code="not-an-interrupt", fix="name it by its class: `Checkout.approval`"
        )
    return node_of(interrupt.owner, interrupt.name)


def encoded(interrupt: Interrupt[Any], payload: Any) -> bytes:
    """The bytes of a payload of the interrupt's type. Raises PayloadInvalid for any other."""
    declared = definition_of_interrupt(interrupt).returns
    raw = b""
    problems: tuple[tuple[str, str], ...] = ()
    try:
        raw = codec_of(declared).checked(payload)
    except ResultNotStorable as error:
        cause = error.__cause__
        message = str(cause) if isinstance(cause, msgspec.ValidationError) else error.what
        problems = (_told(declared, payload, message),)
    if problems:  # outside of `except`: a chained exception could tell a secret
        raise refusal(interrupt, problems)
    return _not_too_large(interrupt, raw)


def encoded_json(interrupt: Interrupt[Any], body: bytes) -> bytes:
    """The same for a JSON body that nobody has checked yet. Raises PayloadInvalid."""
    declared = definition_of_interrupt(interrupt).returns
    try:
        given = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        said = str(error)
        raise PayloadInvalid(
            f"what came for `{_name(interrupt)}` is no JSON: {said}", code="payload-not-json", fix="send one JSON value"
        ) from None
    value: Any = None
    problems: tuple[tuple[str, str], ...] = ()
    try:
        value = msgspec.json.decode(body, type=Any if declared is None else declared, dec_hook=decode_foreign)
    except msgspec.ValidationError as error:
        problems = tuple(_problems(declared, given, str(error)))
    if problems:
        raise refusal(interrupt, problems)
    return encoded(interrupt, value)


def _not_too_large(interrupt: Interrupt[Any], raw: bytes) -> bytes:
    if len(raw) > LARGEST:
        raise PayloadInvalid(
            f"the payload for `{_name(interrupt)}` takes {len(raw):,} bytes and at most {LARGEST:,} are kept",
            code="payload-too-large",
            fix="store it elsewhere and send its key",
        )
    return raw


def refusal(interrupt: Interrupt[Any], problems: tuple[tuple[str, str], ...]) -> PayloadInvalid:
    """The error that tells them all."""
    lines = [f"`{path}` {text}" if path else text for path, text in problems]
    what = lines[0] if len(lines) == 1 else f"{len(lines)} fields do not fit\n    - " + "\n    - ".join(lines)
    error = PayloadInvalid(f"the payload for `{_name(interrupt)}`: {what}", code=COUNTED, fix="mend the payload and send it again")
    error.problems = problems
    return error


def _name(interrupt: Interrupt[Any]) -> str:
    return wait_name(interrupt.owner or type(interrupt), interrupt.name)


# ---- what is wrong with it --------------------------------------------------------------------------------------


def _problems(declared: Any, given: Any, message: str) -> Iterator[tuple[str, str]]:
    """(path, text) of each field that does not fit; of any other type, of the first thing that does not."""
    found = list(_of_fields(declared, given)) if isinstance(given, dict) and _is_struct(declared) else []
    yield from found or [_told(declared, given, message)]


def _of_fields(declared: Any, given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    fields = msgspec.structs.fields(declared)
    for field in fields:
        name = field.encode_name
        if name not in given:
            if field.required:
                yield name, f"is missing; it takes `{name_of(field.type)}`"
            continue
        try:
            msgspec.convert(given[name], field.type, dec_hook=decode_foreign, str_keys=True)
        except msgspec.MsgspecError as error:
            path, text = _told(field.type, given[name], str(error))
            yield name + (f".{path}" if path and path[0] != "[" else path), text
    if declared.__struct_config__.forbid_unknown_fields:
        known = {field.encode_name for field in fields}
        yield from ((name, "is no field of it") for name in given if name not in known)


def _is_struct(declared: Any) -> bool:
    return isinstance(declared, type) and issubclass(declared, msgspec.Struct) and not declared.__struct_config__.array_like


def _told(declared: Any, value: Any, message: str) -> tuple[str, str]:
    if has_secret(declared):
        path, text = told_of_secret("", declared, message, f"no valid `{name_of(declared)}`")
    else:
        path, text = told("", declared, value, message)
    return path.removeprefix("."), text
