"""An input's default that got into the wiring: in a class body its name is the default itself, a constant, not what a run is given.

This room refuses to know types, and what else a parameter may be bound to.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from reactor.define.sources import stands_in
from reactor.define.steps import Node, Source
from reactor.define.teaching import def_span, header_names, parameter_span
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_NOTHING: Any = object()


def check_frozen(cls: type[Any], inputs: Iterable[str]) -> None:
    """Raises DefinitionError where a map, or a parameter, of this class body takes the very object that is an input's default."""
    defaults = {name: default for name in inputs if _may_freeze(default := _default(cls, name))}
    if not defaults:
        return
    for node in vars(cls).values():
        if isinstance(node, Node) and node.kind == "map" and node.options.elements is not None:
            name = _taken(node.fn, node.options.elements, defaults, None)
            if name is not None:
                raise _mapped(node, name)
    for fn in dict.fromkeys(_functions(cls)):
        _check_parameters(fn, defaults)


def _default(cls: type[Any], name: str) -> Any:
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), _NOTHING)


def _may_freeze(default: Any) -> bool:
    return default is not _NOTHING and not isinstance(default, Node | Source) and not stands_in(default)


def _functions(cls: type[Any]) -> Iterator[Callable[..., Any]]:
    """What this class body says with parameters that are bound: nodes, sources, handlers, and overrides of inherited handlers."""
    nodes = [value for base in cls.__mro__ for value in vars(base).values() if isinstance(value, Node)]
    handlers = {handler.fn.__name__ for node in nodes for handler in node.handlers.values()}
    for name, value in vars(cls).items():
        if isinstance(value, Node | Source):
            yield value.fn
        elif name in handlers and inspect.isfunction(value):
            yield value
        if isinstance(value, Node):  # one that is called `_` is not in the class
            yield from (handler.fn for handler in value.handlers.values())


def _check_parameters(fn: Callable[..., Any], defaults: dict[str, Any]) -> None:
    inner: Any = inspect.unwrap(fn)
    given = [*(getattr(inner, "__defaults__", None) or ()), *(getattr(inner, "__kwdefaults__", None) or {}).values()]
    if not any(one is default for one in given for default in defaults.values()):
        return  # the common case, with no signature made
    for parameter in inspect.signature(fn).parameters.values():
        name = _taken(fn, parameter.default, defaults, parameter.name)
        if name is not None:
            raise _bound(fn, parameter.name, name)


def _taken(fn: Callable[..., Any], given: Any, defaults: dict[str, Any], parameter: str | None) -> str | None:
    """The input whose default this is, if the author said its name. Equal constants are one object, so the source is asked.

    Where there is no source, a parameter counts only under the input's own name.
    """
    same = [name for name, default in defaults.items() if default is given]
    if not same:
        return None
    said = header_names(fn, parameter)
    if said is None:
        return next((name for name in same if parameter in {None, name}), None)
    return next((name for name in same if name in said), None)


def _mapped(node: Node[Any], name: str) -> DefinitionError:
    return DefinitionError(
        f"the map `{node.name}` is over the default of the input `{name}`: whatever a run is given, it would map over that",
        code="input-as-constant",
        where=def_span(node.fn),
        fix=f"write a step that returns it, `async def given(self) -> list[T]: return self.{name}`, and say `@map_over(given.result)`; "
        f"or a `@source` that yields from `self.{name}`",
    )


def _bound(fn: Callable[..., Any], parameter: str, name: str) -> DefinitionError:
    return DefinitionError(
        f"the parameter `{parameter}` of `{fn.__name__}` is bound to the default of the input `{name}`: whatever a run is given, "
        "it would get that",
        code="input-as-constant",
        where=parameter_span(fn, parameter),
        fix=f"drop the parameter, and read `self.{name}` in the code",
    )
