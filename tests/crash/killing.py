"""One kill, from the first write to the verdict: a worker dies at its nth write, another goes on to the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.crash.judging import OUTCOMES, Kept, as_designed, records_of, u1, u2, u3
from tests.crash.running import worked

if TYPE_CHECKING:
    from tests.crash.running import Ended, Place

LEASE = 1.0  # seconds
SWEEP = LEASE / 5 * 1.2
SLACK = 5.0  # seconds: the machine has other things to do
RUN = "Order:1"


@dataclass
class Verdict:
    """What became of one kill."""

    killed: bool
    repeated: int = 0
    in_flight: int = 0


async def one_kill(place: Place, story: str, kill_at: int, moment: str) -> Verdict:
    """Kill the run's worker at its nth write, let another recover it, and see that all promises hold."""
    first = await worked(place, stories={"1": story}, lease=LEASE, kill_at=kill_at, moment=moment)
    before = place.ledger.lines()
    async with place.store() as store:
        kept = Kept(RUN, await records_of(store, RUN))
        if first.was_killed:
            went_well(await worked(place, stories={"1": story}, lease=LEASE), story)
        else:
            went_well(first, story)
        lines = place.ledger.lines()
        u1(lines, Kept(RUN, await records_of(store, RUN)))
        u2(lines)
        as_designed(story, RUN, lines)
    if not first.was_killed:
        return Verdict(killed=False)
    recovered_in_time(lines)
    return Verdict(True, *u3(before, lines[len(before) :], kept))


def went_well(ended: Ended, story: str) -> None:
    """It came to the end that was designed."""
    assert ended.told is not None, ended.errors
    told = ended.told["1"]
    assert (told.outcome, told.detail, told.status) == OUTCOMES[story]


def recovered_in_time(lines) -> None:
    """Another claimed the run, where anybody had it, when the lease had run out and a sweep had come round."""
    killed = next(line for line in lines if line.what == "killed")
    opened = next(line for line in lines if line.what == "open" and line.pid != killed.pid)
    due = max(killed.at + LEASE, opened.at) + SWEEP + SLACK
    claims = [line.at for line in lines if line.what == "claimed" and line.pid == opened.pid and line.key == RUN]
    assert not claims or claims[0] < due
