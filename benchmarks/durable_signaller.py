"""Another process that signals runs and serves no reactor: `python -m benchmarks.durable_signaller URL`.

It reads a run and a payload a line, and says when it signalled: the monotonic clock is the same for all processes of a machine.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from benchmarks.durable_ours import Waits
from reactor import Engine


async def signalling(url: str) -> None:
    """Until nobody asks any more."""
    async with Engine(url, sweep=False) as engine:
        while line := await asyncio.to_thread(sys.stdin.readline):
            run_id, number = json.loads(line)
            sent = time.perf_counter()
            await engine.signal(Waits.approval, number, run_id=run_id)
            print(sent, flush=True)


if __name__ == "__main__":
    asyncio.run(signalling(sys.argv[1]))
