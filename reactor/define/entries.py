"""Inputs that come in as text: a JSON document, or a string for each input.

This room refuses to know where the text is from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from reactor.define.foreign import decode_foreign
from reactor.define.reactor import Reactor, inputs_of, made_of
from reactor.errors import InputInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reactor.define.definition import InputDefinition

R = TypeVar("R", bound=Reactor)


def inputs_from_json(cls: type[R], body: bytes | str) -> R:
    """A reactor from a JSON object, an entry an input.

    >>> class Greet(Reactor, abstract=True):
    ...     name: str
    ...     times: int = 1
    >>> inputs_from_json(Greet, b'{"name": "ann"}')
    Greet(name='ann', times=1)

    Raises InputInvalid, with every problem in it.
    """
    try:
        given, reason = msgspec.json.decode(body), ""
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        given, reason = None, str(error)
    if not isinstance(given, dict):
        raise InputInvalid(
            f"{cls.__name__}: the inputs are {reason or type(given).__name__}, not a JSON object",
            code="input-not-json",
            known=inputs_of(cls).names,
            fix='give an object with an entry an input, `{"name": value}`',
        )
    return made_of(cls, inputs_of(cls).accept(given, str_keys=True))


def inputs_from_strings(cls: type[R], given: Mapping[str, str]) -> R:
    """A reactor from strings: each as its field's type takes it (`"7"` for an int), lists, dicts and Structs as JSON.

    >>> class Greet(Reactor, abstract=True):
    ...     name: str
    ...     times: list[int] = [1]
    >>> inputs_from_strings(Greet, {"name": "7", "times": "[2, 3]"})
    Greet(name='7', times=[2, 3])

    Raises InputInvalid, with every problem in it.
    """
    inputs = inputs_of(cls)
    fields = {field.name: field for field in inputs.fields}
    read = {name: _read(fields[name], text) if name in fields else text for name, text in given.items()}
    return made_of(cls, inputs.accept(read, str_keys=True))


def _read(field: InputDefinition, text: str) -> Any:
    """The value that the text is, or the text itself, so that the problem is told with what was given."""
    for reading in (_lax, _json):
        try:
            return reading(field.type, text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
    return _plain(text)


def _lax(declared: Any, text: str) -> Any:
    return msgspec.convert(text, declared, strict=False, dec_hook=decode_foreign)


def _json(declared: Any, text: str) -> Any:
    return msgspec.json.decode(text, type=declared, dec_hook=decode_foreign)


def _plain(text: str) -> Any:
    """What the text is as JSON where it holds a list or an object: the path into it is then told."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return text
    return value if isinstance(value, dict | list) else text
