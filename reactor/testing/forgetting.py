"""A driver that forgets: after every append all that follows from its facts is dropped, its record read back, and it goes on from there.

What a machine was told and did not write would show as another run: a result that lives on in memory only, an order that no fact
answers. What is in flight goes on: its order is told where its node is in the new machine. An order that the replay gives again is
dropped where it was given before, and one that it should give and does not raises `Forgotten`.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from reactor.errors import ReactorError
from reactor.machine.commands import Call
from reactor.machine.machine import TIMERS, Machine, is_due
from reactor.machine.marks import COMPENSATING, RUNNING, UNDOING
from reactor.record.inputs import decode_inputs
from reactor.run.batches import elements_of
from reactor.run.interrupting import patiently
from reactor.run.loading import Reading

if TYPE_CHECKING:
    from collections.abc import Hashable

    from reactor.machine.commands import Command
    from reactor.machine.state import Scope, State
    from reactor.record.words import Loaded
    from reactor.run.driver import Driver


IN_FLIGHT = (RUNNING, COMPENSATING, UNDOING)


class Forgotten(ReactorError):
    """A record, read back, does not lead to what its driver had in mind: a run that is taken over would go on as another one."""

    code = "forgotten"


class Forgetting:
    """What a driver is given when it is to forget: it takes its orders here, and is told of every append.

    Where `sources` are forgotten too they are opened again and go on from where they were: that takes turns of the loop, so that what
    comes at the same moment may come in another order.
    """

    sources = True

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._given: list[Command] = []  # orders that no fact may have answered yet

    def next(self, now: float, calls: bool) -> Command | None:  # noqa: FBT001  # as the machine's
        """The next order, remembered: it may be in flight when all else is forgotten."""
        order = self._driver.machine.next(now, calls)
        if order is not None:
            self._given.append(order)
        return order

    async def forget(self) -> None:
        """Drop the machine, and go on with what is on record."""
        driver = self._driver
        if self.sources:
            await self._close_sources()
        loaded = await patiently(driver, lambda: driver.store.load(driver.record_name))
        if loaded is None or driver.released:
            return
        old, machine = driver.machine, self._read(loaded)
        for fact in driver.writer.facts:  # noted meanwhile: the next append has them
            machine.apply(fact)
        _ring(old.state, machine.state)
        machine.forget_answered()
        _compare(old, machine)
        _drop_given(old.state, machine.state)
        self._move(old.state, machine.state)
        driver.machine = machine

    async def _close_sources(self) -> None:
        """A source is opened again, and goes on from where it was, unless it is being asked."""
        driver = self._driver
        asked = {address for address, _ in driver.pulls} | {order.address for order in self._given if not isinstance(order, Call)}
        for address, map_run in list(driver.maps.items()):
            if address not in asked and (map_run.puller or map_run.sequence):
                del driver.maps[address]
                if map_run.puller is not None:
                    await map_run.puller.close()

    def _read(self, loaded: Loaded) -> Machine:
        driver, root = self._driver, self._driver.machine.state.root
        if driver.batch is None:
            machine = Machine(root.plan)
            reactor = decode_inputs(type(root.reactor), loaded.inputs, driver.host.sealer, loaded.run)
        else:
            batch, map_run = root.plan, driver.batch.map_run
            machine = Machine.of_batch(batch.owner, batch.map_node, root.address, batch.first, len(batch.nodes))
            driver.batch.items = elements_of(map_run, loaded.run, loaded.elements, len(batch.nodes))
            reactor = map_run.scope.reactor
        Reading(driver.store, loaded.run, reactor, root=loaded.root, sealer=driver.host.sealer).replay(machine, loaded.events)
        return machine

    # ---- what is in flight ------------------------------------------------------------------------------------

    def _move(self, old: State, new: State) -> None:
        """Tell all that is in flight where its node is now."""
        for order in self._given:
            if order.index < 0:
                order.scope = new.root
            elif _has(new, order.address):
                order.scope, order.index = new.place(order.address)
        self._given = [order for order in self._given if _is_open(new, order)]
        for map_run in self._driver.maps.values():
            if _has(new, map_run.address):
                map_run.scope, map_run.index = new.place(map_run.address)
        for address, asking in old.asks.items():
            if address in new.asks:
                asking.scope, asking.index = new.asks[address].scope, new.asks[address].index


def _is_open(state: State, order: Command) -> bool:
    """Whether no fact has answered it."""
    if order.index >= 0 and not _has(state, order.address):
        return False
    return is_due(state, order) or (isinstance(order, Call) and order.scope.marks[order.index] in IN_FLIGHT)


def _has(state: State, address: str) -> bool:
    return address in state.index or address in state.places


# ---- what the replay gives again --------------------------------------------------------------------------------


def _compare(old: Machine, new: Machine) -> None:
    """Raise Forgotten where they are not the same."""
    before, after = _plain(old), _plain(new)
    for part in ("scopes", "waits", "ends"):
        if before[part] != after[part]:
            raise Forgotten(f"{part} that follow from the record are {after[part]}, and were {before[part]}")
    missing = {_key(order) for order in old.state.orders if old.is_due(order)} - {_key(order) for order in new.state.orders}
    missing |= set(before["due"]) - set(after["due"])
    missing |= _timers(old.state) - _timers(new.state)
    if missing:
        raise Forgotten(f"the record does not lead to {sorted(map(str, missing))}, which is due")


def _plain(machine: Machine) -> dict[str, Any]:
    snapshot = machine.snapshot()
    for scope in snapshot["scopes"].values():
        del scope["values"]  # an author's need not know when they are equal: what depends on them shows it
    return snapshot


def _drop_given(old: State, new: State) -> None:
    """What the old machine has not in its queues any more was ordered, and is being done: the new one must not order it again."""
    orders, ready = {_key(order) for order in old.orders}, [(scope.names[index], call) for scope, index, call in old.ready]
    kept = [order for order in new.orders if _key(order) in orders]
    new.orders.clear()
    new.orders.extend(kept)
    due = {(one[0].names[one[1]], one[2]): one for one in new.ready}
    new.ready.clear()
    new.ready.extend([due[one] for one in dict.fromkeys(ready) if one in due])


def _key(order: Command) -> Hashable:
    return type(order).__name__, order.address, getattr(order, "batch", None)


def _ring(old: State, new: State) -> None:
    """What has rung is no fact: a wait that is over stays over."""
    still = _timers(old)
    for _, _, what, scope, index in [one for one in new.timers if _timer(*one) not in still]:
        TIMERS[what](new, scope, index)
    new.timers[:] = sorted((one for one in new.timers if _timer(*one) in still), key=itemgetter(0, 1))


def _timer(when: float, _tie: int, what: str, scope: Scope, index: int) -> Hashable:
    return when, what, scope.address, index


def _timers(state: State) -> set[Hashable]:
    return {_timer(*one) for one in state.timers}
