"""SIGTERM, and an engine that closes: what is going on is given back at once, and counts for nothing."""

from __future__ import annotations

import signal

import pytest

from tests.crash.running import until, worker

pytestmark = pytest.mark.anyio
LONG = 3600.0  # seconds: a lease that nobody waits for here


async def test_a_process_that_is_told_to_stop_hands_over_at_once(place):
    """Another goes on long before the lease runs out; the call that was cut off is made again as the same attempt."""
    job = {"stories": {"1": "slow chain"}, "lease": LONG}
    async with worker(place, **job) as first:
        await until(lambda: place.ledger.has("end", "/link[1]/do/0.0"))
        await until(lambda: place.ledger.lines()[-1].what == "begin")
        first.send(signal.SIGTERM)
        ended = await first.ended()
        assert (ended.code, ended.told) == (0, {}), ended.errors
    cut = [line for line in place.ledger.lines() if line.what == "cut"]
    assert cut
    async with worker(place, **job) as second:
        ended = await second.ended()
    assert ended.told is not None, ended.errors
    assert ended.told["1"].status == "succeeded"
    begun = [line for line in place.ledger.lines() if line.what == "begin"]
    assert {line.attempt for line in begun} == {1}
    again = [line.key for line in begun if line.pid == second.pid and line.key in {other.key for other in begun if other.pid == first.pid}]
    assert sorted(again) == sorted(line.key for line in cut)
    fences = {line.pid: line.fence for line in begun if line.key == cut[0].key}
    assert fences[first.pid] < fences[second.pid]


async def test_an_undo_in_flight_ends_before_its_process_does(place):
    """It is not cut off: it ends, is recorded, and nobody undoes it again."""
    job = {"stories": {"1": "failing"}, "lease": LONG}
    async with worker(place, **job) as first:
        await until(lambda: any(line.what == "begin" and "/undo/" in line.key for line in place.ledger.lines()))
        first.send(signal.SIGTERM)
        assert (await first.ended()).code == 0
    async with worker(place, **job) as second:
        ended = await second.ended()
    assert ended.told is not None, ended.errors
    assert ended.told["1"].status == "failed"
    undos = [line for line in place.ledger.lines() if "/undo/" in line.key]
    assert [line for line in undos if line.what == "cut"] == []
    begun = [line.key for line in undos if line.what == "begin"]
    assert len(begun) == len(set(begun))
