"""What must come to its end, whoever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def shielded(work: Coroutine[Any, Any, Any]) -> None:
    """Do it to its end. Raises what it raises; else, at the end, the cancellation that came meanwhile.

    Both kinds are kept off: asyncio's, which strikes once, and anyio's, which strikes again as long as its scope is cancelled.
    """
    task = asyncio.ensure_future(work)
    interrupted: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError as error:
                interrupted = error
    task.result()
    if interrupted is not None:
        raise interrupted
    await anyio.lowlevel.checkpoint_if_cancelled()  # the scope around was cancelled, and said nothing inside the shield
