"""Drives one record that a store keeps: what happened is appended, and what follows from it begins when it is on record.

One lane at a time looks for orders: it takes all that are due, notes the starts of their calls, appends, and lets the calls begin
once that is acknowledged. What happens meanwhile joins the next append: so a chain costs one append a step, and a wave one. It makes
no decision of its own, and refuses to know how a claim is come by.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from reactor.errors import StepCancelled, StoreUnavailable
from reactor.machine.commands import Call, End
from reactor.machine.events import CallFailed, CallStarted, RunEnded, StopRequested
from reactor.machine.marks import FORWARD
from reactor.machine.parking import is_parked
from reactor.record import facts
from reactor.record.inputs import decode_inputs, encode_inputs
from reactor.record.words import Appended, Claimed, Fenced, Unread
from reactor.run import batches, interrupting, mailing, recovering, restarting
from reactor.run.arguments import code_of
from reactor.run.context import LOGGER
from reactor.run.failures import failure_of
from reactor.run.perform import launch, let_go, prepare
from reactor.run.references import KeptResults, kept_results, prefix_of
from reactor.run.runner import Runner
from reactor.run.sealed import seal_fact
from reactor.run.settling import LET_GO, failed
from reactor.run.values import element_type, kept

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from reactor.define.reactor import Reactor
    from reactor.define.results import Results
    from reactor.machine.commands import Command
    from reactor.machine.events import ChildOpened, Event
    from reactor.machine.machine import Machine
    from reactor.plan.plan import Handler, PlanNode
    from reactor.record.words import Loaded, Message, NewRecord
    from reactor.run.hosting import Host
    from reactor.run.mapping import Elements, MapRun
    from reactor.run.writer import Writer


class Prepared(NamedTuple):
    """A call whose start is noted, and which begins when that is on record."""

    order: Call
    code: PlanNode | Handler
    args: tuple[Any, ...]


class Driver(Runner):
    """Drives a run, or a batch of one, by its record."""

    __slots__ = (
        "_asides", "_driving", "_ending", "_mail", "counted", "flushed_at", "hinted", "host", "is_queued", "lost", "outcome",
        "parked", "pulls", "reactor", "store", "writer",
    )  # fmt: skip

    def __init__(self, host: Host, machine: Machine, run_id: str, writer: Writer, *, batch: Elements | None = None) -> None:
        super().__init__(host.site, machine, run_id, slots=host.site.slots, batch=batch)
        self.host = host
        self.store = host.store
        self.writer = writer
        self.fence = writer.fence
        self.note = self._keep
        self.reactor: Reactor | None = None
        self.is_queued = False  # its reactor has no room for it
        self.lost = False  # another has the record now
        self.parked = False  # it was given back: nothing goes on without a signal, or before a time
        self.outcome: Any = None  # once it is over here
        self.pulls: set[tuple[str, int]] = set()  # batches that are being taken from a source
        self.counted = False  # as one of its reactor's runs that are driven
        self.flushed_at = 0.0  # the loop's time of the last append
        self.hinted: int | None = None  # how many appends were begun when the store last hinted that something has changed
        self.progressed = host.progress_of(self)
        self._driving = False  # a lane takes orders, or waits for an append
        self._asides = 0  # what is opened or pulled
        self._ending: End | None = None
        self._mail = False  # there may be messages

    @property
    def record_name(self) -> str:
        """The record that is driven: the run's, or a batch's."""
        return self.writer.name

    @property
    def parent_name(self) -> str:
        """The record of the run, or batch, around a batch."""
        if self.batch is None:
            raise AssertionError(f"{self.record_name} is no batch")
        around: Any = self.batch.map_run.runner
        name: str = around.record_name
        return name

    @property
    def plan_name(self) -> str:
        """The reactor's name."""
        return self.host.root_plan(self).name

    def tell_parent(self, message: Message) -> None:
        """Leave a message for the record around this batch, with what was noted so far."""
        name = self.parent_name
        self.writer.messages.append((name, message))
        self.after(lambda: self.host.wake(name))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something aside, and look for orders when it is done."""
        self._open(self._aside(work))

    def halt_around(self, at: float, reason: str) -> None:
        """The run around a batch hears of a halt at once."""
        if self.batch is not None:
            self.tell_parent(mailing.letter("cancel", StopRequested(at, self.record_name, "halt", reason)))

    def start_batch(self, map_run: MapRun, number: int, first: int, items: Sequence[Any]) -> None:
        """Hand a batch to a record of its own."""
        batches.start(map_run, number, first, items)

    @property
    def is_over(self) -> bool:
        """Whether its last fact is on record."""
        return self.machine.state.ended is not None

    def set_over(self) -> None:
        """It is driven here no more: whoever waits looks at the record."""
        if not self.end.done():
            self.end.set_result(None)

    @property
    def keeps(self) -> bool:
        """Every value goes through its bytes."""
        return True

    @property
    def status(self) -> str:
        """What the record says of itself."""
        state = self.machine.state
        if state.ended is not None:
            return state.ended
        if self.is_queued:
            return "queued"
        return "running" if state.root.phase == FORWARD or state.root.quiet else "rolling_back"

    # ---- facts ------------------------------------------------------------------------------------------------

    def _keep(self, event: Event, raw: bytes = b"") -> None:
        if raw and self.host.sealer.seals:
            raw = seal_fact(self.host.sealer, self.run_id, self.machine.state, event, raw)
        self.writer.add(event, facts.encode(event, raw))
        self.machine.apply(event)

    def note_value(self, event: Event, raw: bytes) -> None:
        """Note a fact that holds a value, with its bytes."""
        self._keep(event, raw)

    def open_child(self, event: ChildOpened) -> None:
        """Note that a reactor was returned: its inputs as they come back. Raises what is wrong with them."""
        raw = encode_inputs(event.inputs, self.host.sealer, self.run_id, event.address)
        again = decode_inputs(type(event.inputs), raw, self.host.sealer, self.run_id, event.address)
        self._keep(msgspec.structs.replace(event, inputs=again), raw)

    def kept(self, node: PlanNode, value: Any, *, optional: bool = False, encoded: bool = False) -> tuple[Any, bytes]:
        """A value as it is kept, and its bytes."""
        declared = node.returns if node.kind in ("step", "interrupt") else element_type(node)
        if hasattr(value, "reference"):
            return kept_results(value, self.host.shelf, element_type(node))
        return kept(declared, value, optional=optional, encoded=encoded)

    def results_of(self, address: str) -> Results[Any]:
        """What the map at an address left."""
        scope, index = self.machine.state.place(address)
        element = element_type(scope.plan.nodes[index])
        return KeptResults.of_batches(self.host.shelf, prefix_of(self.run_id, scope, index), scope.maps[index].batches, element)

    def after(self, effect: Callable[[], Any]) -> None:
        """Do this when all that was noted so far is on record; a coroutine goes aside."""
        self.writer.afters.append(lambda: self._effect(effect()))

    def _effect(self, made: Any) -> None:
        if asyncio.iscoroutine(made):
            self.host.spawn(made)

    # ---- orders -----------------------------------------------------------------------------------------------

    def _perform(self, order: Command) -> None:
        mine = batches.PERFORM.get(type(order))
        if mine is None:
            super()._perform(order)
        else:
            mine(self, order)

    async def _aside(self, later: Coroutine[Any, Any, None]) -> None:
        self._asides += 1
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
        """Take orders until a call of this lane begins, or nothing is due."""
        while not self.released and not self.held and not self._driving:
            self._driving = True
            try:
                began = await self._advance()
            finally:
                self._driving = False
            if began is None:
                return
            if not began:
                if self._mail or self.writer.is_dirty:
                    continue
                self._rest()
                return
            for other in began[1:]:
                self._open(self._call(other))
            state = self.machine.state
            if self._mail or self.writer.is_dirty or state.ready or state.orders:
                self.pump()
            elif state.timers:
                self.set_alarm()
            if not await self._begun(began[0]):
                return

    async def _advance(self) -> list[Prepared] | None:
        """Orders, then an append, until calls may begin. None: the record is over, parked, or another's."""
        began: list[Prepared] = []
        while True:
            if self._mail:
                await self.read_mail()
            self._collect(began)
            if self._ending is not None:
                if not await self._end(self._ending):
                    return None
                continue
            at_rest = not began and not self.flights and not self._asides
            if at_rest and is_parked(self.machine.state) and not self._mail:
                if not await self._park():
                    return None
                continue
            if not self.writer.is_dirty:
                return began
            if not await self._append():
                self._drop(began)
                return None
            if began:
                return began

    def _collect(self, began: list[Prepared]) -> None:
        """Perform what is due now; calls are prepared, and their starts noted."""
        slots, take = self.slots, self.machine.next
        self._ending = None
        while not self.released:
            now = self.clock()
            order = take(now + self.site.offset, slots is None or self.granted > 0 or slots.any_free())
            if order is None:
                return
            if isinstance(order, Call):
                self._prepare(order, now, began)
            elif isinstance(order, End):
                self._ending = order
                return
            else:
                self._perform(order)

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

    async def _call(self, one: Prepared, others: Sequence[Prepared] = ()) -> None:
        """A lane of its own for one call; it goes on as any lane. The others get theirs."""
        for other in others:
            self._open(self._call(other))
        if await self._begun(one):
            await self._drive()

    async def _begun(self, one: Prepared) -> bool:
        """Make a call whose start is on record. False: this task takes no more."""
        if not self.host.session.may_begin:
            await self.host.session.ready()
        order = one.order
        if self.released or self.held:
            let_go(self, one.code)
            return False
        why = self.doomed.pop((order.address, order.call), None)
        if why is not None:
            let_go(self, one.code)
            cancelled = failure_of(StepCancelled(f"the call was cancelled: {why}", code="step-cancelled"), order.attempt)
            first = order.call == "do" and order.attempt == 1 and order.index not in order.scope.tries
            self.note(CallFailed(self.site.now(), order.address, order.call, 0 if first else order.attempt, cancelled))
            return True
        rest = launch(self, order, one.code, one.args, self.clock())
        if rest is not None:
            await rest
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # by us, or by the call itself: none after it may feel it
            self.pump()
            return False
        return True

    def _drop(self, began: Sequence[Prepared]) -> None:
        for one in began:
            let_go(self, one.code)

    # ---- appends ----------------------------------------------------------------------------------------------

    async def create(self, record: NewRecord, *, begin: bool) -> Any:
        """Make the record, with the starts of what begins at once. The store's answer where it is there already, else None."""
        began: list[Prepared] = []
        self._driving = True
        try:
            if begin:
                self._collect(began)
            noted, self.writer.facts, data = self.writer.facts, [], tuple(self.writer.data)
            self.writer.data = []
            answer = await self.store.create(msgspec.structs.replace(record, events=data, status=self.status))
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
            self._open(self._call(began[0], began[1:]))
        return None

    async def _append(self, *, release: bool = False, due: float | None = None, status: str = "") -> bool:
        """Write what was noted. False: the record is not ours any more, or was given back."""
        try:
            answer, written = await self.writer.append(status or self.status, release=release, due=due)
        except StoreUnavailable as error:
            if not self.released:
                self.crash(error)
            return False
        return self._acknowledged(answer, written, release=release)

    def _acknowledged(self, answer: Any, written: Sequence[Event], *, release: bool) -> bool:
        if isinstance(answer, Appended):
            self.host.recorded(self, written)
            self._mail = self._mail or answer.unread
            return not release
        if isinstance(answer, Unread):
            self._mail = True
            return True
        self.lose(went_back=not isinstance(answer, Fenced))
        return False

    async def write_children(self) -> None:
        """Make records of batches before anything speaks of them. Raises StoreUnavailable."""
        await self.writer.append(self.status)

    async def _end(self, order: End) -> bool:
        """Write the last fact, unless newer mail lies there. Whether the lane goes on."""
        state = self.machine.state
        if order.status == "superseded":
            if self.writer.is_dirty and not await self._append():
                return False
            await restarting.let_go(self)
        last = RunEnded(self.site.now(), "", order.status, state.reason)
        interrupting.dropped(self)
        settled = batches.settlement(self, order.status) if self.batch is not None else None
        self.writer.add(last, facts.encode(last))
        if settled is not None:
            self.writer.messages.append(settled.message)
        try:
            answer, written = await self.writer.append(order.status, ended=True, chunk=settled.chunk if settled else None)
        except StoreUnavailable as error:
            self.crash(error)
            return False
        if isinstance(answer, Appended):
            self.machine.apply(last)
            self.host.recorded(self, written)
            self.ended()
            return False
        self.writer.facts.pop()
        self.writer.data.pop()
        if settled is not None:
            self.writer.messages.pop()
        state.orders.append(order)
        return self._acknowledged(answer, (), release=False)

    async def _park(self) -> bool:
        """Give the claim back until a signal comes, or a time. Whether the lane goes on."""
        timers = self.machine.state.timers
        if self.batch is not None:
            batches.tell_parked(self)
        if not await self._append(release=True, due=timers[0][0] if timers else None, status="parked"):
            if not self.lost and not self.broken:
                self.parked = True
                self.leave()
                self.host.parked(self)
            return False
        return True

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
        except StoreUnavailable:
            self._mail = True
            await asyncio.sleep(0.2)
            return False
        for message in messages:
            if message.number > self.writer.read_up_to:
                mailing.heed(self, message)
                self.writer.read_up_to = message.number
        return True

    # ---- letting go ---------------------------------------------------------------------------------------------

    def lose(self, *, went_back: bool = False) -> None:
        """Another has the record, or the store is behind: what is in flight is cancelled, nothing is noted any more."""
        if self.lost:
            return
        self.lost = True
        LOGGER.warning("%s is driven here no more: %s", self.record_name, "its store went back in time" if went_back else "another has it")
        self.leave()
        for flight in list(self.flights.values()):
            flight.end(LET_GO)
        self.host.lost(self, went_back=went_back)

    def leave(self) -> None:
        """Note nothing any more."""
        self.released = True
        self.writer.given_up = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._hand_back()

    def claimed(self, loaded: Loaded) -> Claimed:
        """The claim that it holds."""
        return Claimed(self.record_name, loaded.root, loaded.reactor, self.writer.token, loaded.fence)

    async def release(self) -> None:
        """Give the record back for others to go on with: calls in flight are cancelled, an undo or compensate is let end first."""
        self.held = True
        for map_run in list(self.maps.values()):
            if map_run.puller is not None:
                await map_run.puller.close()
        for (_, call), flight in list(self.flights.items()):
            if call == "do":
                flight.end(LET_GO)
        await self._until_landed()
        if not self.lost and self.machine.state.ended is None and not self.broken:
            await recovering.give_back(self)
        self.leave()

    async def _until_landed(self) -> None:
        while self.flights or self._driving:
            here = asyncio.current_task()
            tasks = [task for task in self.tasks if task is not here]
            if not tasks:
                return
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
