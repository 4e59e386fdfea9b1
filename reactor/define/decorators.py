"""The decorators of a class body: `step`, `source`, `map_over`, `compose`, `interrupt`, typed so that a checker sees the wiring.

They check what can be seen without the class: the function's kind and each option by itself. This room refuses to know parameters,
names and the graph.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, Protocol, TypeVar, overload

from reactor.define.options import Options, read_options
from reactor.define.sources import Ref, said
from reactor.define.steps import Ask, Composed, HasOutput, Interrupt, Map, Node, OptionalComposed, OptionalStep, Source, Step
from reactor.define.teaching import author_span, def_span, said_before, span_of
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from reactor.define.retrying import Retry
    from reactor.define.seconds import Seconds

T = TypeVar("T")
E = TypeVar("E")


class _StepOf(Protocol):
    """An `async def` is awaited; a plain `def` runs in a private thread pool."""

    @overload
    def __call__(self, fn: Callable[..., Awaitable[T]], /) -> Step[T]: ...
    @overload
    def __call__(self, fn: Callable[..., T], /) -> Step[T]: ...


class _OptionalStepOf(Protocol):
    @overload
    def __call__(self, fn: Callable[..., Awaitable[T]], /) -> OptionalStep[T]: ...
    @overload
    def __call__(self, fn: Callable[..., T], /) -> OptionalStep[T]: ...


@overload
def step(fn: Callable[..., Awaitable[T]], /) -> Step[T]: ...
@overload
def step(fn: Callable[..., T], /) -> Step[T]: ...
@overload
def step(
    *,
    when: Node[bool],
    after: Sequence[Node[Any]] = (),
    retry: Retry | None = None,
    timeout: Seconds | None = None,
    offload: bool | str = False,
) -> _OptionalStepOf: ...
@overload
def step(
    *,
    after: Sequence[Node[Any]] = (),
    retry: Retry | None = None,
    timeout: Seconds | None = None,
    offload: bool | str = False,
) -> _StepOf: ...
def step(fn: Any = None, /, **given: Any) -> Any:
    """A step: the method's own code, called when all that its parameters refer to is there.

    `when` is a step that returns a bool: where it is false, this one is skipped and its result is None. `after` orders without data.
    `timeout` bounds one attempt, in seconds or as a timedelta; `offload` performs it on the engine's queue, or the one named.

    >>> from reactor import Reactor
    >>> class Price(Reactor):
    ...     @step(timeout=5)
    ...     async def net(self) -> int:
    ...         return 100
    ...
    ...     @step
    ...     async def output(self, net: int = net.result) -> float:
    ...         return net * 1.2

    Raises DefinitionError for options that a step does not take, and for functions that are neither `def` nor `async def`.
    """
    options = read_options("step", given)
    made = Step if options.when is None else OptionalStep
    return _decorate("step", fn, options, made, plain_too=True)


@overload
def source(fn: Callable[..., AsyncIterator[E]], /) -> Source[E]: ...
@overload
def source(*, key: Callable[[E], Any]) -> Callable[[Callable[..., AsyncIterator[E]]], Source[E]]: ...
def source(fn: Any = None, /, **given: Any) -> Any:
    """A lazy source of elements: an async generator method, for `@map_over(...)`.

    Plain: re-opened and skipped forward after a takeover. With `key`: takes `after=` (the last key, or None) and goes on from there;
    keys must rise.

    >>> from collections.abc import AsyncIterator
    >>> from reactor import Reactor
    >>> class Count(Reactor):
    ...     upto: int
    ...
    ...     @source
    ...     async def numbers(self) -> AsyncIterator[int]:
    ...         for n in range(self.upto):
    ...             yield n
    ...
    ...     @map_over(numbers)
    ...     async def output(self, n: int) -> str:
    ...         return f"number {n}"

    Raises DefinitionError for anything but an async generator.
    """
    options = read_options("source", given)

    def declare(fn: Any) -> Source[Any]:
        _check_function("source", fn)
        if not inspect.isasyncgenfunction(inspect.unwrap(fn)):
            raise DefinitionError(
                f"the source `{fn.__name__}` is no async generator",
                code="source-not-generator",
                where=def_span(fn),
                fix=f"make it `async def {fn.__name__}(self) -> AsyncIterator[E]:` and `yield` each element",
            )
        return Source(fn, options)

    return declare if fn is None else declare(fn)


class _MapOver(Generic[E]):
    def __init__(self, options: Options) -> None:
        self._options = options

    @overload
    def __call__(self, fn: Callable[Concatenate[Any, E, ...], Awaitable[HasOutput[T]]], /) -> Map[T]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[Any, E, ...], Awaitable[T]], /) -> Map[T]: ...
    def __call__(self, fn: Any, /) -> Any:
        return _decorate("map_over", fn, self._options, Map)


if TYPE_CHECKING:

    def map_over(  # noqa: D103, PLR0913 - the face's words, by keyword; told below
        elements: Sequence[E] | Source[E],
        /,
        *,
        batch_size: int = 100,
        in_flight: int = 4,
        offload: bool | str = False,
        on_error: Literal["fail", "collect"] = "fail",
        after: Sequence[Node[Any]] = (),
        retry: Retry | None = None,
        timeout: Seconds | None = None,
    ) -> _MapOver[E]: ...

else:  # an option that a map does not take gets an error that teaches, not Python's

    def map_over(elements: Any = None, /, **given: Any) -> _MapOver[Any]:
        """Calls the method once for each element of a sequence (a reference, a literal) or of a `@source`; the result is a `Results`.

        `batch_size` elements at a time are dispatched and recorded together, at most `in_flight` batches exist at once; `retry` and
        `timeout` are an element's. `on_error="fail"`: the first failure that stands fails the map; `"collect"`: failures are data.
        The element is the method's first parameter; a method that returns a reactor runs it for each element.

        >>> from reactor import Reactor
        >>> class Squares(Reactor):
        ...     @map_over([1, 2, 3], batch_size=2)
        ...     async def output(self, n: int) -> int:
        ...         return n * n

        Raises DefinitionError for options that a map does not take, and for anything but an `async def`.
        """
        return _MapOver(read_options("map_over", given, elements))


@overload
def interrupt(fn: Callable[..., Awaitable[Ask[T]]], /) -> Interrupt[T]: ...
@overload
def interrupt(
    *,
    timeout: Seconds | None = None,
    attempts: int | None = None,
    after: Sequence[Node[Any]] = (),
) -> Callable[[Callable[..., Awaitable[Ask[T]]]], Interrupt[T]]: ...
def interrupt(fn: Any = None, /, **given: Any) -> Any:
    """A node that asks the outside and parks the run until a signal answers; the method returns `Ask[T]`, its result is the T.

    `timeout` is the time to answer; `attempts=n`: the nth payload that does not validate fails the interrupt; None is without limit.

    >>> from reactor import Reactor
    >>> class Approve(Reactor):
    ...     order_id: str
    ...
    ...     @interrupt(timeout=3600)
    ...     async def output(self) -> Ask[bool]:
    ...         return Ask(f"order:{self.order_id}")

    Raises DefinitionError for options that an interrupt does not take, and for anything but an `async def`.
    """
    return _decorate("interrupt", fn, read_options("interrupt", given), Interrupt)


@overload
def compose(fn: Callable[..., Awaitable[HasOutput[T]]], /) -> Composed[T]: ...
@overload
def compose(
    *, when: Node[bool], after: Sequence[Node[Any]] = ()
) -> Callable[[Callable[..., Awaitable[HasOutput[T]]]], OptionalComposed[T]]: ...
@overload
def compose(*, after: Sequence[Node[Any]]) -> Callable[[Callable[..., Awaitable[HasOutput[T]]]], Composed[T]]: ...
def compose(fn: Any = None, /, **given: Any) -> Any:
    """A node that returns a reactor, which runs in its place; a union of return types is a switch.

    >>> from reactor import Reactor
    >>> class Net(Reactor):
    ...     @step
    ...     async def output(self) -> int:
    ...         return 100
    >>> class Price(Reactor):
    ...     @compose
    ...     async def net(self) -> Net:
    ...         return Net()
    ...
    ...     @step
    ...     async def output(self, net: int = net.result) -> float:
    ...         return net * 1.2

    Raises DefinitionError for options that a compose does not take, and for anything but an `async def`.
    """
    options = read_options("compose", given)
    made = Composed if options.when is None else OptionalComposed
    return _decorate("compose", fn, options, made)


# ---- what all of them check -----------------------------------------------------------------------------------


def _decorate(word: str, fn: Any, options: Options, made: Callable[[Any, Options], Node[Any]], *, plain_too: bool = False) -> Any:
    _check_nodes(word, options)

    def declare(fn: Any) -> Node[Any]:
        _check_function(word, fn)
        _check_async(word, fn, plain_too=plain_too)
        return made(fn, options)

    return declare if fn is None else declare(fn)


def _check_function(word: str, fn: Any) -> None:
    if isinstance(fn, Node | Source):
        raise DefinitionError(
            f"`{fn.name}` is a node already: two decorators are one too many",
            code="decorated-twice",
            where=def_span(fn.fn),
            fix="keep one of step, map_over, compose, interrupt and source",
        )
    before = said_before(getattr(fn, "__name__", ""))
    if isinstance(before, Node | Source):
        raise DefinitionError(
            f"`{fn.__name__}` is said twice: the {'source' if isinstance(before, Source) else before.kind} of that name would be lost",
            code="named-twice",
            where=def_span(fn),
            fix=f"give the two different names; the first is at line {span_of(before.fn).line}",
        )
    if inspect.isclass(fn) or not callable(fn) or not hasattr(fn, "__name__"):
        raise DefinitionError(
            f"@{word} decorates {fn!r}",
            code="not-a-function",
            where=author_span(),
            fix=f"put `@{word}` right above an `async def` of the class body; options go by keyword, `@{word}(…)`",
        )
    if fn.__name__ == "<lambda>":
        raise DefinitionError(
            f"@{word} decorates a lambda", code="not-a-function", where=author_span(), fix="write a method: its name is the node's"
        )


def _check_async(word: str, fn: Any, *, plain_too: bool) -> None:
    inner = inspect.unwrap(fn)
    if inspect.isasyncgenfunction(inner) or inspect.isgeneratorfunction(inner):
        raise DefinitionError(
            f"`{fn.__name__}` yields, and a node returns its result once",
            code="generator-node",
            where=def_span(fn),
            fix="return a list, or make it a `@source` and map over it",
        )
    if not plain_too and not inspect.iscoroutinefunction(inner):
        raise DefinitionError(
            f"`{fn.__name__}` is a plain `def`, and @{word} awaits its code",
            code="not-async",
            where=def_span(fn),
            fix=f"make it `async def {fn.__name__}`",
        )


def _check_nodes(word: str, options: Options) -> None:
    if options.when is not None and not isinstance(options.when, Node):
        raise _not_a_node(word, "when", options.when)
    if not isinstance(options.after, list | tuple):
        raise _not_a_node(word, "after", options.after, listed=True)
    for node in options.after:
        if not isinstance(node, Node):
            raise _not_a_node(word, "after", node, listed=True)


def _not_a_node(word: str, option: str, given: Any, *, listed: bool = False) -> DefinitionError:
    name = said(given).removesuffix(".result") if isinstance(given, Ref) else getattr(given, "name", "price")
    fix = f"name the node itself, `{option}=[{name}]`" if listed else f"name the step itself, `{option}={name}`"
    return DefinitionError(f"`{option}` of @{word} is {given!r}, no node", code=f"{option}-not-a-node", where=author_span(), fix=fix)
