"""What is wrong with given inputs, field by field, in words that name the path and what was given, and never a secret.

This room refuses to know reactors: it sees the declared fields, and a value of each.
"""

from __future__ import annotations

import re
import reprlib
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from reactor.define import kinds
from reactor.define.foreign import decode_foreign, encode_foreign
from reactor.define.teaching import nearest
from reactor.errors import InputInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reactor.define.definition import InputDefinition
    from reactor.errors import Place

MASK = "********"
SHORT = 2  # characters: no secret

_PATH = re.compile(r"(?P<text>.*) - at (?P<key>`key` in )?`\$(?P<path>.*)`$", re.DOTALL)
_PART = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")


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
        if field.secret:
            return field.name, f"is no valid `{kinds.name_of(field.type)}`, got {MASK}"
        return _told(field.name, value, str(error))
    return None


def broken_inside(fields: Sequence[InputDefinition], values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(path, text) of what is wrong inside objects: msgspec takes an instance at its word, a store would not give it back."""
    for field in fields:
        if holds_records(field.type):
            message = _broken(field, values[field.name])
            if message is not None:
                yield (
                    _told(field.name, values[field.name], message)
                    if not field.secret
                    else (field.name, f"{message.partition(' - ')[0]}, got {MASK}")
                )


def holds_records(declared: Any) -> bool:
    """Whether objects whose making checks nothing may be in a value of this type."""
    if any(hasattr(declared, mark) for mark in ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__")):
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


def _told(name: str, value: Any, message: str) -> tuple[str, str]:
    found = _PATH.match(message)
    if found is None:
        return name, f"{_lower(message)}, got {reprlib.repr(value)}"
    path = found["path"]
    return name + path, f"{_lower(found['text'])}{', in a key' if found['key'] else ''}{_got(value, path)}"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _got(value: Any, path: str) -> str:
    at = 0
    for part in _PART.finditer(path):
        if part["any"] or part.start() != at:
            return ""
        at = part.end()
        try:
            value = _into(value, part["name"], part["index"])
        except (LookupError, TypeError, AttributeError):
            return ""
    return f", got {reprlib.repr(value)}"


def _into(value: Any, name: str | None, index: str | None) -> Any:
    if index is not None:
        return value[int(index)]
    return value[name] if isinstance(value, dict) else getattr(value, name or "")


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
