"""What must become of a random graph, computed from the graph alone; and what its trace must not show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tests.properties.playing import address_of, mixed, path_of, recovered_sum, skipped_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.properties.model import Calls, Graph, Node, Story
    from tests.properties.playing import Line, Trace


# ---- what must become of it ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fate:
    """How a scope, node or element ends when nobody interferes: a value, or the addresses where the first failure may be."""

    value: Any = None
    failing: frozenset[str] = frozenset()


def fate_of(graph: Graph, scope: str = "") -> Fate:
    """Of a graph: it fails if any failing node can be reached."""
    fates: dict[int, Fate] = {}
    failing: frozenset[str] = frozenset()
    for node in graph.nodes:
        if not all(parent in fates for parent in node.parents):
            continue
        if node.when is not None and not fates[node.when].value:
            fates[node.index] = Fate()
            continue
        fate = _of_node(node, scope, [fates[dep].value for dep in node.deps])
        if fate.failing:
            failing |= fate.failing
        else:
            fates[node.index] = fate
    return Fate(failing=failing) if failing else fates[graph.nodes[-1].index]


def _of_node(node: Node, scope: str, values: list[Any]) -> Fate:
    path = path_of(scope, node.index)
    match node.kind:
        case "compose":
            assert node.child is not None
            return _compensated(node, [fate_of(node.child, f"{path}#{call + 1}.") for call in range(11)])
        case "map":
            return _compensated(node, [_of_map(node, scope, values)])
        case _:
            value: Any = mixed(node.index, values)
            tries = _tries(node.calls, node.attempts, value % 2 == 0 if node.kind == "flag" else value, node, path)
            return _compensated(node, tries)


def _tries(calls: Calls, attempts: int, value: Any, node: Node, path: str) -> list[Fate]:
    """The first try has all its attempts, each TryAgain one."""
    fates: list[Fate] = []
    call = 0
    for budget in (attempts, *[1] * 10):
        fate = Fate(failing=frozenset({address_of(path)}))
        for behaviour in map(calls.nth, range(call, call + budget)):
            call += 1
            if behaviour == "ok":
                fate = Fate(value)
            elif behaviour == "skip":
                fate = Fate(False if node.kind == "flag" else skipped_value(node.index))
            else:
                continue
            break
        fates.append(fate)
    return fates


def _compensated(node: Node, tries: list[Fate]) -> Fate:
    answers = iter(node.answers or ())
    for fate in tries:
        if not fate.failing:
            return fate
        match next(answers, "stands"):
            case "continue":
                return Fate(recovered_sum(node))
            case "stands":
                return fate
    return tries[-1]


def _of_map(node: Node, scope: str, values: list[Any]) -> Fate:
    fates = []
    for element, calls in enumerate(node.elements):
        path = path_of(scope, node.index, element)
        if node.child:
            fates.append(fate_of(node.child, f"{path}."))
        else:
            fates.append(_tries(calls, node.attempts, mixed(node.index, [element, *values]), node, path)[0])
    failing = frozenset[str]().union(*(fate.failing for fate in fates))
    if failing and not node.collect:
        return Fate(failing=failing)
    return Fate(sum(7 if fate.value is None else fate.value for fate in fates if not fate.failing))


# ---- what its trace must not show -----------------------------------------------------------------------------------


@dataclass
class Scope:
    """One performance of a graph, as the trace shows it."""

    graph: Graph
    path: str
    parent: Scope | None = None
    node: Node | None = None  # of the parent
    element: int | None = None


@dataclass
class Judge:
    """Reads a trace of a run that has ended, and says all that is wrong with it."""

    story: Story
    trace: Trace
    dead: bool  # the run was rolled back: what succeeded in it must have been undone

    def problems(self) -> list[str]:
        """All that is wrong; empty is what must be."""
        return [*self.trace.problems, *(problem for scope in self.scopes for problem in self._of_scope(scope))]

    @cached_property
    def lines(self) -> list[tuple[int, Line]]:
        return list(enumerate(self.trace.lines))

    @cached_property
    def scopes(self) -> list[Scope]:
        """Every scope that was begun, outer ones first."""
        found = [Scope(self.story.graph, "")]
        for scope in found:
            for node in scope.graph.nodes:
                if node.child:
                    begun = (line for _, line in self.of(path_of(scope.path, node.index)) if (line.scope, line.what) == (scope.path, "do"))
                    for call, line in enumerate(begun):
                        end = "." if node.kind == "map" else f"#{call + 1}."
                        found.append(Scope(node.child, f"{line.path}{end}", scope, node, line.element))
        return found

    def of(self, path: str) -> list[tuple[int, Line]]:
        """The lines of an occurrence and of all that is in it."""
        return [(at, line) for at, line in self.lines if line.path == path or line.path.startswith((f"{path}.", f"{path}#", f"{path}["))]

    def exactly(self, path: str, *whats: str) -> list[int]:
        """Where the lines of just this occurrence are that say one of these."""
        return [at for at, line in self.lines if line.path == path and line.what in whats]

    # -- when things stood

    def stood(self, scope: Scope, node: Node) -> int | None:
        """Where in the trace this node's failure stood; None if it did not."""
        path = path_of(scope.path, node.index)
        if node.answers is not None:
            return next(iter(self.exactly(path, "stands")), None)
        match node.kind:
            case "compose":
                inside = f"{path}#1."
                return self.over(inside) if self.failed(inside) and not self.has_more(node.child, inside) else None
            case "map":
                return (
                    self.over(path) if any(self.element_failed(scope, node, element) is not None for element in self.gone(node)) else None
                )
            case _:
                failures = self.exactly(path, "fail", "cancelled")
                return failures[-1] if len(failures) == node.attempts else None

    def has_more(self, graph: Graph, path: str) -> bool:
        """Whether a scope may go on behind its last line: a batch that ends before an element of it began leaves none.

        Its failure stands when that is over, too; `begun_late` finds in the record what began behind that.
        """
        for node in graph.nodes:
            inner = path_of(path, node.index)
            if node.kind == "map" and not all(self.of(path_of(path, node.index, at)) for at in range(len(node.elements))):
                return True
            if node.kind == "compose" and node.child and self.of(f"{inner}#1") and self.has_more(node.child, f"{inner}#1."):
                return True
        return False

    def gone(self, node: Node) -> range:
        """The elements whose failure would be the map's."""
        return range(0 if node.collect else len(node.elements))

    def over(self, path: str) -> int:
        """Where the last line of this is."""
        return max(at for at, _ in self.of(path.removesuffix(".")))

    def failed(self, path: str) -> bool:
        """Whether this scope failed by itself."""
        return any(self.stood(scope, node) is not None for scope in self.scopes if scope.path == path for node in scope.graph.nodes)

    def element_failed(self, scope: Scope, node: Node, element: int) -> int | None:
        """Where an element failed for the last time."""
        path = path_of(scope.path, node.index, element)
        if node.child:
            return self.over(f"{path}.") if self.failed(f"{path}.") else None
        failures = self.exactly(path, "fail", "cancelled")
        return failures[-1] if len(failures) == node.attempts else None

    def rolled_back(self, scope: Scope) -> bool:
        """Whether what succeeded in this scope had to be undone: by its own failure, or one around it."""
        if scope.parent is None or scope.node is None:
            return self.dead
        return self.failed(scope.path) or self.map_failed(scope.parent, scope.node) or self.rolled_back(scope.parent)

    def map_failed(self, scope: Scope, node: Node) -> bool:
        """Whether this is a map that failed by itself."""
        return node.kind == "map" and any(self.element_failed(scope, node, element) is not None for element in self.gone(node))

    # -- the rules

    def _of_scope(self, scope: Scope) -> Iterator[str]:
        stands = [at for node in scope.graph.nodes if (at := self.stood(scope, node)) is not None]
        if stands:
            for at, line in self.lines:
                if at > min(stands) and line.what == "do" and line.scope.startswith(scope.path):
                    yield f"{line.path} began after a failure stood in {scope.path or 'the run'}"
        for node in scope.graph.nodes:
            yield from self._order(scope, node)
            yield from self._compensation(scope, node)
            for path, dead in self._occurrences(scope, node):
                yield from self._undo(node, path, dead=dead)
                yield from self._settled(path, node)
            yield from self._undo_order(scope, node)

    def _occurrences(self, scope: Scope, node: Node) -> Iterator[tuple[str, bool]]:
        """What is called by itself: steps and elements; and whether it must have been undone."""
        dead = self.rolled_back(scope)
        if node.kind in ("step", "flag"):
            yield path_of(scope.path, node.index), dead
        elif node.kind == "map" and not node.child:
            for element in range(len(node.elements)):
                yield path_of(scope.path, node.index, element), dead or self.map_failed(scope, node)

    def _order(self, scope: Scope, node: Node) -> Iterator[str]:
        """It began after all that it depends on was over."""
        began = [at for at, line in self.of(path_of(scope.path, node.index)) if line.what == "do"]
        for parent in node.parents if began else ():
            parents = [(at, line) for at, line in self.of(path_of(scope.path, parent)) if line.what in ("do", "ok", "skip", "continue")]
            if any(at > began[0] for at, _ in parents):
                yield f"n{node.index} of {scope.path or 'the run'} began before n{parent} was over"
            other = scope.graph.nodes[parent]
            if other.kind in ("step", "flag") and other.when is None and not any(line.what != "do" for _, line in parents):
                yield f"n{node.index} of {scope.path or 'the run'} began though n{parent} has no result"

    def _compensation(self, scope: Scope, node: Node) -> Iterator[str]:
        """Only what began and did not succeed is compensated, and once a failure."""
        path = path_of(scope.path, node.index)
        asked = self.exactly(path, "compensate")
        if not asked:
            return
        if not any(line.what == "do" and at < asked[0] for at, line in self.of(path)):
            yield f"{path} was compensated and never began"
        if any(at < asked[-1] for at in self.exactly(path, "ok", "skip")):
            yield f"{path} was compensated and had succeeded"
        if len(asked) > 1 + len(self.exactly(path, "again")):
            yield f"{path} was compensated {len(asked)} times"

    def _undo(self, node: Node, path: str, *, dead: bool) -> Iterator[str]:
        """What succeeded and must be undone is undone once; nothing else is."""
        begun, undone = len(self.exactly(path, "undo")), len(self.exactly(path, "undone"))
        due = dead and node.undo != "no" and bool(self.exactly(path, "ok"))
        expected = {"no": (0, 0), "yes": (1, 1), "flaky": (2, 1), "broken": (1, 0)}[node.undo] if due else (0, 0)
        if (begun, undone) != expected:
            yield f"undo of {path} began {begun} times and succeeded {undone} times, not {expected}"

    def left_over(self) -> Iterator[str]:
        """What succeeded, has an undo, and was not undone as often; when all is undone there must be none."""
        for scope in self.scopes:
            for node in scope.graph.nodes:
                for path, _ in self._occurrences(scope, node):
                    succeeded, undone = len(self.exactly(path, "ok")), len(self.exactly(path, "undone"))
                    if undone != (0 if node.undo == "no" else succeeded):
                        yield f"{path} succeeded {succeeded} times and was undone {undone} times"
                    yield from self._settled(path, node)

    def never_undone(self) -> Iterator[str]:
        """The addresses whose undo failed for good."""
        for scope in self.scopes:
            for node in scope.graph.nodes:
                for path, _ in self._occurrences(scope, node):
                    if node.undo == "broken" and self.exactly(path, "undo failed"):
                        yield address_of(path)

    def _settled(self, path: str, node: Node) -> Iterator[str]:
        """Every call ended."""
        for began, *ended in (("do", "ok", "skip", "fail", "halt", "cancelled"), ("undo", "undone", "undo failed")):
            if len(self.exactly(path, began)) != len(self.exactly(path, *ended)):
                yield f"{began} of {path} was left running"

    def _undo_order(self, scope: Scope, node: Node) -> Iterator[str]:
        """It is undone after all that depended on it is over, and a map's newest batch first."""
        own = self.of(path_of(scope.path, node.index))
        undos = [at for at, line in own if line.what == "undo"]
        if not undos or self._by_itself(scope, node):
            return
        for later in self.dependents(scope.graph, node):
            if any(at > undos[0] for at, _ in self.of(path_of(scope.path, later))):
                yield f"n{node.index} of {scope.path or 'the run'} was undone before n{later}, which depends on it, was over"
        if node.kind == "map" and not node.child:
            yield from self._batch_order(node, own)

    def _batch_order(self, node: Node, own: list[tuple[int, Line]]) -> Iterator[str]:
        """Newest first, within `in_flight`: when a batch's undo begins, fewer newer ones than that are not over."""
        undos = [(at, line.element // node.batch_size) for at, line in own if line.what.startswith("undo") and line.element is not None]
        first: dict[int, int] = {}
        for at, batch in undos:
            first.setdefault(batch, at)
        last = {batch: at for at, batch in undos}
        for batch, at in first.items():
            newer = [one for one in first if one > batch and last[one] > at]
            if len(newer) >= node.in_flight:
                yield f"batch {batch} of n{node.index} was undone before {newer}"

    def _by_itself(self, scope: Scope, node: Node) -> bool:
        """Whether something in this node was rolled back by itself, so that dependents may have followed a `Continue`."""
        path = path_of(scope.path, node.index)
        inner = [one for one in self.scopes if one.path.startswith((f"{path}#", f"{path}["))]
        maps = [(scope, node), *((one, within) for one in inner for within in one.graph.nodes)]
        return any(self.failed(one.path) for one in inner) or any(self.map_failed(*one) for one in maps)

    def dependents(self, graph: Graph, node: Node) -> set[int]:
        """All that depends on it, at whatever distance."""
        found = {node.index}
        for other in graph.nodes:
            if found & set(other.parents):
                found.add(other.index)
        return found - {node.index}
