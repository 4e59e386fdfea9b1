"""Leaving a message for a run with no code at hand: whoever drives it, or is the next to serve its reactor, heeds it."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Literal

from reactor.cli.problems import Problem
from reactor.cli.text import clean
from reactor.errors import MailboxFull, WrongState
from reactor.machine.events import StopRequested
from reactor.run.commanding import ALLOWED, is_told
from reactor.run.mailing import letter

if TYPE_CHECKING:
    from reactor.cli.records import Reading
    from reactor.record.store import Message, Store

Command = Literal["cancel", "undo", "retry_rollback"]


async def leave(store: Store, reading: Reading, command: Command, reason: str = "", *, undo: bool = True) -> str:
    """Leave it; what became of it, in words. Raises WrongState, MailboxFull, `Problem` where the run is gone meanwhile."""
    run = clean(reading.run)
    if not may(reading, command, undo=undo):
        return f"{run} is {'told' if reading.status == 'queued' else 'rolling back'} already"
    answer = await store.deliver(reading.run, await _message(store, command, reason, undo=undo), moves=True, operation=token_hex(8))
    match answer:
        case "full":
            raise MailboxFull(f"too many messages wait for {run}", fix="start a process that serves its reactor: it reads them")
        case "gone":
            raise WrongState(f"{run} has ended meanwhile", fix=f"look at it: reactor runs get {run}")
        case "unknown":
            raise Problem(f"there is no run {run} any more", "fix: reactor runs ls", code="unknown-run")
        case _:
            owner = (
                "whoever drives it" if reading.loaded.token is not None else f"the next process that serves {clean(reading.loaded.reactor)}"
            )
            return f"{run}: the message is left; {owner} will heed it"


def may(reading: Reading, command: Command, *, undo: bool = True) -> bool:
    """Whether the command has something to do; False: it is being done already. Raises WrongState."""
    status, allowed = reading.status, ALLOWED[command]
    if status == "rolling_back" or (command == "retry_rollback" and status == "queued" and is_told(reading.loaded, command)):
        return False
    is_undone = status == "cancelled" and command == "undo" and reading.story.mode != "abandon"
    if (status in allowed and not is_undone) or (status == "incompatible" and command == "cancel" and not undo):
        return True
    without = " (cancelled without undo)" if command == "undo" else ""
    raise WrongState(
        f"{clean(reading.run)} is {status}: it cannot be asked to {command.replace('_', ' ')}",
        known=allowed,
        fix=f"`{command.replace('_', '-')}` is for runs that are {', '.join(allowed)}{without}",
    )


async def _message(store: Store, command: Command, reason: str, *, undo: bool) -> Message:
    if command == "cancel":
        return letter("cancel", StopRequested(await store.now(), "", "cancel" if undo else "abandon", reason))
    return letter(command)
