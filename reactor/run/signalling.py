"""What becomes of a signal, from any process: it is validated, finds its occurrence, and is left in the mail of whoever drives that.

Answered in the order of the rules: a known delivery, a payload that does not validate, an occurrence that was answered, one that is
over, one that is open, one that is still to come. Of several that answer one occurrence at once, the store takes one: they share the
name of their delivery. This room refuses to know how a payload is consumed.
"""

from __future__ import annotations

import asyncio
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack

import msgspec

from reactor.define.failing import Failure
from reactor.define.waiting import wait_names
from reactor.errors import (
    AmbiguousSignal,
    Expired,
    MailboxFull,
    NotWaiting,
    PayloadInvalid,
    ReactorError,
    ResultNotStorable,
    RunConflict,
    StoreUnavailable,
    UnknownRun,
)
from reactor.machine.parking import waiting_in
from reactor.record.codec import same
from reactor.record.keeping import root_of
from reactor.record.words import Delivered, Message
from reactor.run.checking import check_address
from reactor.run.delivery import Delivery, Remembered, remembered_of
from reactor.run.failures import failure_of
from reactor.run.interrupting import Signal, signal_of
from reactor.run.occurrences import Occurrence, occurrences_in
from reactor.run.payloads import COUNTED, definition_of_interrupt, encoded, encoded_json
from reactor.run.sealed import NIL, open_answer, open_payload, seal_payload
from reactor.run.sighting import Lookout
from reactor.run.values import codec_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor.define.steps import Interrupt
    from reactor.machine.events import Waited
    from reactor.record.sealing import Sealer
    from reactor.record.store import Store
    from reactor.run.hosting import Host
from reactor.run.sighting import Sighting

LOOKS = 50  # how often a signal looks again where things move under its eyes
PATIENCE = 0.02  # seconds between two looks at a verdict
VERDICT = 2.0  # seconds that a signal waits to learn whether it was in time
NOTHING = Failure("", "")


class Target(NamedTuple):
    """Where an answer goes."""

    record: str
    address: str
    occurrence: str
    deadline: float | None


class Again(Exception):  # no error: things moved
    """Look again."""


class Signalling:
    """One signal on its way. `raw` is the payload, encoded; `wake` tells this process's drivers of mail."""

    def __init__(self, store: Store, lookout: Lookout, interrupt: Interrupt[Any], sealer: Sealer, wake: Callable[[str], None]) -> None:
        self.store = store
        self.sealer = sealer
        self.lookout = lookout
        self.type = definition_of_interrupt(interrupt).returns
        self.names = wait_names(interrupt.owner or type(interrupt), interrupt.name)
        self.attempts = definition_of_interrupt(interrupt).attempts
        self.wake = wake
        self.delivery = token_hex(12)  # this message's, unlike all others
        self.by = self.delivery
        self.raw = b""
        self.correlation_id: str | None = None

    @property
    def name(self) -> str:
        """The interrupt's, its reactor's before it."""
        return self.names[0]

    # ---- rules 1 and 2 ----------------------------------------------------------------------------------------

    async def send(
        self, encode: Callable[[], bytes], *, run_id: str | None, correlation_id: str | None, delivery_id: str | None
    ) -> Delivery:
        """Deliver it. Raises PayloadInvalid, RunConflict, NotWaiting, AmbiguousSignal, MailboxFull, UnknownRun, Expired."""
        check_address(self.name, run_id, correlation_id, delivery_id)
        self.correlation_id = correlation_id
        key = None if delivery_id is None else f"{self.name}:{delivery_id}"
        if key is not None:
            self.delivery = f"={delivery_id}"
            known = await self.store.once(key, None)
            if known is not None:
                return Delivery("duplicate", remembered_of(known, delivery_id).run_id)
        try:
            self.raw = encode()
        except PayloadInvalid as error:
            if error.code == COUNTED and self.attempts is not None:
                await self._count(error, run_id, correlation_id)
            raise
        answer = await self._answered(run_id, correlation_id, delivery_id)
        if key is not None:
            first = await self.store.once(key, msgspec.msgpack.encode(Remembered(answer.status, answer.run_id, self.by)))
            if first is not None and (former := remembered_of(first, delivery_id)).by != self.by:
                return Delivery("duplicate", former.run_id)
        return answer

    async def _count(self, error: PayloadInvalid, run_id: str | None, correlation_id: str | None) -> None:
        """Tell the open occurrence of a payload that did not validate: it counts them. Where there is none, nobody does."""
        try:
            target = await self._target(run_id, correlation_id)
        except (ReactorError, Again):
            return
        if isinstance(target, Target) and target.occurrence:
            failure = failure_of(error, 1)
            signal = Signal(self.name, delivery=self.delivery, address=target.address, occurrence=target.occurrence, refused=failure)
            body = msgspec.msgpack.encode(signal)
            await self.store.deliver(target.record, Message("signal", body), moves=True, operation=f"refused:{self.delivery}")
            self.wake(target.record)

    # ---- rules 3 to 6 -----------------------------------------------------------------------------------------

    async def _answered(self, run_id: str | None, correlation_id: str | None, delivery_id: str | None) -> Delivery:
        for _ in range(LOOKS):
            try:
                target = await self._target(run_id, correlation_id)
                if isinstance(target, Delivery):
                    return target
                if target is None:
                    return await self._keep(correlation_id or "", delivery_id)
                return await (self._deliver(target) if target.occurrence else self._early(target))
            except Again:
                await asyncio.sleep(PATIENCE)
        raise StoreUnavailable(f"what `{self.name}` waits for changes faster than it can be looked at", code="signal-in-motion")

    async def _target(self, run_id: str | None, correlation_id: str | None) -> Target | Delivery | None:
        """Where it goes; what became of it already; None: to nobody that is known yet."""
        if correlation_id is None:
            return await self._in_run(run_id or "")
        for name in self.names:
            found = await self.store.find_waiting(name, correlation_id)
            if found is not None:
                return await self._at(found[0], found[1], run_id)
        if run_id is not None:
            await self._must_exist(run_id)
        return None

    async def _at(self, record: str, address: str, run_id: str | None) -> Target | Delivery:
        """The occurrence that a correlation id leads to."""
        seen = await self.lookout.see(record)
        if seen is None:
            raise Again  # it expired just now, and its ids are free again
        root = seen.loaded.root
        if run_id is not None and run_id.partition("~")[0] != root.partition("~")[0]:
            raise RunConflict(
                f"the correlation id is one of {root}, and the signal names {run_id}",
                code="other-run",
                fix="leave `run_id` out: the correlation id finds the run",
            )
        if seen.state is None:
            return self._unseen(seen, address)
        found = [one for one in occurrences_in(seen.state, self.names) if one.address == address]
        return self._judged(seen, found, by_id=True)

    async def _in_run(self, run_id: str) -> Target | Delivery:
        """The occurrence that is meant where only the run is named."""
        seen = await self._latest(run_id)
        if seen.state is None:
            return self._unseen(seen, "")
        opened = [one for one in waiting_in(seen.state, seen.name) if one.interrupt in self.names]
        if len(opened) > 1:
            raise self._ambiguous(run_id, opened)
        if opened and opened[0].record != seen.name:
            return Target(opened[0].record, opened[0].address, opened[0].occurrence, opened[0].deadline)
        return self._judged(seen, list(occurrences_in(seen.state, self.names)))

    def _unseen(self, seen: Sighting, address: str) -> Target:
        """A run that no code at hand reads: it is kept for code that does. Raises NotWaiting where it has ended."""
        if seen.loaded.ended_at is None:
            return Target(seen.name, address, "", None)
        raise self._over(seen.loaded.root, seen.loaded.status, known=True)

    def _judged(self, seen: Sighting, found: list[Occurrence], *, by_id: bool = False) -> Target | Delivery:
        """By rules 3 to 6: answered, over, open, still to come."""
        opened = [one for one in found if one.stands == "open"]
        answered = [one for one in found if one.stands == "answered"]
        coming = [one for one in found if one.stands == "coming"]
        if opened:
            return Target(seen.name, opened[0].address, opened[0].occurrence, opened[0].deadline)
        if answered:
            return self._again(seen, answered)
        if coming:
            if not by_id and any(one.in_map for one in coming):
                raise self._ambiguous(seen.loaded.root, ())
            return Target(seen.name, coming[0].address if by_id else "", "", None)
        raise self._over(seen.loaded.root, seen.loaded.status, known=bool(found))

    def _again(self, seen: Sighting, answered: list[Occurrence]) -> Delivery:
        """It was answered: by an equal payload, or by another."""
        root = seen.loaded.root
        if any(one.delivery == self.delivery for one in answered):
            return Delivery("accepted", root)  # by this very delivery
        if any(self._equals(open_answer(self.sealer, self.type, one.value or NIL, root, one.address)) for one in answered):
            return Delivery("duplicate", root)
        raise RunConflict(
            f"`{answered[0].address}` of {root} was answered already, with another payload",
            code="other-answer",
            fix="nothing: the first answer counts; to change it, undo or restart the run",
        )

    def _equals(self, raw: bytes) -> bool:
        if raw == self.raw:
            return True
        codec = codec_of(self.type)
        try:
            return bool(same(codec.decode(raw), codec.decode(self.raw)))
        except ResultNotStorable:  # it was written by other code
            return False

    # ---- finding the run --------------------------------------------------------------------------------------

    async def _latest(self, run_id: str) -> Sighting:
        """The run of this name, or the one that superseded it. Raises UnknownRun, Expired."""
        seen = await self.lookout.see(run_id)
        if seen is None:
            raise await self._missing(run_id)
        base, _, life = run_id.partition("~")
        number = int(life) if life.isdecimal() else 1
        while True:
            number += 1
            may_be = seen.loaded.ended_at is not None or (seen.state is not None and seen.state.undoing)
            later = await self.lookout.see(f"{base}~{number}") if may_be else None
            if later is None:
                return seen
            seen = later

    async def _must_exist(self, run_id: str) -> None:
        if await self.store.load(run_id, after=1 << 62) is None:
            raise await self._missing(run_id)

    async def _missing(self, run_id: str) -> ReactorError:
        nothing = msgspec.msgpack.encode(Signal(self.name, refused=NOTHING))  # means nothing to a run that was made just now
        answer = await self.store.deliver(run_id, Message("signal", nothing), moves=False, operation="is it there?")
        if answer == "gone":
            return Expired(f"{run_id} ended, and its record is past retention", fix="nothing waits for a signal there any more")
        return UnknownRun(f"there is no run `{run_id}`", fix="say its whole name, `{reactor}:{id}`")

    # ---- delivering -------------------------------------------------------------------------------------------

    async def _deliver(self, target: Target) -> Delivery:
        """Answer an open occurrence: one message is taken, whoever else sends at the same time."""
        now = await self.store.now()
        if target.deadline is not None and now >= target.deadline:
            raise self._late(target)
        signal = Signal(self.name, self._sealed_for(target.record), self.delivery, now, target.address, target.occurrence)
        operation = f"answer:{target.address}#{target.occurrence}"
        answer = await self._leave(target.record, signal, operation)
        taken = next((one for one in await self.store.mail(target.record, answer.number - 1) if one.number == answer.number), None)
        if taken is None:
            return await self._verdict(target)
        other = signal_of(taken.body)
        root = target.record.partition("/")[0]
        if other.delivery != self.delivery:
            if self._equals(self._opened(other, target.record)):
                return Delivery("duplicate", root)
            raise RunConflict(f"`{target.address}` of {root} is being answered already, with another payload", code="other-answer")
        if target.deadline is not None and await self.store.now() >= target.deadline:
            return await self._verdict(target)
        return Delivery("accepted", root)

    async def _verdict(self, target: Target) -> Delivery:
        """It was read already, or came about at the deadline: what became of it is in the record, or will be at once."""
        root = target.record.partition("/")[0]
        for _ in range(int(VERDICT / PATIENCE)):
            seen = await self.lookout.see(target.record)
            if seen is None or seen.state is None:
                raise await self._missing(root)
            found = [one for one in occurrences_in(seen.state, self.names) if one.address == target.address]
            open_still = [one for one in found if one.stands == "open" and one.occurrence == target.occurrence]
            if not open_still:
                answered = [one for one in found if one.stands == "answered"]
                if answered:
                    return self._again(seen, answered)
                raise self._late(target)
            await asyncio.sleep(PATIENCE)
        return Delivery("accepted", root)  # nobody drives it: whoever will reads its mail before its clock

    async def _early(self, target: Target) -> Delivery:
        """Leave it with a run whose interrupt is still to ask."""
        root = target.record.partition("/")[0]
        loaded = await self.store.load(target.record)
        for message in loaded.mail if loaded is not None else ():
            if message.kind == "signal" and self._is_copy(signal_of(message.body), target):
                return Delivery("duplicate", root)
        signal = Signal(self.name, self._sealed_for(target.record), self.delivery, address=target.address)
        await self._leave(target.record, signal, f"early:{self.delivery}")
        return Delivery("early", root)

    def _is_copy(self, other: Signal, target: Target) -> bool:
        if other.name not in self.names or other.address != target.address or other.refused is not None:
            return False
        return self._opened(other, target.record) == self.raw

    def _sealed_for(self, record: str | None) -> bytes:
        return seal_payload(self.sealer, self.type, self.raw, None if record is None else root_of(record), self.correlation_id)

    def _opened(self, other: Signal, record: str) -> bytes:
        return open_payload(self.sealer, self.type, other.payload, root_of(record), self.correlation_id)

    async def _keep(self, correlation_id: str, delivery_id: str | None) -> Delivery:
        """Keep it for whoever opens this correlation id."""
        body = msgspec.msgpack.encode(Signal(self.name, self._sealed_for(None), self.delivery if delivery_id is not None else ""))
        answer = await self.store.keep_early(self.name, correlation_id, body, delivery_id)
        if answer == "open":
            raise Again
        if answer == "full":
            raise MailboxFull(
                f"too many signals wait for the correlation id {correlation_id!r} of `{self.name}`, and no run has opened it",
                fix="see why no run asks under it; they are kept for a day",
            )
        return Delivery("early" if answer == "kept" else "duplicate", None)

    async def _leave(self, record: str, signal: Signal, operation: str) -> Delivered:
        answer = await self.store.deliver(record, Message("signal", msgspec.msgpack.encode(signal)), moves=True, operation=operation)
        if answer == "full":
            raise MailboxFull(f"too many signals wait for {record}", fix="see why nobody drives it: `reactor doctor`")
        if isinstance(answer, str):
            raise Again  # it ended just now
        self.wake(record)
        return answer

    # ---- errors -----------------------------------------------------------------------------------------------

    def _late(self, target: Target) -> NotWaiting:
        root = target.record.partition("/")[0]
        return NotWaiting(f"`{target.address}` of {root} waits no longer: it timed out, or was dropped", fix="start the run again")

    def _over(self, root: str, status: str, *, known: bool) -> NotWaiting:
        if not known:
            return NotWaiting(f"{root} has no interrupt `{self.name}`", code="no-such-interrupt", fix="name one of its own reactor")
        said = f"the run is {status}" if status not in ("running", "queued", "parked") else "it timed out, or was dropped"
        return NotWaiting(f"`{self.name}` of {root} does not wait: {said}", fix="start the run again")

    def _ambiguous(self, run_id: str, opened: list[Waited] | tuple[()]) -> AmbiguousSignal:
        if not opened:
            return AmbiguousSignal(
                f"`{self.name}` is asked once for each element of a map in {run_id}",
                fix="give `Ask` a correlation id for each, and signal with `correlation_id=`",
            )
        shown = [f"{one.address} ({one.correlation_id or 'no correlation id'})" for one in opened]
        return AmbiguousSignal(f"`{self.name}` is open {len(opened)} times in {run_id}", known=shown, fix="say which: `correlation_id=…`")


class Address(TypedDict):
    """Whom a signal is for, and its sender's own id of it."""

    run_id: str | None
    correlation_id: str | None
    delivery_id: str | None


async def signal(host: Host, interrupt: Interrupt[Any], payload: Any, **to: Unpack[Address]) -> Delivery:
    """Answer an interrupt with a payload of its type."""
    return await _signalling(host, interrupt).send(lambda: encoded(interrupt, payload), **to)


async def signal_json(host: Host, interrupt: Interrupt[Any], body: bytes, **to: Unpack[Address]) -> Delivery:
    """The same with a JSON body that nobody has checked yet."""
    return await _signalling(host, interrupt).send(lambda: encoded_json(interrupt, body), **to)


def _signalling(host: Host, interrupt: Interrupt[Any]) -> Signalling:
    definition_of_interrupt(interrupt)
    return Signalling(host.store, Lookout(host.store, host.served, host.plan_for, interrupt.owner), interrupt, host.sealer, host.wake)
