"""What all drivers of one process share: its store, its lease, what it serves; and how records come to be driven here.

A record comes by being made here, by a claim (a sweep finds what is due and unowned), or by a word that it has mail. It refuses to
know what an engine offers its callers.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, cast

from reactor.define.reactor import definition_of
from reactor.errors import ReactorError, StoreUnavailable
from reactor.machine.machine import Machine
from reactor.machine.parking import waiting_in
from reactor.plan.compile import plan_of
from reactor.record.words import HERE, Message, Served
from reactor.run import refusing
from reactor.run.context import LOGGER
from reactor.run.driver import Driver
from reactor.run.failures import secret_texts
from reactor.run.finding import indexed_inputs, texts_of
from reactor.run.observe import Event, Progress, tell
from reactor.run.opening import Opening, open_record
from reactor.run.outcome import outcome_of, parked_outcome
from reactor.run.references import Shelf
from reactor.run.waking import Wakings
from reactor.run.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from reactor.define.reactor import Reactor
    from reactor.machine.events import Event as Fact
    from reactor.plan.plan import Plan
    from reactor.record.sealing import Sealer
    from reactor.record.store import Store
    from reactor.record.words import Claimed, NewRecord
    from reactor.run.mapping import MapRun
    from reactor.run.recorder import Forgetting, Recorder
    from reactor.run.runner import Runner
    from reactor.run.session import Session
    from reactor.run.site import Site

CLAIMS = 100  # records in one claim
RESTLESS = 0.05  # seconds between two claims that hints ask for
SOON = 0.001  # seconds: clocks are not read twice at the same time
QUIET = 0.02  # seconds without an append before a hint is taken for mail


class Host:
    """Drives records in one process."""

    def __init__(self, site: Site, store: Store, session: Session, sealer: Sealer, *, observers: Sequence[Callable[[Event], None]]) -> None:
        self.site = site
        self.store = store
        self.session = session
        self.sealer = sealer
        self.shelf = Shelf(store, sealer)
        self.observers = observers
        self.served: dict[str, type[Reactor]] = {}
        self.plan_for: Callable[[type[Reactor]], Plan] = plan_of
        self.drivers: dict[str, Driver] = {}
        self.forgets: Callable[[Driver], Forgetting] | None = None  # under trial: by what drivers drop their memory
        self.told: set[str] = set()  # fingerprints whose definitions the store has
        self.stalled: dict[str, Claimed] = {}  # ours, and not to be driven: nobody can read them
        self.wakings = Wakings(site.loop)
        self.is_closing = False
        self.takes_runs = True  # False: only batches of those that are driven
        self.is_readable = False  # its store can be read after it is closed
        self.unsure = False  # a claim may have been made whose answer was lost
        self._driven: dict[str, int] = {}  # runs of a reactor that are driven
        self._waiting: dict[str, list[Driver]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._opening: set[str] = set()
        self._claimed_at = 0.0
        self._claim_soon: asyncio.TimerHandle | None = None

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do something aside; what it raises is told to the log."""
        task = self.site.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._spawned)
        return task

    def _spawned(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            LOGGER.error("something that the engine did aside failed", exc_info=error)

    def progress_of(self, driver: Keeper) -> Callable[[float, str, int, int | None], None]:
        """Who is told how far the calls of a driver are."""

        def progressed(at: float, address: str, done: int, total: int | None) -> None:
            tell(self.observers, Event(driver.run_id, driver.writer.seq, Progress(at, address, done, total)))

        return progressed

    def root_plan(self, runner: Any) -> Plan:
        """The plan of the run around a batch, however deep."""
        while runner.batch is not None:
            runner = runner.batch.map_run.runner
        plan: Plan = runner.machine.state.root.plan
        return plan

    def index_of(self, reactor: Reactor) -> dict[str, str]:
        """What a run is found by."""
        return texts_of(indexed_inputs(reactor))

    async def is_expired(self, run_id: str) -> bool:
        """Whether only the name of a run that is not there is left: a word that says nothing is refused as gone."""
        return await self.store.deliver(run_id, Message("restart", b""), moves=False, operation="probe") == "gone"

    # ---- what drivers tell ------------------------------------------------------------------------------------

    def recorded(self, driver: Recorder, written: Sequence[Fact]) -> None:
        """Facts are on record: whoever watches may know."""
        driver.flushed_at = self.site.clock()
        if driver.batch is None and self.observers and written:
            first = driver.writer.seq - len(written)
            for number, fact in enumerate(written, first + 1):
                tell(self.observers, Event(driver.run_id, number, fact))
        self.wakings.changed(driver.record_name)

    def over(self, driver: Recorder) -> None:
        """Its last fact is on record."""
        state = driver.machine.state
        if state.ended != "superseded":
            driver.outcome = outcome_of(state, driver.run_id, driver.originals) if driver.batch is None else None
        self._forget(driver)

    def parked(self, driver: Recorder) -> None:
        """It was given back: here it is only remembered when to look again."""
        state = driver.machine.state
        if driver.batch is None:
            driver.outcome = parked_outcome(waiting_in(state, driver.record_name), driver.run_id)
        if state.timers:
            self.site.loop.call_at(state.timers[0][0] - self.site.offset, self._due, driver.record_name)
        self._forget(driver)
        driver.set_over()

    def lost(self, driver: Recorder, *, went_back: bool) -> None:
        """Another drives it now, or the store lost some of it."""
        for other in self.drivers.values():
            if other.run_id == driver.run_id and other.hushed:
                other.hushed = False
                other.pump()
        self._forget(driver)
        driver.set_over()
        if went_back and not self.is_closing:
            self.spawn(self._open_again(driver))

    def _forget(self, driver: Recorder) -> None:
        if self.drivers.get(driver.record_name) is driver:
            del self.drivers[driver.record_name]
        self._make_room(driver)
        self.wakings.changed(driver.record_name)

    def _due(self, name: str) -> None:
        if not self.is_closing:
            self.wake(name)

    # ---- runs of a reactor, so many at a time -----------------------------------------------------------------

    def has_room(self, plan: Plan) -> bool:
        """Whether one more run of this reactor may be driven."""
        limit = plan.definition.max_running
        return limit is None or self._driven.get(plan.name, 0) < limit

    def enter(self, driver: Driver) -> None:
        """Take it in, and drive it when its reactor has room."""
        self.drivers[driver.record_name] = driver
        driver.forgetting = None if self.forgets is None else self.forgets(driver)
        driver.on_end = self._on_end
        driver.on_broken = lambda: self._make_room(driver)
        if driver.is_queued:
            self._waiting.setdefault(driver.plan_name, []).append(driver)
            driver.set_alarm()  # its deadline does not wait
        elif driver.batch is None:
            self._driven[driver.plan_name] = self._driven.get(driver.plan_name, 0) + 1
            driver.counted = True

    def _on_end(self, runner: Runner) -> None:
        self.over(cast("Recorder", runner))

    def _make_room(self, driver: Recorder) -> None:
        waiting = self._waiting.get(driver.plan_name, [])
        if driver in waiting:
            waiting.remove(driver)
        if not driver.counted:
            return
        driver.counted = False
        self._driven[driver.plan_name] -= 1
        if waiting and not self.is_closing:
            following = waiting.pop(0)
            following.is_queued = False
            following.counted = True
            self._driven[driver.plan_name] += 1
            following.pump()

    # ---- coming by records ------------------------------------------------------------------------------------

    def serve(self, name: str, reactor: type[Reactor]) -> None:
        """Drive runs of this reactor, too."""
        self.served[name] = reactor

    def serves(self) -> list[Served]:
        """What a claim asks for: all reactors that have room."""
        plans = ((name, self.plan_for(reactor)) for name, reactor in self.served.items())
        return [Served(name, plan.definition.version, plan.fingerprint) for name, plan in plans if self.has_room(plan)]

    async def make(self, driver: Driver, record: NewRecord) -> Any:
        """Make a run's record, and drive it. The store's answer where its name is taken, else None."""
        driver.is_queued = not self.has_room(driver.machine.state.root.plan)
        self.enter(driver)
        try:
            answer = await driver.create(record, begin=not driver.is_queued)
        except BaseException as error:
            driver.leave()
            self._forget(driver)
            self.unsure = self.unsure or isinstance(error, StoreUnavailable | asyncio.CancelledError)
            raise
        if answer is not None:
            driver.leave()
            self._forget(driver)
        elif driver.is_queued:
            driver.set_alarm()
        else:
            driver.pump()
        return answer

    def open_batch(self, map_run: MapRun, number: int, record: NewRecord) -> None:
        """Drive a batch whose record was just made, claimed for us."""
        if not self.is_closing and record.run not in self.drivers and not map_run.runner.released:
            driver = Opening(self).made_batch(map_run, number, record)
            self.enter(driver)
            driver.pump()

    def wake(self, name: str) -> None:
        """There may be mail for a record, or it may be due."""
        driver = self.drivers.get(name)
        if driver is not None:
            driver.look()
        elif not self.is_closing:
            self.spawn(self.claim_one(name))

    async def claim_one(self, name: str) -> None:
        """Drive this record, if it can be had."""
        if name in self._opening or name in self.drivers or self.is_closing or not (self.takes_runs or "/" in name):
            return
        self._opening.add(name)
        try:
            if name in self.stalled:
                await self._open(self.stalled.pop(name))
            elif await self._may_be_claimed(name):
                claimed = await self.store.claim_run(self.session.id, name)
                if claimed is not None:
                    await self._open(claimed)
        except StoreUnavailable as error:
            self.unsure = True
            LOGGER.warning("%s cannot be claimed: %s", name, error)
        finally:
            self._opening.discard(name)

    async def _may_be_claimed(self, name: str) -> bool:
        loaded = await self.store.load(name, after=1 << 62)
        if loaded is None or loaded.place != HERE or loaded.reactor not in self.served or loaded.ended_at is not None:
            return False
        if loaded.version > definition_of(self.served[loaded.reactor]).version:
            return False
        if loaded.token is not None:
            return self.session.may_claim
        return bool(loaded.mail) or (loaded.due is not None and loaded.due <= self.site.now() + SOON)

    async def _open(self, claimed: Claimed) -> None:
        """Load a record that is ours now, and drive it."""
        if claimed.run in self.drivers:
            return
        try:
            driver = await open_record(self, claimed)
        except StoreUnavailable:
            raise
        except ReactorError as error:
            await refusing.give_back(self, claimed, error)
            return
        self.wakings.failed.pop(claimed.run, None)
        if driver is None or self.is_closing:
            return
        if driver.batch is None and not driver.machine.state.ended:
            driver.is_queued = not self.has_room(driver.machine.state.root.plan)
        self.enter(driver)
        driver.pump()

    async def _open_again(self, driver: Recorder) -> None:
        writer = driver.writer
        loaded = await self.store.load(writer.name, after=1 << 62)
        if loaded is not None and loaded.token == writer.token:
            from_store = await open_record(self, driver.claimed(loaded))
            if from_store is not None:
                self.enter(from_store)
                from_store.pump()

    # ---- the sweep --------------------------------------------------------------------------------------------

    def hinted(self, name: str) -> None:
        """The store says that something about a record has changed."""
        self.wakings.changed(name)
        driver = self.drivers.get(name)
        if driver is None:
            self._claim_before_long()
        elif driver.hinted is None:
            self._heed_hint(driver)

    def _heed_hint(self, driver: Driver) -> None:
        """Most hints are echoes of our own appends, and an append that began after one says itself whether mail lies there."""
        driver.hinted = driver.writer.begun
        if driver.writer.acknowledged == driver.hinted and self.site.clock() - driver.flushed_at > QUIET:
            self._look_later(driver)
        else:
            self.site.loop.call_later(QUIET, self._look_later, driver)

    def _look_later(self, driver: Driver) -> None:
        hinted, writer = driver.hinted, driver.writer
        if driver.released or hinted is None or writer.acknowledged > hinted:
            driver.hinted = None
        elif writer.acknowledged < writer.begun:
            self.site.loop.call_later(QUIET, self._look_later, driver)
        else:
            driver.hinted = None
            driver.look()

    def _claim_before_long(self) -> None:
        if self._claim_soon is None and not self.is_closing:
            wait = max(0.0, self._claimed_at + RESTLESS - self.site.clock())
            self._claim_soon = self.site.loop.call_later(wait, self._claim_now)

    def _claim_now(self) -> None:
        self._claim_soon = None
        if not self.is_closing:
            self.spawn(self.claim_due())

    async def claim_due(self) -> None:
        """Claim what is due and unowned, and what a lease that ran out left behind; drive it."""
        self._claimed_at = self.site.clock()
        if not self.session.may_claim or not self.session.may_begin:
            return
        try:
            if self.unsure:
                self.unsure = False
                await self._take_up_held()
            while serves := self.serves():
                claimed = await self.store.claim(self.session.id, serves, limit=CLAIMS)
                for one in claimed:
                    await self._open(one)
                if len(claimed) < CLAIMS:
                    break
        except StoreUnavailable as error:
            self.unsure = True
            LOGGER.warning("nothing can be claimed: %s", error)

    async def _take_up_held(self) -> None:
        """What a lost reply left: claimed by us, and driven by nobody."""
        for one in await self.store.held(self.session.id):
            if one.run not in self.drivers and one.reactor in self.served:
                await self._open(one)

    async def sweep(self, retention: float, tombstones: float) -> None:
        """Claim, and drop what is past retention, for as long as the engine is open."""
        while True:
            wait = self.session.lease / 5
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311  # jitter
            try:
                await self.claim_due()
                await self.store.expire(retention, tombstones)
            except StoreUnavailable:
                self.unsure = True
            except ReactorError:
                LOGGER.exception("a sweep failed")

    async def close(self) -> None:
        """Give back all that is driven here."""
        self.is_closing = True
        if self._claim_soon is not None:
            self._claim_soon.cancel()
        here = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not here]
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.gather(*[driver.release() for driver in list(self.drivers.values())])
        for driver in list(self.drivers.values()):
            driver.set_over()
        self.drivers.clear()
        self.wakings.close()


def new_driver(host: Host, run_id: str, reactor: Reactor, plan: Plan) -> Driver:
    """The driver of a run that is about to be made."""
    driver = Driver(host, Machine(plan), run_id, Writer(host.store, run_id, host.session.token()))
    driver.reactor = reactor
    driver.secrets = secret_texts(reactor)
    return driver
