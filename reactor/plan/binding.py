"""How a node's arguments are read from the values at hand, once a call and therefore fast: the common cases are one C call.

A `Bind` takes the values by node index and the opened resources and returns the arguments past `self`. This room knows nothing
of why a parameter is bound so (that is `define/`), nor of who calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from reactor.define.definition import Binding, FromNode, FromResource, Items, Key, Literally, Param
from reactor.plan.plan import Bind, Opened

Values: TypeAlias = Sequence[Any]
Read: TypeAlias = Callable[[Values, Opened], Any]  # one argument

_MUTABLE = (list, dict, set, bytearray)


def bind_of(params: Sequence[Param], index: Mapping[str, int]) -> Bind:
    """Compile the parameters of one function to the callable that gives their arguments, in their order.

    >>> from reactor.define.definition import FromNode, Literally, Param
    >>> bind = bind_of([Param("quote", object, FromNode("price")), Param("n", int, Literally(2))], {"price": 0})
    >>> bind(["a quote"], {})
    ('a quote', 2)
    """
    bindings = [param.binding for param in params]
    places = _places(bindings, index)
    if places is not None:
        return _bind_places(places)
    return _bind_reads([_read_of(binding, index) for binding in bindings])


def providers_of(params: Sequence[Param]) -> tuple[Callable[[], Any], ...]:
    """The resources that the parameters read, each once, in order of first mention."""
    found = (leaf.provider for leaf in leaves_of(params) if isinstance(leaf, FromResource))
    return tuple(dict.fromkeys(found))


def names_of(params: Sequence[Param]) -> Iterator[str]:
    """The nodes whose results the parameters read, as often as they are read."""
    return (leaf.node for leaf in leaves_of(params) if isinstance(leaf, FromNode))


def leaves_of(params: Sequence[Param]) -> Iterator[FromNode | FromResource | Literally]:
    """All bindings of the parameters, those inside containers one by one."""
    for param in params:
        yield from _leaves(param.binding)


def path_of(reference: FromNode) -> Callable[[Any], Any] | None:
    """The function from a node's result to the value that the reference's path leads to; None where there is no path."""
    steps = [_path_step(part) for part in reference.path]
    if len(steps) <= 1:
        return steps[0] if steps else None
    if all(isinstance(part, str) for part in reference.path):
        return attrgetter(".".join(str(part) for part in reference.path))

    def follow(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return follow


def call_of(fn: Callable[..., Any], params: Sequence[Param], *, by_name: bool = False) -> Callable[..., Any]:
    """The author's function as the runner calls it, with all arguments by position: the function itself where that will do.

    Args:
        fn: the author's function, unbound.
        params: its bound parameters, in order.
        by_name: hand over every bound argument as a keyword, for a caller that adds a keyword which may stand before them.
    """
    names = tuple(param.name for param in params if by_name or param.keyword_only)
    if not names:
        return fn
    count = -len(names)

    def call(*args: Any, **more: Any) -> Any:
        return fn(*args[:count], **dict(zip(names, args[count:], strict=True)), **more)

    return call


# ---- all arguments at once -------------------------------------------------------------------------------------


def _places(bindings: Sequence[Binding], index: Mapping[str, int]) -> list[int] | None:
    """The node indexes where every binding is a whole result; else None."""
    places = [index[binding.node] for binding in bindings if isinstance(binding, FromNode) and not binding.path]
    return places if len(places) == len(bindings) else None


def _bind_places(places: list[int]) -> Bind:
    match places:
        case []:
            return lambda _values, _opened: ()
        case [a]:
            return lambda values, _opened: (values[a],)
        case [a, b]:
            return lambda values, _opened: (values[a], values[b])
        case [a, b, c]:
            return lambda values, _opened: (values[a], values[b], values[c])
        case _:
            pick: Callable[[Values], tuple[Any, ...]] = itemgetter(*places)
            return lambda values, _opened: pick(values)


def _bind_reads(reads: list[Read]) -> Bind:
    match reads:
        case [a]:
            return lambda values, opened: (a(values, opened),)
        case [a, b]:
            return lambda values, opened: (a(values, opened), b(values, opened))
        case [a, b, c]:
            return lambda values, opened: (a(values, opened), b(values, opened), c(values, opened))
        case _:
            return lambda values, opened: tuple([read(values, opened) for read in reads])


# ---- one argument ----------------------------------------------------------------------------------------------


def _read_of(binding: Binding, index: Mapping[str, int]) -> Read:
    match binding:
        case FromNode(node):
            return _read_reference(index[node], path_of(binding))
        case FromResource(provider):
            return lambda _values, opened: opened[provider]
        case Literally(value):
            return _read_literal(value)
        case Items():
            return _read_items(binding, index)


def _read_reference(place: int, follow: Callable[[Any], Any] | None) -> Read:
    if follow is None:
        return lambda values, _opened: values[place]
    return lambda values, _opened: follow(values[place])


def _read_literal(value: Any) -> Read:
    if isinstance(value, _MUTABLE):  # a constant stays one: a step that changes its argument must not change the next run's
        return lambda _values, _opened: deepcopy(value)
    return lambda _values, _opened: value


def _read_items(items: Items, index: Mapping[str, int]) -> Read:
    bind = bind_of([Param("", Any, item) for item in items.items], index)
    match items.kind:
        case "tuple":
            return bind
        case "list":
            return lambda values, opened: list(bind(values, opened))
        case "dict":
            keys = items.keys
            return lambda values, opened: dict(zip(keys, bind(values, opened), strict=True))


def _path_step(part: str | int | Key) -> Callable[[Any], Any]:
    match part:
        case Key(name):
            return itemgetter(name)
        case int():
            return itemgetter(part)
        case str():
            return attrgetter(part)


def _leaves(binding: Binding) -> Iterator[FromNode | FromResource | Literally]:
    if isinstance(binding, Items):
        for item in binding.items:
            yield from _leaves(item)
    else:
        yield binding
