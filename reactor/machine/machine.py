"""The pure machine of one run: `apply` folds a fact into the state, `next` gives the next order that follows from it.

It refuses to know how an order is performed, what time it is (facts and `next(now)` say so) and what a rule is called.
"""

from __future__ import annotations

from heapq import heappop
from typing import TYPE_CHECKING, Any

from reactor.machine.batch import BatchPlan
from reactor.machine.commands import (
    Call,
    CancelCall,
    Close,
    CloseSource,
    Command,
    Dispatch,
    End,
    Expire,
    OpenMap,
    Skip,
    StopBatch,
    UndoBatch,
)
from reactor.machine.marks import (
    BACKOFF,
    CLOSED,
    COMPENSATE_BACKOFF,
    COMPENSATE_READY,
    FORWARD,
    MARKS,
    OPEN,
    PHASES,
    QUIET,
    READY,
    RUNNING,
    UNDO_BACKOFF,
    UNDO_READY,
)
from reactor.machine.rules import compose, gate, retry, rollback, step
from reactor.machine.rules import map as map_rule
from reactor.machine.state import Scope, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reactor.machine.events import Call as CallKind
    from reactor.machine.events import Event
    from reactor.plan.plan import Plan, PlanNode

RULES: tuple[Any, ...] = (step, retry, rollback, map_rule, compose, gate)


def _gather(name: str) -> dict[Any, Any]:
    return {key: rule for module in RULES for key, rule in getattr(module, name, {}).items()}


APPLY: dict[type[Event], Callable[[State, Any], None]] = _gather("APPLY")
MOVES: dict[str, Callable[[State, Scope, int], None]] = _gather("MOVES")
TIMERS: dict[str, Callable[[State, Scope, int], None]] = _gather("TIMERS")
BY_KIND: dict[str, dict[str, Callable[[State, Scope, int], None]]] = {
    "stop_open": _gather("STOP"),
    "undo": _gather("UNDO"),
    "wake_open": _gather("WAKE"),
}
OF_CHILD: dict[str, Callable[[State, Scope], None]] = {
    "finish": compose.finished,
    "closed": compose.rolled_back,
    "hushed": compose.hushed,
}


class Machine:
    """The state of one run (or of one batch of a map), and what is to be done next."""

    __slots__ = ("state",)

    def __init__(self, plan: Plan) -> None:
        self.state = State(Scope(plan))

    @classmethod
    def of_batch(cls, owner: Plan, node: PlanNode, address: str, first: int, size: int) -> Machine:
        """The machine of elements `first … first + size - 1` of the map at `address`."""
        machine = cls.__new__(cls)
        root = Scope(BatchPlan(owner, node, address, first, size), address=address)
        root.is_batch = True
        root.collects = node.map is not None and node.map.on_error == "collect"
        machine.state = State(root)
        return machine

    @classmethod
    def replay(cls, plan: Plan, events: Iterable[Event]) -> Machine:
        """Rebuild the machine of a run from its record."""
        machine = cls(plan)
        for event in events:
            machine.apply(event)
        machine.forget_answered()
        return machine

    def apply(self, event: Event) -> None:
        """Fold one fact into the state."""
        state = self.state
        state.now = event.at
        APPLY[type(event)](state, event)
        if state.moves:
            self._deal()

    def _deal(self) -> None:
        """Let the rules tell each other what follows, until nothing more does."""
        state = self.state
        while state.moves:
            name, scope, index = state.moves.popleft()
            by_kind = BY_KIND.get(name)
            if by_kind is not None:
                by_kind[scope.plan.nodes[index].kind](state, scope, index)
                continue
            if scope.parent is not None and name in OF_CHILD:
                OF_CHILD[name](state, scope)
            else:
                MOVES[name](state, scope, index)

    def next(self, now: float, calls: bool = True) -> Command | None:  # noqa: FBT001, FBT002  # the hot path: by position
        """The next order at this time, or None; `calls=False`: none that needs a slot. Whoever takes it records what happened."""
        state = self.state
        if state.timers and state.timers[0][0] <= now:
            self._ring(now)
        while state.orders:
            order = state.orders.popleft()
            if is_due(state, order):
                return order
        if calls:
            ready = state.ready
            while ready:
                scope, index, call = ready.popleft()
                node = scope.plan.nodes[index]
                if node.is_plain and scope.marks[index] == READY and scope.phase == FORWARD and call == "do":
                    address = scope.names[index]
                    state.at_address, state.at_scope, state.at = address, scope, index
                    return Call(scope, index, address, node)
                due = _call_due(scope, index, call)
                if due is not None:
                    return due
        return None

    def is_due(self, order: Command) -> bool:
        """Whether an order that was given has not been answered or overtaken."""
        return is_due(self.state, order)

    def put_back(self, order: Call) -> None:
        """A call that was ordered and not begun: it is the next again."""
        self.state.ready.appendleft((order.scope, order.index, order.call))

    @property
    def wake_at(self) -> float | None:
        """When to ask again though no fact has come: the earliest timer."""
        return self.state.timers[0][0] if self.state.timers else None

    def _ring(self, now: float) -> None:
        from_heap = self.state.timers
        self.state.now = max(self.state.now, now)
        while from_heap and from_heap[0][0] <= now:
            _, _, what, scope, index = heappop(from_heap)
            TIMERS[what](self.state, scope, index)

    def forget_answered(self) -> None:
        """After a replay: drop orders that facts have answered, and doubles."""
        state = self.state
        seen: set[Any] = set()
        orders, ready = list(state.orders), list(state.ready)
        state.orders.clear()
        state.ready.clear()
        for order in reversed(orders):  # of two that tell a batch to stop, the later one counts
            key = (type(order), order.address, getattr(order, "batch", None))
            if is_due(state, order) and key not in seen:
                seen.add(key)
                state.orders.appendleft(order)
        for scope, index, call in ready:
            if (scope.names[index], call) not in seen and _call_due(scope, index, call) is not None:
                seen.add((scope.names[index], call))
                state.ready.append((scope, index, call))

    def snapshot(self) -> dict[str, Any]:
        """All that follows from the facts, as plain data: equal for a live machine and for a replay of its record."""
        state = self.state
        scopes = {
            scope.address: {
                "phase": PHASES[scope.phase],
                "marks": dict(zip(scope.names, (MARKS[mark] for mark in scope.marks), strict=True)),
                "values": list(scope.values),
                "counts": (scope.left, scope.in_flight, list(scope.waiting), scope.undo_open, list(scope.undo_left)),
                "failed": (scope.failed, scope.failed_at, scope.stuck, scope.quiet, dict(scope.failures), dict(scope.tries)),
                "maps": {index: (m.first, sorted(m.open), sorted(m.batches), m.ended, m.cut) for index, m in scope.maps.items()},
            }
            for scope in state.scopes()
        }
        ends = (state.ended, state.ending, state.halted, state.reason, [stuck.what for stuck in state.stuck])
        return {"scopes": scopes, "ends": ends, "due": sorted((s.names[i], c) for s, i, c in state.ready if _call_due(s, i, c))}


def _call_due(scope: Scope, index: int, call: CallKind) -> Call | Skip | OpenMap | None:
    """The order for a node in the queue, unless something has overtaken it."""
    return _first_due(scope, index) if call == "do" else _backwards_due(scope, index, call)


def _first_due(scope: Scope, index: int) -> Call | Skip | OpenMap | None:
    """A node's own code: for the first time, or again after a wait."""
    mark, node = scope.marks[index], scope.plan.nodes[index]
    if scope.phase != FORWARD or not (mark == READY or (mark == BACKOFF and index not in scope.due)):
        return None
    if mark == READY and node.when >= 0 and not scope.values[node.when]:
        return Skip(scope, index)
    if node.kind == "map":
        return OpenMap(scope, index)
    return Call(scope, index, scope.names[index], node, "do", scope.attempts.get((index, "do"), 1))


def _backwards_due(scope: Scope, index: int, call: CallKind) -> Call | None:
    """An undo or compensate: for the first time, or again after a wait."""
    mark = scope.marks[index]
    due, waiting = (COMPENSATE_READY, COMPENSATE_BACKOFF) if call == "compensate" else (UNDO_READY, UNDO_BACKOFF)
    if mark == due or (mark == waiting and index not in scope.due):
        return Call(scope, index, scope.names[index], scope.plan.nodes[index], call, scope.attempts.get((index, call), 1))
    return None


def _dispatch_due(_state: State, order: Dispatch) -> bool:
    elements = order.scope.maps[order.index]
    return bool(elements.dispatching and elements.next_batch == order.batch and not elements.ended)


def _end_due(state: State, order: End) -> bool:
    root = state.root
    over = root.left == 0 if root.phase == FORWARD else root.phase in (CLOSED, QUIET)
    return state.ended is None and over and not state.again and order.status == gate.end_status(state)


DUE: dict[type[Any], Callable[[State, Any], bool]] = {
    Call: lambda _, order: _call_due(order.scope, order.index, order.call) is not None,
    Skip: lambda _, order: _call_due(order.scope, order.index, "do") is not None,
    OpenMap: lambda _, order: _call_due(order.scope, order.index, "do") is not None,
    CancelCall: lambda _, order: order.scope.marks[order.index] == RUNNING,
    Dispatch: _dispatch_due,
    CloseSource: lambda _, order: order.scope.maps[order.index].dispatching,
    StopBatch: lambda _, order: order.batch in order.scope.maps[order.index].open,
    UndoBatch: lambda _, order: order.batch in order.scope.maps[order.index].undoing,
    Close: lambda _, order: order.scope.marks[order.index] == OPEN,
    Expire: lambda _, order: order.scope.phase == FORWARD,
    End: _end_due,
}


def is_due(state: State, order: Command) -> bool:
    """Whether an order that was given still is one, or has been answered or overtaken."""
    return DUE[type(order)](state, order)
