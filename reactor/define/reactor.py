"""The class an author subclasses, and what is taken down of it: `Reactor` and `definition_of`.

What annotations have no part in is checked when the class is made; the rest at once too where they resolve, else when it is first
needed. This room refuses to know plans and engines: `engine.py` fills the slot `perform`.
"""

from __future__ import annotations

import inspect
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, dataclass_transform

from reactor.define.assembling import Assembler
from reactor.define.class_options import ClassOptions, read_class_options
from reactor.define.definition import Definition, Span
from reactor.define.frozen import check_frozen
from reactor.define.inputs import Inputs, check_names, field_names, read_inputs
from reactor.define.problems import leaves_of
from reactor.define.scope import Scope, Unresolved
from reactor.define.sketch import Sketch, sketch
from reactor.define.teaching import author_frame, author_span
from reactor.define.wiring import check_wiring
from reactor.define.wording import MASK
from reactor.errors import DefinitionError, InputInvalid, NeedsEngine, ReactorError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
    from types import FrameType

    from reactor.define.retrying import Retry
    from reactor.define.steps import HasOutput

T = TypeVar("T")
R = TypeVar("R", bound="Reactor")

perform: Callable[[Reactor], Awaitable[Any]] | None = None
"""How an awaited reactor is performed: the engine's, once it is imported."""


@dataclass(slots=True)
class Record:
    """All that is known of one reactor class; it sits on the class, so that no registry is the process's."""

    options: ClassOptions
    retry: Retry | None  # inherited where the class says none
    max_running: int | None
    span: Span
    scope: Scope
    sketch: Sketch
    inputs: Inputs | None = None
    definition: Definition | None = None


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Reactor:
    """Subclass it: annotated fields are the typed inputs, decorated methods are the nodes, `output` is the result.

    >>> from reactor import Reactor, step
    >>> class Greet(Reactor):
    ...     name: str
    ...
    ...     @step
    ...     async def output(self) -> str:
    ...         return f"hello {self.name}"
    >>> Greet(name="ann")
    Greet(name='ann')

    Class options: `name` (the class's own unless given) and `version` and `aliases` of the definition; `retry` is the default of its
    steps; `max_running` bounds its runs that are driven at a time; `abstract=True` needs no `output`.

    Making the class raises DefinitionError, making an instance InputInvalid; awaiting one gives its output, or raises RunFailed or
    RunStopped.
    """

    __reactor__: ClassVar[Record | None] = None

    if TYPE_CHECKING:

        def __init_subclass__(
            cls,
            *,
            name: str | None = None,
            version: int = 1,
            aliases: Sequence[str] = (),
            retry: Retry | None = None,
            max_running: int | None = None,
            abstract: bool = False,
        ) -> None: ...

    else:  # an option that a reactor does not take gets an error that teaches, not Python's

        def __init_subclass__(cls, **options: Any) -> None:
            super().__init_subclass__()
            declare(cls, options, author_frame())

        def __init__(self, /, *placed: object, **given: Any) -> None:
            if placed:
                raise _by_place(type(self))
            _fill(self, inputs_of(type(self)).accept(given, author_span), author_span)

    def __setattr__(self, name: str, value: object) -> None:
        raise _frozen(self, name)

    def __delattr__(self, name: str) -> None:
        raise _frozen(self, name)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        inputs = inputs_of(type(self))
        said = (f"{name}={MASK if name in inputs.secrets else repr(self.__dict__[name])}" for name in inputs.names)
        return f"{type(self).__name__}({', '.join(said)})"

    def __await__(self: HasOutput[T]) -> Generator[Any, None, T]:
        """Run in this process, kept nowhere; the output, or the failure raised.

        Raises NeedsEngine where an interrupt could park it, RunFailed and RunStopped.
        """
        if perform is None:
            raise NeedsEngine("nothing performs reactors yet", where=author_span(), fix="`import reactor` before awaiting one")
        return perform(cast("Reactor", self)).__await__()


def _by_place(cls: type[Any]) -> InputInvalid:
    names = inputs_of(cls).names
    said = ", ".join(f"{name}=…" for name in names)
    return InputInvalid(f"{cls.__name__}: inputs go by keyword", where=author_span(), known=names, fix=f"say `{cls.__name__}({said})`")


def _frozen(reactor: Reactor, name: str) -> DefinitionError:
    return DefinitionError(
        f"`{type(reactor).__name__}.{name}` is set, and a reactor never changes: what runs is what was validated",
        code="reactor-frozen",
        where=author_span(),
        fix="return the value from the step, and refer to its result",
    )


# ---- instances ------------------------------------------------------------------------------------------------


def _fill(reactor: Reactor, values: dict[str, Any], where: Callable[[], Span] | None = None) -> None:
    reactor.__dict__.update(values)
    if hasattr(reactor, "__post_init__"):
        broken = _broken_rule(reactor)
        if broken is not None:  # outside of `except`: a chained exception could tell a secret
            text, span = broken
            span = span or (where() if where is not None else None)
            error = InputInvalid(text, code="input-rule", where=span, fix="mend the inputs; nothing was begun")
            error.problems = (("", text),)
            raise error


def _broken_rule(reactor: Any) -> tuple[str, Span | None] | None:
    try:
        reactor.__post_init__()
    except ReactorError:
        raise  # it says code, place and fix already
    except Exception as error:  # noqa: BLE001 - whatever an author's rule raises, these inputs cannot be run
        said = masked(reactor, str(error))
        kind = "" if isinstance(error, ValueError) else f"`__post_init__` raised {type(error).__name__}" + (": " if said else "")
        return f"{type(reactor).__name__}: {kind}{said}", _line_of(error, type(reactor).__post_init__)
    return None


def _line_of(error: Exception, rule: Any) -> Span | None:
    """The innermost line in the rule's own file, else the innermost of all."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    code = getattr(inspect.unwrap(rule), "__code__", None)
    own = [frame for frame in frames if code is not None and frame[0] == code.co_filename]
    return next((Span(file, line, line) for file, line in reversed(own or frames)), None)


def masked(reactor: Reactor, text: str) -> str:
    """The text with every secret input of this reactor masked."""
    for name in inputs_of(type(reactor)).secrets:
        for secret in leaves_of(reactor.__dict__[name]):
            text = text.replace(secret, MASK)
    return text


def values_of(reactor: Reactor) -> dict[str, Any]:
    """The inputs of an instance by name, with defaults."""
    return dict(reactor.__dict__)


def made_of(cls: type[R], values: dict[str, Any]) -> R:
    """An instance of values that `Inputs.accept` gave. Raises InputInvalid where a rule across inputs is broken."""
    made = cls.__new__(cls)
    _fill(made, values)
    return made


def inputs_of(cls: type[Any]) -> Inputs:
    """The inputs of a reactor class. Raises DefinitionError where an annotation does not resolve."""
    record = record_of(cls)
    if record.inputs is not None:
        return record.inputs
    try:
        return _resolve_inputs(cls, record)
    except Unresolved as unresolved:
        error = unresolved.as_error()
    raise error


# ---- what is taken down of a class ----------------------------------------------------------------------------


def record_of(cls: type[Any]) -> Record:
    """All that is known of a reactor class. Raises DefinitionError for what is none."""
    record: Record | None = getattr(cls, "__dict__", {}).get("__reactor__")
    if record is None:
        raise DefinitionError(
            f"{cls!r} is no reactor class of its own",
            code="not-a-reactor",
            where=author_span(),
            fix="subclass Reactor, and hand over the class",
        )
    return record


def definition_of(cls: type[Any]) -> Definition:
    """What a reactor class says, every name, type and reference of it resolved and checked; made once and kept on the class.

    >>> from reactor.define.decorators import step
    >>> class Answer(Reactor):
    ...     @step
    ...     async def output(self) -> int:
    ...         return 42
    >>> definition_of(Answer).nodes["output"].returns
    <class 'int'>

    Raises DefinitionError where an annotation names what is not there, for what its type then shows, and for an abstract class.
    """
    record = record_of(cls)
    definition = record.definition or _resolved(cls, record)
    if not definition.output:
        raise DefinitionError(
            f"{cls.__name__} is abstract: it has no output",
            code="abstract",
            where=record.span,
            fix="subclass it, and give the subclass an `output`",
        )
    return definition


def _resolved(cls: type[Any], record: Record) -> Definition:
    try:
        return _resolve(cls, record)
    except Unresolved as unresolved:
        error = unresolved.as_error()
    raise error


def declare(cls: type[Any], options: Mapping[str, Any], frame: FrameType | None) -> None:
    """Take a class down when it is made, as far as its annotations resolve. Raises DefinitionError."""
    while frame is not None and frame.f_code.co_name == "__init_subclass__":  # an author's own, which called ours
        frame = frame.f_back
    span = Span(frame.f_code.co_filename, frame.f_lineno, frame.f_lineno) if frame is not None else author_span()
    said = read_class_options(cls, options, span)
    inherited: Record | None = cls.__reactor__
    check_frozen(cls, field_names(cls))
    made = sketch(cls, span, abstract=said.abstract)
    record = Record(said, said.retry, said.max_running, span, Scope(cls, frame), made)
    if inherited is not None:
        record.retry = said.retry or inherited.retry
        record.max_running = said.max_running or inherited.max_running
    cls.__reactor__ = record
    check_names(cls, made.members.nodes)
    try:
        _resolve(cls, record)
    except Unresolved:
        return  # asked again when it is first needed; the scope keeps what it needs for that


def _resolve_inputs(cls: type[Any], record: Record) -> Inputs:
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        made: Record | None = vars(base).get("__reactor__")
        if made is not None:
            hints.update(made.scope.fields(made.span))
    record.inputs = read_inputs(cls, hints, record.span)
    return record.inputs


def _resolve(cls: type[Any], record: Record) -> Definition:
    inputs = record.inputs or _resolve_inputs(cls, record)
    assembler = Assembler(record.sketch, _scope_of, record.retry)
    nodes, sources = assembler.nodes(), assembler.sources()
    check_wiring(nodes, sources)
    end = max([record.span.line, *(node.span.end_line for node in nodes.values() if node.span.file == record.span.file)])
    record.definition = definition = Definition(
        cls=cls,
        name=record.options.name,
        version=record.options.version,
        aliases=record.options.aliases,
        inputs=inputs.fields,
        nodes=nodes,
        output=record.sketch.members.output or "",
        span=Span(record.span.file, record.span.line, end),
        retry=record.retry,
        max_running=record.max_running,
        sources=sources,
    )
    record.scope.resolved()
    return definition


def _scope_of(owner: type[Any] | None) -> Scope:
    record: Record | None = vars(owner).get("__reactor__") if owner is not None else None
    return record.scope if record is not None else Scope(owner or object, None)
