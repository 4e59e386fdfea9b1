"""What is wrong with given inputs, field by field, in words that name the path and what was given, and never a secret.

This room refuses to know reactors: it sees the declared fields, and a value of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec

from reactor.define import kinds
from reactor.define.foreign import decode_foreign, encode_foreign
from reactor.define.teaching import nearest
from reactor.define.wording import MASK, told, told_of_secret
from reactor.errors import InputInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reactor.define.definition import InputDefinition
    from reactor.errors import Place

__all__ = ["MASK", "broken_inside", "holds_records", "leaves_of", "problems_of", "refused"]

SHORT = 2  # characters: no secret
_RECORDS = ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__", "_fields", "__total__")  # the last: a TypedDict may hold one


def problems_of(fields: Sequence[InputDefinition], given: Mapping[str, Any], *, str_keys: bool = False) -> Iterator[tuple[str, str]]:
    """(path, text) of each problem, in the order of the fields; unknown names last."""
    names = [field.name for field in fields]
    for field in fields:
        if field.name in given:
            found = _problem(field, given[field.name], str_keys=str_keys)
            if found is not None:
                yield found
        elif field.required:
            yield field.name, f"is missing; it takes `{kinds.name_of(field.type)}`"
    for name in given:
        if name not in names:
            near = nearest(str(name), names)
            yield str(name), "is no input" + (f"; did you mean `{near}`?" if near else "")


def _problem(field: InputDefinition, value: Any, *, str_keys: bool) -> tuple[str, str] | None:
    try:
        msgspec.convert(value, field.type, dec_hook=decode_foreign, str_keys=str_keys)
    except RecursionError:
        return field.name, "is nested too deeply"
    except msgspec.MsgspecError as error:
        return _told(field, value, str(error))
    return None


def _told(field: InputDefinition, value: Any, message: str) -> tuple[str, str]:
    if field.secret:
        return told_of_secret(field.name, field.type, message, f"is no valid `{kinds.name_of(field.type)}`")
    return told(field.name, field.type, value, message)


def broken_inside(fields: Sequence[InputDefinition], values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(path, text) of what is wrong inside objects: msgspec takes an instance at its word, a store would not give it back."""
    for field in fields:
        if holds_records(field.type):
            message = _broken(field, values[field.name])
            if message is not None:
                yield _told(field, values[field.name], message)


def holds_records(declared: Any) -> bool:
    """Whether objects whose making checks nothing may be in a value of this type."""
    if any(hasattr(declared, mark) for mark in _RECORDS):
        return True
    return any(holds_records(part) for part in get_args(declared))


def _broken(field: InputDefinition, value: Any) -> str | None:
    try:
        data = msgspec.msgpack.encode(value, enc_hook=encode_foreign)
    except (msgspec.MsgspecError, RecursionError, OverflowError, UnicodeEncodeError, TypeError, NotImplementedError):
        return None  # no plain data: a run that is kept nowhere may have it
    try:
        msgspec.msgpack.decode(data, type=field.type, dec_hook=decode_foreign)
    except (msgspec.MsgspecError, RecursionError) as error:
        return str(error)
    return None


def leaves_of(value: Any) -> Iterator[str]:
    """The texts that a secret value would show as, longest first where it has parts.

    Not those of one or two characters: blotting them out would tell nothing and spoil every text.
    """
    try:
        plain = msgspec.to_builtins(value, enc_hook=str)
    except (TypeError, ValueError, RecursionError):
        plain = str(value)
    found, open_values = {str(value)}, [plain]
    while open_values:
        one = open_values.pop()
        if isinstance(one, dict):
            open_values += one.values()  # not the keys: a Struct's are the names of its fields
        elif isinstance(one, list | tuple | set | frozenset):
            open_values += one
        elif one is not None and not isinstance(one, bool):
            found.add(str(one))
    yield from sorted((text for text in found if len(text) > SHORT), key=len, reverse=True)


def refused(of: str, problems: Sequence[tuple[str, str]], known: Sequence[str], where: Place | None) -> InputInvalid:
    """The error that tells them all."""
    unknown = next((path for path, text in problems if text.startswith("is no input")), None)
    lines = [f"`{path}` {text}" for path, text in problems]
    what = lines[0] if len(lines) == 1 else f"{len(lines)} inputs do not fit\n    - " + "\n    - ".join(lines)
    error = InputInvalid(
        f"{of}: {what}",
        where=where,
        known=tuple(known),
        nearest=nearest(unknown, known) if unknown is not None else None,
        fix="mend the input; nothing was begun" if len(lines) == 1 else "mend the inputs; nothing was begun",
    )
    error.problems = tuple(problems)
    return error
