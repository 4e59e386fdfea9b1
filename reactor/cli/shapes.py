"""An input's type as people write it, and an example of its JSON: what a wrong command line is answered with.

This room reads types only; it never sees a value.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import inspect

from reactor.define.foreign import is_path
from reactor.plan.spelling import spell_type

_BOUNDS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length")
_DEEPEST = 4

_EXAMPLES: dict[type[inspect.Type], Any] = {
    inspect.BoolType: True,
    inspect.IntType: 1,
    inspect.FloatType: 1.5,
    inspect.NoneType: None,
    inspect.DateType: "2026-01-31",
    inspect.DateTimeType: "2026-01-31T12:00:00Z",
    inspect.TimeType: "12:00:00",
    inspect.TimeDeltaType: "PT30S",
    inspect.UUIDType: "00000000-0000-0000-0000-000000000000",
    inspect.DecimalType: "1.50",
}


def spell(kind: Any) -> str:
    """A type as an author writes it, without module names; constraints in brackets.

    >>> from typing import Annotated
    >>> spell(Annotated[int, msgspec.Meta(gt=0)]), spell(list[int] | None)
    ('int [gt=0]', 'list[int] | None')
    """
    metas = [part for part in get_args(kind)[1:] if isinstance(part, msgspec.Meta)] if get_origin(kind) is Annotated else []
    bounds = [f"{name}={getattr(meta, name)!r}" for meta in metas for name in _BOUNDS if getattr(meta, name) is not None]
    return spell_type(kind) + (f" [{', '.join(bounds)}]" if bounds else "")


def is_structured(kind: Any) -> bool:
    """Whether a value of this type is written as a JSON array or object.

    >>> is_structured(list[int]), is_structured(int | None)
    (True, False)
    """
    return isinstance(example(kind), list | dict)


def example(kind: Any) -> Any:
    """A JSON value of the type's shape.

    >>> example(dict[str, list[int]])
    {'…': [1]}
    """
    try:
        return _example(inspect.type_info(kind), 0)
    except (TypeError, NameError):  # an error is told with it: it must not become another error
        return "…"


def _example(info: inspect.Type, depth: int) -> Any:
    while isinstance(info, inspect.Metadata):
        info = info.type
    if depth > _DEEPEST:
        return "…"
    if isinstance(info, inspect.UnionType):
        return _example(next((t for t in info.types if not isinstance(t, inspect.NoneType)), info.types[0]), depth)
    if isinstance(info, inspect.LiteralType | inspect.EnumType):
        values = info.values if isinstance(info, inspect.LiteralType) else tuple(m.value for m in info.cls)
        return values[0]
    return _example_of_many(info, depth)


def _example_of_many(info: inspect.Type, depth: int) -> Any:
    match info:
        case (
            inspect.ListType(item_type=item)
            | inspect.VarTupleType(item_type=item)
            | inspect.SetType(item_type=item)
            | inspect.FrozenSetType(item_type=item)
        ):
            return [_example(item, depth + 1)]
        case inspect.TupleType(item_types=items):
            return [_example(item, depth + 1) for item in items]
        case inspect.DictType(value_type=value):
            return {"…": _example(value, depth + 1)}
        case inspect.StructType() | inspect.DataclassType() | inspect.TypedDictType() | inspect.NamedTupleType():
            return _example_of_fields(info, depth)
        case inspect.CustomType(cls=cls):  # pydantic's models are objects, as far as JSON goes
            return {} if hasattr(cls, "model_validate") else "file" if is_path(cls) else "…"
        case _:
            return _EXAMPLES.get(type(info), "…")


def _example_of_fields(
    info: inspect.StructType | inspect.DataclassType | inspect.TypedDictType | inspect.NamedTupleType, depth: int
) -> Any:
    fields = {f.encode_name: _example(f.type, depth + 1) for f in info.fields if f.required}
    if isinstance(info, inspect.StructType):
        if info.tag is not None and info.tag_field is not None:
            fields = {info.tag_field: info.tag, **fields}
        return list(fields.values()) if info.array_like else fields
    return list(fields.values()) if isinstance(info, inspect.NamedTupleType) else fields
