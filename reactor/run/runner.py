"""Drives one record: asks the machine for the next order, performs it, notes what happened. It makes no decision of its own.

Calls are performed on *lanes*. A lane is a task that takes ready calls back to back; when one of them lets go of the loop while more
is ready, another lane opens. So steps that never suspend cost no task each, steps that do are concurrent, and `current_task()` in a
step is its lane's, never the runner's.
"""

from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, cast

from reactor.define.steps import in_call
from reactor.machine.commands import Call
from reactor.run.context import LOGGER
from reactor.run.perform import PERFORM, begin
from reactor.run.slots import Loan, Waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from reactor.machine.commands import Command
    from reactor.machine.events import Event
    from reactor.machine.machine import Machine
    from reactor.run.calls import Flight
    from reactor.run.mapping import Elements, MapRun
    from reactor.run.site import Site
    from reactor.run.slots import Slots

DRAWING = threading.RLock()  # a batch asks the run around it
SLICE = 0.005  # seconds that a lane may keep the loop to itself


class Runner:
    """Drives a run, or a batch of one."""

    __slots__ = (
        "_pending",
        "_timer",
        "_timer_at",
        "_waiting",
        "batch",
        "began",
        "broken",
        "clock",
        "context",
        "counts_around",
        "doomed",
        "end",
        "flights",
        "granted",
        "held",
        "last",
        "loans",
        "machine",
        "maps",
        "name",
        "note",
        "offset",
        "on_broken",
        "on_end",
        "opened",
        "originals",
        "progressed",
        "record",
        "released",
        "secrets",
        "site",
        "slots",
        "starting",
        "tasks",
        "threads_granted",
    )  # fmt: skip

    def __init__(
        self,
        site: Site,
        machine: Machine,
        run_id: Callable[[], str] | str,
        *,
        slots: Slots | None = None,
        record: Callable[[Event], None] | None = None,
        batch: Elements | None = None,
    ) -> None:
        self.site = site
        self.machine = machine
        self.name = run_id
        self.slots = slots
        self.clock = site.clock
        self.offset = site.offset
        self.opened = site.resources.opened
        self.last = 0.0  # the loop's time when the last call returned
        self.record = record  # None: nobody reads this run's facts
        self.note: Callable[[Event], None] = machine.apply if record is None else self._note
        self.batch = batch  # what the elements of a batch have in common
        self.context = copy_context()
        if in_call.get() is not None:  # begun inside a step of another run: no call of this one is that call
            self.context.run(in_call.set, None)
        self.end: asyncio.Future[None] = site.loop.create_future()
        self.on_end: Callable[[Runner], None] | None = None
        self.on_broken: Callable[[], None] | None = None
        self.counts_around = ""  # TryAgain counts around a batch
        self.secrets: tuple[str, ...] = ()
        self.flights: dict[tuple[str, str], Flight] = {}
        self.began: dict[tuple[str, str], float] = {}  # when the first of several attempts began
        self.originals: dict[str, BaseException] = {}  # while they are at hand
        self.maps: dict[str, MapRun] = {}
        self.starting: Call | None = None  # the call that has not let go of the loop yet
        self.loans: dict[str, Loan] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.released = False
        self.broken = False
        self.threads_granted = 0
        self.granted = 0  # slots that were handed over and not used yet
        self.doomed: dict[tuple[str, str], str] = {}  # calls to be cancelled as soon as they let go of the loop
        self.held = False  # facts are noted, nothing is driven yet
        self.progressed: Callable[[float, str, int, int | None], None] = _nobody_watches
        self._pending = False  # a lane was opened and has not begun
        self._waiting = False  # for a slot
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def run_id(self) -> str:
        """`{reactor}:{id}`; drawn when first asked for."""
        if not isinstance(self.name, str):
            with DRAWING:  # a `def` step may ask in its thread
                if not isinstance(self.name, str):
                    self.name = self.name()
        return self.name

    @property
    def deadline(self) -> float | None:
        """When the forward phase must be over."""
        return self.machine.state.deadline if self.batch is None else self.batch.deadline

    def fork(self, machine: Machine, batch: Elements) -> Runner:
        """The runner of a batch of this one's."""
        child = type(self)(self.site, machine, lambda: self.run_id, slots=self.slots, batch=batch)
        child.secrets = self.secrets
        child.progressed = self.progressed
        return child

    def loan(self, order: Call) -> Loan | None:
        """The slot of a step that waits for a reactor or for another run, for whoever needs it meanwhile."""
        if self.slots is None or (order is not self.starting and (order.address, order.call) not in self.flights):
            return None  # no slot to lend: a task that outlived its step
        loan = self.loans.get(order.address)
        if loan is None:
            loan = self.loans[order.address] = Loan(self.slots)
        return loan

    # ---- facts ------------------------------------------------------------------------------------------------

    def _note(self, event: Event) -> None:
        """Record a fact and fold it into the state."""
        if self.record is not None:
            self.record(event)
        self.machine.apply(event)

    def tell(self, event: Event) -> None:
        """A fact from outside a lane: record it, decide what follows at once, and go on with the calls."""
        self.note(event)
        if not self.held:
            self._decide()
            self.pump()

    def _decide(self) -> None:
        """Perform all orders but calls here and now: no lane of this run, or of its batches, begins a call that a fact forbids."""
        while not self.released and (order := self.machine.next(self.site.now(), calls=False)) is not None:
            self._perform(order)

    def _perform(self, order: Command) -> None:
        """Perform any order but a call. What takes time goes aside: the orders behind it must not wait."""
        later = PERFORM[type(order)](self, order)
        if later is not None:
            task = self._open(self._aside(later))
            task.add_done_callback(lambda _: later.close())  # one that is cancelled before its first turn was never awaited

    async def _aside(self, later: Coroutine[Any, Any, None]) -> None:
        await later
        self._decide()
        self.pump()

    def _open(self, lane: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.Task(
            lane, loop=self.site.loop, context=self.context
        )  # whatever the loop's factory: one that begins at once would not do
        self.tasks.add(task)
        task.add_done_callback(self._lane_over)
        return task

    def landed(self, order: Call) -> None:
        """A call that had let go of the loop is over."""
        del self.flights[order.address, order.call]
        if self.loans:
            self.loans.pop(order.address, None)

    # ---- lanes ------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """See to it that a lane looks for orders."""
        if not self._pending and not self.released and not self.held and self.machine.state.ended is None:
            self._pending = True
            self._open(self._lane())

    def _lane_over(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if task.cancelled():  # by nobody of us, unless the run is over: another lane goes on
            self._pending = False
            self.pump()
        elif (error := task.exception()) is not None:
            self.crash(error)

    def crash(self, error: BaseException) -> None:
        """A mistake of ours, not the author's: whoever waits for the run gets it, instead of waiting for ever."""
        self.released = self.broken = True
        if not self.end.done():
            self.end.set_exception(error)
            self.end.exception()  # seen, whether or not anybody waits
        LOGGER.error("the driver of %s broke", self.run_id, exc_info=error)
        if self.on_broken is not None:
            self.on_broken()
        if self.batch is not None:
            self.batch.map_run.runner.crash(error)

    async def _lane(self) -> None:
        self._pending = False
        slots, take, clock, offset = self.slots, self.machine.next, self.clock, self.offset
        cancelling = cast("asyncio.Task[None]", asyncio.current_task()).cancelling
        now = clock()
        until = now + SLICE
        while not self.released:
            order = take(now + offset, slots is None or self.granted > 0 or slots.any_free())
            if order is None:
                break
            if not isinstance(order, Call):
                self._perform(order)
                now = clock()
                continue
            rest = begin(self, order, now)
            now = self.last
            if rest is not None:
                self.pump()
                await rest
                now = clock()
                until = now + SLICE
            if cancelling():  # by us, or by the call itself: none after it may feel it, so another lane goes on
                self._decide()
                self.pump()
                return
            if now > until:
                self._decide()
                self.pump()
                await asyncio.sleep(0)
                now = clock()
                until = now + SLICE
        self._rest()

    def _rest(self) -> None:
        """Nothing is due: be woken by the next timer, or by a free slot."""
        self.set_alarm()
        state, slots = self.machine.state, self.slots
        if slots is not None and state.ready and not self._waiting and not slots.any_free():
            self._waiting = True
            slots.wait(Waiter(self._accept_slot))
        self._hand_back()

    def set_alarm(self) -> None:
        """Be woken by the next timer."""
        state = self.machine.state
        if state.timers and state.ended is None:  # a timer of a run that has ended would only keep it alive
            self._wake_at(state.timers[0][0] - self.site.offset)

    def _hand_back(self) -> None:
        """What was handed over and is needed no more, or not yet: it asks again."""
        while self.threads_granted:
            self.threads_granted -= 1
            self.site.thread_slots.give()
        while self.granted and self.slots is not None:
            self.granted -= 1
            self.slots.give()

    def take_thread(self, order: Call) -> bool:
        """A thread for a plain `def`: a call that would have to wait for one does not begin before it has it."""
        threads = self.site.thread_slots
        if self.threads_granted:
            self.threads_granted -= 1
            return True
        if threads.take():
            return True
        threads.wait(Waiter(lambda: self._accept_thread(order)))
        return False

    def _accept_thread(self, order: Call) -> bool:
        if self.released or not self.machine.is_due(order):
            return False
        self.threads_granted += 1
        self.machine.put_back(order)
        self.pump()
        return True

    def _accept_slot(self) -> bool:
        self._waiting = False
        if self.released or self.machine.state.ended is not None:
            return False
        self.granted += 1
        self.pump()
        return True

    def take_slot(self) -> bool:
        """The slot for a call: one that was handed over, or a free one."""
        if self.granted:
            self.granted -= 1
            return True
        return self.slots is None or self.slots.take()

    def _wake_at(self, when: float) -> None:
        if self._timer is not None:
            if self._timer_at <= when and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer_at = when
        self._timer = self.site.loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.pump()

    # ---- the end ----------------------------------------------------------------------------------------------

    def ended(self) -> None:
        """The record has its last fact, until an undo is asked for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._hand_back()
        here = asyncio.current_task()
        for lane in self.tasks:
            # no call is in flight: it was only just opened, or opens a resource that nobody needs now. A batch's just run out: a task
            # that is cancelled leaves a cycle to the collector, and a map of many batches would grow by it
            if lane is not here and self.batch is None:
                lane.cancel()
        if not self.end.done():
            self.end.set_result(None)
        if self.on_end is not None:
            self.on_end(self)

    def reopen(self) -> None:
        """A run that had ended is to be undone, or rolled back again."""
        if self.end.done():
            self.end = self.site.loop.create_future()

    async def release(self) -> None:
        """Let go of the run without a fact: what is in flight is cancelled; an undo or compensation is never cut off, it ends first."""
        self.released = True
        if self._timer is not None:
            self._timer.cancel()
        for map_run in list(self.maps.values()):
            await map_run.release()
        shielded = {flight.task for (_, call), flight in self.flights.items() if call != "do"}
        for task in self.tasks - shielded:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)


def _nobody_watches(_at: float, _address: str, _done: int, _total: int | None) -> None:
    """Progress of a run that is kept nowhere."""
