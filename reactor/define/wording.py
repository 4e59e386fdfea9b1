"""What msgspec says of a wrong value, as one sentence: where it is, what is expected, which values are allowed, and what was given.

This room refuses to know fields: it sees a type, a value of it, and a message. Of a secret only the rule is told.
"""

from __future__ import annotations

import re
import reprlib
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = "********"

_PATH = re.compile(r"(?P<text>.*) - at (?P<key>`key` in )?`\$(?P<path>.*)`$", re.DOTALL)
_PART = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")
_GOT = re.compile(r", got (?:`[^`]*`|\d+)$")  # of which type, of how many: the value itself tells more
_NOT_ONE = re.compile(r"Invalid (?:enum )?value ", re.DOTALL)
_TYPE = r"(?:int|float|bool|str|bytes|array|object|null|datetime|date|time|duration|uuid|decimal|ext)"
_LIMIT = r" of length [<>=]* ?\d+| [<>]=? -?[\d.e+-]+| that's a multiple of [\d.]+| matching regex '.*'| with(?:out)? a timezone component"
_RULE = re.compile(rf"Expected `{_TYPE}(?: \| {_TYPE})*`(?:{_LIMIT})?")
_NOTHING: Any = object()


def told(name: str, declared: Any, value: Any, message: str) -> tuple[str, str]:
    """(path, text) of what is wrong with the value of an input."""
    found = _PATH.match(message)
    text, path, in_key = (found["text"], found["path"], found["key"] is not None) if found is not None else (message, "", False)
    given = _at(value, path)
    said = _rule(text, declared, path, in_key=in_key)
    if given is _NOTHING:
        return name + path, f"{said}, in a key" if in_key else said
    if in_key:
        return name + path, f"{said}, in a key of {reprlib.repr(given)}"
    return name + path, f"{_GOT.sub('', said)}, got {reprlib.repr(given)}"


def told_of_secret(name: str, declared: Any, message: str, otherwise: str) -> tuple[str, str]:
    """(path, text) of what is wrong with a secret: the rule that it breaks where that is the type's own, else `otherwise`."""
    found = _PATH.match(message)
    text, path = (found["text"], found["path"]) if found is not None else (message, "")
    text = _GOT.sub("", text)
    if _NOT_ONE.match(text):
        said = _rule(text, declared, path, in_key=found is not None and found["key"] is not None)
    else:
        said = _lower(text) if _RULE.fullmatch(text) else otherwise  # an author's validator may repeat what it was given
    return name, f"{said}, got {MASK}"


def _rule(text: str, declared: Any, path: str, *, in_key: bool) -> str:
    if not _NOT_ONE.match(text):
        return _lower(text)
    allowed = ", ".join(map(repr, _allowed(declared, path, in_key=in_key)))
    return f"expected one of {allowed}" if allowed else "no allowed value"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


# ---- the value at a path ----------------------------------------------------------------------------------------


def _at(value: Any, path: str) -> Any:
    at = 0
    for part in _PART.finditer(path):
        if part["any"] or part.start() != at:
            return _NOTHING
        at = part.end()
        try:
            value = _into(value, part["name"], part["index"])
        except (LookupError, TypeError, AttributeError):
            return _NOTHING
    return value


def _into(value: Any, name: str | None, index: str | None) -> Any:
    if index is not None:
        return value[int(index)]
    return value[name] if isinstance(value, dict) else getattr(value, name or "")


# ---- the type at a path -----------------------------------------------------------------------------------------


def _allowed(declared: Any, path: str, *, in_key: bool) -> list[Any]:
    """The values of the enums, literals and tags that a path leads to."""
    try:
        found = [msgspec.inspect.type_info(declared)]
    except (NameError, TypeError):
        return []
    for part in _PART.finditer(path):
        found = [inner for info in found for one in _members(info) for inner in _inside(one, part)]
    members = [one for info in found for one in _members(info)]
    if in_key:
        members = [one for info in members if isinstance(info, msgspec.inspect.DictType) for one in _members(info.key_type)]
    return [value for one in members for value in _values(one)]


def _members(info: Any) -> Iterator[Any]:
    if isinstance(info, msgspec.inspect.Metadata):
        yield from _members(info.type)
    elif isinstance(info, msgspec.inspect.UnionType):
        for one in info.types:
            yield from _members(one)
    else:
        yield info


def _inside(info: Any, part: re.Match[str]) -> Iterator[Any]:
    if part["name"] is not None:
        if part["name"] == getattr(info, "tag_field", None):
            yield msgspec.inspect.LiteralType((info.tag,))
        yield from (field.type for field in getattr(info, "fields", ()) if field.encode_name == part["name"])
        return
    fields = getattr(info, "fields", ()) if part["index"] is not None else ()
    items = getattr(info, "item_types", None) or [field.type for field in fields]
    if items:
        yield from items[int(part["index"] or 0) :][:1]
    yield from (getattr(info, name) for name in ("item_type", "value_type") if hasattr(info, name))


def _values(info: Any) -> Iterator[Any]:
    if isinstance(info, msgspec.inspect.LiteralType):
        yield from info.values
    elif isinstance(info, msgspec.inspect.EnumType):
        yield from (member.value for member in info.cls)
