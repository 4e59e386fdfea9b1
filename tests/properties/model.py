"""Random graphs as plain data, and how Hypothesis draws them: at most thirty nodes, children and elements included."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

Behaviour: TypeAlias = Literal["ok", "boom", "skip", "slow", "halt"]  # of one call; after the last, all go well
Answer: TypeAlias = Literal["stands", "continue", "again"]  # of one compensate; after the last, the failure stands
Kind: TypeAlias = Literal["step", "flag", "compose", "map"]

TIMEOUT = 4.0
SLOW = 50.0


@dataclass(frozen=True)
class Calls:
    """How the calls of a step, or of one element, go."""

    behaviours: tuple[Behaviour, ...] = ()
    duration: int = 0

    def nth(self, number: int) -> Behaviour:
        """From 0."""
        return self.behaviours[number] if number < len(self.behaviours) else "ok"


@dataclass(frozen=True)
class Node:
    """One node: what it depends on (indexes of earlier nodes), and what happens to it."""

    index: int
    kind: Kind
    deps: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    when: int | None = None
    attempts: int = 1
    calls: Calls = Calls()
    undo: Literal["no", "yes", "flaky", "broken"] = "no"
    answers: tuple[Answer, ...] | None = None  # None: no compensate
    child: Graph | None = None  # of a compose, or of a map's elements
    elements: tuple[Calls, ...] = ()
    batch_size: int = 2
    in_flight: int = 1
    collect: bool = False
    lazy: bool = False

    @property
    def name(self) -> str:
        """Its method's name."""
        return f"n{self.index}"

    @property
    def parents(self) -> tuple[int, ...]:
        """All that must be done before it."""
        return tuple({*self.deps, *self.after, *(() if self.when is None else (self.when,))})


@dataclass(frozen=True)
class Graph:
    """The nodes of one reactor, dependencies first; the last is the output."""

    nodes: tuple[Node, ...]

    def size(self) -> int:
        """How many nodes, children counted once each."""
        return sum(1 + (node.child.size() if node.child else 0) for node in self.nodes)


@dataclass(frozen=True)
class Story:
    """A graph, and what comes from outside while it runs."""

    graph: Graph
    cancel_at: float | None = None
    concurrency: int = 1000


behaviours = st.lists(st.sampled_from(["ok", "ok", "boom", "boom", "boom", "skip", "slow"]), max_size=3).map(tuple)
calm = st.builds(Calls, st.just(()), st.integers(0, 3))
wild = st.builds(Calls, behaviours, st.integers(0, 3))
calls = st.one_of(calm, calm, wild)  # most of a graph must go well, or nothing is ever reached
answers = st.one_of(st.none(), st.lists(st.sampled_from(["again", "continue", "stands"]), max_size=3).map(tuple))
undos = st.sampled_from(["no", "yes", "yes", "yes", "flaky", "broken"])


@st.composite
def nodes(draw: Callable[..., object], index: int, flags: tuple[int, ...], depth: int) -> Node:
    """One node after `index` others."""
    earlier = st.integers(0, index - 1)
    deps = draw(st.lists(earlier, max_size=3, unique=True).map(tuple)) if index else ()
    after = draw(st.lists(earlier, max_size=1).map(tuple)) if index else ()
    kinds = ["step", "step", "step", "flag", *(["compose", "map"] if depth else [])]
    kind = draw(st.sampled_from(kinds))
    when = draw(st.sampled_from((None, None, *flags))) if flags and kind in ("step", "compose") else None
    common = {"index": index, "kind": kind, "deps": deps, "after": after, "when": when, "answers": draw(answers)}
    match kind:
        case "compose":
            return Node(**common, child=draw(graphs(depth - 1, 4)))
        case "map":
            child = draw(st.one_of(st.none(), graphs(0, 2)))
            inner = st.just(Calls()) if child else calls
            return Node(
                **common | {"answers": tuple(answer for answer in common["answers"] or () if answer != "again")},
                attempts=1 if child else draw(st.integers(1, 2)),
                undo="no" if child else draw(undos),
                child=child,
                elements=draw(st.lists(inner, max_size=5).map(tuple)),
                batch_size=draw(st.integers(1, 3)),
                in_flight=draw(st.integers(1, 3)),
                collect=draw(st.booleans()),
                lazy=draw(st.booleans()),
            )
        case _:
            return Node(**common, attempts=draw(st.integers(1, 3)), calls=draw(calls), undo=draw(undos))


@st.composite
def graphs(draw: Callable[..., object], depth: int = 2, most: int = 8) -> Graph:
    """A graph of at most `most` nodes of its own."""
    drawn: list[Node] = []
    flags: tuple[int, ...] = ()
    for index in range(draw(st.integers(1, most))):
        node = draw(nodes(index, flags, depth))
        drawn.append(node)
        if node.kind == "flag":
            flags = (*flags, index)
    return Graph(tuple(drawn))


def mended(graph: Graph) -> Graph:
    """The same with no undo that fails for good."""
    return _each(graph, lambda node: replace(node, undo="yes") if node.undo == "broken" else node)


def halting(graph: Graph, place: int) -> Graph:
    """The same with one of its steps, wherever it is, halting when it is called first."""
    steps = [node for node in _all(graph) if node.kind == "step"]
    if not steps:
        return graph
    chosen = steps[place % len(steps)]
    return _each(graph, lambda node: replace(node, calls=Calls(("halt",), node.calls.duration)) if node is chosen else node)


def _all(graph: Graph) -> list[Node]:
    return [one for node in graph.nodes for one in (node, *(_all(node.child) if node.child else ()))]


def _each(graph: Graph, change: Callable[[Node], Node]) -> Graph:
    nodes = (
        replace(changed, child=_each(node.child, change)) if node.child else changed for node in graph.nodes for changed in [change(node)]
    )
    return Graph(tuple(nodes))


small_graphs = graphs().filter(lambda graph: graph.size() <= 30)
stories = st.builds(
    Story, small_graphs, st.one_of(st.none(), st.integers(0, 16).map(lambda n: n / 2 + 0.25)), st.sampled_from([1, 2, 1000, 1000])
)
quiet_stories = st.builds(Story, small_graphs, st.none(), st.sampled_from([1, 2, 1000, 1000]))
foreseeable = st.builds(Story, small_graphs.map(mended), st.none(), st.sampled_from([1, 2, 1000, 1000]))  # what is stuck cannot recover
