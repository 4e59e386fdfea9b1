"""A runner whose facts are kept: noted at once, appended before anything follows from them outside, ended and parked by an append.

It refuses to know in what order things are done (`driver.py`) and how a record came to be ours.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from reactor.errors import StoreUnavailable
from reactor.machine.events import RunEnded, StopRequested
from reactor.machine.marks import FORWARD
from reactor.record import facts
from reactor.record.inputs import decode_inputs, encode_inputs
from reactor.record.words import Appended, Claimed, Fenced, Unread
from reactor.run import batches, interrupting, mailing, restarting
from reactor.run.context import LOGGER, PATIENCE
from reactor.run.references import KeptResults, kept_results, prefix_of
from reactor.run.runner import Runner, nobody_watches
from reactor.run.sealed import seal_fact
from reactor.run.settling import LET_GO
from reactor.run.values import element_type, held_type, kept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reactor.define.reactor import Reactor
    from reactor.define.results import Results
    from reactor.machine.commands import Command, End
    from reactor.machine.events import ChildOpened, Event
    from reactor.machine.machine import Machine
    from reactor.plan.plan import PlanNode
    from reactor.record.words import Loaded, Message
    from reactor.run.hosting import Host
    from reactor.run.mapping import Elements
    from reactor.run.writer import Writer


class Forgetting(Protocol):
    """What a driver under trial drops its memory by."""

    def next(self, now: float, calls: bool) -> Command | None:  # noqa: FBT001  # as the machine's
        """As the machine's."""

    async def forget(self) -> None:
        """All that was noted so far is on record: go on with what is read from there."""


class Keeper(Runner):
    """What a driver of a record is, and how it keeps values."""

    __slots__ = (
        "_mail",
        "batches_at_work",
        "counted",
        "flushed_at",
        "forgetting",
        "host",
        "hushed",
        "is_queued",
        "lost",
        "outcome",
        "parked",
        "reactor",
        "store",
        "writer",
    )

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
        self.counted = False  # as one of its reactor's runs that are driven
        self.hushed = False  # its map is stopping: no call begins before the message that says so is read
        self.batches_at_work = False  # a map was opened here
        self.outcome: Any = None  # once it is over here
        self.flushed_at = 0.0  # the loop's time of the last append
        self.progressed = host.progress_of(self)
        self.forgetting: Forgetting | None = None  # under trial: it drops all memory after each append
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

    @property
    def keeps(self) -> bool:
        """Every value goes through its bytes."""
        return True

    def dissolve(self) -> None:
        """It is driven here no more: nothing of it refers to itself, and it goes without the garbage collector."""
        self.note = _nothing_more
        self.progressed = nobody_watches
        self.on_end = self.on_broken = None

    # ---- facts ------------------------------------------------------------------------------------------------

    def _keep(self, event: Event, raw: bytes = b"") -> None:
        if raw and self.host.sealer.seals:
            raw = seal_fact(self.host.sealer, self.run_id, self.machine.state, event, raw)
        self.writer.add(event, facts.encode(event, raw))
        self.machine.apply(event)
        if self.batches_at_work and self.machine.state.orders:
            batches.hush(self)

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
            return kept_results(value, self.host.shelf, held_type(node))
        return kept(declared, value, optional=optional, encoded=encoded)

    def results_of(self, address: str) -> Results[Any]:
        """What the map at an address left."""
        scope, index = self.machine.state.place(address)
        element = element_type(scope.plan.nodes[index])
        return KeptResults.of_batches(self.host.shelf, prefix_of(self.run_id, scope, index), scope.maps[index].batches, element)


def _nothing_more(_event: Event) -> None:
    """What is noted of a record that is not ours any more."""


class Recorder(Keeper):
    """The half of a driver that writes: what happens to its record."""

    __slots__ = ()

    def tell_parent(self, message: Message) -> None:
        """Leave a message for the record around this batch, with what was noted so far."""
        name = self.parent_name
        self.writer.messages.append((name, message))
        self.after(lambda: self.host.wake(name))

    def halt_around(self, at: float, reason: str) -> None:
        """The run around a batch hears of a halt at once."""
        if self.batch is not None:
            batches.hush_around(self)
            self.tell_parent(mailing.letter("cancel", StopRequested(at, self.record_name, "halt", reason)))

    @property
    def is_over(self) -> bool:
        """Whether its last fact is on record."""
        return self.machine.state.ended is not None

    def set_over(self) -> None:
        """It is driven here no more: whoever waits looks at the record."""
        if not self.end.done():
            self.end.set_result(None)

    @property
    def status(self) -> str:
        """What the record says of itself."""
        state = self.machine.state
        if state.ended is not None:
            return state.ended
        if self.broken:
            return "stuck"
        if self.is_queued:
            return "queued"
        return "running" if state.root.phase == FORWARD or state.root.quiet else "rolling_back"

    def after(self, effect: Callable[[], Any]) -> None:
        """Do this when all that was noted so far is on record; a coroutine goes aside."""
        self.writer.afters.append(lambda: self._effect(effect()))

    def _effect(self, made: Any) -> None:
        if asyncio.iscoroutine(made):
            self.host.spawn(made)

    # ---- appends ----------------------------------------------------------------------------------------------

    async def _append(self, *, release: bool = False, due: float | None = None, status: str = "") -> bool:
        """Write what was noted. False: the record is not ours any more, or was given back."""
        try:
            answer, written = await self.writer.append(status or self.status, release=release, due=due)
        except StoreUnavailable as error:
            self._not_written(error)
            return False
        goes_on = self._acknowledged(answer, written, release=release)
        if self.forgetting is not None and goes_on:
            await self.forgetting.forget()
        return goes_on

    def _not_written(self, error: StoreUnavailable) -> None:
        """The record is damaged; or the engine closes, and waits for its store no more."""
        if self.released:
            return
        if error.is_damage or not self.held:
            self.crash(error)
        else:
            self.strand(error)

    def strand(self, error: BaseException) -> None:
        """Leave the record as the store has it: it is another's when our lease has run out."""
        if isinstance(error, TimeoutError) or (isinstance(error, StoreUnavailable) and not error.is_damage):
            self.host.session.is_away = True
        why = str(error) or f"no answer in {PATIENCE:g} s"
        LOGGER.warning("%s could not be given back: its lease runs out instead: %s", self.record_name, why)
        self.leave()

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
        if order.status == "superseded" and not await self._let_next_life_go():
            return False
        state = self.machine.state
        last = RunEnded(self.site.now(), "", order.status, state.reason)
        interrupting.dropped(self)
        settled = batches.settlement(self, order.status) if self.batch is not None else None
        self.writer.add(last, facts.encode(last))
        if settled is not None:
            self.writer.messages.append(settled.message)
        try:
            answer, written = await self.writer.append(order.status, ended=True, chunk=settled.chunk if settled else None)
        except StoreUnavailable as error:
            self._not_written(error)
            return False
        if isinstance(answer, Appended):
            self.machine.apply(last)
            self.host.recorded(self, written)
            self.ended()
            return False
        self.writer.withdraw(last, settled.message if settled is not None else None)
        state.orders.append(order)
        return self._acknowledged(answer, (), release=False)

    async def still_ended(self) -> Any:
        """Write that it has ended, as it had, for all of its mail that was read. The store's answer; None where it gave none."""
        try:
            answer, _ = await self.writer.append(self.status, ended=True)
        except StoreUnavailable as error:
            self._not_written(error)
            return None
        return answer

    async def _let_next_life_go(self) -> bool:
        """What the run that supersedes this one does not keep is undone, on record: it may begin."""
        if self.writer.is_dirty and not await self._append():
            return False
        done = await interrupting.patiently(self, lambda: restarting.let_go(self))
        return done is not None

    async def _park(self) -> bool:
        """Give the claim back until a signal comes, or a time. Whether the lane goes on."""
        timers = self.machine.state.timers
        message = batches.parked_letter(self) if self.batch is not None else None
        if message is not None:
            self.writer.messages.append(message)
        if await self._append(release=True, due=timers[0][0] if timers else None, status="parked"):
            self.writer.withdraw(None, message)
            return True
        if not self.lost and not self.broken:
            self.parked = True
            self.leave()
            self.host.parked(self)
            if message is not None:
                self.host.wake(message[0])
        return False

    async def wait_elsewhere(self) -> bool:
        """Give the claim back before anything begins: there is no room here. False: newer mail lies there."""
        if await self._append(release=True, due=self.site.now(), status="queued"):
            return False
        self.leave()
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
        for map_run in self.maps.values():
            if map_run.puller is not None and map_run.puller.is_open:
                self.host.spawn(map_run.puller.close())

    def claimed(self, loaded: Loaded) -> Claimed:
        """The claim that it holds."""
        return Claimed(self.record_name, loaded.root, loaded.reactor, self.writer.token, loaded.fence)
