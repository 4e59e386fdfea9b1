"""Questions about types: is it a reactor, a payload, an element; can it be stored; does a path lead through it.

This room refuses to know nodes and where a type is said.
"""

from __future__ import annotations

import collections.abc
import types
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from reactor.define.foreign import decode_foreign, is_storable
from reactor.define.results import Results
from reactor.define.steps import Ask
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reactor.errors import Place

_UNIONS = {Union, types.UnionType}


def name_of(annotation: Any) -> str:
    """A type as its author wrote it, without modules.

    >>> name_of(dict[str, list[int] | None])
    'dict[str, list[int] | None]'
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "None"
    if origin is Annotated:
        return name_of(args[0])
    if origin in _UNIONS:
        return " | ".join(map(name_of, args))
    if origin is None or origin is Literal or not args:
        return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
    named = ("..." if arg is Ellipsis else name_of(arg) for arg in args)
    return f"{getattr(origin, '__name__', origin)}[{', '.join(named)}]"


def members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union; a type that is none is its own only member."""
    if get_origin(annotation) is Annotated:
        return members(get_args(annotation)[0])
    if get_origin(annotation) in _UNIONS:
        return tuple(m for arg in get_args(annotation) for m in members(arg))
    return (annotation,)


def _untagged(annotation: Any, seen: set[Any]) -> list[type[Any]]:
    """The Structs of the first union of several of which one has no tag: in the type, its arguments, or the fields of its Structs."""
    structs = [m for m in members(annotation) if isinstance(m, type) and issubclass(m, msgspec.Struct)]
    if len(structs) > 1 and any(s.__struct_config__.tag is None for s in structs):
        return structs
    inner = [*get_args(annotation)]
    for struct in structs:
        if struct not in seen:
            seen.add(struct)
            inner += get_type_hints(struct).values()
    return next((found for each in inner if (found := _untagged(each, seen))), [])


def is_reactor(annotation: Any) -> bool:
    """Whether it is a reactor class."""
    return isinstance(annotation, type) and hasattr(annotation, "__reactor__")


def awaited(annotation: Any) -> Any | None:
    """T of `Awaitable[T]` and the like, else None."""
    if get_origin(annotation) in {collections.abc.Awaitable, collections.abc.Coroutine}:
        return get_args(annotation)[-1]
    return None


def payload_of(annotation: Any) -> Any | None:
    """T of `Ask[T]`, else None."""
    return get_args(annotation)[0] if get_origin(annotation) is Ask else None


_ITERATORS = {
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
}


def element_of(annotation: Any) -> Any | None:
    """E of `AsyncIterator[E]` and the like, else None."""
    return get_args(annotation)[0] if get_origin(annotation) in _ITERATORS and get_args(annotation) else None


def check_storable(annotation: Any, what: str, where: Place) -> None:
    """Raises DefinitionError for a type of which it is certain that msgspec cannot tell its values apart on the way back."""
    try:
        msgspec.msgpack.Decoder(annotation, dec_hook=decode_foreign)
    except NameError:
        return  # a Struct below: msgspec asks again when it is used
    except TypeError as error:
        reason = str(error)
    else:
        return
    structs = _untagged(annotation, set())
    if structs:
        lines = "\n".join(f"         class {s.__name__}(msgspec.Struct, tag={s.__name__.lower()!r}): …" for s in structs)
        raise DefinitionError(
            f"{what} is `{name_of(annotation)}`, and stored values of it could not be told apart",
            code="untagged-union",
            where=where,
            fix=f"give each Struct a tag:\n{lines}",
        )
    if "custom type" not in reason:
        raise DefinitionError(
            f"{what} is `{name_of(annotation)}`, which cannot be stored: {reason.partition(' - type')[0]}",
            code="type-not-storable",
            where=where,
            fix="make it a msgspec Struct with a field for each, or one type of the union",
        )


def check_encodable(annotation: Any, what: str, where: Place) -> None:
    """Raises DefinitionError for a type of which it is certain that no value survives its bytes, in one process neither.

    A map's results are kept as encoded chunks wherever it runs; what `check_storable` lets pass as an author's own would fail each element.
    """
    try:
        info = msgspec.inspect.type_info(annotation)
        whole = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
        wrong = next((found for each in whole if (found := _never_stored(each, set())) is not None), None)
        reason = "" if wrong is None else f": of a `{wrong.__name__}` msgspec makes no bytes"
    except NameError:
        return  # a Struct below
    except TypeError as error:
        reason = f": {str(error).partition(' - type')[0]}"
    if reason:
        raise DefinitionError(
            f"{what} is `{name_of(annotation)}`, and the results of a map are kept as bytes{reason}",
            code="type-not-storable",
            where=where,
            fix="return plain types, Structs, dataclasses, attrs, TypedDict, pydantic models or paths; one such class, or None, in a union",
        )


def _never_stored(info: Any, seen: set[int]) -> type[Any] | None:
    """The first class in a type that has no way to bytes and back."""
    if id(info) in seen:
        return None
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.CustomType):
        is_fine = issubclass(info.cls, Results) or is_storable(info.cls)  # what an inner map left is kept as it is
        return None if is_fine else info.cls
    return next((found for each in _parts(info) if (found := _never_stored(each, seen)) is not None), None)


def _parts(info: Any) -> Iterator[Any]:
    """The types that a value of this one holds for certain: no member of a union, no field with a default."""
    for name in ("type", "item_type", "key_type", "value_type"):
        if hasattr(info, name):
            yield getattr(info, name)
    yield from getattr(info, "item_types", ())
    yield from (field.type for field in getattr(info, "fields", ()) if field.required)


def output_of(child: type[Any]) -> Any:
    """The type of a child's output; None where its annotations do not resolve yet."""
    record = child.__dict__["__reactor__"]
    definition = record.definition if record is not None else None
    if definition is None or not definition.output:
        return None
    node = definition.nodes[definition.output]
    if node.returns is None:
        return None
    if node.kind == "map":
        results: Any = Results
        return results[node.returns]
    return node.returns | None if node.when is not None else node.returns
