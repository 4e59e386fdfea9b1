"""Mail → facts: what a message means to the run that gets it, as things stand when it is read.

What cannot be any more (the run has ended since, or is rolling back already) changes nothing: whoever sent it was told what holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from reactor.errors import Incompatible
from reactor.machine.events import (
    BatchParked,
    BatchSettled,
    BatchUndone,
    BatchWoke,
    Event,
    RollbackRetried,
    StopRequested,
    UndoRequested,
)
from reactor.record import facts
from reactor.record.words import Message
from reactor.run import interrupting
from reactor.run.context import LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor.machine.state import MapState
    from reactor.record.words import MessageKind
    from reactor.run.driver import Driver

AGAIN = b"again"


def letter(kind: MessageKind, fact: Event | None = None, body: bytes = b"") -> Message:
    """A message that carries a fact, or these bytes."""
    return Message(kind, body if fact is None else facts.encode(fact))


def heed(driver: Driver, message: Message) -> None:
    """Note what a message says. One that nobody can read is left aside, and told to the log."""
    try:
        HEED[message.kind](driver, message)
    except Incompatible:
        LOGGER.exception("%s got a message that cannot be read: it is left aside", driver.record_name)


def stop(driver: Driver, message: Message) -> None:
    """Cancel, or a batch's map says that it stops; a halt that comes up from a batch goes on upwards."""
    fact = _read(message)
    driver.hushed = False
    if not isinstance(fact, StopRequested) or driver.machine.state.ended is not None:
        return
    driver.note(StopRequested(driver.site.now(), "", fact.mode, fact.reason))
    if fact.address and driver.batch is not None:
        driver.tell_parent(letter("cancel", msgspec.structs.replace(fact, address=driver.record_name)))


def undo(driver: Driver, message: Message) -> None:
    """Undo it, now or after its end; of a batch whose undo was stuck, only what was stuck."""
    state = driver.machine.state
    if message.body == AGAIN:
        retry_rollback(driver, message)
    elif state.ended is None:
        driver.note(StopRequested(driver.site.now(), "", "undo", "undo was asked for"))
    elif state.ended != "stuck" or driver.batch is not None:
        driver.reopen()
        driver.note(UndoRequested(driver.site.now(), ""))


def retry_rollback(driver: Driver, _message: Message) -> None:
    """Call again what could not be undone."""
    if driver.machine.state.ended is not None and driver.machine.state.stuck:
        driver.reopen()
        driver.note(RollbackRetried(driver.site.now(), ""))


def restart(driver: Driver, message: Message) -> None:
    """Undo what the run that supersedes this one does not keep. A word without a fact lets the new run go: its record is made of it."""
    if not message.body:
        return
    fact = _read(message)
    if isinstance(fact, UndoRequested) and driver.machine.state.ended is not None:
        driver.reopen()
        driver.note(msgspec.structs.replace(fact, at=driver.site.now()))


def settled(driver: Driver, message: Message) -> None:
    """A batch has settled, is undone, parks or goes on. A word that comes twice, or too late, says nothing new."""
    fact = _read(message)
    state = driver.machine.state
    try:
        scope, index = state.place(fact.address)
        elements = scope.maps[index]
    except KeyError:
        return
    for told in _told(state, elements, fact):
        driver.note(msgspec.structs.replace(told, at=driver.site.now()))


def _told(state: Any, elements: MapState, fact: Any) -> list[Event]:
    number = fact.batch
    if isinstance(fact, BatchParked | BatchWoke):
        return [fact] if number in elements.open and (isinstance(fact, BatchParked) or number in elements.parked) else []
    if not isinstance(fact, BatchSettled):
        return []
    known = {(one.what.address, one.what.call) for one in state.stuck}
    stuck = tuple(one for one in fact.stuck if (one.address, one.call) not in known)
    if number in elements.open:
        return [msgspec.structs.replace(fact, stuck=stuck)]
    if number in elements.undoing:
        return [BatchUndone(fact.at, fact.address, number, stuck)]
    return []


def _read(message: Message) -> Event:
    return facts.decode(message.body)[0]


HEED: dict[MessageKind, Callable[[Driver, Message], None]] = {
    "signal": interrupting.heed,
    "settled": settled,
    "cancel": stop,
    "undo": undo,
    "retry_rollback": retry_rollback,
    "restart": restart,
}
