"""A run as its record tells it: read from anywhere, whoever drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactor.errors import Expired, Incompatible, UnknownRun
from reactor.machine.machine import Machine
from reactor.machine.parking import waiting_in
from reactor.record import facts
from reactor.record.inputs import decode_inputs
from reactor.run.loading import Reading
from reactor.run.opening import batch_frame
from reactor.run.outcome import outcome_of, parked_outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactor.define.outcomes import Outcome
    from reactor.define.reactor import Reactor
    from reactor.plan.plan import Plan
    from reactor.record.words import Loaded
    from reactor.run.hosting import Host
    from reactor.run.mapping import MapRun

HEAD = 1 << 62  # past every event: a load of what goes with a record, without its events
ENDED = ("succeeded", "failed", "stuck", "halted", "cancelled", "undone", "superseded")


class View:
    """A record and the machine that follows from it."""

    def __init__(self, loaded: Loaded, machine: Machine, reactor: Reactor, plan: Plan) -> None:
        self.loaded = loaded
        self.machine = machine
        self.reactor = reactor
        self.plan = plan

    def outcome(self) -> Outcome[Any] | None:
        """What it ended with, or waits for; None while it goes on."""
        if self.machine.state.ended is not None:
            return outcome_of(self.machine.state, self.loaded.run)
        if self.loaded.status == "parked":
            return parked_outcome(waiting_in(self.machine.state, self.loaded.run), self.loaded.run)
        return None


async def head_of(host: Host, run_id: str) -> Loaded:
    """What goes with a record. Raises UnknownRun, or Expired where only its name is left."""
    loaded = await host.store.load(run_id, after=HEAD)
    if loaded is None:
        raise unknown(run_id)
    return loaded


def unknown(run_id: str) -> UnknownRun:
    """The refusal of a name that no run has."""
    return UnknownRun(f"there is no run `{run_id}`", fix="say its whole name, `{reactor}:{id}`, or `get(TheReactor, id)`")


def class_of(host: Host, reactor: str, run_id: str) -> type[Reactor]:
    """The code of a run. Raises Incompatible where it is not at hand."""
    cls = host.served.get(reactor)
    if cls is None:
        raise Incompatible(
            f"{run_id} is of the reactor `{reactor}`, which this engine does not know",
            code="not-served",
            known=tuple(host.served),
            fix="name it: `Engine(…, reactors=[…])`",
        )
    return cls


async def view_of(host: Host, run_id: str, *, before_end: bool = False) -> View:
    """Read a run, whole. `before_end`: as it was before an undo that makes room for a restart.

    Raises UnknownRun, Expired, Incompatible.
    """
    loaded = await host.store.load(run_id)
    if loaded is None:
        raise unknown(run_id)
    cls = class_of(host, loaded.reactor, run_id)
    plan = host.plan_for(cls)
    reactor = decode_inputs(cls, loaded.inputs, host.sealer, loaded.run)
    events = _before(loaded.events) if before_end else loaded.events
    machine = Machine(plan)
    Reading(host.store, run_id, reactor, root=run_id, sealer=host.sealer).replay(machine, events)
    return View(loaded, machine, reactor, plan)


def _before(events: Sequence[bytes]) -> Sequence[bytes]:
    """Up to the end that came before the undo that a restart asked for."""
    for number, data in enumerate(events):
        fact, _ = facts.decode(data)
        if getattr(fact, "then", "") == "superseded":
            return events[:number]
    return events


async def batch_of(host: Host, record: str) -> tuple[Machine, MapRun]:
    """The machine of a batch's record, and the map around it. Raises Incompatible where it is gone."""
    loaded = await host.store.load(record)
    if loaded is None:
        raise Incompatible(f"the record {record} is not there any more", code="results-unreadable")
    started: Any = facts.decode(loaded.events[0])[0]
    map_run = await batch_frame(host, loaded.parent or "", started.address)
    machine = Machine.of_batch(map_run.scope.plan, map_run.node, map_run.address, started.first, started.size)
    Reading(host.store, record, map_run.scope.reactor, root=loaded.root, sealer=host.sealer).replay(machine, loaded.events)
    return machine, map_run


__all__ = ["ENDED", "HEAD", "Expired", "View", "batch_of", "class_of", "head_of", "view_of"]
