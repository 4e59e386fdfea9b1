"""A record that is ours, made into a driver: loaded, replayed, its mail read, what was in flight taken up again.

A batch is driven by itself, but calls its map's code: where the run around it is driven elsewhere, that is read from its record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactor.errors import Incompatible
from reactor.machine.events import RunStarted
from reactor.machine.machine import Machine
from reactor.record import facts
from reactor.record.inputs import decode_inputs
from reactor.record.words import Unread
from reactor.run import batches, mailing, recovering, restarting
from reactor.run.context import call_counts
from reactor.run.driver import Driver
from reactor.run.failures import secret_texts
from reactor.run.loading import Reading
from reactor.run.mapping import Elements, MapRun
from reactor.run.refusing import fingerprint_of, fitted, see_that_it_fits, see_that_it_is_not_newer, tell_definition
from reactor.run.writer import Writer

if TYPE_CHECKING:
    from reactor.define.reactor import Reactor
    from reactor.machine.events import Event
    from reactor.record.words import Claimed, Loaded, NewRecord
    from reactor.run.hosting import Host


class Onlooker:
    """A run, or a batch, that is driven elsewhere, as the batches in it need to know it."""

    def __init__(self, host: Host, machine: Machine, run_id: str, record_name: str, batch: Elements | None) -> None:
        self.host = host
        self.site = host.site
        self.machine = machine
        self.run_id = run_id
        self.record_name = record_name
        self.batch = batch
        self.released = False
        self.secrets: tuple[str, ...] = ()
        self.counts_around = "" if batch is None else batch.map_run.runner.counts_around + _counts(batch.map_run)
        self.maps: dict[str, MapRun] = {}
        self.originals: dict[str, BaseException] = {}

    def crash(self, error: BaseException) -> None:
        """A batch broke here, by a mistake of ours: the log has it, and who drives the run around it cannot be told."""

    @property
    def deadline(self) -> float | None:
        """When the forward phase must be over."""
        return self.machine.state.deadline if self.batch is None else self.batch.deadline


def _counts(map_run: MapRun) -> str:
    return "".join(f"{count}." for count in call_counts(map_run.scope, map_run.index))


class Opening:
    """Makes drivers of records."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def made_batch(self, map_run: MapRun, number: int, record: NewRecord) -> Driver:
        """Of a batch that was just made here."""
        events = [facts.decode(data) for data in record.events]
        started: Any = events[0][0]
        items = batches.elements_of(map_run, record.run, record.elements, started.size)
        writer = Writer(self.host.store, record.run, record.token or "", fence=int(self.host.site.now() * 1000), seq=len(events))
        return self._batch(map_run, number, items, writer, record.events)[0]

    def _batch(
        self, map_run: MapRun, number: int, items: list[Any], writer: Writer, data: tuple[bytes, ...]
    ) -> tuple[Driver, Reading, list[Event]]:
        started: Any = facts.decode(data[0])[0]
        machine = Machine.of_batch(map_run.scope.plan, map_run.node, map_run.address, started.first, started.size)
        reading = Reading(self.host.store, writer.name, map_run.scope.reactor, root=map_run.runner.run_id, sealer=self.host.sealer)
        read = reading.replay(machine, data)
        driver = Driver(self.host, machine, map_run.runner.run_id, writer, batch=Elements(map_run, number, items))
        driver.secrets = map_run.runner.secrets
        driver.counts_around = map_run.runner.counts_around + _counts(map_run)
        return driver, reading, read

    async def run(self, cls: type[Reactor], loaded: Loaded, writer: Writer) -> tuple[Driver, Reading]:
        """Of a run."""
        machine = Machine(self.host.plan_for(cls))
        reading = await fitted(self.host, loaded, machine, lambda: decode_inputs(cls, loaded.inputs, self.host.sealer, loaded.run))
        reactor = reading.reactor
        driver = Driver(self.host, machine, loaded.run, writer)
        driver.reactor = reactor
        driver.secrets = secret_texts(reactor)
        return driver, reading

    async def batch(self, loaded: Loaded, writer: Writer) -> tuple[Driver, Reading]:
        """Of a batch."""
        started: Any = facts.decode(loaded.events[0])[0]
        await see_that_it_is_not_newer(self.host, loaded)
        is_other = loaded.fingerprint != fingerprint_of(self.host, loaded.reactor)
        if is_other and loaded.root not in self.host.drivers:
            await see_that_it_fits(self.host, loaded.root)
        map_run = await batch_frame(self.host, loaded.parent or "", started.address)
        items = batches.elements_of(map_run, loaded.run, loaded.elements, started.size)
        number = int(loaded.run.rpartition("#")[2])
        if is_other:
            machine = Machine.of_batch(map_run.scope.plan, map_run.node, map_run.address, started.first, started.size)
            await fitted(self.host, loaded, machine, lambda: map_run.scope.reactor)
        driver, reading, _ = self._batch(map_run, number, items, writer, loaded.events)
        if loaded.status == "parked":
            batches.tell_woken(driver)
        return driver, reading


async def open_record(host: Host, claimed: Claimed) -> Driver | None:
    """The driver of a record that was claimed. Raises Incompatible where the code does not fit it."""
    loaded = await host.store.load(claimed.run)
    if loaded is None or loaded.token != claimed.token:  # it was let go of meanwhile, or is another's
        return None
    cls = host.served.get(loaded.reactor)
    if cls is None:
        raise Incompatible(f"{claimed.run} is of a reactor that is not served here", code="not-served", known=tuple(host.served))
    plan = host.plan_for(cls)
    writer = Writer(host.store, claimed.run, claimed.token, fence=claimed.fence, seq=loaded.seq)
    if loaded.fingerprint != plan.fingerprint or loaded.version != plan.definition.version:
        await tell_definition(host, plan)
        writer.version = (plan.definition.version, plan.fingerprint)
    opening = Opening(host)
    driver, reading = await (opening.run(cls, loaded, writer) if loaded.parent is None else opening.batch(loaded, writer))
    started = facts.decode(loaded.events[0])[0]
    if isinstance(started, RunStarted) and started.restarts and loaded.seq == 1:
        return await _restarted(driver, started, loaded)
    read_all(driver, loaded)
    recovering.take_over(driver, reading.began)
    return driver


async def _restarted(driver: Driver, started: RunStarted, loaded: Loaded) -> Driver | None:
    """A run that supersedes another begins when that lets it go, with what it keeps. None: it waits on."""
    if any(message.kind == "restart" for message in loaded.mail):
        await restarting.inherit(driver, started)
    elif not loaded.mail:
        answer, _ = await driver.writer.append("queued", release=True)
        again = await driver.store.load(loaded.run) if isinstance(answer, Unread) else None  # it was let go of just now
        return None if again is None else await _restarted(driver, started, again)
    read_all(driver, loaded)
    return driver


def read_all(driver: Driver, loaded: Loaded) -> None:
    """Heed the mail, before anything else."""
    for message in loaded.mail:
        mailing.heed(driver, message)
        driver.writer.read_up_to = message.number


async def batch_frame(host: Host, parent: str, address: str) -> MapRun:
    """The map around a batch: of the run that is driven here, or as the record of it says."""
    around: Any = host.drivers.get(parent)
    if around is None or not around.writer.seq:  # one that is only being made knows nothing of what is on record
        around = await _onlooker(host, parent)
    found = around.maps.get(address)
    if found is not None:
        return found  # type: ignore[no-any-return]  # it is one
    scope, index = around.machine.state.place(address)
    node = scope.plan.nodes[index]
    await host.site.resources.open(node.providers)
    map_run = MapRun(around, scope, index, opened=False)
    map_run.extra = node.bind(scope.values, host.site.resources.opened)
    return map_run


async def _onlooker(host: Host, name: str) -> Onlooker:
    loaded = await host.store.load(name)
    cls = None if loaded is None else host.served.get(loaded.reactor)
    if loaded is None or cls is None:
        raise Incompatible(f"the record around a batch, {name}, is not there", code="not-served")
    if loaded.parent is None:
        reactor = decode_inputs(cls, loaded.inputs, host.sealer, loaded.run)
        machine = Machine(host.plan_for(cls))
        batch = None
    else:
        started: Any = facts.decode(loaded.events[0])[0]
        outer = await batch_frame(host, loaded.parent, started.address)
        reactor = outer.scope.reactor
        machine = Machine.of_batch(outer.scope.plan, outer.node, outer.address, started.first, started.size)
        batch = Elements(outer, int(loaded.run.rpartition("#")[2]), [])
    Reading(host.store, name, reactor, root=loaded.root, sealer=host.sealer).replay(machine, loaded.events)
    looker = Onlooker(host, machine, loaded.root, name, batch)
    looker.secrets = secret_texts(reactor)
    return looker
