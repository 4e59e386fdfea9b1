"""Drive one run in this process and answer Ctrl-C: cancel and roll back, then warn, then abort."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from reactor.cli.values import readable
from reactor.define.outcomes import Outcome, Succeeded
from reactor.engine import Engine
from reactor.errors import WrongState
from reactor.run.failures import secret_texts

if TYPE_CHECKING:
    from types import FrameType

    from reactor.cli.board import Board
    from reactor.cli.reports import Report
    from reactor.define.reactor import Reactor
    from reactor.run.handle import Run
    from reactor.run.observe import Event

ABORTED = 130  # as a shell says of a process that an interrupt killed
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler: TypeAlias = Any  # what `signal.getsignal` gives


async def drive(reactor: Reactor, board: Board, report: Report, run_id: str | None) -> Outcome[Any]:
    """Run it to its end, or until only a signal could go on; the report has shown it by then.

    Raises `ReactorError` where it cannot begin.
    """

    def observe(event: Event) -> None:
        report.event(event, board.apply(event))

    with Interrupts(report) as interrupts:  # around the engine: its closing can be aborted too
        async with Engine("memory://", observers=[observe]) as engine:
            run: Run[Any] = await engine.start(reactor, id=run_id)  # type: ignore[arg-type]  # any reactor has an output
            interrupts.watch(run)
            outcome = await run.outcome()
            value = await readable(outcome.value, secret_texts(reactor)) if isinstance(outcome, Succeeded) else None
            report.end(outcome, value)
    return outcome


class Interrupts:
    """The first Ctrl-C (or SIGTERM) cancels with undo, the second says that it waits, the third ends the process at once.

    A run in memory cannot go on elsewhere, so SIGTERM rolls it back too. Signals are taken by plain handlers, not the loop's:
    the third must be heard even where an author's code blocks the loop.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._count = 0
        self._reason = ""
        self._run: Run[Any] | None = None
        self._loop = asyncio.get_running_loop()
        self._before: dict[int, Handler] = {}
        self._cancelling: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        """Take the signals."""
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *exc: object) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def watch(self, run: Run[Any]) -> None:
        """Answer for this run; a signal that came before it is answered now."""
        self._run = run
        if self._count:
            self._cancel()

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 2:  # noqa: PLR2004 - the third, as the notice says
            _abort()
        self._reason = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        self._loop.call_soon_threadsafe(self._answer, self._count)

    def _answer(self, count: int) -> None:
        if count == 1:
            self._report.notice(f"{self._reason}: cancelling, and undoing what was done; twice more aborts")
            self._cancel()
        else:
            self._report.notice(f"{self._reason}: still rolling back, please wait; once more aborts and leaves the rest NOT UNDONE")

    def _cancel(self) -> None:
        if self._run is not None and self._cancelling is None:
            self._cancelling = self._loop.create_task(self._ask(self._run))

    async def _ask(self, run: Run[Any]) -> None:
        with suppress(WrongState):  # it ended meanwhile, or is rolling back already
            await run.cancel(self._reason)


def _abort() -> None:
    """End now: no cleanup of ours could be shorter than what the person no longer waits for."""
    if sys.stdout.isatty():
        os.write(sys.stdout.fileno(), b"\x1b[?25h\n")  # the live tree hid the cursor
    os.write(2, b"aborted: the rollback did not finish; what was not undone is still there\n")
    os._exit(ABORTED)
