"""Whether the code at hand fits a record that other code wrote: four rules, each asked of every node of the run and of its children.

1. *begun*: every address that the record speaks of is there, and of its kind.
2. *value*: every stored value that is still needed reads as the type that its node declares today: tried, not compared.
3. *order*: no node that is not done has become an ancestor of one that has begun.
4. *undo*: every node that succeeded and had an undo has one.

Code that fits goes on with the run. It refuses to know who asks, and what becomes of a run that does not fit (`hosting.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from reactor.define.results import Results
from reactor.define.teaching import nearest
from reactor.errors import DefinitionError, Incompatible, ReactorError
from reactor.machine.batch import BatchPlan
from reactor.machine.events import (
    Answered,
    AnswerRefused,
    Asked,
    BatchStarted,
    CallSucceeded,
    ChildOpened,
    Event,
    Kept,
    MapOpened,
    SignalKept,
)
from reactor.plan.compile import child_plan
from reactor.record import facts
from reactor.run.needed import SUCCEEDED, TO_UNDO, UNBEGUN, needed_in
from reactor.run.values import codec_of, declared_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from reactor.define.definition import NodeKind
    from reactor.machine.state import Scope, State
    from reactor.plan.plan import Plan, PlanNode
    from reactor.record.definitions import DefinitionData, NodeData, ReactorData
    from reactor.record.store import Loaded

KINDS: dict[type[Event], NodeKind] = {
    CallSucceeded: "step",
    ChildOpened: "compose",
    MapOpened: "map",
    BatchStarted: "map",
    Asked: "interrupt",
    Answered: "interrupt",
    AnswerRefused: "interrupt",
}
"""What a fact says of its node, whatever code wrote it."""


class Unread:
    """Stands for a stored value that does not read as its node's type today. Nothing may use it: rule 2."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


def readable(value: Any, address: str, run: str) -> Any:
    """A stored value, for somebody outside. Raises Incompatible where it does not read as its type."""
    if isinstance(value, Unread):
        raise _marked(
            "value",
            address,
            Incompatible(
                f"what `{address}` of {run} left cannot be read by this code: {value.why}",
                code="unfit-value",
                fix="ask for it with code whose type takes what was stored",
            ),
        )
    return value


def is_whole(scope: Scope, index: int) -> bool:
    """Whether what a node left, and what is in it, reads as its type."""
    child = scope.children.get(index)
    inside = child is None or all(is_whole(child, inner) for inner in range(len(child.marks)))
    return inside and not isinstance(scope.values[index], Unread)


class Place(NamedTuple):
    """Where an address lies in the plan at hand, and what the code that wrote the record said of it (None: nothing is known)."""

    plan: Plan | BatchPlan
    at: int
    was: NodeData | None


async def unfit(
    loaded: Loaded, old: DefinitionData | None, plan: Plan | BatchPlan, replay: Callable[[], State], code: str = ""
) -> Incompatible | None:
    """Why this code cannot go on with a record: None where it can. Asks nothing where the record was written by the same code.

    Args:
        loaded: the record, of a run or of a batch.
        old: what the record's fingerprint stands for.
        plan: of the run; of a batch, that of its elements.
        code: the fingerprint of the code at hand: the run's, in its batches too.
        replay: folds the record into a state of that plan; values that do not decode are `Unread`. It may raise Incompatible.
    """
    fitting = Fitting(loaded.run, plan, old)
    try:
        if loaded.fingerprint == code:
            state = fitting.replayed(replay)
            if _holds_unread(state):
                fitting.check_values(state)
            return None
        fitting.check_places(loaded.events)
        state = fitting.replayed(replay)
        fitting.check_order(state)
        fitting.check_undos(state)
        fitting.check_values(state)
        await fitting.check_results(state)
    except Incompatible as error:
        return error
    return None


class Fitting:
    """Asks one record and one plan. Each check raises Incompatible, with `rule` and `address`."""

    def __init__(self, run: str, plan: Plan | BatchPlan, old: DefinitionData | None) -> None:
        self.run = run
        self.plan = plan
        self.old = old
        self.owner = plan.owner if isinstance(plan, BatchPlan) else plan
        self.places: dict[str, Place] = {}  # by address: as far as the record opened them

    # ---- rule 1 -----------------------------------------------------------------------------------------------

    def check_places(self, events: Iterable[bytes]) -> None:
        """Every address that the record speaks of is there, and of its kind."""
        if self.old is None:
            raise _marked(
                "undo",
                "",
                Incompatible(
                    f"{self.run} was written by other code, and its store does not know by which: what had an undo cannot be told",
                    code="definition-gone",
                    fix="deploy the code that wrote it, or cancel the run with `undo=False`",
                ),
            )
        self._open(self.plan, "", self._began_as(self.old))
        for data in events:
            event, _ = facts.decode(data)
            if event.address and event.address != self._batch_of and not isinstance(event, SignalKept):
                self._check_place(event)

    @property
    def _batch_of(self) -> str:
        """The address of the map whose batch this is: the batch itself."""
        return self.plan.names[0].rpartition("[")[0] if isinstance(self.plan, BatchPlan) and self.plan.names else ""

    def _began_as(self, old: DefinitionData) -> ReactorData | None:
        if not isinstance(self.plan, BatchPlan):
            return old.root
        names = {self.owner.name, *self.owner.definition.aliases}
        of_name = [one for one in old.reactors.values() if one.name in names]
        return next((one for one in of_name if one.node(self.plan.map_node.name) is not None), None)

    def _open(self, plan: Plan | BatchPlan, prefix: str, old: ReactorData | None) -> None:
        """The addresses of a scope."""
        if isinstance(plan, BatchPlan):
            was = None if old is None else old.node(plan.map_node.name)
            self.places.update({name: Place(plan, index, was) for index, name in enumerate(plan.names)})
        else:
            known = {} if old is None else {node.name: node for node in old.nodes}
            self.places.update({f"{prefix}{name}": Place(plan, index, known.get(name)) for name, index in plan.index.items()})

    def _check_place(self, event: Event) -> None:
        address = event.address
        place = self.places.get(address)
        if place is None and isinstance(event, Kept) and address.endswith("]"):  # an element whose batch was not made yet
            place = self.places.get(address.rpartition("[")[0])
        if place is None:
            known = sorted(self.places)
            raise self._not_begun(address, "the code has no node there", known=known, near=nearest(address, known))
        node = place.plan.nodes[place.at]
        kind = KINDS.get(type(event)) or _kind_of(place)
        if kind is not None and kind != node.kind:
            raise self._not_begun(address, f"it was a {kind}, and is a {node.kind} now", node)
        if isinstance(event, ChildOpened):
            self._open_child(event, place)
        elif isinstance(event, MapOpened) and place.was is not None and bool(place.was.children) != bool(node.children):
            one, other = ("reactors", "steps") if place.was.children else ("steps", "reactors")
            raise self._not_begun(f"{address}[…]", f"its elements were {one}, and are {other} now", node)

    def _open_child(self, event: ChildOpened, place: Place) -> None:
        plan, index = (place.plan.owner, place.plan.map_node.index) if isinstance(place.plan, BatchPlan) else (place.plan, place.at)
        try:
            child = child_plan(plan, index, event.reactor)
        except DefinitionError as error:
            why = f"it returned the reactor `{event.reactor}`, which it cannot return now"
            raise self._not_begun(event.address, why, plan.nodes[index], known=error.known, near=error.nearest) from None
        inside = f"{event.address}."
        for address in [address for address in self.places if address.startswith(inside)]:  # a TryAgain's former child
            del self.places[address]
        old = None if self.old is None or place.was is None else self.old.child(place.was, event.reactor)
        self._open(child, inside, old)

    def _not_begun(
        self, address: str, why: str, node: PlanNode | None = None, *, known: Sequence[str] = (), near: str | None = None
    ) -> Incompatible:
        return _marked(
            "begun",
            address,
            Incompatible(
                f"{self._does_not_fit}: `{address}` has begun, and {why} (rule 1: what has begun is there, and of its kind)",
                code="unfit-begun",
                where=self.owner.definition.span if node is None else node.definition.span,
                known=known,
                nearest=near,
                fix=f"bring `{address}` back as it was until the runs that reached it have ended; a renamed reactor needs `aliases=`",
            ),
        )

    # ---- rule 3 -----------------------------------------------------------------------------------------------

    def check_order(self, state: State) -> None:
        """No node that is not done has become an ancestor of one that has begun."""
        for scope in state.scopes():
            for node in scope.plan.nodes:
                if node.parents and scope.marks[node.index] not in UNBEGUN:
                    late = next((parent for parent in node.parents if scope.marks[parent] not in SUCCEEDED), None)
                    if late is not None:
                        raise self._out_of_order(str(scope.names[node.index]), node, str(scope.names[late]))

    def _out_of_order(self, address: str, node: PlanNode, late: str) -> Incompatible:
        return _marked(
            "order",
            address,
            Incompatible(
                f"{self._does_not_fit}: `{address}` has begun, and waits now for `{late}`, which is not done"
                " (rule 3: nothing new comes before what has begun)",
                code="unfit-order",
                where=node.definition.span,
                fix=f"let `{late}` come after what has begun, or begin in a new reactor that only new runs use",
            ),
        )

    # ---- rule 4 -----------------------------------------------------------------------------------------------

    def check_undos(self, state: State) -> None:
        """Every node that succeeded and had an undo has one."""
        for scope in state.scopes():
            for index, address in enumerate(scope.names):
                place = self.places.get(address)
                if place is None or place.was is None or not place.was.has_undo or scope.plan.nodes[index].undo is not None:
                    continue
                if _has_succeeded(state, scope, index):
                    raise self._without_undo(address, scope.plan.nodes[index])

    def _without_undo(self, address: str, node: PlanNode) -> Incompatible:
        return _marked(
            "undo",
            address,
            Incompatible(
                f"{self._does_not_fit}: `{address}` succeeded and had an undo, and has none now (rule 4: what had an undo has one)",
                code="unfit-undo",
                where=node.definition.span,
                fix=f"bring its `@{node.name}.undo` back until the runs that reached it have ended",
            ),
        )

    # ---- rule 2 -----------------------------------------------------------------------------------------------

    def replayed(self, replay: Callable[[], State]) -> State:
        """The state. Inputs, its own and those of children, are read at once: whoever is called has them."""
        try:
            return replay()
        except Incompatible as error:
            inner = error
        if inner.code not in ("input-incompatible", "record-unfit"):  # bytes that no code reads are no matter of fitting
            raise inner
        where = f"`{inner.address}` was given inputs that" if inner.address else "what it was given"
        raise _marked(
            "value",
            inner.address,
            Incompatible(
                f"{self._does_not_fit}: {where} cannot be read: {inner.what} (rule 2: what is stored and still needed reads as its type)",
                code="unfit-value",
                where=inner.where or self.owner.definition.span,
                fix=inner.fix,
            ),
        ) from inner

    def check_values(self, state: State) -> None:
        """Every stored value that is still needed decodes."""
        for scope in state.scopes():
            for index, reader in needed_in(scope):
                why = _unread(scope, index)
                if why is not None:
                    raise self._unreadable(scope.names[index], reader, why, scope.plan.nodes[index])

    async def check_results(self, state: State) -> None:
        """What maps left and is still needed decodes: a chunk at a time, once for a deploy."""
        for scope in state.scopes():
            for index, reader in needed_in(scope):
                results = scope.values[index]
                if isinstance(results, Results):
                    try:
                        async for _ in results.items():
                            pass
                    except ReactorError as error:
                        raise self._unreadable(scope.names[index], reader, error.what, scope.plan.nodes[index]) from None

    def _unreadable(self, address: str, reader: str, why: str, node: PlanNode) -> Incompatible:
        return _marked(
            "value",
            address,
            Incompatible(
                f"{self._does_not_fit}: what `{address}` left cannot be read, and {reader} needs it: {why}"
                " (rule 2: what is stored and still needed reads as its type)",
                code="unfit-value",
                where=node.definition.span,
                fix="let the type take what older runs stored: a new field with a default, a union; or give the new type to a new node",
            ),
        )

    # ---- common -----------------------------------------------------------------------------------------------

    @property
    def _does_not_fit(self) -> str:
        return f"{self.run} does not fit version {self.owner.definition.version} of {self.owner.name}"


def _unread(scope: Scope, index: int) -> str | None:
    value = scope.values[index]
    if isinstance(value, Unread):
        return value.why
    if scope.is_batch and isinstance(value, bytes):  # an element's stays encoded until it is undone
        try:
            codec_of(declared_type(scope, index), optional=True).decode(value)
        except ReactorError as error:
            return error.what
    return None


def _holds_unread(state: State) -> bool:
    """Whether a value does not read, though the code is the same: a validator's body is no part of a fingerprint."""
    return any(isinstance(value, Unread) for scope in state.scopes() for value in scope.values)


def _marked(rule: str, address: str, error: Incompatible) -> Incompatible:
    error.rule, error.address = rule, address
    return error


def _kind_of(place: Place) -> NodeKind | None:
    if place.was is None:
        return None
    if isinstance(place.plan, BatchPlan):
        return "compose" if place.was.children else "step"
    return place.was.kind


def _has_succeeded(state: State, scope: Scope, index: int) -> bool:
    """Whether its undo may still be called: of a map, that of any element."""
    if scope.plan.nodes[index].kind != "map":
        return scope.marks[index] in TO_UNDO
    elements: Any = scope.maps.get(index)
    begun = elements is not None and (bool(elements.open) or any(batch.undoable for batch in elements.batches.values()))
    return begun or bool(state.kept.get(scope.names[index]))
