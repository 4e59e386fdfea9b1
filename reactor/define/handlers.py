"""`@x.undo` and `@x.compensate`: the typed face, and how a handler is registered with its node in the class body.

This room refuses to know which node takes which: a node that takes none has no such attribute.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Literal, Protocol, TypeAlias, TypeVar, overload

from reactor.define.options import Options, read_options
from reactor.define.teaching import author_span, def_span, said_before
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactor.define.failing import StepError
    from reactor.define.outcomes import Continue, TryAgain
    from reactor.define.retrying import Retry
    from reactor.define.seconds import Seconds

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

HandlerKind: TypeAlias = Literal["undo", "compensate"]


@dataclass(frozen=True, slots=True, eq=False)
class Handler:
    """An `undo` or `compensate` as registered; a subclass's method of its name takes its place."""

    fn: Callable[..., Any]
    options: Options


class Undo(Protocol[T_co]):
    """`@x.undo`, or `@x.undo(retry=…, timeout=…)`: gets self, the step's own result, and resources as defaults."""

    @overload
    def __call__(self, fn: Callable[Concatenate[Any, T_co, ...], Awaitable[None]], /) -> Callable[..., Awaitable[None]]: ...
    @overload
    def __call__(
        self, *, retry: Retry | None = None, timeout: Seconds | None = None
    ) -> Callable[[Callable[Concatenate[Any, T_co, ...], Awaitable[None]]], Callable[..., Awaitable[None]]]: ...


class Compensate(Protocol[T]):
    """`@x.compensate`, or `@x.compensate(retry=…, timeout=…)`."""

    @overload
    def __call__(
        self, fn: Callable[Concatenate[Any, StepError, ...], Awaitable[Continue[T] | TryAgain | None]], /
    ) -> Callable[..., Awaitable[Any]]: ...
    @overload
    def __call__(
        self, *, retry: Retry | None = None, timeout: Seconds | None = None
    ) -> Callable[
        [Callable[Concatenate[Any, StepError, ...], Awaitable[Continue[T] | TryAgain | None]]], Callable[..., Awaitable[Any]]
    ]: ...


class _Node(Protocol):
    name: str
    owner: type[Any] | None
    handlers: dict[HandlerKind, Handler]


class Register:
    """What `price.undo` is in the class body: a decorator, bare or with options."""

    __slots__ = ("_kind", "_node")

    def __init__(self, node: _Node, kind: HandlerKind) -> None:
        self._node = node
        self._kind: HandlerKind = kind

    def __call__(self, fn: Any = None, /, **given: Any) -> Any:
        """Register this function, or give the decorator that will. Raises DefinitionError for what cannot be a handler."""
        options = read_options(self._kind, given)
        return self._register(options)(fn) if fn is not None else self._register(options)

    def _register(self, options: Options) -> Callable[[Any], Any]:
        def register(fn: Any) -> Any:
            self._check(fn)
            self._node.handlers[self._kind] = Handler(fn, options)
            return fn

        return register

    def _check(self, fn: Any) -> None:
        node, kind = self._node, self._kind
        if not inspect.isfunction(fn):
            raise self._wrong(
                f"decorates {fn!r}", "handler-not-a-function", f"put `@{node.name}.{kind}` on an `async def` of the class body"
            )
        if not inspect.iscoroutinefunction(inspect.unwrap(fn)):
            raise self._wrong(f"decorates the plain `{fn.__name__}`", "handler-not-async", f"make it `async def {fn.__name__}`", fn)
        if node.owner is not None:
            fix = f"override the method by its name, or the step `{node.name}` with its {kind}"
            raise self._wrong(f"comes after {node.owner.__name__} was made, and would change it", "handler-too-late", fix, fn)
        if kind in node.handlers:
            fix = f"keep one: `{node.handlers[kind].fn.__name__}` or `{fn.__name__}`"
            raise self._wrong(f"is said twice, for `{node.handlers[kind].fn.__name__}` and `{fn.__name__}`", "handler-twice", fix, fn)
        if fn.__name__ == node.name or hasattr(said_before(fn.__name__), "handlers"):
            fix = f"name it for what it does: `async def un_{node.name}`"
            raise self._wrong(f"takes the name `{fn.__name__}` from a node", "handler-takes-name", fix, fn)

    def _wrong(self, what: str, code: str, fix: str, fn: Any = None) -> DefinitionError:
        where = def_span(fn) if fn is not None else author_span()
        return DefinitionError(f"`@{self._node.name}.{self._kind}` {what}", code=code, where=where, fix=fix)
