"""What a reactor class says, taken down: the nouns that `reactor.py` makes of a class and that the plan is compiled from.

Everything here is frozen and by name: no reference to another node's object is left, so a subclass's override is found by its
name. This room refuses to know what follows from the graph (cycles aside, see `plan/`) and how a node is performed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reactor.define.retrying import Retry

NodeKind: TypeAlias = Literal["step", "map", "compose", "interrupt"]
OnError: TypeAlias = Literal["fail", "collect"]


@dataclass(frozen=True, slots=True)
class Span:
    """Where in the author's file something is said."""

    file: str
    line: int
    end_line: int


# ---- what a parameter is bound to -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FromNode:
    """The result of a node of this reactor, then attributes (str) and constant indexes (int, or `Key` for a str key)."""

    node: str
    path: tuple[str | int | Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """A constant str index in a reference path: `price.result["eur"]`."""

    name: str


@dataclass(frozen=True, slots=True)
class FromResource:
    """A resource, opened by the engine (or for the one run that is awaited) when first needed."""

    provider: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Literally:
    """A constant: part of the fingerprint."""

    value: Any


@dataclass(frozen=True, slots=True)
class Items:
    """A list, tuple or dict that holds at least one reference; `keys` is for dicts only."""

    kind: Literal["list", "tuple", "dict"]
    items: tuple[Binding, ...]
    keys: tuple[Any, ...] = ()


Binding: TypeAlias = "FromNode | FromResource | Literally | Items"


@dataclass(frozen=True, slots=True)
class Param:
    """One bound parameter of an author's function, past `self` (and past the element, value or error it is handed first)."""

    name: str
    type: Any
    binding: Binding
    keyword_only: bool = False


# ---- nodes ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HandlerDefinition:
    """An `undo` or `compensate`."""

    fn: Callable[..., Any]
    params: tuple[Param, ...]
    retry: Retry | None  # already defaulted: undo has five attempts where the author says nothing
    timeout: float | None  # seconds
    span: Span


@dataclass(frozen=True, slots=True)
class SourceDefinition:
    """A `@source` method: an async generator of elements; with `key` it takes `after=`."""

    name: str
    fn: Callable[..., Any]
    params: tuple[Param, ...]
    key: Callable[[Any], Any] | None
    element: Any  # the element's type
    span: Span


@dataclass(frozen=True, slots=True)
class MapDefinition:
    """What a map says beyond a step."""

    elements: FromNode | Literally | SourceDefinition
    element: Any  # the element parameter's annotation
    batch_size: int
    in_flight: int
    on_error: OnError


@dataclass(frozen=True, slots=True)
class NodeDefinition:
    """One node.

    `returns` is the value's type: of a map the element's result, of an interrupt the payload, of a compose (or of a
    map over reactors) the child's output, None where children are several or not defined yet: ask `children`.
    """

    name: str
    kind: NodeKind
    fn: Callable[..., Any]
    is_async: bool
    params: tuple[Param, ...]
    returns: Any
    span: Span
    children: tuple[type[Any], ...] = ()  # compose, map over reactors: the reactor classes that may be returned
    when: str | None = None
    after: tuple[str, ...] = ()
    retry: Retry | None = None  # the reactor's default already applied
    timeout: float | None = None  # seconds; of an interrupt, the time to answer
    offload: bool | str = False
    attempts: int | None = None  # interrupt: payloads that may fail to validate
    map: MapDefinition | None = None
    undo: HandlerDefinition | None = None
    compensate: HandlerDefinition | None = None


# ---- the reactor ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InputDefinition:
    """One input field."""

    name: str
    type: Any
    required: bool
    default: Any = None
    secret: bool = False
    index: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """One reactor class, resolved: every name, type and reference in it is checked."""

    cls: type[Any]
    name: str
    version: int
    aliases: tuple[str, ...]
    inputs: tuple[InputDefinition, ...]
    nodes: Mapping[str, NodeDefinition]  # in the order of the class body, base classes first
    output: str
    span: Span
    retry: Retry | None = None
    max_running: int | None = None
    sources: Mapping[str, SourceDefinition] = field(default_factory=dict)
