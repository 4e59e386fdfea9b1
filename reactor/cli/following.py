"""A run that goes on in this process, or in another one, shown until it ends or parks."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from reactor.cli.text import clean
from reactor.define.outcomes import Parked
from reactor.errors import StoreUnavailable

if TYPE_CHECKING:
    from reactor.cli.board import Board
    from reactor.cli.reports import Report
    from reactor.define.outcomes import Outcome
    from reactor.run.handle import Run

PAUSE = 1.0  # seconds until a store that is away is asked again
CATCHING_UP = 2.0  # seconds: what was recorded before the park is on its way


def elsewhere(run_id: str) -> str:
    """Why nothing may happen for a while: another process has the run, or had it when it died."""
    return f"{clean(run_id)} is another process's: it goes on there, or here when the lease of that one has run out"


async def follow(run: Run[Any], board: Board, report: Report, after: int = 0) -> Outcome[Any]:
    """Show what is recorded past seq `after` until the run ends or parks; its outcome."""
    seen = asyncio.Event()
    showing = asyncio.create_task(_show(run, board, report, after, seen))
    try:
        outcome = await run.outcome()
        with suppress(TimeoutError):
            async with asyncio.timeout(CATCHING_UP):
                await _caught_up(outcome, board, showing, seen)
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
    return outcome


async def _show(run: Run[Any], board: Board, report: Report, at: int, seen: asyncio.Event) -> None:
    """Report each event as it is recorded, also where the store is away for a while."""
    away = False
    while True:
        try:
            async for event in run.events(at):
                report.event(event, board.apply(event))
                at = event.seq
                seen.set()
        except StoreUnavailable as error:
            if not away:
                report.notice(f"{error.what}; the run waits for it")
            away = True
            await asyncio.sleep(PAUSE)
        else:
            return


async def _caught_up(outcome: Outcome[Any], board: Board, showing: asyncio.Task[None], seen: asyncio.Event) -> None:
    """Wait until all that led to the outcome is shown."""
    if not isinstance(outcome, Parked):
        await asyncio.shield(showing)
        return
    while not all(_is_shown(board, one.step) for one in outcome.waiting):
        seen.clear()
        await seen.wait()


def _is_shown(board: Board, address: str) -> bool:
    """Whether the board knows that this interrupt asks: of one in a map, whether its map says that it waits."""
    row = board.find(address)
    return row.state == "parked" or row.elements is not None
