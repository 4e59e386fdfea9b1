"""A machine fed by hand: facts go in, orders come out as words, and after every fact a replay of the record must be the same machine.

Words are what a reader of a test wants to see: `do price`, `undo ship`, `compensate pay`, `skip gift`, `open ship`, `dispatch ship 0`,
`stop ship 0 cancel`, `close_source ship`, `undo_batch ship 0`, `close payment`, `cancel pay`, `expire`, `end failed`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from reactor.define.failing import Failure
from reactor.machine import commands
from reactor.machine.events import (
    BatchSettled,
    BatchStarted,
    BatchUndone,
    BatchUndoStarted,
    CallCancelled,
    CallFailed,
    CallStarted,
    CallSucceeded,
    ChildOpened,
    Closed,
    Compensated,
    Event,
    Halted,
    MapOpened,
    RollbackFailed,
    RollbackRetried,
    RunEnded,
    RunStarted,
    Skipped,
    SourceEnded,
    StopRequested,
    Undone,
    UndoRequested,
)
from reactor.machine.machine import Machine
from reactor.machine.marks import MARKS, PHASES
from reactor.plan.compile import plan_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor import Reactor
    from reactor.machine.events import Call

BOOM = Failure("Boom", "it broke", ("tests.Boom", "builtins.Exception"))


def boom(text: str) -> Failure:
    """A failure that says this."""
    return Failure("Boom", text, BOOM.lineage)


def word(order: commands.Command) -> str:
    """An order as a reader says it."""
    match order:
        case commands.Call():
            return f"{order.call} {order.address}"
        case commands.StopBatch():
            return f"stop {order.address} {order.batch} {order.mode}"
        case commands.Dispatch():
            return f"dispatch {order.address} {order.batch}"
        case commands.UndoBatch():
            return f"undo_batch {order.address} {order.batch}" + (" again" if order.again else "")
        case commands.End():
            return f"end {order.status}"
        case commands.Expire():
            return "expire"
    verb = {commands.Skip: "skip", commands.OpenMap: "open", commands.Close: "close"}
    verb |= {commands.CloseSource: "close_source", commands.CancelCall: "cancel"}
    return f"{verb[type(order)]} {order.address}"


def facts_of(machine: Machine) -> dict[str, Any]:
    """What must be the same after a replay: all but the calls that were handed out and have not begun."""
    snapshot = machine.snapshot()
    del snapshot["due"]
    return snapshot


class Fold:
    """The machine of one run of a reactor, its record so far, and the time, which every word below may move forward."""

    def __init__(self, of: type[Reactor] | Callable[[], Machine], **started: Any) -> None:
        """`of`: a reactor, or what makes the machine of a batch. `started` goes into the first fact."""
        self._make = partial(Machine, plan_of(of)) if isinstance(of, type) else of
        self.machine: Machine = self._make()
        self.facts: list[Event] = []
        self.given: list[commands.Command] = []  # taken as a runner would, and neither answered nor shown yet
        self.now = 0.0
        self.note(RunStarted(0.0, self.root.address, **started))

    @property
    def root(self) -> Any:
        """The outermost scope."""
        return self.machine.state.root

    def note(self, fact: Event) -> Fold:
        """Fold one fact, after all orders that were due before it were taken, and check that its record would fold to the same."""
        self._take()
        self.facts.append(fact)
        self.machine.apply(fact)
        self.given = [order for order in self.given if self.machine.is_due(order)]
        assert facts_of(self.replayed()) == facts_of(self.machine)
        return self

    def replayed(self) -> Machine:
        """A machine of its own from the record."""
        again = self._make()
        for fact in self.facts:
            again.apply(fact)
        again.forget_answered()
        return again

    # ---- what comes out -----------------------------------------------------------------------------------------

    def taken(self, *, calls: bool = True) -> list[commands.Command]:
        """All orders that are due and were not shown yet."""
        self._take(calls=calls)
        orders, self.given = self.given, []
        return orders

    def _take(self, *, calls: bool = True) -> None:
        while (order := self.machine.next(self.now, calls)) is not None:
            self.given.append(order)

    def orders(self, *, calls: bool = True) -> list[str]:
        """The same in words."""
        return [word(order) for order in self.taken(calls=calls)]

    def mark(self, address: str) -> str:
        """Where an occurrence stands."""
        scope, index = self.machine.state.place(address)
        return MARKS[scope.marks[index]]

    def marks(self, *addresses: str) -> list[str]:
        """Where these stand."""
        return [self.mark(address) for address in addresses]

    @property
    def phase(self) -> str:
        """Where the run stands."""
        return PHASES[self.root.phase]

    # ---- what goes in: a fact a word ------------------------------------------------------------------------------

    def after(self, seconds: float) -> Fold:
        """Time goes by."""
        self.now += seconds
        return self

    def began(self, *addresses: str, call: Call = "do", attempt: int = 1) -> Fold:
        """Calls began."""
        for address in addresses:
            self.note(CallStarted(self.now, address, call, attempt))
        return self

    def succeeded(self, address: str, value: Any = None) -> Fold:
        """A call in flight came to its value."""
        return self.note(CallSucceeded(self.now, address, value))

    def did(self, *addresses: str, value: Any = None) -> Fold:
        """Nodes began and succeeded at once."""
        for address in addresses:
            self.began(address).succeeded(address, value)
        return self

    def failed(self, address: str, failure: Failure = BOOM, *, call: Call = "do", attempt: int = 1, next_in: float | None = None) -> Fold:
        """A call in flight failed; `next_in`: another attempt is due so many seconds later."""
        return self.note(CallFailed(self.now, address, call, attempt, failure, next_in))

    def broke(self, *addresses: str) -> Fold:
        """Nodes began and failed for good."""
        for address in addresses:
            self.began(address).failed(address, boom(address))
        return self

    def compensated(self, address: str, verdict: Any = "stands", value: Any = None, after: float = 0.0) -> Fold:
        """`compensate` began and answered."""
        return self.began(address, call="compensate").note(Compensated(self.now, address, verdict, value, after))

    def undone(self, *addresses: str) -> Fold:
        """Undos began and succeeded."""
        for address in addresses:
            self.began(address, call="undo").note(Undone(self.now, address))
        return self

    def undo_broke(self, address: str, call: Call = "undo") -> Fold:
        """An undo, or a compensate, began and failed for good."""
        return self.began(address, call=call).failed(address, boom(f"{call} {address}"), call=call)

    def skipped(self, address: str, value: Any = None, reason: Any = "when") -> Fold:
        """A node did nothing."""
        return self.note(Skipped(self.now, address, value, reason))

    def halted(self, address: str, reason: str = "enough") -> Fold:
        """A call in flight raised Halt."""
        return self.note(Halted(self.now, address, reason))

    def cancelled(self, address: str) -> Fold:
        """A call in flight was told to end, and did."""
        return self.note(CallCancelled(self.now, address, "told")).failed(address, boom("cancelled"))

    def opened(self, address: str, child: str) -> Fold:
        """A compose's code began and returned its reactor."""
        return self.began(address).note(ChildOpened(self.now, address, child))

    def closed(self, address: str, value: Any = None) -> Fold:
        """A child or a map is done."""
        return self.note(Closed(self.now, address, value))

    def stop(self, mode: Any, reason: str = "because") -> Fold:
        """A message came."""
        return self.note(StopRequested(self.now, "", mode, reason))

    def undo(self, keep: tuple[str, ...] = (), then: Any = "undone") -> Fold:
        """An undo was asked for after the end."""
        return self.note(UndoRequested(self.now, "", keep, then))

    def retry_rollback(self) -> Fold:
        """A stuck run is to be tried again."""
        return self.note(RollbackRetried(self.now, ""))

    def ended(self, status: Any) -> Fold:
        """The run's end was recorded."""
        return self.note(RunEnded(self.now, "", status))

    # ---- maps -----------------------------------------------------------------------------------------------------

    def opened_map(self, address: str, total: int | None = None) -> Fold:
        """Its source is open."""
        return self.note(MapOpened(self.now, address, total))

    def batch(self, address: str, number: int, size: int = 1) -> Fold:
        """A batch was handed on."""
        scope, index = self.machine.state.place(address)
        return self.note(BatchStarted(self.now, address, number, scope.maps[index].first, size))

    def source_ended(self, address: str, failure: Failure | None = None) -> Fold:
        """There is nothing more to take."""
        return self.note(SourceEnded(self.now, address, failure))

    def settled(self, address: str, number: int, *, good: int = 1, bad: int = 0, undoable: int = 0, **more: Any) -> Fold:
        """A batch came to its end."""
        return self.note(BatchSettled(self.now, address, number, good, bad, undoable, **more))

    def batch_undone(self, address: str, number: int, *stuck: str) -> Fold:
        """A batch's undo began and ended; the undo of these elements failed for good."""
        self.note(BatchUndoStarted(self.now, address, number))
        return self.note(BatchUndone(self.now, address, number, tuple(RollbackFailed(one, "undo", boom(one)) for one in stuck)))
