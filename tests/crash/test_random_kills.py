"""Several processes serve one store and are killed at random moments, again and again: every story comes to its end."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from reactor.machine.events import CallCut
from tests.crash.figures import EVERYWHERE, FIGURES
from tests.crash.judging import CALLS, OUTCOMES, Kept, as_designed, call_of, records_of, u1, u2
from tests.crash.running import until, worker

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600 if EVERYWHERE else 120)]
LEASE = 1.0
WORKERS = 3
KILLS = 12 if EVERYWHERE else 3
RUNS = 12 if EVERYWHERE else 4
SEEDS = range(5) if EVERYWHERE else range(1)


async def killed_at_random(place, stories, chance) -> tuple[set[int], set[str]]:
    """Workers that all tell the same stories; one is killed at a random line of the ledger, and another takes its place.

    Twice in a row, and then what was in flight comes to its end: a third time in a row it has failed, as designed, and a call whose
    start was on record is in flight before the ledger sees it. The processes that were killed, and the runs in which that came to be.
    """
    killed: set[int] = set()
    crashed: set[str] = set()
    job = {"stories": stories, "lease": LEASE}
    async with AsyncExitStack() as alive:
        workers = [await alive.enter_async_context(worker(place, **job)) for _ in range(WORKERS)]
        for number in range(KILLS):
            if number % 2 == 0:
                doubtful = in_flight(place.ledger.lines(), killed)
                await until(lambda doubtful=doubtful: doubtful <= recorded(place.ledger.lines()) or all_told(workers))
            lines = len(place.ledger.lines()) + chance.randrange(5, 60)
            await until(lambda lines=lines: len(place.ledger.lines()) >= lines or all_told(workers))
            victim = workers.pop(chance.randrange(WORKERS))
            if victim.process.returncode is None:
                victim.send(signal.SIGKILL)
                killed.add(victim.pid)
            await victim.ended()
            workers.append(await alive.enter_async_context(worker(place, **job)))
        for ended in await asyncio.gather(*[one.ended() for one in workers]):
            assert ended.told is not None, ended.errors
            wrong = {id: told for id, told in ended.told.items() if (told.outcome, told.detail, told.status) != OUTCOMES[stories[id]]}
            assert {told.detail.partition(": ")[2] for told in wrong.values()} <= {"StepCrashed"}
            crashed |= set(wrong)
    return killed, crashed


def recorded(lines) -> set[str]:
    """The calls whose end is on record."""
    return {line.key for line in lines if line.what == "recorded"}


def in_flight(lines, pids) -> set[str]:
    """The calls that these have begun, and whose end is not on record."""
    return {call_of(line) for line in lines if line.what == "begin" and line.pid in pids} - recorded(lines)


def all_told(workers) -> bool:
    """Whether nothing more is to be killed."""
    return all(one.process.returncode is not None for one in workers)


def repeats(lines, killed) -> tuple[int, int]:
    """Calls that were made again after a kill, and those in flight at the kills. U3: the first are at most the second, and among them.

    A call is made again only where it failed and is retried, was cut off by its own process (which lost the run), or was in flight
    when its process was killed: no end of it was recorded by that process.
    """
    last = {}
    open_: set[tuple[int, str]] = set()
    again = 0
    for line in lines:
        if line.what == "begin":
            former = last.get(line.key)
            if former is not None and former.what in ("begin", "end"):
                assert former.pid in killed, f"{line.key} was made again by {line.pid}, and {former.pid} lives"
                assert (former.pid, call_of(line)) in open_
                again += 1
            open_.add((line.pid, call_of(line)))
        if line.what == "recorded":
            open_.discard((line.pid, line.key))
        if line.what in ("begin", "end", "fail", "cut"):
            last[line.key] = line
    return again, sum(pid in killed for pid, _ in open_)


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_kills_among_rivals_change_nothing(place, seed):
    """Outcomes as designed, U1 to U3, for all runs that several processes and their heirs have driven."""
    stories = {f"{story}{number}": story for number, story in zip(range(RUNS), list(CALLS) * RUNS, strict=False)}
    killed, crashed = await killed_at_random(place, stories, random.Random(seed))
    lines = place.ledger.lines()
    u2(lines)
    again, open_ = repeats(lines, killed)
    assert again <= open_
    async with place.store() as store:
        for id, story in stories.items():
            run = f"Order:{id}"
            mine = [line for line in lines if line.key.partition("/")[0] == run]
            records = await records_of(store, run)
            u1(mine, Kept(run, records))
            if id in crashed:
                cuts = Counter((fact.address, fact.call) for facts in records.values() for fact in facts if isinstance(fact, CallCut))
                assert max(cuts.values()) >= 3
            else:
                as_designed(story, run, mine)
    FIGURES.append(f"{place.kind}, {len(killed)} random kills among {WORKERS} processes: {open_} calls in flight, {again} made again")


async def test_a_call_that_kills_its_process_three_times_has_failed(place):
    """Nobody calls it a fourth time: it failed with StepCrashed, is compensated, and what came before it is undone."""
    job = {"stories": {"1": "poison"}, "lease": LEASE}
    for _ in range(3):
        async with worker(place, **job) as victim:
            assert (await victim.ended()).was_killed
    async with worker(place, **job) as last:
        ended = await last.ended()
    assert ended.told is not None, ended.errors
    told = ended.told["1"]
    assert (told.outcome, told.detail, told.status) == ("Failed", "output: StepCrashed", "failed")
    begun = [line for line in place.ledger.lines() if line.what == "begin"]
    assert Counter(line.said for line in begun) == {"before": 1, "die": 3, "look: StepCrashed": 1, "take back": 1}
    assert [line.attempt for line in begun if line.said == "die"] == [1, 2, 3]
