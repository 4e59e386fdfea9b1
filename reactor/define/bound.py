"""What a node is on an instance: its own code, callable in a unit test, and in a running step a mistake.

This room refuses to know what a node is on the class (`steps.py`).
"""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, Protocol, TypeVar, cast

from reactor.define.sources import stands_in
from reactor.define.teaching import author_span, nearest
from reactor.errors import DefinitionError, MissingArguments, NoSuchAttribute

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T_co = TypeVar("T_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)

in_call: ContextVar[object | None] = ContextVar("in_call", default=None)
"""Set by the runner for each call: inside one, calling `self.price()` is a mistake."""


class Typed(Generic[T_co]):
    """Something that has a value of this type, on the class or on an instance."""

    if TYPE_CHECKING:

        def _type(self) -> T_co: ...


class _Node(Protocol):
    kind: ClassVar[Any]
    name: str
    fn: Callable[..., Any]


class Bound(Typed[T_co], Generic[T_co, R_co]):
    """What `self.price` is: the node's own code (which returns R), callable in a unit test; it has no `.result`.

    >>> import asyncio
    >>> from reactor import Reactor, step
    >>> class Double(Reactor):
    ...     n: int
    ...
    ...     @step
    ...     async def output(self) -> int:
    ...         return self.n * 2
    >>> asyncio.run(Double(n=2).output())
    4
    """

    __slots__ = ("_instance", "_node")

    def __init__(self, node: _Node, instance: object) -> None:
        self._node = node
        self._instance = instance

    def __call__(self, *args: Any, **kwargs: Any) -> Awaitable[R_co]:
        """The node's own code on this instance, every reference and resource given in the call.

        Raises MissingArguments where one is not given, and DefinitionError inside a running step.
        """
        name = self._node.name
        if in_call.get() is not None:
            raise DefinitionError(
                f"the step `{name}` is called inside a running one: the engine would not know of it",
                code="step-called-in-step",
                where=author_span(),
                fix=f"take its result as a parameter's default, `x: T = {name}.result`, or move the shared code to a plain method",
            )
        return cast("Awaitable[R_co]", _called_alone(self._node.fn, self._instance, args, kwargs))

    if not TYPE_CHECKING:  # a checker knows what is not there; this is for whoever runs without one

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):  # a protocol's question (inspect, mock, copy), not the author's
                raise AttributeError(name)
            node = self._node.name
            raise NoSuchAttribute(
                f"`self.{node}` has no `{name}`: on an instance a node is its own code, not its result",
                code="no-result-on-instance",
                where=author_span(),
                fix=f"take the result as a parameter's default in the class body, `x: T = {node}.result`",
            )

    def __repr__(self) -> str:
        return f"<{self._node.kind} {self._node.name} of {self._instance!r}>"


def _called_alone(fn: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Awaitable[Any]:
    signature = inspect.signature(fn)
    takes = list(signature.parameters)[1:]
    try:
        given = signature.bind(instance, *args, **kwargs)
    except TypeError as error:
        unknown = next((name for name in kwargs if name not in takes), None)
        raise _call_refused(fn, str(error), takes, unknown) from None
    given.apply_defaults()
    lacking = [f"`{name}`" for name, value in given.arguments.items() if stands_in(value)]
    if lacking:
        raise _call_refused(fn, f"lacks {', '.join(lacking)}", takes, None)
    if inspect.iscoroutinefunction(inspect.unwrap(fn)):
        called: Awaitable[Any] = fn(*given.args, **given.kwargs)
        return called
    return _awaitable(fn, given)


async def _awaitable(fn: Callable[..., Any], given: inspect.BoundArguments) -> Any:
    return fn(*given.args, **given.kwargs)


def _call_refused(fn: Callable[..., Any], what: str, takes: list[str], unknown: str | None) -> MissingArguments:
    return MissingArguments(
        f"`{fn.__name__}` called alone: {what}",
        where=author_span(),
        known=takes,
        nearest=nearest(unknown, takes) if unknown else None,
        fix=f"give every dependency: `await reactor.{fn.__name__}({', '.join(f'{name}=…' for name in takes)})`",
    )
