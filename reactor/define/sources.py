"""Where a parameter comes from: references to results, and resources. A reference stands in for a value that does not exist yet.

`price.result.lines[0]` is recorded, never evaluated: every operator, call, bool, str and format on it is refused with a teaching
error. This room refuses to know nodes: a reference holds its node opaquely, by identity; its name is asked for later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from reactor.define.definition import Key
from reactor.define.teaching import author_span
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

T = TypeVar("T")

Path = tuple["str | int | Key", ...]


class Ref:
    """A reference to a node's result, or to a path in it. Its own names begin with `_`, so an author's `.total` never collides."""

    __slots__ = ("_node", "_path")
    _node: Any
    _path: Path

    def __init__(self, node: Any, path: Path = ()) -> None:
        object.__setattr__(self, "_node", node)
        object.__setattr__(self, "_path", path)

    def __getattr__(self, name: str) -> Ref:
        if name.startswith("__"):  # a protocol's question (copy, inspect, typing), not the author's
            raise AttributeError(name)
        return Ref(self._node, (*self._path, name))

    def __getitem__(self, index: object) -> Ref:
        if isinstance(index, bool) or not isinstance(index, int | str):
            raise _refused(self, f"is indexed with {index!r}", "an index in a reference is a constant int or str")
        return Ref(self._node, (*self._path, Key(index) if isinstance(index, str) else index))

    def __repr__(self) -> str:
        return f"<reference {said(self)}>"


def node_of(ref: Ref) -> Any:
    """The node that a reference begins at."""
    return object.__getattribute__(ref, "_node")


def path_of(ref: Ref) -> Path:
    """The attributes and constant indexes that follow."""
    path: Path = object.__getattribute__(ref, "_path")
    return path


def said(ref: Ref) -> str:
    """A reference as its author wrote it: `price.result.lines[0]`."""
    return f"{getattr(node_of(ref), 'name', '?')}.result{spelled(path_of(ref))}"


def spelled(path: Path) -> str:
    """The path of a reference as its author wrote it.

    >>> spelled(("lines", 0, Key("eur")))
    ".lines[0]['eur']"
    """
    return "".join(f".{p}" if isinstance(p, str) else f"[{p.name!r}]" if isinstance(p, Key) else f"[{p}]" for p in path)


def _refused(ref: Ref, what: str, fix: str) -> DefinitionError:
    what = f"the reference `{said(ref)}` {what}: its value does not exist yet"
    return DefinitionError(what, code="reference-used", where=author_span(), fix=fix)


_FIX = "take it as a parameter's default, `x: T = {}`, and work on `x` in the step's own code"

_REFUSED = {
    "compared": "eq ne lt le gt ge",
    "calculated with": "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift radd rsub rmul rtruediv rfloordiv rmod "
    "rdivmod rpow rmatmul rand ror rxor rlshift rrshift iadd isub imul itruediv ifloordiv imod ipow imatmul iand ior ixor ilshift "
    "irshift neg pos abs invert round trunc floor ceil",
    "called": "call",
    "taken for true or false": "bool",
    "turned into text": "str format bytes",
    "turned into a number": "int float complex index",
    "hashed": "hash",
    "iterated": "iter next len contains reversed length_hint aiter anext",
    "awaited": "await",
    "entered": "enter exit aenter aexit",
    "assigned to": "setattr delattr setitem delitem",
}


def _refuse(verb: str) -> Callable[..., Any]:
    def method(self: Ref, *_: object) -> Any:
        raise _refused(self, f"is {verb}", _FIX.format(said(self)))

    return method


for _verb, _names in _REFUSED.items():
    for _name in _names.split():
        setattr(Ref, f"__{_name}__", _refuse(_verb))


@dataclass(frozen=True, slots=True)
class Resource:
    """What `use` leaves as a default."""

    provider: Callable[[], Any]


def stands_in(default: object) -> bool:
    """Whether a default is, or holds, a reference or a resource: something an engine puts a value in the place of."""
    if isinstance(default, Ref | Resource):
        return True
    if type(default) in {list, tuple}:
        return any(map(stands_in, cast("list[object]", default)))
    return type(default) is dict and any(map(stands_in, cast("dict[object, object]", default).values()))


@overload
def use(provider: Callable[[], AbstractAsyncContextManager[T]], /) -> T: ...
@overload
def use(provider: Callable[[], AbstractContextManager[T]], /) -> T: ...
@overload
def use(provider: Callable[[], Awaitable[T]], /) -> T: ...
@overload
def use(provider: Callable[[], T], /) -> T: ...
def use(provider: Any, /) -> Any:
    """A resource (pool, client), opened when first needed, once per engine, closed with it; handed to steps as a default.

    The provider takes nothing and gives an async or plain context manager, an awaitable, or the resource itself.

    >>> use(dict)
    Resource(provider=<class 'dict'>)

    Raises DefinitionError where the provider cannot be called.
    """
    if not callable(provider):
        raise DefinitionError(
            f"`use` takes a provider that can be called with nothing, not {provider!r}",
            code="provider-not-callable",
            where=author_span(),
            fix="hand over the function itself, `use(warehouse)`, not what it returns",
        )
    return Resource(provider)
