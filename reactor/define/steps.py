"""All node nouns: what a decorated method is on the class (`Step`, `Map`, …) and on an instance (`Bound`).

A node holds what its author said, unread: `assembling.py` reads it when the class is made. The types here are what lets a checker
see the wiring. This room refuses to know how a node is declared (`decorators.py`) and performed.
"""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, Protocol, TypeVar, cast, overload

from reactor.define.handlers import Compensate, Handler, HandlerKind, Register, Undo
from reactor.define.results import Results
from reactor.define.sources import Ref, stands_in
from reactor.define.teaching import author_span, nearest
from reactor.errors import DefinitionError, MissingArguments, NoSuchAttribute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from reactor.define.definition import NodeKind
    from reactor.define.options import Options

T = TypeVar("T")
E = TypeVar("E")
T_co = TypeVar("T_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)

in_call: ContextVar[object | None] = ContextVar("in_call", default=None)
"""Set by the runner for each call: inside one, calling `self.price()` is a mistake."""


class Typed(Generic[T_co]):
    """Something that has a value of this type, on the class or on an instance."""

    if TYPE_CHECKING:

        def _type(self) -> T_co: ...


class HasOutput(Protocol[T_co]):
    """A reactor, by the type of its output."""

    @property
    def output(self) -> Typed[T_co]:
        """The node whose value is the run's."""
        ...


# ---- on an instance -------------------------------------------------------------------------------------------


class Bound(Typed[T_co], Generic[T_co, R_co]):
    """What `self.price` is: the node's own code (which returns R), callable in a unit test; it has no `.result`."""

    __slots__ = ("_instance", "_node")

    def __init__(self, node: Node[Any], instance: object) -> None:
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


# ---- on the class ---------------------------------------------------------------------------------------------


class Node(Typed[T_co]):
    """A step, map, compose or interrupt as a class attribute, `Checkout.price`.

    `name` is its own, `owner` the class whose body declares it (None until that class is made).
    """

    kind: ClassVar[NodeKind] = "step"

    def __init__(self, fn: Callable[..., Any], options: Options) -> None:
        self.fn = fn
        self.options = options
        self.name: str = getattr(fn, "__name__", "?")
        self.owner: type[Any] | None = None
        self.handlers: dict[HandlerKind, Handler] = {}

    def __set_name__(self, owner: type[Any], name: str) -> None:
        if self.owner is None:
            self.owner, self.name = owner, name
        elif self.owner is owner and self.name == "output":
            self.name = name  # `output = ship` is a second name for ship, whichever comes first

    def __get__(self, obj: object | None, owner: type, /) -> Any:
        return self if obj is None else Bound(self, obj)

    @property
    def result(self) -> T_co:
        """The reference to this node's result, for another node's default; attribute paths may follow."""
        return cast("T_co", Ref(self))

    if not TYPE_CHECKING:  # a checker knows what is not there; this is for whoever runs without one

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(name)
            takes = [word for word in ("result", "undo", "compensate") if hasattr(type(self), word)]
            raise NoSuchAttribute(
                f"the {self.kind} `{self.name}` has no `{name}`",
                code="no-such-node-attribute",
                where=author_span(),
                known=takes,
                nearest=nearest(name, takes),
                fix=_HINTS.get((self.kind, name), f"for a part of its value say `{self.name}.result.{name}`"),
            )

    def __repr__(self) -> str:
        return f"<{self.kind} {self.owner.__name__ + '.' if self.owner else ''}{self.name}>"


_HINTS = {
    ("compose", "undo"): "leave it out: a child is undone by its own nodes' undos",
    ("interrupt", "undo"): "leave it out: an answer has nothing to undo; undo what a later step did with it",
}


class Step(Node[T]):
    """A node whose own code is called: an `async def` is awaited, a plain `def` runs in a thread."""

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type, /) -> Step[T]: ...
        @overload
        def __get__(self, obj: object, owner: type, /) -> Bound[T, T]: ...
        def __get__(self, obj: object | None, owner: type, /) -> Any: ...

    @property
    def undo(self) -> Undo[T]:
        """Declares what reverses this step once it succeeded; gets its result."""
        return cast("Undo[T]", Register(self, "undo"))

    @property
    def compensate(self) -> Compensate[T]:
        """Declares what answers this step's own failure; gets a StepError, may return Continue or TryAgain."""
        return cast("Compensate[T]", Register(self, "compensate"))


class OptionalStep(Node[T | None], Generic[T]):
    """A step with `when=`: dependents must admit None."""

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type, /) -> OptionalStep[T]: ...
        @overload
        def __get__(self, obj: object, owner: type, /) -> Bound[T | None, T | None]: ...
        def __get__(self, obj: object | None, owner: type, /) -> Any: ...

    @property
    def undo(self) -> Undo[T]:
        """Declares what reverses this step once it succeeded; a skipped one is never undone."""
        return cast("Undo[T]", Register(self, "undo"))

    @property
    def compensate(self) -> Compensate[T]:
        """Declares what answers this step's own failure; never called where it was skipped."""
        return cast("Compensate[T]", Register(self, "compensate"))


class Map(Node[Results[T]], Generic[T]):
    """A node whose code is called once for each element; its value is a `Results`."""

    kind: ClassVar[NodeKind] = "map"

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type, /) -> Map[T]: ...
        @overload
        def __get__(self, obj: object, owner: type, /) -> Bound[Results[T], Any]: ...
        def __get__(self, obj: object | None, owner: type, /) -> Any: ...

    @property
    def undo(self) -> Undo[T]:
        """Once for each element that succeeded; refused where the element is a reactor, which has its own."""
        return cast("Undo[T]", Register(self, "undo"))

    @property
    def compensate(self) -> Compensate[Results[T]]:
        """Declares what answers the failure of the map as a whole."""
        return cast("Compensate[Results[T]]", Register(self, "compensate"))


class Ask(Generic[T_co]):
    """What an interrupt asks of the outside: the business key that answers it, and what to show whoever answers.

    >>> Ask("order:o-1", show={"total": 99})
    Ask('order:o-1', show={'total': 99})
    """

    __slots__ = ("correlation_id", "show")
    __match_args__ = ("correlation_id", "show")

    def __init__(self, correlation_id: str | None = None, *, show: object = None) -> None:
        self.correlation_id = correlation_id
        self.show = show

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ask) and (self.correlation_id, self.show) == (other.correlation_id, other.show)

    __hash__ = None  # type: ignore[assignment]  # `show` is anything

    def __repr__(self) -> str:
        return f"Ask({self.correlation_id!r}" + (f", show={self.show!r})" if self.show is not None else ")")


class Interrupt(Node[T]):
    """A node that parks for the outside. Invariant in its payload, so that `signal` accepts that type and no other."""

    kind: ClassVar[NodeKind] = "interrupt"

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type, /) -> Interrupt[T]: ...
        @overload
        def __get__(self, obj: object, owner: type, /) -> Bound[T, Ask[T]]: ...
        def __get__(self, obj: object | None, owner: type, /) -> Any: ...

    @property
    def compensate(self) -> Compensate[T]:
        """Declares what answers a timeout, or payloads that never validated."""
        return cast("Compensate[T]", Register(self, "compensate"))


class Composed(Node[T]):
    """A node whose code returns a reactor, which then runs in its place."""

    kind: ClassVar[NodeKind] = "compose"

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type, /) -> Composed[T]: ...
        @overload
        def __get__(self, obj: object, owner: type, /) -> Bound[T, Any]: ...
        def __get__(self, obj: object | None, owner: type, /) -> Any: ...

    @property
    def compensate(self) -> Compensate[T]:
        """Declares what answers the child's failure, after it rolled back."""
        return cast("Compensate[T]", Register(self, "compensate"))


class OptionalComposed(Node[T | None], Generic[T]):
    """A compose with `when=`: dependents must admit None."""

    kind: ClassVar[NodeKind] = "compose"

    if TYPE_CHECKING:

        @overload
        def __get__(self, obj: None, owner: type, /) -> OptionalComposed[T]: ...
        @overload
        def __get__(self, obj: object, owner: type, /) -> Bound[T | None, Any]: ...
        def __get__(self, obj: object | None, owner: type, /) -> Any: ...

    @property
    def compensate(self) -> Compensate[T]:
        """Declares what answers the child's failure, after it rolled back."""
        return cast("Compensate[T]", Register(self, "compensate"))


class Source(Generic[E]):
    """A lazy, resumable source of elements. On an instance it is its own code, for a unit test."""

    def __init__(self, fn: Callable[..., AsyncIterator[E]], options: Options) -> None:
        self.fn = fn
        self.options = options
        self.name: str = getattr(fn, "__name__", "?")
        self.owner: type[Any] | None = None

    def __set_name__(self, owner: type[Any], name: str) -> None:
        if self.owner is None:
            self.owner, self.name = owner, name

    @overload
    def __get__(self, obj: None, owner: type, /) -> Source[E]: ...
    @overload
    def __get__(self, obj: object, owner: type, /) -> Callable[..., AsyncIterator[E]]: ...
    def __get__(self, obj: object | None, owner: type, /) -> Any:
        return self if obj is None else MethodType(self.fn, obj)

    def __repr__(self) -> str:
        return f"<source {self.owner.__name__ + '.' if self.owner else ''}{self.name}>"
