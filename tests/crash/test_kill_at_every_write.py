"""SIGKILL right before, and right after, each write of a saga: another process goes on, and the world sees what it should."""

from __future__ import annotations

import asyncio

import pytest

from tests.crash.figures import EVERYWHERE, FIGURES
from tests.crash.judging import CALLS
from tests.crash.killing import Verdict, one_kill

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1800 if EVERYWHERE else 120)]
AT_A_TIME = 4
FEW = {"forward": (1, 6), "failing": (20, 34), "cancel": (14, 36), "undo": (28, 40)}
FEWEST = {"forward": 20, "failing": 30, "cancel": 30, "undo": 30}  # writes, at least


async def kills(place, story, moment, writes) -> list[Verdict]:
    """A kill at each of these writes, each in a place of its own."""
    return await asyncio.gather(*[one_kill(place.fresh(f"{moment}-{at}"), story, at, moment) for at in writes])


async def killed_everywhere(place, story, moment) -> list[Verdict]:
    """Kills at the 1st, 2nd, … write, until a run comes through unhurt."""
    verdicts: list[Verdict] = []
    while not verdicts or verdicts[-1].killed:
        first = len(verdicts) + 1
        verdicts += await kills(place, story, moment, range(first, first + AT_A_TIME))
    assert sum(verdict.killed for verdict in verdicts) >= FEWEST[story]
    return verdicts


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("story", CALLS)
async def test_a_kill_at_a_write_changes_nothing(place, story, moment):
    """Outcome, undo order and U1 to U3 as if nobody had been killed."""
    verdicts = await (killed_everywhere(place, story, moment) if EVERYWHERE else kills(place, story, moment, FEW[story]))
    died = [verdict for verdict in verdicts if verdict.killed]
    assert died
    again, open_ = sum(one.repeated for one in died), sum(one.in_flight for one in died)
    FIGURES.append(f"{place.name} {story}, {moment} a write: {len(died)} kills, {open_} calls in flight, {again} made again")
