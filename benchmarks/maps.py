"""A map over a million ints: elements a second, and how much memory the million results take. Each figure in a process of its own.

The element's result in the memory run is a distinct string of 19 characters: as a list of a million it would be 76 MB. Everything is
read back afterwards, in order, and the peak spans the run and the reading.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks.measure import expect
from reactor import Reactor, map_over, source

MILLION = 1_000_000


class Labels(Reactor):
    """Each int as a string of 19 characters; default batches."""

    count: int

    @source
    async def numbers(self) -> AsyncIterator[int]:
        for number in range(self.count):
            yield number

    @map_over(numbers)
    async def output(self, number: int) -> str:
        return f"{number:019d}"


class Noops(Reactor):
    """As little as an element can do; default batches."""

    count: int

    @source
    async def numbers(self) -> AsyncIterator[int]:
        for number in range(self.count):
            yield number

    @map_over(numbers)
    async def output(self, number: int) -> int:
        return 1


class WideNoops(Reactor):
    """The same in batches of a thousand."""

    count: int

    @source
    async def numbers(self) -> AsyncIterator[int]:
        for number in range(self.count):
            yield number

    @map_over(numbers, batch_size=1000)
    async def output(self, number: int) -> int:
        return 1


async def memory(count: int = MILLION) -> dict[str, float]:
    """Run and read back; the peak above what the process held before, in MB, and elements a second of the processor's time."""
    await read_back(await Labels(count=2000), 2000)  # imports, caches, the plan
    gc.collect()
    before = resident_now()
    forget_peak()
    began = time.process_time()
    results = await Labels(count=count)
    mapped = time.process_time()
    await read_back(results, count)
    read = time.process_time()
    return {
        "elements": count,
        "grew_mb": (resident_peak() - before) / 1e6,
        "mapped_a_second": count / (mapped - began),
        "read_a_second": count / (read - mapped),
    }


async def read_back(results: Any, count: int) -> None:
    """Every result, in the order of the source, none missing."""
    expected = 0
    async for label in results:
        if label != f"{expected:019d}":  # a call a result would be part of the figure
            raise AssertionError(f"result {expected} is {label!r}")
        expected += 1
    expect((expected, len(results), results.succeeded), (count, count, count))


async def rate(reactor: type[Any], count: int) -> dict[str, float]:
    """Elements a second of the processor's time, the best of three."""
    best = 0.0
    await reactor(count=1000)
    for _ in range(3):
        gc.collect()
        began = time.process_time()
        results = await reactor(count=count)
        best = max(best, count / (time.process_time() - began))
        expect(results.succeeded, count)
    return {"elements": count, "a_second": best}


# ---- memory of this process, in bytes -------------------------------------------------------------------------

STATUS = Path("/proc/self/status")


def resident_now() -> int:
    """What is resident now."""
    return field("VmRSS") if STATUS.exists() else resident_peak()


def resident_peak() -> int:
    """The most that was resident since the peak was forgotten: Linux's own high-water mark, which no sampling misses."""
    if STATUS.exists():
        return field("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak() -> None:
    """Begin the high-water mark anew, where the system can."""
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def field(name: str) -> int:
    """One field of the process's status, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise AssertionError(f"{STATUS} has no {name}")
    return int(found[1]) * 1024


# ---- as a process of its own ----------------------------------------------------------------------------------

MEASURES = {
    "memory": memory,
    "noop": lambda count=MILLION: rate(Noops, count),
    "noop-wide": lambda count=MILLION: rate(WideNoops, count),
}


def apart(measure: str, count: int = MILLION) -> dict[str, float]:
    """Take one measure in a fresh process."""
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", "benchmarks.maps", measure, str(count)], check=True, stdout=subprocess.PIPE, text=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    print(json.dumps(asyncio.run(MEASURES[sys.argv[1]](int(sys.argv[2])))))
