"""Who is driven in this process, and what drivers tell of themselves: facts on record, an end, a park, a loss.

It refuses to know how a record comes to be driven (`hosting.py`).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from reactor.machine.marks import FORWARD
from reactor.machine.parking import waiting_in
from reactor.plan.compile import plan_of
from reactor.record.words import Message
from reactor.run.alarms import Alarms
from reactor.run.context import LOGGER
from reactor.run.finding import indexed_inputs, texts_of
from reactor.run.lapsing import see_what_is_held
from reactor.run.observe import Event, Progress, tell
from reactor.run.outcome import outcome_of, parked_outcome
from reactor.run.references import Shelf
from reactor.run.waking import Wakings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from reactor.define.reactor import Reactor
    from reactor.machine.events import Event as Fact
    from reactor.plan.plan import Plan
    from reactor.record.sealing import Sealer
    from reactor.record.store import Store
    from reactor.record.words import Claimed
    from reactor.run.driver import Driver
    from reactor.run.recorder import Forgetting, Keeper, Recorder
    from reactor.run.runner import Runner
    from reactor.run.session import Session
    from reactor.run.site import Site


ANY = 1 << 30
SLIGHT = 0.01  # seconds by which a clock may be off without anybody being woken anew


class Residence:
    """What is shared, who is driven here, and what drivers tell of themselves."""

    def __init__(self, site: Site, store: Store, session: Session, sealer: Sealer, *, observers: Sequence[Callable[[Event], None]]) -> None:
        self.site = site
        self.store = store
        self.session = session
        session.lapsed = partial(see_what_is_held, self)
        session.heard = self._heard
        self.sealer = sealer
        self.shelf = Shelf(store, sealer)
        self.observers = observers
        self.served: dict[str, type[Reactor]] = {}
        self.plan_for: Callable[[type[Reactor]], Plan] = plan_of
        self.drivers: dict[str, Driver] = {}
        self.forgets: Callable[[Driver], Forgetting] | None = None  # under trial: by what drivers drop their memory
        self.told: set[str] = set()  # fingerprints whose definitions the store has
        self.newer: set[tuple[str, int]] = set()  # reactors and versions above those served here: told of once
        self.stalled: dict[str, Claimed] = {}  # ours, and not to be driven: nobody can read them
        self.wakings = Wakings(site.loop)
        self.alarms = Alarms(site, self._due)
        self.is_closing = False
        self.claims_hinted = True  # else what others do is no reason to claim: it drives what it made, or was asked for
        self.takes_only: set[str] | None = None  # once it closes: no other runs, but batches of those that are driven
        self.is_readable = False  # its store can be read after it is closed
        self.unsure = False  # a claim may have been made whose answer was lost
        self.left_out: set[str] = set()  # reactors of which the store may have more runs that are due than there was room for
        self._driven: dict[str, int] = {}  # runs of a reactor that are driven
        self._waiting: dict[str, list[Driver]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._opening: set[str] = set()
        self._one_claim = asyncio.Lock()  # of a reactor that may have so many runs at a time
        self._reading: set[tuple[str, str]] = set()  # claims whose records are on their way to a driver
        self._woken: set[str] = set()  # records that were on their way here when a word came that they have mail
        self._claimed_at = 0.0
        self._in_vain = 0  # claims in a row that hints asked for and that found nothing
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
        return await self.store.deliver(run_id, Message("retry_rollback", b""), moves=False, operation="probe") == "gone"

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
            self.alarms.set(driver.record_name, state.timers[0][0])
        self._forget(driver)
        driver.set_over()

    def lost(self, driver: Recorder, *, went_back: bool) -> None:
        """Another drives it now, or the store lost some of it. What it had made is still claimed for us."""
        self.unsure = True
        for other in self.drivers.values():
            if other.run_id == driver.run_id and other.hushed:
                other.hushed = False
                other.pump()
        self._forget(driver)
        driver.set_over()
        if went_back and not self.is_closing:
            self.spawn(self.open_again(driver))

    def _forget(self, driver: Recorder) -> None:
        if self.drivers.get(driver.record_name) is driver:
            del self.drivers[driver.record_name]
        self._make_room(driver)
        driver.dissolve()
        self.wakings.changed(driver.record_name)

    # ---- time -------------------------------------------------------------------------------------------------

    def _heard(self, stored: float, asked: float, answered: float) -> None:
        """The store's time: where ours was another one, what waits for a time waits for the right one."""
        changed = self.site.agree(stored, asked, answered)
        if not changed:
            return
        for driver in self.drivers.values():
            driver.offset = self.site.offset
        if abs(changed) > SLIGHT:
            for driver in self.drivers.values():
                driver.set_alarm()
            self.alarms.set_anew()

    def _due(self, name: str) -> None:
        if not self.is_closing:
            self.wake(name)

    # ---- runs of a reactor, so many at a time -----------------------------------------------------------------

    def room(self, plan: Plan) -> int:
        """How many more runs of this reactor may be driven."""
        limit = plan.definition.max_running
        return ANY if limit is None else max(0, limit - self._driven.get(plan.name, 0))

    def may_wait_elsewhere(self, driver: Driver) -> bool:
        """Whether a run for which there is no room is left to whoever has some first: not one whose deadline has to be looked after."""
        state = driver.machine.state
        return driver.is_queued and self.claims_hinted and state.root.phase == FORWARD and state.deadline is None

    def enter(self, driver: Driver) -> None:
        """Take it in, and drive it when its reactor has room."""
        self.drivers[driver.record_name] = driver
        self.alarms.drop(driver.record_name)
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
        waiting[:] = [one for one in waiting if one is not driver]
        if not driver.counted:
            return
        driver.counted = False
        self._driven[driver.plan_name] -= 1
        if self.is_closing:
            return
        if waiting:
            following = waiting.pop(0)
            following.is_queued = False
            following.counted = True
            self._driven[driver.plan_name] += 1
            following.pump()
        elif driver.plan_name in self.left_out:
            self.there_is_room(driver.plan_name)

    def there_is_room(self, name: str) -> None:
        """For one more run of this reactor, of those that the store has."""
        raise NotImplementedError

    def wake(self, name: str) -> None:
        """There may be mail for a record, or it may be due."""
        raise NotImplementedError

    async def open_again(self, driver: Recorder) -> None:
        """Drive a record anew, from what the store holds of it."""
        raise NotImplementedError
