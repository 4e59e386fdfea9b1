"""The compiled, immutable graph of one reactor: nodes are integers, edges are tuples, in-degrees are ready to copy.

A plan is made once for a class (`compile.py`) and shared by all its runs. It refuses to know any run's state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reactor.define.definition import Definition, HandlerDefinition, NodeDefinition, NodeKind, OnError
    from reactor.define.retrying import Retry

Opened = dict[Callable[[], Any], Any]  # resources by provider
Bind = Callable[[Sequence[Any], Opened], tuple[Any, ...]]  # (values by node index, opened resources) -> arguments past self


@dataclass(frozen=True, slots=True, eq=False)
class Handler:
    """A compiled `undo` or `compensate`: `call(self, value_or_error, *bind(values, opened))`."""

    call: Callable[..., Any]
    bind: Bind
    providers: tuple[Callable[[], Any], ...]
    retry: Retry | None
    timeout: float | None
    definition: HandlerDefinition
    is_async: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Where a map's elements come from: `values(values_by_index)` for a sequence at hand, or the author's generator."""

    sequence: Callable[[Sequence[Any]], Sequence[Any]] | None
    call: Callable[..., Any] | None  # call(self, *bind(values, opened)) is the async generator; keyed ones also take after=
    bind: Bind
    providers: tuple[Callable[[], Any], ...]
    key: Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True, eq=False)
class MapPlan:
    """What a map needs beyond a node."""

    source: Source
    batch_size: int
    in_flight: int
    on_error: OnError
    element: Any  # the element's annotation


@dataclass(frozen=True, slots=True, eq=False)
class PlanNode:
    """One node. `call(self, *bind(values, opened))` is the author's code; of a map, `call(self, element, *bind(...))`."""

    index: int
    name: str
    kind: NodeKind
    call: Callable[..., Any]
    bind: Bind
    providers: tuple[Callable[[], Any], ...]  # resources that bind reads: opened first
    is_async: bool
    retry: Retry | None
    timeout: float | None
    when: int  # index of the flag's node, or -1
    parents: tuple[int, ...]  # data, after and when, each once
    feeds: tuple[int, ...]  # the nodes that have this one among their parents
    undo: Handler | None
    compensate: Handler | None
    children: tuple[type[Any], ...]
    map: MapPlan | None
    returns: Any
    definition: NodeDefinition
    is_flag: bool = field(init=False, default=False)  # another node's `when`
    is_plain: bool = field(init=False)  # begins by being called: no `when` to ask, no source to open

    def __post_init__(self) -> None:
        """Tell the hot path apart."""
        object.__setattr__(self, "is_plain", self.when < 0 and self.kind != "map")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One reactor, compiled."""

    definition: Definition
    name: str
    fingerprint: str
    nodes: tuple[PlanNode, ...]  # the order of the definition
    index: dict[str, int]
    in_degrees: list[int]  # copy, never change
    out_degrees: list[int]  # copy, never change
    roots: tuple[int, ...]  # nodes with no parents
    output: int
    order: tuple[int, ...]  # a topological order
    may_park: bool  # an interrupt here or in a child that could be reached
    names: tuple[str, ...] = field(init=False)  # by index
    feeds: tuple[tuple[int, ...], ...] = field(init=False)  # by index
    _children: dict[str, Plan] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Lay out by index what a run reads at every step."""
        object.__setattr__(self, "names", tuple(node.name for node in self.nodes))
        object.__setattr__(self, "feeds", tuple(node.feeds for node in self.nodes))
        for node in self.nodes:
            if node.when >= 0:
                object.__setattr__(self.nodes[node.when], "is_flag", True)
