"""How soon another goes on with the runs of a killed process: it was there all the time, and sweeps."""

from __future__ import annotations

import signal

import pytest

from tests.crash.figures import EVERYWHERE, FIGURES
from tests.crash.running import until, worker

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
PROMISED = {2.0: 3.0, 15.0: 30.0} if EVERYWHERE else {2.0: 3.0}  # seconds: by the lease, from the kill to another's claim
LOADED = 5.0  # seconds: on a machine that does other things too


@pytest.mark.parametrize("lease", PROMISED)
async def test_another_goes_on_within_lease_and_sweep(place, lease):
    """Killed in the middle of a call."""
    async with worker(place, lease=lease) as standby:
        await until(lambda: place.ledger.has("open"))
        async with worker(place, stories={"1": "chain"}, lease=lease) as victim:
            await until(lambda: place.ledger.has("end", "/link[2]/do/0.0"))
            victim.send(signal.SIGKILL)
            await victim.ended()
        at = place.ledger.lines()[-1].at
        await until(lambda: any(line.what == "claimed" and line.pid == standby.pid for line in place.ledger.lines()))
    claimed = next(line.at for line in place.ledger.lines() if line.what == "claimed" and line.pid == standby.pid)
    assert claimed - at < PROMISED[lease] + LOADED
    FIGURES.append(
        f"{place.kind}, a lease of {lease:.0f} s: another went on {claimed - at:.2f} s after the last sign of the killed process"
    )
