"""Calls that were in flight when a record changed hands: taken up again after a load, cut off without a trace on a release.

It refuses to know how a call is made.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from reactor.errors import ReactorError, StepCrashed
from reactor.machine.events import CallCut, CallFailed
from reactor.machine.marks import COMPENSATING, RUNNING, UNDOING
from reactor.record.words import Unread
from reactor.run.context import PATIENCE
from reactor.run.failures import failure_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reactor.machine.events import Call
    from reactor.machine.state import Scope
    from reactor.run.driver import Driver

CRASHES = 3  # takeovers in a row with the same call in flight
CALLS: dict[int, Call] = {RUNNING: "do", COMPENSATING: "compensate", UNDOING: "undo"}


def _in_flight(driver: Driver) -> Iterator[tuple[Scope, int, Call]]:
    for scope in list(driver.machine.state.scopes()):
        for index, mark in enumerate(scope.marks):
            if mark in CALLS:
                yield scope, index, CALLS[mark]


def take_over(driver: Driver, began: Mapping[tuple[str, str], float]) -> None:
    """After a load: what was in flight is called again; what was lost three times in a row has failed."""
    state, now = driver.machine.state, driver.site.now()
    waiting = {scope.names[index] for scope in state.scopes() for index in scope.due}
    driver.began = {key: at - driver.site.offset for key, at in began.items() if key[0] in waiting}
    for scope, index, call in list(_in_flight(driver)):
        address, attempt = scope.names[index], scope.attempts.get((index, call), 1)
        timeout = scope.plan.nodes[index].timeout
        until = began.get((address, call), now) + (state.settle if timeout is None else timeout)
        driver.note(CallCut(now, address, call, attempt, lost=True, until=until))
        if scope.cuts.get((index, call), 0) >= CRASHES:
            crashed = StepCrashed(f"the process died {CRASHES} times in this call", code="step-crashed")
            driver.note(CallFailed(now, address, call, attempt, failure_of(crashed, attempt)))


async def give_back(driver: Driver) -> None:
    """Write what was noted, and that calls were cut off, and give the record back: it is due at once.

    Where mail lies there the claim stays until its session ends; where the store is away, until its lease runs out.
    """
    now = driver.site.now()
    for scope, index, call in list(_in_flight(driver)):
        driver.note(CallCut(now, scope.names[index], call, scope.attempts.get((index, call), 1), lost=False))
    try:
        async with asyncio.timeout(PATIENCE):
            answer, _ = await driver.writer.append(driver.status, release=True, due=now)
            if isinstance(answer, Unread):
                await driver.writer.append(driver.status)
    except (ReactorError, TimeoutError) as error:
        driver.strand(error)
