"""Types that msgspec does not know: pydantic models, paths and an author's own, by the *declared* type, never by a name in the data.

This room refuses to import pydantic and pathlib: a type shows by its own methods that it is a model, by its bases that it is a path.
"""

from __future__ import annotations

from typing import Any

_PLAIN = (type(None), bool, int, float, str, bytes, list, dict)


def decode_foreign(declared: Any, value: Any) -> Any:
    """The `dec_hook` for msgspec: a value of the declared type, from itself or from plain data.

    Raises ValueError where the value is neither; msgspec adds the path and makes a ValidationError of it.
    """
    made: Any = declared if isinstance(declared, type) else getattr(declared, "__origin__", object)
    if isinstance(value, made):
        return value
    if hasattr(made, "model_validate"):
        try:
            return made.model_validate(value)
        except ValueError as error:
            problems = _pydantic_problems(error)
        raise ValueError(problems)
    if isinstance(value, str) and is_path(made):
        return made(value)
    raise ValueError(f"Expected `{made.__name__}`, got `{type(value).__name__}`")


def _pydantic_problems(error: Any) -> str:
    if not hasattr(error, "errors"):
        return str(error)
    told = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors(include_input=False, include_url=False)]
    return "; ".join(f"{message} ({path})" if path else message for path, message in told)


def encode_foreign(value: Any) -> Any:
    """The `enc_hook` for msgspec: plain data from a value. Raises NotImplementedError where there is none."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if is_path(type(value)):
        return str(value)
    raise NotImplementedError(f"a {type(value).__name__} is not plain data")


def is_path(declared: Any) -> bool:
    """Whether it is `pathlib.Path` or another of its kind: stored as its text."""
    bases = getattr(declared, "__mro__", ())
    return any(base.__name__ == "PurePath" and base.__module__.partition(".")[0] == "pathlib" for base in bases)


def is_storable(declared: type[Any]) -> bool:
    """Whether values of a class that msgspec does not know may have a way to bytes and back; False only where it is certain."""
    if is_path(declared) or (hasattr(declared, "model_validate") and hasattr(declared, "model_dump")):
        return True
    try:
        return any(issubclass(plain, declared) for plain in _PLAIN)  # what comes out of bytes may be one as it is
    except TypeError:  # a protocol that cannot be asked at run time
        return True
