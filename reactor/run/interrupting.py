"""Interrupts, as whoever drives a record sees them: asking, being answered by mail, running out of time.

A correlation id is opened in the store's registry before the fact that asks, so that no answer can miss it: what came before is
handed over, what comes after is mail. It refuses to know who signals and what they are told.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from reactor.define.failing import Failure
from reactor.define.waiting import wait_name
from reactor.errors import Incompatible, PayloadInvalid, ReactorError, RunConflict, StoreUnavailable
from reactor.machine.asking import ANYWHERE, early_for, may_ask
from reactor.machine.events import Answered, AnswerRefused, Asked, CallFailed, SignalKept
from reactor.machine.marks import FORWARD
from reactor.run.context import LOGGER, call_counts
from reactor.run.failures import failure_of
from reactor.run.sealed import open_payload
from reactor.run.values import codec_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from reactor.define.steps import Ask
    from reactor.machine.asking import Asking
    from reactor.machine.commands import Accept, Call, TimeOut
    from reactor.machine.state import State
    from reactor.record.words import Message
    from reactor.run.driver import Driver
    from reactor.run.recorder import Recorder

T = TypeVar("T")

FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0  # seconds between two tries of a store that is away


class Signal(msgspec.Struct, array_like=True, frozen=True):
    """What a signal's message carries. `address` and `occurrence` are empty where they are not known yet."""

    name: str  # the interrupt's, its reactor's before it
    payload: bytes = b"\xc0"  # encoded
    delivery: str = ""  # tells this message from all others; of one that is kept for a correlation id, its sender's id
    at: float = 0.0  # the store's time at which it was accepted
    address: str = ""
    occurrence: str = ""
    refused: Failure | None = None  # it did not validate


_SIGNAL = msgspec.msgpack.Decoder(Signal)


def signal_of(body: bytes) -> Signal:
    """A message, read. Raises Incompatible for what no release of ours wrote."""
    try:
        return _SIGNAL.decode(body)
    except msgspec.MsgspecError as error:
        raise Incompatible(f"a signal cannot be read: {error}", code="unreadable-signal") from error


# ---- asking -----------------------------------------------------------------------------------------------------


def begin(driver: Driver, order: Call, ask: Ask[Any]) -> None:
    """An interrupt's method returned: note that it asks, once its correlation id leads to it."""
    try:
        show = codec_of(None).encode(ask.show) if ask.show is not None else b""
    except ReactorError as error:
        _fail(driver, order, error)
        return
    if ask.correlation_id is None:
        _note(driver, order, ask, show, ())
    else:
        driver.spawn(_open(driver, order, ask, show))


async def _open(driver: Driver, order: Call, ask: Ask[Any], show: bytes) -> None:
    name, cid = _name(order), ask.correlation_id or ""
    early = await patiently(driver, lambda: driver.store.open_wait(name, cid, driver.record_name, order.address))
    if early is None or driver.released:
        return
    if isinstance(early, str):
        conflict = RunConflict(
            f"the correlation id {cid!r} of `{name}` is another's already: `{order.address}` of {driver.record_name} cannot be found by it",
            code="correlation-taken",
            where=order.node.definition.span,
            fix="make the id of what is unique to the run, such as its own id",
        )
        LOGGER.error("%s", conflict.what)
        _fail(driver, order, conflict)
    else:
        _note(driver, order, ask, show, early)


def _note(driver: Driver, order: Call, ask: Ask[Any], show: bytes, early: Sequence[bytes]) -> None:
    """Note what came before it asked, then that it asks."""
    now, address = driver.site.now(), order.address
    driver.doomed.pop((address, "do"), None)  # its scope is stopping: it is dropped as soon as it asks
    for number, body in enumerate(early):
        try:
            signal = signal_of(body)
        except Incompatible:
            LOGGER.exception("%s got a message that cannot be read: it is left aside", driver.record_name)
            continue
        delivery = signal.delivery or f"early-{number}"
        driver.note_value(SignalKept(now, address, signal.payload, delivery), signal.payload)
    timeout = order.node.definition.timeout
    asked = Asked(
        now,
        address,
        driver.counts_around + ".".join(map(str, call_counts(order.scope, order.index))),
        ask.correlation_id,
        None if timeout is None else now + timeout,
        codec_of(None).decode(show) if show else None,
    )
    driver.note_value(asked, show)


def _fail(driver: Driver, order: Call, error: ReactorError) -> None:
    driver.doomed.pop((order.address, "do"), None)
    driver.originals[order.address] = error
    failure = failure_of(error, order.attempt, secrets=driver.secrets)
    driver.note(CallFailed(driver.site.now(), order.address, "do", order.attempt, failure))


def _name(order: Call) -> str:
    return wait_name(order.scope.plan.definition.cls, order.node.name)


# ---- answers ----------------------------------------------------------------------------------------------------


def heed(driver: Driver, message: Message) -> None:
    """A signal in the mail: it answers what is open, or is kept. One that comes too late changes nothing: its sender was told, or looks."""
    signal = signal_of(message.body)
    asking, may_ask = _meant(driver.machine.state, signal)
    if signal.refused is not None:
        if asking is not None:
            _refuse(driver, asking, signal.refused, signal.delivery)
    elif asking is not None:
        if _in_time(asking, signal.at):
            _answer(driver, asking, signal.payload, signal.delivery)
    elif may_ask:
        kept = SignalKept(driver.site.now(), signal.address or ANYWHERE + signal.name, signal.payload, signal.delivery)
        driver.note_value(kept, signal.payload)


def _meant(state: State, signal: Signal) -> tuple[Asking | None, bool]:
    """The open occurrence that a signal is for; where there is none, whether one may still come to ask."""
    goes_on = state.ended is None and state.root.phase == FORWARD
    if not signal.address:
        return next((one for one in state.asks.values() if one.is_open and one.name == signal.name), None), goes_on
    asking = state.asks.get(signal.address)
    try:
        scope, index = state.place(signal.address)
    except KeyError:  # in a child that is not open yet
        return None, goes_on and not signal.occurrence
    if asking is not None and asking.scope is scope and asking.is_open:
        return (asking if signal.occurrence in ("", asking.asked.occurrence) else None), False
    return None, goes_on and not signal.occurrence and may_ask(scope, index)


def accept(driver: Driver, order: Accept) -> None:
    """Answer an interrupt with what was kept for it."""
    asking = driver.machine.state.asks[order.address]
    kept = early_for(driver.machine.state, asking)
    if kept is not None:
        _answer(driver, asking, kept.value, kept.delivery)


def _answer(driver: Driver, asking: Asking, payload: bytes, delivery: str) -> None:
    node = asking.scope.plan.nodes[asking.index]
    try:
        payload = open_payload(driver.host.sealer, node.returns, payload, driver.run_id, asking.asked.correlation_id)
        value = codec_of(node.returns).decode(payload)
    except ReactorError as error:  # it was written by other code
        refusal = PayloadInvalid(f"the payload of `{asking.name}` does not fit any more: {error.what}", code="payload-invalid")
        _refuse(driver, asking, failure_of(refusal, 1), delivery)
        return
    driver.note_value(Answered(driver.site.now(), asking.asked.address, value, delivery), payload)
    _close(driver, asking)


def _refuse(driver: Driver, asking: Asking, failure: Failure, delivery: str) -> None:
    """Count a payload that did not validate; the last that may not fails the interrupt."""
    now, address, attempt = driver.site.now(), asking.asked.address, asking.refused + 1
    driver.note(AnswerRefused(now, address, attempt, failure, delivery))
    limit = asking.scope.plan.nodes[asking.index].definition.attempts
    if limit is not None and attempt >= limit:
        driver.note(CallFailed(now, address, "do", _attempt(asking), failure))
        _close(driver, asking)


def _in_time(asking: Asking, at: float) -> bool:
    deadline = asking.asked.deadline
    return deadline is None or at < deadline


def _attempt(asking: Asking) -> int:
    return asking.scope.attempts.get((asking.index, "do"), 1)


# ---- time -------------------------------------------------------------------------------------------------------


async def time_out(driver: Driver, order: TimeOut) -> None:
    """Fail it with a TimeoutError, if the time has gone by on the store's clock and nothing was accepted before."""
    asked = driver.machine.state.asks[order.address].asked
    deadline = asked.deadline or 0.0
    while True:
        now = await patiently(driver, driver.store.now)
        if now is None or now >= deadline:
            break
        await asyncio.sleep(deadline - now)
    read = await patiently(driver, driver.read_mail)
    asking = driver.machine.state.asks[order.address]  # what it is by now
    if driver.released or not read or not asking.is_open or asking.asked.occurrence != asked.occurrence:
        return
    node = asking.scope.plan.nodes[asking.index]
    error = TimeoutError(f"nobody answered `{asking.name}` within {node.definition.timeout:g} s")
    driver.originals[order.address] = error
    attempt = _attempt(asking)
    driver.note(CallFailed(driver.site.now(), order.address, "do", attempt, failure_of(error, attempt)))
    _close(driver, asking)


# ---- the registry -----------------------------------------------------------------------------------------------


def dropped(driver: Recorder) -> None:
    """The run is over: what it had asked and nobody answered waits no longer."""
    for asking in driver.machine.state.asks.values():
        if asking.delivery is None and not asking.is_open:
            _close(driver, asking)


def _close(driver: Recorder, asking: Asking) -> None:
    """Once that is on record, tell the registry that its id waits no longer."""
    cid = asking.asked.correlation_id
    if cid is not None:
        name, record, address = asking.name, driver.record_name, asking.asked.address
        driver.after(lambda: _tell(driver, lambda: driver.store.close_wait(name, cid, record, address)))


async def _tell(driver: Recorder, call: Callable[[], Awaitable[None]]) -> None:
    try:
        await call()
    except StoreUnavailable:
        LOGGER.info("the registry was not told of an interrupt of %s that is closed: the record says it", driver.record_name)


async def patiently(driver: Recorder, call: Callable[[], Awaitable[T]]) -> T | None:
    """What the store answers, however long it is away; None where the record was let go of meanwhile. Raises what is wrong for good."""
    wait = FIRST_WAIT
    while not driver.released:
        try:
            return await call()
        except StoreUnavailable as error:
            if error.is_damage:
                raise
            if driver.held:  # the engine closes
                return None
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
    return None
