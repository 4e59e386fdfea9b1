"""Types and constants as nested lists of text: the same for the same structure in every process, hash seed and folder.

A class with fields is written out once and meant by its number afterwards, so types may contain themselves. No `repr` of an
unknown object is ever taken: it could hold an address in memory.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

Rendered: TypeAlias = "str | list[Rendered]"
Field: TypeAlias = tuple[str, Any, Any]  # name, type, default

_UNIONS = (typing.Union, types.UnionType)
_TEXTUAL = (int, float, complex, bool, type(None), type(Ellipsis))  # their repr is their value
_STATE: dict[type[Any], tuple[str, ...]] = {  # what objects written in C hold
    msgspec.Meta: ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz"),  # the rest is prose
    functools.partial: ("func", "args", "keywords"),
    re.Pattern: ("pattern", "flags"),
}
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType)


def sorted_by_text(items: Iterable[Rendered]) -> list[Rendered]:
    """Any order made one order."""
    return sorted(items, key=json.dumps)


def qualified(thing: Any) -> str:
    """`module.qualname`, of a class or a function."""
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", type(thing).__qualname__)
    return f"{getattr(thing, '__module__', '') or ''}.{name}"


class Renderer:
    """Remembers the classes it has written out, and the objects it is inside of, over one document.

    >>> Renderer().type(list[int])
    ['generic', 'builtins.list', ['builtins.int']]
    >>> Renderer().value((1, "a"))
    ['tuple', ['int', '1'], ['str', 'a']]
    """

    def __init__(self) -> None:
        self._classes: dict[Any, str] = {}
        self._inside: set[int] = set()

    # ---- types ------------------------------------------------------------------------------------------------

    def type(self, annotation: Any) -> Rendered:
        """An annotation by structure; what has none, by its qualified name."""
        if annotation is None or annotation is type(None):
            return "None"
        if isinstance(annotation, str):  # never resolved: count it as said
            return ["name", annotation]
        if isinstance(annotation, typing.ForwardRef):
            return ["name", annotation.__forward_arg__]
        if typing.get_origin(annotation) is not None:
            return self._generic(annotation)
        if isinstance(annotation, type):
            return self._class(annotation)
        return self._special(annotation)

    def _generic(self, annotation: Any) -> Rendered:
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if origin in _UNIONS:  # int | str is str | int
            return ["union", *sorted_by_text([self.type(arg) for arg in args])]
        if origin is typing.Literal:
            return ["literal", *sorted_by_text([self.value(arg) for arg in args])]
        if origin is typing.Annotated:
            return ["annotated", self.type(args[0]), *[self.value(arg) for arg in args[1:]]]
        rendered = [self._argument(arg) for arg in args]
        head = self.type(origin) if isinstance(origin, type) else qualified(origin)
        return ["generic", head, rendered]

    def _argument(self, arg: Any) -> Rendered:
        if isinstance(arg, list):  # Callable[[int, str], bool]
            return [self._argument(inner) for inner in arg]
        return "..." if arg is Ellipsis else self.type(arg)

    def _special(self, annotation: Any) -> Rendered:
        if isinstance(annotation, typing.TypeVar):
            return ["variable", annotation.__name__]
        supertype = getattr(annotation, "__supertype__", None)
        if supertype is not None:  # NewType is transparent to every codec
            return self.type(supertype)
        value = getattr(annotation, "__value__", None)
        if value is not None:  # type X = ...
            return self._remember(annotation, lambda: self.type(value))
        return qualified(annotation)

    def _class(self, cls: Any) -> Rendered:
        """A class with fields, or an enum, by its structure; another by its name."""
        if issubclass(cls, enum.Enum):
            members = [[name, self.value(member.value)] for name, member in cls.__members__.items()]
            return self._remember(cls, lambda: ["enum", cls.__name__, *members])
        fields = _fields_of(cls)
        if fields is None:
            return qualified(cls)
        return self._remember(cls, lambda: ["class", cls.__name__, self._manner(cls), [self._field(field) for field in fields]])

    def _remember(self, cls: Any, render: Callable[[], Rendered]) -> Rendered:
        known = self._classes.get(cls)
        if known is not None:
            return known
        self._classes[cls] = f"#{len(self._classes)}"
        return render()

    def _manner(self, cls: Any) -> Rendered:
        """How msgspec writes a Struct: other tags or arrays for objects do not decode."""
        config = getattr(cls, "__struct_config__", None)
        if config is None:
            return ""
        flags = [str(config.array_like), str(config.forbid_unknown_fields)]
        return [self.value(config.tag_field), self.value(config.tag), *flags]

    def _field(self, field: Field) -> Rendered:
        name, annotation, default = field
        return [name, self.type(annotation), self.value(default)]

    # ---- constants --------------------------------------------------------------------------------------------

    def value(self, value: Any) -> Rendered:
        """A constant: plain data by value, other objects by class and fields, functions and classes by qualified name."""
        if isinstance(value, _TEXTUAL) and not isinstance(value, enum.Enum):
            return [type(value).__name__, repr(value)]
        if isinstance(value, str) and not isinstance(value, enum.Enum):
            return ["str", value]
        if id(value) in self._inside:
            return "itself"
        self._inside.add(id(value))
        try:
            return self._compound(value)
        finally:
            self._inside.discard(id(value))

    def _compound(self, value: Any) -> Rendered:
        match value:
            case enum.Enum():
                return ["member", qualified(type(value)), value.name]
            case list() | tuple():
                return [type(value).__name__, *[self.value(item) for item in value]]
            case set() | frozenset():
                return ["set", *sorted_by_text([self.value(item) for item in value])]
            case Mapping():
                return ["dict", *sorted_by_text([[self.value(key), self.value(item)] for key, item in value.items()])]
            case bytes() | bytearray():
                return ["bytes", value.hex()]
            case _ if isinstance(value, _NAMED):
                return ["named", qualified(value)]
            case _:
                return self._object(value)

    def _object(self, value: Any) -> Rendered:
        if hasattr(value, "__fspath__"):  # a path; its own fields are caches
            return ["path", str(value)]
        names = _state_names(value)
        if names:
            return ["object", qualified(type(value)), *[[name, self.value(getattr(value, name, None))] for name in names]]
        if typing.get_origin(value) is not None:  # an annotation used as a value
            return self.type(value)
        return ["plain", qualified(type(value)), *_plain(value)]


# ---- what is read of classes and objects ------------------------------------------------------------------------


def _fields_of(cls: Any) -> list[Field] | None:
    """Name, type and default of each field: Struct, dataclass, attrs, TypedDict, NamedTuple, pydantic; None of other classes."""
    if issubclass(cls, msgspec.Struct):
        return [(f.encode_name, f.type, _one(f.default, f.default_factory)) for f in msgspec.structs.fields(cls)]
    declared = _declared(cls)
    if declared is None:
        return None
    hints = _hints_of(cls)
    return [(name, hints.get(name, annotation), default) for name, annotation, default in declared]


def _declared(cls: Any) -> list[Field] | None:
    """As `_fields_of`, with the annotations as they were said."""
    if dataclasses.is_dataclass(cls):
        return [(f.name, f.type, _one(f.default, f.default_factory)) for f in dataclasses.fields(cls)]
    if hasattr(cls, "__attrs_attrs__"):
        return [(f.name, f.type, f.default) for f in cls.__attrs_attrs__]
    if isinstance(fields := getattr(cls, "model_fields", None), dict):  # pydantic
        return [(name, f.annotation, f.default) for name, f in fields.items()]
    if typing.is_typeddict(cls):
        return [(name, Any, name in cls.__required_keys__) for name in sorted(cls.__annotations__)]
    defaults = getattr(cls, "_field_defaults", None)
    if isinstance(defaults, dict):  # NamedTuple
        return [(name, Any, defaults.get(name, "required")) for name in cls._fields]
    return None


def _one(default: Any, factory: Any) -> Any:
    """The default or what makes it; the markers for neither are objects whose class name says enough."""
    missing = default is msgspec.NODEFAULT or default is dataclasses.MISSING
    nothing = factory is msgspec.NODEFAULT or factory is dataclasses.MISSING
    if missing and nothing:
        return "required"
    return factory if missing else default


def _hints_of(cls: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError):  # a name that only a checker can see: it counts as said
        return dict(getattr(cls, "__annotations__", {}))


def _state_names(value: Any) -> list[str]:
    """The fields of a plain object, in the order of their names."""
    cls = type(value)
    if isinstance(value, msgspec.Struct):
        return list(value.__struct_fields__)
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    if cls in _STATE:
        return list(_STATE[cls])
    slots = [name for base in cls.__mro__ for name in _slots_of(base)]
    return sorted({*getattr(value, "__dict__", {}), *slots} - {"__dict__", "__weakref__"})


def _slots_of(cls: Any) -> tuple[str, ...]:
    slots = cls.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if not name.startswith("__"))


def _plain(value: Any) -> list[Rendered]:
    """Scalars that msgspec knows how to write: dates, decimals, UUIDs; nothing of other objects but their class."""
    try:
        return [json.dumps(msgspec.to_builtins(value), sort_keys=True)]
    except (TypeError, ValueError):
        return []
