"""The options of a class statement, `class Checkout(Reactor, name="checkout", version=3)`, each with its own check."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reactor.define.retrying import Retry
from reactor.define.teaching import nearest
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reactor.define.definition import Span

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True, slots=True)
class ClassOptions:
    """What a class statement says, with defaults."""

    name: str
    version: int = 1
    aliases: tuple[str, ...] = ()
    retry: Retry | None = None
    max_running: int | None = None
    abstract: bool = False


def read_class_options(cls: type[Any], given: Mapping[str, Any], where: Span) -> ClassOptions:
    """Raises DefinitionError for an option that a reactor does not take, or a value out of range."""
    for name, value in given.items():
        if name not in _CHECKS:
            near = nearest(name, _CHECKS)
            raise DefinitionError(
                f"a reactor takes no `{name}`",
                code="option-not-taken",
                where=where,
                known=tuple(_CHECKS),
                nearest=near,
                fix=f"say `class {cls.__name__}(Reactor, {near}=…)`" if near else "leave it out",
            )
        fix = _CHECKS[name](value)
        if fix is not None:
            raise DefinitionError(f"`{name}` of {cls.__name__} is {value!r}", code=f"bad-{name.replace('_', '-')}", where=where, fix=fix)
    said = {**given, "name": given.get("name") or cls.__name__, "aliases": tuple(given.get("aliases", ()))}
    fix = _name(said["name"])
    if fix is not None:
        raise DefinitionError(f"the name of {cls.__name__} cannot be part of a run's id", code="bad-name", where=where, fix=fix)
    return ClassOptions(**said)


def _name(value: Any) -> str | None:
    if isinstance(value, str) and _NAME.fullmatch(value):
        return None
    return "give a `name=` of 1 to 100 characters of A-Z a-z 0-9 _ . -"


def _aliases(value: Any) -> str | None:
    fits = isinstance(value, list | tuple) and all(_name(alias) is None for alias in value)
    return None if fits else "give a list of the names it had before, `aliases=['old-name']`"


def _count(value: Any) -> str | None:
    return None if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else "give a whole number from 1"


_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "name": lambda value: None if value is None else _name(value),
    "version": _count,
    "aliases": _aliases,
    "retry": lambda value: None if value is None or isinstance(value, Retry) else "say `retry=Retry(attempts)`",
    "max_running": lambda value: None if value is None else _count(value),
    "abstract": lambda value: None if isinstance(value, bool) else "say True or False",
}
