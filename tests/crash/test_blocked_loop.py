"""A process whose loop is blocked past its lease loses its run to another, and does no harm when it wakes."""

from __future__ import annotations

import signal

import pytest

from tests.crash.judging import call_of
from tests.crash.running import until, worker

pytestmark = pytest.mark.anyio
LEASE = 0.6
STALL = 4.0


async def test_a_blocked_process_begins_no_call_and_cannot_write(place):
    """What it has in flight is cancelled, and every later call has a higher fence than any of its own."""
    job = {"stories": {"1": "stall"}, "lease": LEASE}
    async with worker(place, **job, stall=STALL) as blocked:
        await until(lambda: place.ledger.has("begin", "/stalls/do/0") and place.ledger.has("begin", "/waits/do/0"))
        async with worker(place, **job) as other:
            ended, late = await other.ended(), await blocked.ended()
    assert ended.told is not None, ended.errors
    assert late.told is not None, late.errors
    assert ended.told == late.told
    assert (ended.told["1"].detail, ended.told["1"].status) == ("followed stalled and waited", "succeeded")
    lines = place.ledger.lines()
    claimed = next(at for at, line in enumerate(lines) if line.what == "claimed" and line.pid == other.pid)
    his = [line for line in lines[claimed:] if line.pid == blocked.pid]
    assert [line.key for line in his if line.what in ("begin", "recorded")] == []
    assert {call_of(line) for line in his if line.what in ("cut", "end")} == {"Stall:1/stalls/do", "Stall:1/waits/do"}
    assert "Stall:1/waits/do" in {call_of(line) for line in his if line.what == "cut"}
    fences = {pid: {line.fence for line in lines if line.what == "begin" and line.pid == pid} for pid in (blocked.pid, other.pid)}
    assert max(fences[blocked.pid]) < min(fences[other.pid])


async def test_a_stopped_process_is_fenced_when_it_goes_on(place):
    """SIGSTOP past the lease: a zombie begins nothing."""
    job = {"stories": {"1": "chain"}, "lease": LEASE}
    async with worker(place, **job) as zombie:
        await until(lambda: place.ledger.has("end", "/link[2]/do/0.0"))
        zombie.send(signal.SIGSTOP)
        async with worker(place, **job) as other:
            await until(lambda: any(line.what == "begin" and line.pid == other.pid for line in place.ledger.lines()))
            claimed = len(place.ledger.lines())
            zombie.send(signal.SIGCONT)
            ended, late = await other.ended(), await zombie.ended()
    assert ended.told is not None, ended.errors
    assert late.told == ended.told, late.errors
    assert [line.key for line in place.ledger.lines()[claimed:] if line.pid == zombie.pid and line.what == "begin"] == []
