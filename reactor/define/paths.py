"""Whether a path leads through a type, and to what: `price.result.lines[0]` by the annotation of `price`.

Refused is only what is certain: a msgspec Struct has no attribute that it does not declare, a class of the author's may. This room
refuses to know where a path is said.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import typing
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import msgspec

from reactor.define import kinds
from reactor.define.definition import Key

if TYPE_CHECKING:
    from reactor.define.sources import Path

_PLAIN = (int, float, bool, complex, str, bytes, list, tuple, dict, set, frozenset, type(None))
_LISTS = {list, tuple, collections.abc.Sequence, collections.abc.MutableSequence}
_DICTS = {dict, collections.abc.Mapping, collections.abc.MutableMapping}


class Astray(Exception):
    """A path ends where its type has no such part."""

    def __init__(self, annotation: Any, part: str, known: tuple[str, ...]) -> None:
        super().__init__(part)
        self.annotation = annotation
        self.part = part
        self.known = known


def follow(annotation: Any, path: Path) -> Any:
    """The type at the end of a path, Any where it cannot be told.

    >>> follow(dict[str, list[int]], (Key("eur"), 0))
    <class 'int'>

    Raises Astray where it is certain that there is no such part.
    """
    for part in path:
        annotation = _attribute(_bare(annotation), part) if isinstance(part, str) else _item(_bare(annotation), part)
    return annotation


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _attribute(annotation: Any, name: str) -> Any:
    made = get_origin(annotation) or annotation
    if not isinstance(made, type) or made is object:
        return Any
    fields = _fields(made)
    if name in fields:
        return Any if get_args(annotation) else fields[name]  # of a generic one the field's type is still a variable
    if hasattr(made, name) or not _is_closed(made):
        return Any
    raise Astray(annotation, name, tuple(fields) or tuple(n for n in dir(made) if not n.startswith("_")))


def _fields(made: type[Any]) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(made, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {name: Any for base in made.__mro__ for name in inspect.get_annotations(base)}
    return {name: hint for name, hint in hints.items() if get_origin(hint) is not typing.ClassVar}


def _is_closed(made: type[Any]) -> bool:
    """Whether its instances have no attribute that the class does not tell of."""
    if hasattr(made, "__getattr__"):
        return False
    if made in _PLAIN or issubclass(made, msgspec.Struct) or (issubclass(made, tuple) and hasattr(made, "_fields")):
        return True
    return dataclasses.is_dataclass(made) and not hasattr(made, "__post_init__")


def _item(annotation: Any, part: int | Key) -> Any:
    made, args = get_origin(annotation) or annotation, get_args(annotation)
    if isinstance(part, Key) and typing.is_typeddict(made):
        return _typed_key(made, part)
    if made in {int, float, bool, type(None)} or (isinstance(made, type) and _is_closed(made) and not hasattr(made, "__getitem__")):
        raise Astray(annotation, f"[{part.name if isinstance(part, Key) else part!r}]", ())
    if made is tuple and args and args[-1] is not Ellipsis and isinstance(part, int):
        return _place(annotation, args, part)
    if made in _LISTS and args and isinstance(part, int):
        return args[0]
    return args[1] if made in _DICTS and len(args) == 2 else Any  # noqa: PLR2004 - key and value


def _typed_key(made: Any, part: Key) -> Any:
    fields = _fields(made)
    if part.name not in fields:
        raise Astray(made, f"[{part.name!r}]", tuple(fields))
    return fields[part.name]


def _place(annotation: Any, args: tuple[Any, ...], part: int) -> Any:
    if not -len(args) <= part < len(args):
        raise Astray(annotation, f"[{part}]", tuple(f"[{n}]" for n in range(len(args))))
    return args[part]


def is_no_sequence(annotation: Any) -> bool:
    """Whether it is certain that its values cannot be mapped over."""
    made = get_origin(_bare(annotation)) or _bare(annotation)
    if made is str or made in _DICTS:
        return True
    if not isinstance(made, type) or kinds.is_reactor(made):
        return False
    return (made in _PLAIN or issubclass(made, msgspec.Struct)) and not issubclass(made, collections.abc.Sequence)
