"""How types, paths, seconds and constants read on a picture: short, on one line, with nothing that a terminal could obey."""

from __future__ import annotations

import types
import typing
from typing import Any

from reactor.define.definition import Key


def spell_type(annotation: Any) -> str:
    """A type as its author wrote it, modules left out.

    >>> spell_type(dict[str, list[int]] | None)
    'dict[str, list[int]] | None'
    """
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, str):
        return printable(annotation)
    origin = typing.get_origin(annotation)
    if origin is None:
        return printable(getattr(annotation, "__name__", None) or str(annotation).rpartition(".")[2])
    args = typing.get_args(annotation)
    if origin is typing.Annotated:
        return spell_type(args[0])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(spell_type(arg) for arg in args)
    if origin is typing.Literal:
        return f"Literal[{', '.join(spell_value(arg) for arg in args)}]"
    name = getattr(annotation, "__name__", None) or getattr(origin, "__name__", str(origin))
    return f"{printable(str(name))}[{', '.join(_spell_argument(arg) for arg in args)}]"


def spell_path(path: tuple[str | int | Key, ...]) -> str:
    """A reference's path behind the result: attributes and constant indexes.

    >>> spell_path(("lines", 0, Key("eur")))
    ".lines[0]['eur']"
    """
    return "".join(_spell_part(part) for part in path)


def spell_value(value: Any) -> str:
    """A constant where its repr is its value; of other objects only the class, since a repr may hold an address or a secret."""
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return printable(repr(value), 60)
    if isinstance(value, (list, tuple, dict, set, frozenset)) and not value:
        return printable(repr(value))
    if isinstance(value, type) or callable(value):
        return printable(getattr(value, "__name__", "…"))
    return f"{printable(type(value).__name__)}(…)"


def spell_seconds(seconds: float) -> str:
    """Seconds in the largest unit that keeps them whole.

    >>> spell_seconds(172800), spell_seconds(1.5), spell_seconds(90)
    ('2 d', '1.5 s', '90 s')
    """
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def printable(text: str, most: int = 200) -> str:
    r"""Text on one line, with everything unprintable written as an escape, and cut at `most` characters.

    >>> printable("a" + chr(10) + chr(27) + "[31m")
    'a\\n\\x1b[31m'
    """
    clean = text if text.isprintable() else "".join(char if char.isprintable() else _escape(char) for char in text)
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _spell_argument(arg: Any) -> str:
    if arg is Ellipsis:
        return "..."
    if isinstance(arg, list):  # Callable[[int], str]
        return f"[{', '.join(_spell_argument(inner) for inner in arg)}]"
    return spell_type(arg)


def _spell_part(part: str | int | Key) -> str:
    match part:
        case Key(name):
            return f"[{printable(repr(name), 40)}]"
        case int():
            return f"[{part}]"
        case str():
            return f".{printable(part)}"
