"""What all drivers of one process share: its store, its lease, what it serves; and how records come to be driven here.

A record comes by being made here, by a claim (a sweep finds what is due and unowned), or by a word that it has mail. It refuses to
know what an engine offers its callers.
"""

from __future__ import annotations

import asyncio
import random
from itertools import count
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from reactor.define.reactor import definition_of
from reactor.errors import StoreUnavailable
from reactor.machine.machine import Machine
from reactor.machine.marks import FORWARD
from reactor.record.words import HERE, Served
from reactor.run import batches, refusing
from reactor.run.context import LOGGER
from reactor.run.driver import Driver
from reactor.run.failures import secret_texts
from reactor.run.lapsing import see_what_is_kept
from reactor.run.opening import Opening, open_record
from reactor.run.residence import Residence
from reactor.run.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reactor.define.reactor import Reactor
    from reactor.plan.plan import Plan
    from reactor.record.words import Claimed, Loaded, NewRecord
    from reactor.run.mapping import MapRun
    from reactor.run.recorder import Recorder

CLAIMS = 100  # records in one claim
SWEEPS = 5  # a lease
RESTLESS, CALM = 0.01, 0.08  # seconds between two claims that hints ask for, at least: where the last one found something; in vain
SOON = 0.001  # seconds: clocks are not read twice at the same time


class Host(Residence):
    """Drives records in one process."""

    # ---- coming by records ------------------------------------------------------------------------------------

    def serve(self, name: str, reactor: type[Reactor]) -> None:
        """Drive runs of this reactor, too."""
        self.served[name] = reactor

    def _served(self) -> tuple[list[Served], dict[str, tuple[Plan, list[Served]]]]:
        """What a claim asks for: reactors that may have any number of runs, and by name those that may not."""
        free: list[Served] = []
        bounded: dict[str, tuple[Plan, list[Served]]] = {}
        for name, reactor in self.served.items():
            plan = self.plan_for(reactor)
            among = free if plan.definition.max_running is None else bounded.setdefault(plan.name, (plan, []))[1]
            among.append(Served(name, plan.definition.version, plan.fingerprint))
        return free, bounded

    async def make(self, driver: Driver, record: NewRecord) -> Any:
        """Make a run's record, and drive it. The store's answer where its name is taken, else None."""
        room = self.room(driver.machine.state.root.plan)
        driver.is_queued = not room or driver.plan_name in self.left_out  # others came first
        if self.may_wait_elsewhere(driver):
            return await self._leave(driver, record)
        driver.is_queued = not room
        here = self.drivers.get(driver.record_name)
        self.enter(driver)
        if here is not None:  # it is driven already: this asks for the same run
            self.drivers[driver.record_name] = here
        try:
            answer = await driver.create(record, begin=not driver.is_queued)
        except BaseException as error:
            self._unmake(driver)
            self.unsure = self.unsure or isinstance(error, StoreUnavailable | asyncio.CancelledError)
            raise
        if answer is not None:
            self._unmake(driver)
            if self.unsure:  # a claim met this driver, perhaps
                self.spawn(self.claim_due())
        elif driver.is_queued:
            driver.set_alarm()
        else:
            driver.pump()
        return answer

    async def _leave(self, driver: Driver, record: NewRecord) -> Any:
        """Make a run's record for whoever has room first."""
        self.left_out.add(driver.plan_name)
        try:
            answer = await driver.create(replace(record, token=None, due=self.site.now()), begin=False)
        finally:
            driver.leave()
        if answer is None and self.room(driver.machine.state.root.plan):
            self.there_is_room(driver.plan_name)  # since now
        return answer

    def _unmake(self, driver: Driver) -> None:
        """It drives nothing: whoever found it here meanwhile looks at the record."""
        driver.leave()
        self._forget(driver)
        driver.set_over()

    def open_batch(self, map_run: MapRun, number: int, record: NewRecord) -> None:
        """Drive a batch whose record was just made, claimed for us."""
        if not self.is_closing and record.run not in self.drivers and not map_run.runner.released:
            driver = Opening(self).made_batch(map_run, number, record)
            if driver.machine.state.root.phase == FORWARD:
                driver.hushed = map_run.scope.phase != FORWARD  # the word that it stops is on its way
            self.enter(driver)
            driver.pump()

    def wake(self, name: str) -> None:
        """There may be mail for a record, or it may be due."""
        driver = self.drivers.get(name)
        if driver is not None:
            driver.look()
        elif self._is_coming(name):
            self._woken.add(name)  # what was read of it may be older than this word
        elif not self.is_closing:
            self.spawn(self.claim_one(name))

    def _is_coming(self, name: str) -> bool:
        return name in self._opening or any(run == name for run, _ in self._reading)

    def _heed_word(self, name: str) -> None:
        """A word that came while the record was on its way."""
        if name in self._woken and not self._is_coming(name):
            self._woken.discard(name)
            self.wake(name)

    async def claim_one(self, name: str) -> None:
        """Drive this record, if it can be had."""
        taken = self.takes_only is None or name in self.takes_only or "/" in name
        if name in self.drivers or self.is_closing or not taken:
            return
        if name in self._opening:
            self._woken.add(name)
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
            self._heed_word(name)

    async def _may_be_claimed(self, name: str) -> bool:
        loaded = await self.store.load(name, after=1 << 62)
        if loaded is None or loaded.place != HERE or loaded.reactor not in self.served or loaded.ended_at is not None:
            return False
        version = definition_of(self.served[loaded.reactor]).version
        if loaded.version > version:
            self._tell_of_newer(loaded, version)
            return False
        if loaded.token is not None:
            return await self.session.claims()
        if loaded.mail:
            return True
        return loaded.due is not None and loaded.due <= self.site.now() + SOON and await self._has_its_turn(loaded)

    def _tell_of_newer(self, loaded: Loaded, version: int) -> None:
        """Say once why nothing happens: whoever waits for it here waits for another process."""
        if (loaded.reactor, loaded.version) not in self.newer:
            self.newer.add((loaded.reactor, loaded.version))
            said = "%s goes on where version %s of %s is served, and waits for that: this process serves version %s"
            LOGGER.warning(said, loaded.run, loaded.version, loaded.reactor, version)

    async def _has_its_turn(self, loaded: Loaded) -> bool:
        """Whether it may be claimed by its name: where others of its reactor may wait for longer, they come first."""
        plan = self.plan_for(self.served[loaded.reactor])
        if loaded.parent is not None or plan.definition.max_running is None or not self.claims_hinted:
            return True
        await self._claim_bounded(plan.name)
        return False

    async def _open(self, claimed: Claimed) -> None:
        """Load a record that is ours now, and drive it. What goes wrong with one is told of that one, and stops no other."""
        claim = (claimed.run, claimed.token)  # those that were claimed together share a token
        if claim in self._reading or self._is_driven(claimed):
            return
        self._reading.add(claim)
        try:
            driver = await open_record(self, claimed)
        except Exception as error:  # noqa: BLE001  # a record may hold what no release of ours wrote, and we may be wrong
            await refusing.give_back(self, claimed, error)
            self._woken.discard(claimed.run)  # who waits was told, and asks again: not at once, and for ever
        else:
            self.wakings.failed.pop(claimed.run, None)
            if driver is not None and not self.is_closing and not self._is_driven(claimed):  # a batch may have come by being made
                await self._drive(driver)
        finally:
            self._reading.discard(claim)
            self._heed_word(claimed.run)

    async def _drive(self, driver: Driver) -> None:
        former = self.drivers.get(driver.record_name)
        if former is not None and former.writer.seq:
            former.lose()  # it does not know yet that it lost the record
        if driver.is_over and await driver.end_again():
            self.wakings.changed(driver.record_name)
            return
        if driver.batch is None and not driver.machine.state.ended:
            driver.is_queued = not self.room(driver.machine.state.root.plan)
        if self.may_wait_elsewhere(driver) and await self._put_back(driver):
            return
        self.enter(driver)
        driver.pump()
        self._take_up_batches(driver)

    async def _put_back(self, driver: Driver) -> bool:
        self.left_out.add(driver.plan_name)
        done = await driver.wait_elsewhere()
        self.wakings.changed(driver.record_name)
        return done

    def _is_driven(self, claimed: Claimed) -> bool:
        """Whether it is driven under this claim: whoever only asks for a run to be made, or lost it, has another token."""
        driver = self.drivers.get(claimed.run)
        return driver is not None and driver.writer.token == claimed.token

    async def open_again(self, driver: Recorder) -> None:
        """Drive a record anew, from what the store holds of it."""
        try:
            loaded = await self.store.load(driver.record_name, after=1 << 62)
            if loaded is not None and loaded.token == driver.writer.token:
                await self._open(driver.claimed(loaded))
        except StoreUnavailable as error:
            self.unsure = True
            LOGGER.warning("%s cannot be read: %s", driver.record_name, error)

    # ---- the sweep --------------------------------------------------------------------------------------------

    def hinted(self, name: str) -> None:
        """The store says that another has changed something about a record, or that it has mail."""
        self.wakings.changed(name)
        driver = self.drivers.get(name)
        if driver is not None:
            driver.look()  # it was not us: a message, or another has it
        elif self._is_coming(name):
            self._woken.add(name)
        elif self.claims_hinted:
            self._claim_before_long()

    def _claim_before_long(self) -> None:
        if self._claim_soon is None and not self.is_closing:
            rest = min(RESTLESS * 2**self._in_vain, CALM)
            wait = max(0.0, self._claimed_at + rest - self.site.clock())
            self._claim_soon = self.site.loop.call_later(wait, self._claim_now)

    def _claim_now(self) -> None:
        self._claim_soon = None
        if not self.is_closing:
            self.spawn(self.claim_due())

    async def claim_due(self) -> None:
        """Claim what is due and unowned, and what a lease that ran out left behind; drive it."""
        now = self.site.clock()
        self._in_vain = min(self._in_vain + 1, 8) if now - self._claimed_at < 2 * CALM else 0
        self._claimed_at = now
        if not self.session.may_claim or not self.session.may_begin:
            return
        try:
            if not await self.session.claims():
                return
            if self.unsure:
                self.unsure = False
                await self.take_up_held()
            free, bounded = self._served()
            if free:
                await self._claim(free, lambda: CLAIMS)
            for name in bounded:
                await self._claim_bounded(name)
        except StoreUnavailable as error:
            self.unsure = True
            LOGGER.warning("nothing can be claimed: %s", error)

    async def _claim(self, serves: Sequence[Served], room: Callable[[], int]) -> bool:
        """Claim and open what is due, the longest due first, until there is no room. False: there is nothing more."""
        while most := room():
            claimed = await self.store.claim(self.session.id, serves, limit=most)
            for one in claimed:
                self._in_vain = 0
                await self._open(one)
            if len(claimed) < most:
                return False
        return True

    async def _claim_bounded(self, name: str) -> None:
        """Claim of a reactor what there is room for: the rest is for other engines."""
        async with self._one_claim:
            plan, serves = self._served()[1][name]
            if await self._claim(serves, lambda: min(self.room(plan), CLAIMS)):
                self.left_out.add(name)
            else:
                self.left_out.discard(name)

    def there_is_room(self, name: str) -> None:
        """For one more run of this reactor, of those that the store has."""
        self.spawn(self._claim_more(name))

    async def _claim_more(self, name: str) -> None:
        try:
            if self.session.may_begin and await self.session.claims():
                await self._claim_bounded(name)
        except StoreUnavailable as error:
            self.unsure = True
            LOGGER.warning("no %s can be claimed: %s", name, error)

    async def take_up_held(self) -> None:
        """What a lost reply left, or a driver that lost its record: claimed by us, and driven by nobody."""
        for one in await self.store.held(self.session.id):
            if one.reactor in self.served and one.run not in self.stalled:
                await self._open(one)

    def _look_at_idle(self, seconds: float) -> None:
        """A hint may be missed: who has written nothing for so long looks for mail."""
        since = self.site.clock() - seconds
        for driver in list(self.drivers.values()):
            if driver.flushed_at < since and not driver.released:
                driver.look()
                self._take_up_batches(driver)

    def _take_up_batches(self, driver: Driver) -> None:
        """Who does not sweep, or claims nothing of a reactor that has no room, asks for the batches of what it drives."""
        if self.claims_hinted and self.root_plan(driver).definition.max_running is None:
            return
        for name in batches.going_in(driver):
            if name not in self.drivers:
                self.wake(name)

    def other_server(self) -> None:
        """Another server answers, or the same one that was started anew: what it lost, it does not say."""
        self.session.doubt()
        self.spawn(see_what_is_kept(self))

    async def sweep(self, retention: float, tombstones: float) -> None:
        """Claim, and drop what is past retention, for as long as the engine is open."""
        for number in count(1):
            wait = self.session.lease / SWEEPS
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311  # jitter
            self.unsure = self.unsure or number % SWEEPS == 0  # once a lease: what is ours and driven by nobody would be nobody's for ever
            try:
                await self.claim_due()
                self._look_at_idle(wait)
                await self.store.expire(retention, tombstones)
            except StoreUnavailable:
                self.unsure = True
            except Exception:  # noqa: BLE001  # whatever it was, the next one may do what this did not
                LOGGER.exception("a sweep failed")

    async def look_after(self) -> None:
        """In place of a sweep: what is driven here reads its mail, and its batches are driven, for as long as the engine is open."""
        while True:
            wait = self.session.lease / SWEEPS
            await asyncio.sleep(wait)
            self._look_at_idle(wait)

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
        self.alarms.clear()
        self.wakings.close()


def new_driver(host: Host, run_id: str, reactor: Reactor, plan: Plan) -> Driver:
    """The driver of a run that is about to be made."""
    driver = Driver(host, Machine(plan), run_id, Writer(host.store, run_id, host.session.token()))
    driver.reactor = reactor
    driver.secrets = secret_texts(reactor)
    return driver
