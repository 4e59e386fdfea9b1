"""The state of one run: scopes of integer nodes, the queues of what is due, and the few moves that every rule shares.

A scope is one performance of a plan: the run itself, the child under a compose, the elements of a batch. Rules (`rules/`) change
the state through the moves below and tell each other things only by `moves`, which the machine deals out.
"""

from __future__ import annotations

from collections import deque
from heapq import heappush
from typing import TYPE_CHECKING, Any, NamedTuple

from reactor.machine.marks import BACKOFF, COMPENSATE_READY, DONE, FAILED, FORWARD, IDLE, LEFT, READY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reactor.define.failing import Failure
    from reactor.machine.batch import BatchPlan
    from reactor.machine.commands import Command
    from reactor.machine.events import BatchSettled, Call, EndStatus, Kept, RollbackFailed, StopMode
    from reactor.plan.plan import Plan


KEPT_BATCH = -1  # the number under which kept elements whose batch was never made are undone


class MapState:
    """One map occurrence: which batches are open, what settled ones left, what is being undone."""

    __slots__ = (
        "batches", "cut", "dispatching", "ended", "failed_at", "failure", "first", "next_batch", "open", "stuck", "to_undo", "total",
        "undoing",
    )  # fmt: skip

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.next_batch = 0
        self.first = 0  # the index of the next element to take
        self.open: set[int] = set()
        self.dispatching = False  # a Dispatch was ordered and not answered
        self.ended = False  # nothing more will be taken
        self.batches: dict[int, BatchSettled] = {}
        self.failure: Failure | None = None
        self.failed_at = ""
        self.cut = False  # stopped before its elements were all taken and done
        self.stuck = False
        self.to_undo: list[int] | None = None  # batches, the next to be undone last; None: not undoing
        self.undoing: set[int] = set()

    def clone(self) -> MapState:
        """A copy for the run that keeps this map's results."""
        other = MapState(self.total)
        other.next_batch, other.first, other.ended, other.stuck = self.next_batch, self.first, self.ended, self.stuck
        other.batches = dict(self.batches)
        return other


class Scope:
    """One performance of a plan."""

    __slots__ = (
        "address", "answered", "at", "attempts", "children", "collects", "due", "failed", "failed_at", "failures", "feeds", "in_flight",
        "is_batch", "left", "maps", "marks", "names", "origins", "parent", "phase", "plan", "quiet", "reactor", "stuck", "tries", "unbegun",
        "undo_left", "undo_open", "values", "waiting",
    )  # fmt: skip

    def __init__(
        self, plan: Plan | BatchPlan, *, address: str = "", parent: Scope | None = None, at: int = -1, reactor: Any = None
    ) -> None:
        size = len(plan.nodes)
        self.plan: Any = plan
        self.address = address
        self.parent = parent
        self.at = at  # the node of the parent that this is the child of
        self.reactor = reactor  # opaque here: whose methods the calls are
        self.names: Sequence[str] = [f"{address}.{name}" for name in plan.names] if parent is not None else plan.names
        self.feeds = plan.feeds
        self.marks = [IDLE] * size
        self.values: list[Any] = [None] * size
        self.waiting = plan.in_degrees.copy()
        self.left = size  # nodes that are not done
        self.in_flight = 0  # nodes that began and have not settled
        self.phase: int = FORWARD
        self.quiet = False  # stopped by a halt or abandoned: nothing is compensated or undone
        self.is_batch = False
        self.collects = False  # a batch whose elements' failures are data
        self.failed = -1  # the first node whose failure stood
        self.failed_at = ""
        self.stuck = False  # an undo or compensate in here finally failed
        self.failures: dict[int, Failure] = {}
        self.origins: dict[int, str] = {}  # where a failure began, if deeper than its node
        self.attempts: dict[tuple[int, str], int] = {}  # the next attempt's number, where it is not 1
        self.tries: dict[int, int] = {}  # TryAgains
        self.answered: set[int] = set()  # waiting after a TryAgain: compensated already
        self.unbegun: set[int] = set()  # failed before any call began
        self.due: dict[int, float] = {}  # when a node in backoff goes on
        self.children: dict[int, Scope] = {}
        self.maps: dict[int, MapState] = {}
        self.undo_left: list[int] = []
        self.undo_open = 0

    def clone(self, parent: Scope, at: int) -> Scope:
        """A copy for the run that keeps this child's results, so that it can still undo them."""
        other = Scope(self.plan, address=self.address, parent=parent, at=at, reactor=self.reactor)
        other.marks, other.values = self.marks.copy(), self.values.copy()
        other.left, other.phase, other.tries = self.left, self.phase, dict(self.tries)
        other.children = {index: child.clone(other, index) for index, child in self.children.items()}
        other.maps = {index: map_state.clone() for index, map_state in self.maps.items()}
        return other


class Stuck(NamedTuple):
    """An undo or compensate that finally failed, and where: of a map's element, in which batch."""

    what: RollbackFailed
    scope: Scope
    at: int
    batch: int | None


class State:
    """What follows from the facts so far."""

    __slots__ = (
        "again", "at", "at_address", "at_scope",
        "deadline", "ended", "ending", "failure", "halted", "index", "keep", "kept", "moves", "now", "orders", "places", "ready",
        "reason", "retrying",
        "root", "settle", "stop_mode", "stuck", "ties", "timers", "undoing",
    )  # fmt: skip

    def __init__(self, root: Scope) -> None:
        self.root = root
        self.index: dict[str, int] = root.plan.index  # addresses of the root scope
        self.places: dict[str, tuple[Scope, int]] = {}  # all other addresses
        self.ready: deque[tuple[Scope, int, Call]] = deque()  # calls that are due
        self.orders: deque[Command] = deque()  # all other orders that are due
        self.moves: deque[tuple[str, Scope, int]] = deque()  # what a rule tells the others
        self.timers: list[tuple[float, int, str, Scope, int]] = []  # a heap: when, tie, what, where
        self.ties = 0
        self.at_address: str | None = None  # of the call that was ordered last, the very string: facts are nearly always about it
        self.at_scope = root
        self.at = -1
        self.now = 0.0  # the time of the last fact
        self.settle = 30.0
        self.deadline: float | None = None
        self.stop_mode: StopMode = "settle"
        self.ending: EndStatus = "failed"  # how a rollback that succeeds will end the run
        self.reason = ""
        self.halted: str | None = None
        self.ended: EndStatus | None = None
        self.keep: frozenset[str] = frozenset()
        self.kept: dict[str, dict[int, Kept]] = {}  # elements that a restart kept, by map and index, until their batch is made
        self.failure: Failure | None = None  # of the run itself: its deadline
        self.stuck: list[Stuck] = []
        self.undoing = False  # an undo was asked for after the end
        self.again = False  # a stuck rollback is being tried again
        self.retrying: list[Stuck] = []

    def place(self, address: str) -> tuple[Scope, int]:
        """Where an address lies. Raises KeyError for one that the run does not have."""
        if address is self.at_address:
            return self.at_scope, self.at
        index = self.index.get(address)
        return self.places[address] if index is None else (self.root, index)

    def scopes(self) -> Iterator[Scope]:
        """Every scope that was opened, outer ones first."""
        todo = [self.root]
        while todo:
            scope = todo.pop()
            yield scope
            todo.extend(scope.children.values())

    def settle_in(self, child: Scope) -> None:
        """Give the addresses of a child, and of what it holds, their places."""
        for index, address in enumerate(child.names):
            self.places[address] = (child, index)
        for inner in child.children.values():
            self.settle_in(inner)

    def kept_undoable(self, scope: Scope, index: int) -> int:
        """How many elements that a restart kept wait for their batch, and would have to be undone."""
        kept = self.kept.get(scope.names[index])
        if not kept or scope.plan.nodes[index].undo is None:
            return 0
        return sum(not one.skipped for one in kept.values())

    def open_roots(self, scope: Scope) -> None:
        """Let begin what waits for nothing."""
        for index in scope.plan.roots:
            if scope.marks[index] == IDLE:
                scope.marks[index] = READY
                self.ready.append((scope, index, "do"))

    def done(self, scope: Scope, index: int, value: Any, mark: int = DONE) -> None:
        """A node came to a good end: what waited for nothing else may begin."""
        marks = scope.marks
        marks[index] = mark
        scope.values[index] = value
        scope.in_flight -= 1
        if scope.phase != FORWARD:
            if scope.in_flight == 0:
                self.moves.append(("settle", scope, -1))
            return
        scope.left -= 1
        waiting = scope.waiting
        for follower in scope.feeds[index]:
            waits = waiting[follower] - 1
            waiting[follower] = waits
            if waits == 0 and marks[follower] == IDLE:
                marks[follower] = READY
                self.ready.append((scope, follower, "do"))
        if scope.left == 0:
            self.moves.append(("finish", scope, -1))

    def fail(self, scope: Scope, index: int, failure: Failure, origin: str = "") -> None:
        """A node failed for the last time: it is compensated, or the failure stands at once. `origin`: where, if deeper."""
        scope.failures[index] = failure
        if origin:
            scope.origins[index] = origin
        if scope.quiet:
            self.leave(scope, index)
        elif scope.plan.nodes[index].compensate is not None and index not in scope.unbegun:
            scope.marks[index] = COMPENSATE_READY
            self.ready.append((scope, index, "compensate"))
        else:
            self.stand(scope, index)

    def stand(self, scope: Scope, index: int, mark: int = FAILED) -> None:
        """A failure stands: the first one stops its scope."""
        scope.marks[index] = mark
        scope.in_flight -= 1
        if scope.phase != FORWARD:
            if scope.in_flight == 0:
                self.moves.append(("settle", scope, -1))
        elif scope.collects:
            scope.left -= 1
            if scope.left == 0:
                self.moves.append(("finish", scope, -1))
        else:
            scope.failed = index
            scope.failed_at = scope.origins.get(index) or scope.names[index]
            self.moves.append(("stop", scope, -1))

    def leave(self, scope: Scope, index: int, mark: int = LEFT) -> None:
        """A node of a halted or abandoned scope stays as it is, neither succeeded nor compensated."""
        scope.marks[index] = mark
        scope.in_flight -= 1
        if scope.in_flight == 0:
            self.moves.append(("settle", scope, -1))

    def wait(self, scope: Scope, index: int, due: float, mark: int = BACKOFF) -> None:
        """A node goes on at a time."""
        scope.marks[index] = mark
        scope.due[index] = due
        self.set_timer(due, "due", scope, index)

    def set_timer(self, when: float, what: str, scope: Scope, index: int = -1) -> None:
        """Remember to look again: ties go by age, so that the heap never compares scopes."""
        self.ties += 1
        heappush(self.timers, (when, self.ties, what, scope, index))

    def fell_stuck(self, scope: Scope, index: int, what: RollbackFailed, batch: int | None = None) -> None:
        """An undo or compensate failed for good: a person must look, whatever else the run does."""
        self.stuck.append(Stuck(what, scope, index, batch))
        around: Scope | None = scope
        while around is not None:
            around.stuck = True
            around = around.parent
