"""Drives one record that a store keeps: what happened is appended, and what follows from it begins when it is on record.

One lane at a time looks for orders: it takes all that are due, notes the starts of their calls, appends, and lets the calls begin
once that is acknowledged. What happens meanwhile joins the next append: so a chain costs one append a step, and a wave one. It makes
no decision of its own, and refuses to know how a claim is come by.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from reactor.errors import StepCancelled, StoreUnavailable
from reactor.machine.commands import Call, End
from reactor.machine.events import CallFailed, CallStarted
from reactor.machine.marks import FORWARD
from reactor.machine.parking import is_parked
from reactor.record.words import Unread
from reactor.run import batches, mailing, recovering, runner
from reactor.run.arguments import code_of
from reactor.run.failures import failure_of
from reactor.run.perform import launch, let_go, prepare
from reactor.run.recorder import Recorder
from reactor.run.settling import LET_GO, failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from reactor.machine.commands import Command
    from reactor.machine.machine import Machine
    from reactor.plan.plan import Handler, PlanNode
    from reactor.record.words import NewRecord
    from reactor.run.hosting import Host
    from reactor.run.mapping import Elements, MapRun
    from reactor.run.writer import Writer


class Prepared(NamedTuple):
    """A call whose start is noted, and which begins when that is on record."""

    order: Call
    code: PlanNode | Handler
    args: tuple[Any, ...]


def _is_first(order: Call) -> bool:
    """Whether no attempt of a node's own code was made before."""
    scope, index = order.scope, order.index
    return order.call == "do" and order.attempt == 1 and index not in scope.tries and (index, "do") not in scope.lost


class Driver(Recorder):
    """Drives a run, or a batch of one, by its record."""

    __slots__ = ("_asides", "_driving", "_ending", "_to_begin", "pulls")

    def __init__(self, host: Host, machine: Machine, run_id: str, writer: Writer, *, batch: Elements | None = None) -> None:
        super().__init__(host, machine, run_id, writer, batch=batch)
        self.pulls: set[tuple[str, int]] = set()  # batches that are being taken from a source
        self._driving = False  # a lane takes orders, or waits for an append
        self._asides = 0  # what is opened or pulled
        self._ending: End | None = None
        self._to_begin = 0  # calls whose starts were written together, and which were not called yet

    def start_batch(self, map_run: MapRun, number: int, first: int, items: Sequence[Any]) -> None:
        """Hand a batch to a record of its own."""
        batches.start(map_run, number, first, items)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something aside, and look for orders when it is done."""
        self._open(self._aside(work))

    # ---- orders -----------------------------------------------------------------------------------------------

    def _perform(self, order: Command) -> None:
        mine = batches.PERFORM.get(type(order))
        if mine is None:
            super()._perform(order)
        else:
            mine(self, order)

    def _aside(self, later: Coroutine[Any, Any, None]) -> Any:
        self._asides += 1  # from now on, not from its first turn: the run is not at rest
        return self._beside(later)

    async def _beside(self, later: Coroutine[Any, Any, None]) -> None:
        try:
            await later
        finally:
            self._asides -= 1
        self.pump()

    def _decide(self) -> None:
        """All that is due is taken by the lane that appends: nothing begins before."""

    async def _lane(self) -> None:
        self._pending = False
        await self._drive()

    async def _drive(self) -> None:
        """Take orders until a call of this lane begins, or nothing is due. It keeps the loop to itself for a slice at most."""
        until = self.clock() + runner.SLICE
        while not (self.released or self.held or self._driving or self._to_begin):
            self._driving = True
            try:
                began = await self._advance()
            finally:
                self._driving = False
            if began is None or not (began or self._is_due()):
                break
            if not began:
                continue
            calls, together = self._together(began), len(began) > 1
            self._let_others_go_on()
            if not await self._begun(calls, together=together):
                return
            if self.clock() > until:
                await asyncio.sleep(0)
                until = self.clock() + runner.SLICE
        else:
            return
        if began is not None:
            self._rest()

    def _is_due(self) -> bool:
        """Whether something came while the lane waited for an append."""
        return self._mail or self.writer.is_dirty

    def _let_others_go_on(self) -> None:
        """A lane for what else there is to do, while this one makes its calls."""
        state = self.machine.state
        if self._is_due() or state.ready or state.orders:
            self.pump()
        elif state.timers:
            self.set_alarm()

    async def _advance(self) -> list[Prepared] | None:
        """Orders, then an append, until calls may begin. None: the record is over, parked, or another's."""
        began: list[Prepared] = []
        goes_on = True
        while goes_on:
            if self._mail:
                await self.read_mail()
            self._collect(began)
            if self._ending is not None:
                goes_on = await self._end(self._ending)
            elif not began and self._may_park():
                goes_on = await self._park()
            elif not self.writer.is_dirty:
                return began
            else:
                goes_on = await self._append()
                if goes_on and began:
                    return began
        self._drop(began)
        return None

    def _may_park(self) -> bool:
        return not self.flights and not self._asides and not self._mail and is_parked(self.machine.state)

    def _collect(self, began: list[Prepared]) -> None:
        """Perform what is due now; calls are prepared, and their starts noted."""
        slots, take = self.slots, self.machine.next if self.forgetting is None else self.forgetting.next
        self._ending = None
        while not self.released:
            now = self.clock()
            order = take(now + self.site.offset, self._may_call() and (slots is None or self.granted > 0 or slots.any_free()))
            if order is None:
                return
            if isinstance(order, Call):
                self._prepare(order, now, began)
            elif isinstance(order, End):
                self._ending = order
                return
            else:
                self._perform(order)

    def _may_call(self) -> bool:
        """A run that waits for room begins nothing; what it undoes when it is cancelled needs none."""
        return not self.hushed and not (self.is_queued and self.machine.state.root.phase == FORWARD)

    def _prepare(self, order: Call, now: float, began: list[Prepared]) -> None:
        code = code_of(order)
        if code.providers and self.site.resources.missing(code.providers):
            self._open(self._aside(self._open_first(order, code)))
            return
        args = prepare(self, order, code, now)
        if args is not None:
            self.note(CallStarted(now + self.site.offset, order.address, order.call, order.attempt))
            began.append(Prepared(order, code, args))

    async def _open_first(self, order: Call, code: PlanNode | Handler) -> None:
        try:
            await self.site.resources.open(code.providers)
        except BaseException as error:  # noqa: BLE001  # opening may raise anything
            if not self.released and self.machine.is_due(order):
                failed(self, order, error, self.clock())
        else:
            if not self.released and self.machine.is_due(order):
                self.machine.put_back(order)

    # ---- calls ------------------------------------------------------------------------------------------------

    def _together(self, began: list[Prepared]) -> deque[Prepared]:
        """Calls whose starts were written together: what follows from the first waits for the last."""
        if len(began) > 1:
            self._to_begin += len(began)
        return deque(began)

    async def _call(self, calls: deque[Prepared], *, together: bool) -> None:
        """A lane of its own for these; it goes on as any lane."""
        if await self._begun(calls, together=together):
            await self._drive()

    def _began(self) -> None:
        """One of those that begin together was called."""
        self._to_begin -= 1
        if self._to_begin == 0:
            self.pump()

    async def _begun(self, calls: deque[Prepared], *, together: bool) -> bool:
        """Make calls whose starts are on record, back to back. False: this task takes no more.

        When one lets go of the loop, those behind it go on in a lane of their own: what never waits costs no task.
        """
        until = self.clock() + runner.SLICE
        cancelling = cast("asyncio.Task[None]", asyncio.current_task()).cancelling
        while calls:
            if not self.host.session.may_begin:
                await self.host.session.ready()
            rest = self._launched(calls.popleft())
            if together:
                self._began()
            if rest is not None or cancelling():
                if calls:
                    self._open(self._call(calls, together=together))
                return await self._ended(rest, cancelling)
            if self.clock() > until:
                await asyncio.sleep(0)
                until = self.clock() + runner.SLICE
        return not self.released and not self.held

    async def _ended(self, rest: Awaitable[None] | None, cancelling: Callable[[], int]) -> bool:
        """Wait for the rest of a call. False: this task was cancelled, and takes no more."""
        if rest is not None:
            await rest
        if cancelling():  # by us, or by the call itself: none after it may feel it, so another lane goes on
            self.pump()
            return False
        return True

    def _launched(self, one: Prepared) -> Awaitable[None] | None:
        """Call it, up to where it lets go of the loop, unless something has overtaken it."""
        order = one.order
        if self.released or self.held:
            let_go(self, one.code)
            return None
        why = self.doomed.pop((order.address, order.call), None)
        if why is not None or self._is_overtaken(order):
            let_go(self, one.code)
            said = f"the call was cancelled: {why or 'a failure stood before it could begin'}"
            cancelled = failure_of(StepCancelled(said, code="step-cancelled"), order.attempt)
            self.note(CallFailed(self.site.now(), order.address, order.call, 0 if _is_first(order) else order.attempt, cancelled))
            return None
        return launch(self, order, one.code, one.args, self.clock())

    def _is_overtaken(self, order: Call) -> bool:
        """Whether a failure stood while the start was written: nothing new begins then, but for what had begun before."""
        stopping = self.hushed or order.scope.phase != FORWARD
        return stopping and order.call == "do" and (order.index, "do") not in order.scope.lost

    def _drop(self, began: Sequence[Prepared]) -> None:
        for one in began:
            let_go(self, one.code)

    async def create(self, record: NewRecord, *, begin: bool) -> Any:
        """Make the record, with the starts of what begins at once. The store's answer where it is there already, else None."""
        began: list[Prepared] = []
        self._driving = True
        try:
            if begin:
                self._collect(began)
            noted, self.writer.facts, data = self.writer.facts, [], tuple(self.writer.data)
            self.writer.data = []
            answer: Any = await self.store.create(msgspec.structs.replace(record, events=data, status=self.status))
        except BaseException:
            self._drop(began)
            raise
        finally:
            self._driving = False
        if not hasattr(answer, "at"):
            self._drop(began)
            return answer
        self.fence = self.writer.fence = answer.fence
        self.writer.seq = len(data)
        self.host.recorded(self, noted)
        if self._ending is not None:
            self.machine.state.orders.append(self._ending)
        if began:
            self._open(self._call(self._together(began), together=len(began) > 1))
        return None

    # ---- mail -------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """There may be a message."""
        self._mail = True
        self.pump()

    async def read_mail(self) -> bool:
        """Heed what came since. False: the store could not be asked."""
        self._mail = False
        try:
            messages = await self.store.mail(self.record_name, self.writer.read_up_to)
        except StoreUnavailable as error:
            if error.is_damage:
                self.crash(error)
                return False
            self._mail = True
            await asyncio.sleep(0.2)
            return False
        for message in messages:
            if message.number > self.writer.read_up_to:
                mailing.heed(self, message)
                self.writer.read_up_to = message.number
        return True

    async def end_again(self) -> bool:
        """Where its mail asked for what is done already, it is over as it was. False: there is something to do."""
        while self.is_over:
            answer = await self.still_ended()
            if not isinstance(answer, Unread):
                return True
            await self.read_mail()
        return False

    # ---- letting go ---------------------------------------------------------------------------------------------

    async def release(self) -> None:
        """Give the record back for others to go on with: calls in flight are cancelled, an undo or compensate is let end first."""
        self.held = self.writer.given_up = True
        for map_run in list(self.maps.values()):
            if map_run.puller is not None:
                await map_run.puller.close()
        for (_, call), flight in list(self.flights.items()):
            if call == "do":
                flight.end(LET_GO)
        await self._until_landed()
        await self._drop_asides()
        if not self.released and self.machine.state.ended is None:
            await recovering.give_back(self)
        self.leave()

    async def _drop_asides(self) -> None:
        """What is opened or pulled is needed here no more."""
        here = asyncio.current_task()
        tasks = [task for task in self.tasks if task is not here]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _until_landed(self) -> None:
        while self.flights or self._driving:
            here = asyncio.current_task()
            tasks = [task for task in self.tasks if task is not here]
            if not tasks:
                return
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
