"""What becomes of a record that was claimed and cannot be driven by the code at hand: it is given back, with nothing changed.

One that the code does not fit is left to other code: it is `incompatible`, and not offered to this code again. One that no code can
read, or whose secrets nobody here can open, is looked at again later. Only a cancel without undo ends either: it calls nothing.
"""

from __future__ import annotations

from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any

from reactor.define.outcomes import Cancelled, Halted, Undone
from reactor.define.reactor import definition_of
from reactor.errors import Incompatible, ReactorError, StoreUnavailable
from reactor.machine.events import (
    Asked,
    CallFailed,
    CallStarted,
    CallSucceeded,
    ChildOpened,
    RunEnded,
    Skipped,
    StopRequested,
)
from reactor.machine.events import Halted as HaltedFact
from reactor.machine.machine import Machine
from reactor.record import facts
from reactor.record.definitions import definition_data, read_definition
from reactor.record.inputs import decode_inputs
from reactor.record.words import Append, Unread
from reactor.run.context import LOGGER
from reactor.run.fitting import unfit
from reactor.run.loading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor.define.outcomes import Outcome
    from reactor.define.reactor import Reactor
    from reactor.machine.state import State
    from reactor.plan.plan import Plan
    from reactor.record.words import Claimed, Loaded
    from reactor.run.hosting import Host

LATER = 15.0  # seconds
OLDER = "older-code"
OTHER_CODE = ("input-incompatible", "record-unfit", OLDER)
HEAD = 1 << 62  # past every event
SETTLED = (Asked, CallFailed, CallSucceeded, ChildOpened, HaltedFact, Skipped)


async def fitted(host: Host, loaded: Loaded, machine: Machine, reactor: Callable[[], Reactor]) -> Reading:
    """Read a record into a machine. Raises Incompatible where the code at hand does not fit what another code began."""
    readings = []

    def replay() -> State:
        reading = Reading(host.store, loaded.run, reactor(), root=loaded.root, sealer=host.sealer)
        reading.replay(machine, loaded.events)
        readings.append(reading)
        return machine.state

    code, old = fingerprint_of(host, loaded.reactor), None
    if loaded.fingerprint != code:
        data = await host.store.definition(loaded.fingerprint)
        old = None if data is None else read_definition(data)
    error = await unfit(loaded, old, machine.state.root.plan, replay, code)
    if error is not None:
        raise error
    return readings[0]


def fingerprint_of(host: Host, reactor: str) -> str:
    """Of the code that serves runs of this name here."""
    return host.plan_for(host.served[reactor]).fingerprint


async def tell_definition(host: Host, plan: Plan) -> None:
    """What draws a run of this code where the code is not at hand, and what other code is compared with: before a record names it."""
    if plan.fingerprint not in host.told:
        await host.store.put_definition(plan.fingerprint, definition_data(plan))
        host.told.add(plan.fingerprint)


async def see_that_it_fits(host: Host, run: str) -> None:
    """Raises Incompatible where the code at hand does not fit a run; nothing is taken."""
    loaded = await host.store.load(run)
    if loaded is not None:
        cls = host.served[loaded.reactor]
        await fitted(host, loaded, Machine(host.plan_for(cls)), lambda: decode_inputs(cls, loaded.inputs, host.sealer, loaded.run))


async def see_that_it_is_not_newer(host: Host, batch: Loaded) -> None:
    """Raises Incompatible where the run around a batch went on under a higher version: its batches are for that, too."""
    run = await host.store.load(batch.root, after=HEAD)
    version = definition_of(host.served[batch.reactor]).version
    if run is not None and run.version > version:
        raise Incompatible(
            f"{batch.run} belongs to a run that went on under version {run.version} of {batch.reactor}, and this is version {version}",
            code="older-code",
            fix="nothing: a process with that version takes it",
        )


# ---- giving back ------------------------------------------------------------------------------------------------


async def give_back(host: Host, claimed: Claimed, why: Exception) -> None:
    """Let go of a claim, and remember why. What was asked for meanwhile lies in its mail for whoever can drive it.

    Raises StoreUnavailable where that is what is wrong, and no damage.
    """
    if isinstance(why, StoreUnavailable):
        if not why.is_damage:
            raise why
        await _leave_alone(host, claimed, why)
        return
    error = why if isinstance(why, ReactorError) else _mistaken(claimed, why)
    LOGGER.error("%s cannot be driven by this code: %s", claimed.run, error, exc_info=None if error is why else why)
    if await _abandoned(host, claimed):
        host.wakings.failed.pop(claimed.run, None)
    else:
        host.wakings.failed[claimed.run] = _bare(error)
        if isinstance(error, Incompatible) and (error.rule or error.code in OTHER_CODE):
            await host.store.refuse(claimed.run, claimed.token, fingerprint_of(host, claimed.reactor))
            await _refuse_root(host, claimed, error)
        else:
            await _put_off(host, claimed)
    host.wakings.changed(claimed.run)


def _mistaken(claimed: Claimed, why: Exception) -> ReactorError:
    said = f"{claimed.run} could not be opened, by a mistake of the engine's, or its record was damaged: {type(why).__name__}: {why}"
    return ReactorError(said, code="driver-broke", fix="report it, with what the log says; it is tried again after a while")


async def _leave_alone(host: Host, claimed: Claimed, error: StoreUnavailable) -> None:
    """What the store holds of it is damaged: it is looked at again later, for a backup may be brought back."""
    LOGGER.error("%s is left as it is: %s", claimed.run, error)
    host.wakings.failed[claimed.run] = _bare(error)
    try:
        if await _abandoned(host, claimed):
            host.wakings.failed.pop(claimed.run, None)
        else:
            await _put_off(host, claimed)
    except StoreUnavailable as again:
        if not again.is_damage:
            raise
        host.stalled[claimed.run] = claimed
    host.wakings.changed(claimed.run)


def _bare(error: ReactorError) -> ReactorError:
    """Kept for as long as the engine is open: it holds no frame."""
    kept = copy(error)
    kept.__traceback__ = kept.__cause__ = kept.__context__ = None
    return kept


async def _refuse_root(host: Host, claimed: Claimed, error: ReactorError) -> None:
    """A batch that does not fit stops its run, too: nobody looks at a batch."""
    if claimed.run == claimed.root or error.code == OLDER:
        return
    driver = host.drivers.get(claimed.root)
    if driver is not None:
        await driver.release()
        host.lost(driver, went_back=False)
    root = await host.store.claim_run(host.session.id, claimed.root)
    if root is not None:
        host.wakings.failed[root.run] = _bare(error)
        await host.store.refuse(root.run, root.token, fingerprint_of(host, root.reactor))
        host.wakings.changed(root.run)


async def _put_off(host: Host, claimed: Claimed) -> None:
    loaded = await host.store.load(claimed.run, after=HEAD)
    if loaded is not None:
        due = await host.store.now() + LATER
        op = f"{claimed.token}:{loaded.seq}:later"
        again = Append(run=claimed.run, token=claimed.token, seq=loaded.seq, op=op, status=loaded.status, due=due, release=True)
        if isinstance(await host.store.append(again), Unread):  # its mail is for whoever can read it: until then we keep the claim
            host.stalled[claimed.run] = claimed


async def _abandoned(host: Host, claimed: Claimed) -> bool:
    """End it, where a cancel without undo was asked for: nothing is called, so no code is needed."""
    while True:
        loaded = await host.store.load(claimed.run, after=HEAD)
        stop = None if loaded is None else _cancel_in(loaded)
        if loaded is None or stop is None or loaded.parent is not None:
            return False
        now = await host.store.now()
        ends = (StopRequested(now, "", "abandon", stop.reason), RunEnded(now, "", "cancelled", stop.reason))
        read = loaded.mail[-1].number
        answer = await host.store.append(
            Append(
                run=claimed.run,
                token=claimed.token,
                seq=loaded.seq,
                op=f"{claimed.token}:{loaded.seq}:{read}",
                events=tuple(facts.encode(fact) for fact in ends),
                status="cancelled",
                ended=True,
                read_up_to=read,
            )
        )
        if not isinstance(answer, Unread):
            return True


def _cancel_in(loaded: Loaded) -> StopRequested | None:
    for message in loaded.mail:
        with suppress(Incompatible):  # a message that nobody can read asks for nothing
            fact = facts.decode(message.body)[0] if message.kind == "cancel" else None
            if isinstance(fact, StopRequested) and fact.mode == "abandon":
                return fact
    return None


# ---- telling ----------------------------------------------------------------------------------------------------


async def why_not(host: Host, loaded: Loaded) -> ReactorError | None:
    """Why a run is not driven by the code at hand; None where it can be."""
    known = host.wakings.failed.get(loaded.run)
    if known is not None:
        return copy(known)
    cls = host.served.get(loaded.reactor)
    if cls is None or loaded.version > definition_of(cls).version:
        return Incompatible(
            f"the record of {loaded.run} does not fit the code that looked at it, and here is "
            + ("none of its reactor" if cls is None else f"an older version than {loaded.version}"),
            fix="deploy code that fits, or cancel it with `undo=False`",
        )
    try:
        await see_that_it_fits(host, loaded.run)
    except ReactorError as error:
        return error
    return None


def last_words(loaded: Loaded) -> Outcome[Any] | None:
    """What a run ended as, where that can be told without its code; None where it cannot."""
    last = facts.decode(loaded.events[-1])[0]
    if isinstance(last, RunEnded):
        match last.status:
            case "cancelled":
                return Cancelled(last.reason, loaded.run, _in_doubt(loaded))
            case "halted":
                return Halted(last.reason, loaded.run)
            case "undone":
                return Undone(loaded.run)
    return None


def _in_doubt(loaded: Loaded) -> list[str]:
    """The calls that began and have no end on record."""
    found: dict[str, None] = {}
    for data in loaded.events:
        fact, _ = facts.decode(data)
        if isinstance(fact, CallStarted) and fact.call == "do":
            found[fact.address] = None
        elif isinstance(fact, SETTLED):
            found.pop(fact.address, None)
    return list(found)
