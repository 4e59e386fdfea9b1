"""What may be asked of a run when, and how it is told: a message on its record, heeded by whoever drives it."""

from __future__ import annotations

import asyncio
from copy import copy
from secrets import token_hex
from typing import TYPE_CHECKING, Any, cast

from reactor.errors import Incompatible, MailboxFull, StoreUnavailable, UnknownRun, WrongState
from reactor.machine.events import StopRequested
from reactor.machine.parking import waiting_in
from reactor.record import facts
from reactor.run.refusing import last_words, why_not
from reactor.run.view import ENDED, HEAD, head_of, view_of

if TYPE_CHECKING:
    from reactor.define.outcomes import Status
    from reactor.record.words import Loaded, Message
    from reactor.run.hosting import Host
    from reactor.run.view import View

ALLOWED: dict[str, tuple[Status, ...]] = {
    "cancel": ("queued", "running", "parked"),
    "undo": ("queued", "running", "parked", "succeeded", "halted", "cancelled"),
    "restart": ("succeeded", "halted", "cancelled", "failed", "undone"),
    "retry_rollback": ("stuck",),
}


async def status_of(host: Host, run_id: str) -> Status:
    """Where a run stands, as its record says; one that cannot begin because the run before it is stuck is stuck with it."""
    loaded = await head_of(host, run_id)
    if loaded.status == "queued" and loaded.token is None and "~" in run_id:
        before = await host.store.load(life_before(run_id), after=HEAD)
        if before is not None and before.status == "stuck":
            return "stuck"
    return cast("Status", loaded.status)


def life_before(run_id: str) -> str:
    """The run that a restart superseded."""
    base, _, number = run_id.partition("~")
    return base if number == "2" else f"{base}~{int(number) - 1}"


async def outcome_on_record(host: Host, loaded: Loaded, *, parked: bool) -> Any:
    """What a run's record says that it ended with, or waits for; None while it goes on. Raises Incompatible."""
    status = await status_of(host, loaded.run) if loaded.status == "queued" else loaded.status
    if status == "incompatible" or is_left_alone(host, loaded):
        why = await why_not(host, loaded)
        if why is not None:
            raise why
        return None
    if status == "stuck" and loaded.status == "queued":
        return await outcome_on_record(host, await head_of(host, life_before(loaded.run)), parked=parked)
    if status == "parked" and parked and is_asleep(host, loaded):
        view = await view_of(host, loaded.run)
        return view.outcome() if await _batches_are_asleep(host, view) else None
    if status in ENDED:
        return await _ended_as(host, loaded.run, before_end=status == "superseded")
    return None


def is_left_alone(host: Host, loaded: Loaded) -> bool:
    """Whether it could not be opened here, and nobody else has it."""
    nobody_has_it = loaded.token is None or loaded.run in host.stalled
    return loaded.run in host.wakings.failed and nobody_has_it and loaded.status not in ENDED


async def _ended_as(host: Host, run_id: str, *, before_end: bool) -> Any:
    try:
        return (await view_of(host, run_id, before_end=before_end)).outcome()
    except Incompatible:
        whole = await host.store.load(run_id)
        told = None if whole is None or before_end else last_words(whole)
        if told is None:
            raise
        return told


def still_holds(host: Host, loaded: Loaded, outcome: Any) -> bool:
    """Whether a run's record can be taken to say what it did when this came of it; what batches wait for is asked of them."""
    waiting = getattr(outcome, "waiting", ())
    asleep = loaded.status == "parked" and is_asleep(host, loaded)
    return loaded.status in ENDED or (asleep and not any("[" in one.step for one in waiting))


def is_asleep(host: Host, loaded: Loaded) -> bool:
    """Whether nothing is about to wake a parked run: no mail, nothing due."""
    if loaded.token is not None or loaded.mail:
        return False
    return loaded.due is None or loaded.due > host.site.now()


async def _batches_are_asleep(host: Host, view: View) -> bool:
    """Whether nothing has been left for the parked batches of a run that it has not heard of yet."""
    name = view.loaded.run
    for record in {one.record for one in waiting_in(view.machine.state, name)} - {name}:
        loaded = await host.store.load(record, after=HEAD)
        if loaded is not None and not (loaded.status == "parked" and is_asleep(host, loaded)):
            return False
    return True


def see_that_it_goes_on(host: Host, run_id: str) -> None:
    """Somebody waits for it here: drive it, where nobody does."""
    if run_id not in host.drivers:
        host.wake(run_id)


def is_told(loaded: Loaded, command: str) -> bool:
    """Whether a message with this command lies there unread."""
    return any(message.kind == command for message in loaded.mail)


async def may(host: Host, run_id: str, command: str, *, undo: bool = True) -> bool:
    """Whether a command has something to do; False: it is being done already. Raises WrongState, UnknownRun."""
    driver = host.drivers.get(run_id)
    if driver is not None and driver.broken:
        if isinstance(error := driver.end.exception(), StoreUnavailable):  # its record is damaged
            raise copy(error)
        raise WrongState(f"the driver of {run_id} broke, by a mistake of the engine's: nothing can be asked of it", code="driver-broke")
    status = driver.status if driver is not None else await status_of(host, run_id)
    if status == "rolling_back" and command != "restart":
        return False
    if status == "queued" and command == "retry_rollback" and is_told(await head_of(host, run_id), command):
        return False
    refused = status == "cancelled" and command == "undo" and await _is_undone(host, run_id)
    if (status in ALLOWED[command] and not refused) or (status == "incompatible" and command == "cancel" and not undo):
        return True
    allowed = ALLOWED[command]
    raise WrongState(
        f"{run_id} is {status}: it cannot be asked to {command.replace('_', ' ')}",
        code="wrong-state",
        known=allowed,
        fix=f"`{command}` is for runs that are {', '.join(allowed)}" + (" (cancelled without undo)" if command == "undo" else ""),
    )


async def _is_undone(host: Host, run_id: str) -> bool:
    """Whether a cancelled run has undone what had succeeded."""
    loaded = await host.store.load(run_id)
    if loaded is None:
        return False
    stops = [fact for data in loaded.events if isinstance(fact := facts.decode(data)[0], StopRequested)]
    return not stops or stops[-1].mode != "abandon"


async def deliver(host: Host, run_id: str, message: Message) -> None:
    """Leave a message for a run, and see that it is heeded. Raises UnknownRun, WrongState, MailboxFull."""
    answer = await host.store.deliver(run_id, message, moves=True, operation=token_hex(8))
    if answer == "unknown":
        raise UnknownRun(f"there is no run `{run_id}`")
    if answer == "gone":
        raise WrongState(f"{run_id} has ended meanwhile", fix="look at its status")
    if answer == "full":
        raise MailboxFull(f"too many messages wait for {run_id}")
    await attend(host, run_id, cast("Any", answer).number)


async def attend(host: Host, run_id: str, number: int) -> None:
    """See that mail is read here, where the run is driven here or by nobody."""
    while True:
        if run_id not in host.drivers:
            await host.claim_one(run_id)
        driver = host.drivers.get(run_id)
        if driver is None:
            return
        driver.look()
        while driver.writer.read_up_to < number and not driver.released and not driver.is_over and not host.is_closing:
            with host.wakings.next_change(run_id) as change:
                await asyncio.wait([change], timeout=0.5)
        if driver.writer.read_up_to >= number or not driver.parked:
            return  # else it parked before it could know: it is woken
