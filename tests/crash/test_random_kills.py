"""Several processes serve one store and are killed at random moments, again and again: every story comes to its end."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from tests.crash.figures import EVERYWHERE, FIGURES
from tests.crash.judging import CALLS, OUTCOMES, Kept, as_designed, call_of, records_of, u1, u2
from tests.crash.running import until, worker

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600 if EVERYWHERE else 120)]
LEASE = 1.0
WORKERS = 3
KILLS = 12 if EVERYWHERE else 3
RUNS = 12 if EVERYWHERE else 4
SEEDS = range(5) if EVERYWHERE else range(1)


async def killed_at_random(place, stories, chance) -> set[int]:
    """Workers that all tell the same stories; one is killed at a random line of the ledger, and another takes its place."""
    killed: set[int] = set()
    job = {"stories": stories, "lease": LEASE}
    async with AsyncExitStack() as alive:
        workers = [await alive.enter_async_context(worker(place, **job)) for _ in range(WORKERS)]
        for _ in range(KILLS):
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
            assert {id: (one.outcome, one.detail, one.status) for id, one in ended.told.items()} == {
                id: OUTCOMES[story] for id, story in stories.items()
            }
    return killed


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
    killed = await killed_at_random(place, stories, random.Random(seed))
    lines = place.ledger.lines()
    u2(lines)
    again, open_ = repeats(lines, killed)
    assert again <= open_
    async with place.store() as store:
        for id, story in stories.items():
            run = f"Order:{id}"
            mine = [line for line in lines if line.key.partition("/")[0] == run]
            u1(mine, Kept(run, await records_of(store, run)))
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
