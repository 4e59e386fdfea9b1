"""`reactor runs watch`: a run that is driven elsewhere, told as it goes on, until it ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from reactor.cli.apps import sealer_for
from reactor.cli.endings import CODES, word_of
from reactor.cli.records import TERMINAL, begin
from reactor.cli.showing import report_for
from reactor.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from reactor.cli.records import Reading
    from reactor.cli.reports import Report
    from reactor.record.store import Loaded, Store

EVERY = 1.0  # seconds: a hint of the store's may be missed
RUNNING = 0.1  # … of a run that goes on: not all that happens is told
PAUSE = 1.0  # seconds until a store that is away is asked again


async def watch(store: Store, name: str, out: TextIO, how: Mapping[str, bool]) -> int:
    """Tell a run from its first event to its end; the exit code that its end has. Raises `Problem` where there is none."""
    changed = asyncio.Event()
    reading = await begin(store, name)

    def heard(run: str) -> None:
        if run == reading.run:
            changed.set()

    end = store.watch(heard)
    report = report_for(reading.board, out, how)
    try:
        await _follow(store, reading, report, changed)
        return _told(reading, report)
    finally:
        report.close()
        end()


async def _follow(store: Store, reading: Reading, report: Report, changed: asyncio.Event) -> None:
    loaded, said = reading.loaded, ""
    while True:
        for event in reading.take(loaded):
            report.event(event, reading.board.apply(event))
        if reading.status != said:
            said = reading.status
            reading.board.status = said.replace("_", " ")
            if said in {"parked", "incompatible", "queued"}:
                report.notice(f"{said}: {_WHY[said]}")
        if reading.status in TERMINAL or reading.status == "stuck":
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), EVERY if loaded.token is None else RUNNING)
        changed.clear()
        loaded = await _more(store, reading, report)


_WHY = {
    "parked": "it waits for an answer",
    "incompatible": "no code that was asked so far fits its record",
    "queued": "it waits for a process that serves its reactor",
}


async def _more(store: Store, reading: Reading, report: Report) -> Loaded:
    """The record from where we are, however long the store is away. Of a run that was dropped, what we have."""
    away = False
    while True:
        try:
            loaded = await store.load(reading.run, after=len(reading.events))
        except StoreUnavailable as error:
            if not away:
                report.notice(f"{error.what}; trying again")
            away = True
            await asyncio.sleep(PAUSE)
        else:
            return loaded or reading.loaded


def _told(reading: Reading, report: Report) -> int:
    """Tell the end; its exit code."""
    outcome = reading.story.outcome(reading.status)
    if outcome is None:
        report.notice(f"{reading.run} {reading.status}")
        return 0
    report.end(outcome, reading.output(sealer_for()) if word_of(outcome) == "succeeded" else None)
    return CODES[word_of(outcome)]
