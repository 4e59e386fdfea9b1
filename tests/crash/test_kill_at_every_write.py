"""SIGKILL right before, and right after, each write of a saga: another process goes on, and the world sees what it should."""

from __future__ import annotations

import asyncio

import pytest

from tests.crash.figures import EVERYWHERE, FIGURES
from tests.crash.judging import CALLS
from tests.crash.killing import Verdict, one_kill

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1800 if EVERYWHERE else 120)]
AT_A_TIME = 4
FEW = [("forward", "after", 1), ("forward", "before", 6), ("failing", "before", 20), ("failing", "after", 30)]
FEW += [("cancel", "before", 14), ("cancel", "after", 33), ("undo", "after", 28), ("undo", "before", 33)]
FEWEST = {"forward": 20, "failing": 30, "cancel": 30, "undo": 30}  # writes, at least


async def killed_everywhere(place, story, moment) -> list[Verdict]:
    """Kills at the 1st, 2nd, … write, each in a place of its own, until a run comes through unhurt."""
    verdicts: list[Verdict] = []
    while not verdicts or verdicts[-1].killed:
        writes = range(len(verdicts) + 1, len(verdicts) + 1 + AT_A_TIME)
        verdicts += await asyncio.gather(*[one_kill(place.fresh(f"{moment}-{at}"), story, at, moment) for at in writes])
    assert sum(verdict.killed for verdict in verdicts) >= FEWEST[story]
    return verdicts


def published(what: str, verdicts: list[Verdict]) -> None:
    """What was measured."""
    again, open_ = sum(one.repeated for one in verdicts), sum(one.in_flight for one in verdicts)
    FIGURES.append(f"{what}: {sum(one.killed for one in verdicts)} kills, {open_} calls in flight, {again} made again")


if EVERYWHERE:

    @pytest.mark.parametrize("moment", ["before", "after"])
    @pytest.mark.parametrize("story", CALLS)
    async def test_a_kill_at_any_write_changes_nothing(place, story, moment):
        """Outcome, undo order and U1 to U3 as if nobody had been killed."""
        published(f"{place.kind} {story}, {moment} each write", await killed_everywhere(place, story, moment))

else:

    async def test_a_kill_at_some_writes_changes_nothing(place):
        """The same as at each write, at a few: of each story, before and after a write."""
        verdicts: list[Verdict] = []
        for some in (FEW[:AT_A_TIME], FEW[AT_A_TIME:]):
            verdicts += await asyncio.gather(*[one_kill(place.fresh(f"{story}-{at}"), story, at, moment) for story, moment, at in some])
        assert all(one.killed for one in verdicts)
        published(f"{place.kind}, at a few writes", verdicts)
