"""What crash recovery will rest on: a record that breaks off after any of its facts goes on to the same end.

Every record here is one that the engine made. It is cut after each of its facts; what is left is replayed, and the rest of the record
is then played by a world that answers orders only: a fact of the rest that begins something must have been ordered, and nothing may be
ordered twice. So no order is lost by a replay, and none is given again that was answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reactor import Continue, Engine, Halt, Reactor, Results, Retry, Skip, StepError, TryAgain, compose, map_over, step
from reactor.machine import events
from reactor.machine.machine import Machine
from reactor.machine.marks import MARKS
from reactor.testing import run_virtual
from tests.machine.folding import facts_of, word
from tests.properties.model import halting, stories
from tests.properties.running import tell

if TYPE_CHECKING:
    from reactor import Run
    from reactor.machine.events import Event

# ---- the world that follows a record -----------------------------------------------------------------------------------


ORDERED: dict[type[Event], Callable[[Any], set[str]]] = {
    events.CallStarted: lambda fact: {f"{fact.call} {fact.address}"},
    events.MapOpened: lambda fact: {f"open {fact.address}"},
    events.BatchStarted: lambda fact: {f"dispatch {fact.address} {fact.batch}"},
    events.BatchUndoStarted: lambda fact: {f"undo_batch {fact.address} {fact.batch}", f"undo_batch {fact.address} {fact.batch} again"},
    events.Closed: lambda fact: {f"close {fact.address}"},
    events.CallCancelled: lambda fact: {f"cancel {fact.address}"},
    events.RunEnded: lambda fact: {f"end {fact.status}"},
}


def ordered(fact: Event, machine: Machine) -> set[str]:
    """The orders of which one must have been given for this fact to be; none for what comes from outside, or settles a call."""
    at = fact.address
    match fact:
        case events.CallFailed(call="do") if _mark(machine, at) == "ready":  # it never began
            return {f"do {at}", f"open {at}"}
        case events.Skipped(reason="when"):
            return {f"skip {at}"}
        case events.StopRequested(mode="deadline") if machine.state.deadline is not None:  # a batch is told by its run
            return {"expire"}
    return ORDERED[type(fact)](fact) if type(fact) in ORDERED else set()


def _mark(machine: Machine, address: str) -> str:
    scope, index = machine.state.place(address)
    return MARKS[scope.marks[index]]


def follow(machine: Machine, rest: Sequence[Event]) -> None:
    """Play the rest of a record. Raises AssertionError for a fact that was not ordered, an order given twice, or one left over."""
    given: dict[str, Any] = {}
    for fact in rest:
        _take(machine, given, fact.at)
        wanted = ordered(fact, machine)
        assert not wanted or wanted & given.keys(), f"{fact} was not ordered: {sorted(given)}"
        machine.apply(fact)
        given = {said: order for said, order in given.items() if machine.is_due(order)}
    if rest:
        _take(machine, given, rest[-1].at)
        assert not given, f"ordered after the end: {sorted(given)}"


def _take(machine: Machine, given: dict[str, Any], now: float) -> None:
    while (order := machine.next(now)) is not None:
        assert word(order) not in given, f"{word(order)} was ordered twice"
        given[word(order)] = order


def goes_on_from_anywhere(make: Callable[[], Machine], facts: Sequence[Event], live: Machine) -> None:
    """Cut after every fact, the record gives the orders that its runner had not answered yet, and goes on to the same end."""
    never_cut, open_orders = make(), {}
    for cut in range(len(facts) + 1):
        if cut:
            never_cut.apply(facts[cut - 1])
        open_orders = standing(never_cut, open_orders, facts[cut - 1].at if cut else 0.0)
        again = replayed(make, facts[:cut])
        assert words(standing(again, {}, facts[cut - 1].at if cut else 0.0)) == words(open_orders), f"cut after {cut} of {len(facts)} facts"
        machine = replayed(make, facts[:cut])
        follow(machine, facts[cut:])
        assert facts_of(machine) == facts_of(live), f"cut after {cut} of {len(facts)} facts"


def replayed(make: Callable[[], Machine], facts: Sequence[Event]) -> Machine:
    """A machine of its own from a record that broke off."""
    machine = make()
    for fact in facts:
        machine.apply(fact)
    machine.forget_answered()
    return machine


def standing(machine: Machine, given: dict[Any, Any], now: float) -> dict[Any, Any]:
    """The orders that were given and are not answered; of two that tell one batch to stop, the later."""
    while (order := machine.next(now)) is not None:
        given[type(order), order.address, getattr(order, "call", None), getattr(order, "batch", None)] = order
    return {key: order for key, order in given.items() if machine.is_due(order)}


def words(given: dict[Any, Any]) -> list[str]:
    """Orders as a reader says them."""
    return sorted(word(order) for order in given.values())


# ---- a bundle of runs ------------------------------------------------------------------------------------------------------


class Boom(Exception):
    """What goes wrong."""


class World:
    """What the steps of the bundle do: `fails` says how many times a name fails, `slow` how long it takes, `halts` which one halts."""

    fails: dict[str, int]
    slow: dict[str, float]
    halts: str


world = World()


async def act(name: str) -> int:
    """One call of the outside world."""
    await asyncio.sleep(world.slow.get(name, 0.5))
    left = world.fails.get(name, 0)
    if left:
        world.fails[name] = left - 1
        raise Boom(name)
    if world.halts == name:
        raise Halt(name)
    return 1


class Leg(Reactor):
    """A child: two steps, the second with retries."""

    name: str

    @step
    async def hold(self) -> int:
        return await act(f"{self.name}.hold")

    @hold.undo(retry=Retry(2, base=1, jitter=False))
    async def free(self, value: int) -> None:
        await act(f"undo {self.name}.hold")

    @step(retry=Retry(2, base=1, jitter=False))
    async def output(self, held: int = hold.result) -> int:
        return await act(f"{self.name}.output")

    @output.undo
    async def cancel_it(self, value: int) -> None:
        await act(f"undo {self.name}.output")


class Trip(Reactor):
    """All that there is: retries, compensations of every kind, a when, children, maps of steps and of reactors, in a diamond."""

    @step(retry=Retry(3, base=2, jitter=False))
    async def start(self) -> list[int]:
        await act("start")
        return [1, 2, 3, 4, 5]

    @start.undo(retry=Retry(1))
    async def unstart(self, value: list[int]) -> None:
        await act("undo start")

    @step
    async def flag(self, them: list[int] = start.result) -> bool:
        return await act("flag") > 1

    @step(when=flag)
    async def extra(self) -> int:
        return 0

    @step(timeout=5)
    async def again(self, them: list[int] = start.result) -> int:
        return await act("again")

    @again.compensate(retry=Retry(2, base=1, jitter=False))
    async def once_more(self, error: StepError) -> Continue[int] | TryAgain | None:
        await act("compensate again")
        return TryAgain(1) if world.fails.get("again") else Continue(7)

    @step
    async def quits(self, them: list[int] = start.result) -> int | None:
        await act("quits")
        raise Skip(None)

    @compose
    async def leg(self, them: list[int] = start.result) -> Leg:
        await act("leg")
        return Leg(name="leg")

    @leg.compensate
    async def no_leg(self, error: StepError) -> TryAgain | None:
        await act("compensate leg")
        return TryAgain(2) if world.fails.get("compensate leg") == 0 else None

    @map_over(start.result, batch_size=2, in_flight=2, retry=Retry(2, base=1, jitter=False))
    async def pack(self, one: int) -> int:
        return await act(f"pack {one}")

    @pack.undo(retry=Retry(1))
    async def unpack(self, value: int) -> None:
        await act("undo pack")

    @pack.compensate
    async def repack(self, error: StepError) -> None:
        await act("compensate pack")

    @map_over(start.result, batch_size=2, in_flight=1, on_error="collect")
    async def legs(self, one: int, packed: Results[int] = pack.result) -> Leg:
        return Leg(name=f"legs {one}")

    @step
    async def output(self, a: int = leg.result, b: Results[int] = legs.result, c: int = again.result, d: int | None = extra.result) -> int:
        return await act("output")


STORIES: dict[str, dict[str, Any]] = {
    "all goes well": {},
    "retries that help": {"fails": {"start": 2, "leg.output": 1, "pack 2": 1}},
    "retries that do not": {"fails": {"start": 3}},
    "a failure at the end": {"fails": {"output": 1}},
    "compensate continues": {"fails": {"again": 1}},
    "compensate tries again": {"fails": {"again": 3, "output": 1}},
    "compensate tries again, in vain": {"fails": {"again": 99}},
    "compensate fails": {"fails": {"again": 1, "compensate again": 9}},
    "compensate fails once": {"fails": {"again": 1, "compensate again": 1}},
    "a child fails": {"fails": {"leg.output": 9}, "slow": {"again": 30}},
    "a child is tried again": {"fails": {"leg.hold": 1, "compensate leg": 0}},
    "an element fails": {"fails": {"pack 4": 9}, "slow": {"pack 5": 3}},
    "an undo fails once": {"fails": {"output": 1, "undo leg.hold": 1}},
    "undos fail for good": {"fails": {"output": 1, "undo leg.hold": 2, "undo pack": 1, "undo start": 1}},
    "elements of a collecting map fail": {"fails": {"legs 2.output": 9, "legs 4.hold": 1, "output": 1}},
    "a step that is slow to settle": {"fails": {"flag": 1}, "slow": {"leg.hold": 90}, "settle": 10},
    "a step that times out": {"slow": {"again": 90, "compensate again": 1}},
    "a halt": {"halts": "again", "slow": {"pack 1": 3}},
    "a halt in a child": {"halts": "leg.output"},
    "a halt in an element": {"halts": "pack 3"},
    "a cancel at once": {"cancel": 0.0},
    "a cancel on the way": {"cancel": 1.2},
    "a cancel in the map": {"cancel": 2.6, "slow": {"pack 2": 3}},
    "a cancel of a retry that waits": {"cancel": 1.2, "fails": {"start": 9}},
    "a cancel while all is undone": {"cancel": 3.4, "fails": {"leg.hold": 1, "compensate leg": 1}},
    "a cancel without undo": {"cancel": 1.7, "undo": False},
    "a cancel that overtakes a halt": {"cancel": 2.0, "halts": "again", "slow": {"pack 1": 30, "leg.hold": 30}},
    "a deadline": {"deadline": 2.2, "slow": {"leg.hold": 9}},
    "a deadline that is never felt": {"deadline": 500.0},
}
LATER = {  # what is asked of a run after its end, and where it may be asked
    "nothing": ("succeeded", "failed", "stuck", "halted", "cancelled"),
    "undo": ("succeeded", "halted", "left"),
    "retry_rollback": ("stuck",),
    "restart": ("succeeded", "failed", "halted", "cancelled", "left"),
    "restart at pack": ("succeeded", "failed", "halted", "cancelled", "left"),
}


async def _told(story: dict[str, Any], later: str) -> list[tuple[Callable[[], Machine], list[Event], Machine]]:
    world.fails, world.slow, world.halts = dict(story.get("fails", {})), story.get("slow", {}), story.get("halts", "")
    async with Engine(settle=story.get("settle", 30)) as engine:
        run = await engine.start(Trip(), deadline=story.get("deadline"))
        if "cancel" in story:
            await asyncio.sleep(story["cancel"])
            await run.cancel("because", undo=story.get("undo", True))
        await run.outcome()
        ended = "left" if story.get("undo") is False else await run.status()
        runs = [run, *await _asked(run, later)] if ended in LATER[later] else []
        return [(partial(Machine, one._live.plan), one._live.record.facts, one._live.runner.machine) for one in runs]


async def _asked(run: Run[int], later: str) -> list[Run[int]]:
    again = []
    if later.startswith("restart"):
        world.halts = ""
        again = [await run.restart(from_step="pack" if later.endswith("pack") else None)]
    elif later != "nothing":
        await getattr(run, later)()
    for one in (run, *again):
        await one.outcome()
    return again


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_record_goes_on_from_any_of_its_facts(story):
    """Whatever happened in the run, and whatever was asked of it after its end."""
    records = [record for later in LATER for record in run_virtual(_told(story, later))]
    assert records
    for make, facts, live in records:
        goes_on_from_anywhere(make, facts, live)


# ---- random runs, and their batches -------------------------------------------------------------------------------------------

some = settings(
    max_examples=12,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@some
@given(stories, st.one_of(st.none(), st.integers(0, 30)))
def test_a_random_record_goes_on_from_any_of_its_facts(story, halt_at):
    """Records of random runs, and of each of their batches: cancelled, failed, halted, stuck, with children and maps in each other."""
    if halt_at is not None:
        story = replace(story, graph=halting(story.graph, halt_at), cancel_at=None)
    for make, facts, live in tell(story).records:
        goes_on_from_anywhere(make, facts, live)
