"""All node nouns: what a decorated method is on the class (`Step`, `Map`, …) and on an instance (`Bound`).

A node holds what its author said, unread: `assembling.py` reads it when the class is made. The types here are what lets a checker
see the wiring. This room refuses to know how a node is declared (`decorators.py`) and performed.
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, Protocol, TypeVar, cast, overload

from reactor.define.bound import Bound, Typed, in_call
from reactor.define.handlers import Compensate, Handler, HandlerKind, Register, Undo
from reactor.define.results import Results
from reactor.define.sources import Ref
from reactor.define.teaching import author_span, nearest
from reactor.errors import MissingArguments, NoSuchAttribute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from reactor.define.definition import NodeKind
    from reactor.define.options import Options

__all__ = [
    "Ask",
    "Bound",
    "Composed",
    "HasOutput",
    "Interrupt",
    "Map",
    "Node",
    "OptionalComposed",
    "OptionalStep",
    "Source",
    "Step",
    "Typed",
    "in_call",
]

T = TypeVar("T")
E = TypeVar("E")
T_co = TypeVar("T_co", covariant=True)


class HasOutput(Protocol[T_co]):
    """A reactor, by the type of its output."""

    @property
    def output(self) -> Typed[T_co]:
        """The node whose value is the run's."""
        ...


# ---- on the class ---------------------------------------------------------------------------------------------


class Node(Typed[T_co]):
    """A step, map, compose or interrupt as a class attribute, `Checkout.price`.

    `name` is its own, `owner` the class whose body declares it (None until that class is made).

    >>> from reactor import Reactor, step
    >>> class Greet(Reactor):
    ...     @step
    ...     async def output(self) -> str: ...
    >>> Greet.output.name
    'output'
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

        def __call__(self, *_: object, **__: object) -> NoReturn:
            """Refuse: wiring is by reference, not by calling."""
            raise MissingArguments(
                f"the {self.kind} `{self.name}` is called on the class: there it is a node, and has no instance to work on",
                where=author_span(),
                fix=f"refer to its result, `x: T = {self.name}.result`; in a unit test call it on an instance",
            )

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
    """A node whose own code is called: an `async def` is awaited, a plain `def` runs in a thread.

    >>> from reactor import Reactor, step
    >>> class Price(Reactor):
    ...     @step
    ...     async def net(self) -> int: ...
    ...
    ...     @step
    ...     async def output(self, net: int = net.result) -> int: ...
    >>> Price.net
    <step Price.net>
    """

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
    """A step with `when=`: dependents must admit None.

    >>> from reactor import Reactor, step
    >>> class Gift(Reactor):
    ...     @step
    ...     async def is_big(self) -> bool: ...
    ...
    ...     @step(when=is_big)
    ...     async def output(self) -> str: ...
    >>> isinstance(Gift.output, OptionalStep)
    True
    """

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
    """A node whose code is called once for each element; its value is a `Results`.

    >>> from reactor import Reactor, map_over
    >>> class Squares(Reactor):
    ...     @map_over([1, 2, 3])
    ...     async def output(self, n: int) -> int: ...
    >>> Squares.output
    <map Squares.output>
    """

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
    """A node that parks for the outside. Invariant in its payload, so that `signal` accepts that type and no other.

    >>> from reactor import Reactor, interrupt
    >>> class Approve(Reactor):
    ...     @interrupt
    ...     async def output(self) -> Ask[bool]: ...
    >>> Approve.output
    <interrupt Approve.output>
    """

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
    """A node whose code returns a reactor, which then runs in its place.

    >>> from reactor import Reactor, compose
    >>> class Countdown(Reactor):
    ...     @compose
    ...     async def output(self) -> "Countdown": ...
    >>> Countdown.output
    <compose Countdown.output>
    """

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
    """A compose with `when=`: dependents must admit None.

    >>> from reactor import Reactor, compose, step
    >>> class Countdown(Reactor):
    ...     @step
    ...     async def goes_on(self) -> bool: ...
    ...
    ...     @compose(when=goes_on)
    ...     async def output(self) -> "Countdown": ...
    >>> isinstance(Countdown.output, OptionalComposed)
    True
    """

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
    """A lazy, resumable source of elements. On an instance it is its own code, for a unit test.

    >>> from collections.abc import AsyncIterator
    >>> from reactor import Reactor, source
    >>> class Rows(Reactor, abstract=True):
    ...     @source
    ...     async def rows(self) -> AsyncIterator[int]:
    ...         yield 1
    >>> Rows.rows
    <source Rows.rows>
    """

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
