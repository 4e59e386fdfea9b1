"""Drive one new run in this process and answer signals: Ctrl-C cancels and rolls back, then warns, then aborts; SIGTERM lets go.

A run that is kept goes on elsewhere, or in the next command; one in memory cannot, so there SIGTERM counts as one more Ctrl-C.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from reactor.cli.apps import keys
from reactor.cli.asking import tell_end
from reactor.cli.following import elsewhere, follow
from reactor.cli.stores import file_of, is_kept, opened
from reactor.define.reactor import definition_of
from reactor.engine import Engine
from reactor.errors import WrongState
from reactor.run.failures import secret_texts
from reactor.run.view import HEAD

if TYPE_CHECKING:
    from types import FrameType

    from reactor.cli.board import Board
    from reactor.cli.reports import Report
    from reactor.define.outcomes import Outcome
    from reactor.define.reactor import Reactor
    from reactor.run.handle import Run

ABORTED = 130  # as a shell says of a process that an interrupt killed
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler: TypeAlias = Any  # what `signal.getsignal` gives


@dataclass(frozen=True)
class Kept:
    """Where a run is kept, and under which id."""

    url: str
    run_id: str | None
    plain_secrets: bool = False


async def drive(reactor: Reactor, board: Board, report: Report, kept: Kept) -> Outcome[Any] | None:
    """Run it to its end, or until only a signal could go on; the report has shown it by then. None: it was let go of.

    Raises `ReactorError` where it cannot begin.
    """
    with Interrupts(report, is_kept=is_kept(kept.url)) as interrupts:  # around the engine: its closing can be aborted too
        await _tell_of_another(report, kept, definition_of(type(reactor)).name)
        engine = Engine(kept.url, reactors=[type(reactor)], sweep=False, keys=keys(), plain_secrets=kept.plain_secrets)
        async with engine:
            run: Run[Any] = await engine.start(reactor, id=kept.run_id)  # type: ignore[arg-type]  # any reactor has an output
            board.run_id = run.id
            following = asyncio.ensure_future(follow(run, board, report))
            interrupts.watch(run, following)
            try:
                outcome = await following
            except asyncio.CancelledError:
                if not interrupts.let_go:
                    raise
                return None
            await tell_end(report, outcome, secret_texts(reactor))
    return outcome


async def _tell_of_another(report: Report, kept: Kept, name: str) -> None:
    """Say why nothing may happen for a while: another process has the run, or had it when it died."""
    file = file_of(kept.url)
    if kept.run_id is None or not is_kept(kept.url) or (file is not None and not file.exists()):
        return
    async with opened(kept.url) as store:
        loaded = await store.load(f"{name}:{kept.run_id}", after=HEAD)
    if loaded is not None and loaded.token is not None:
        report.notice(elsewhere(loaded.run))


class Interrupts:
    """The first Ctrl-C cancels with undo, the second says that it waits, the third ends the process at once; SIGTERM lets go.

    Signals are taken by plain handlers, not the loop's: the third must be heard even where an author's code blocks the loop.
    """

    def __init__(self, report: Report, *, is_kept: bool) -> None:
        self._report = report
        self._is_kept = is_kept
        self._count = 0
        self._reason = ""
        self._run: Run[Any] | None = None
        self._following: asyncio.Future[Any] | None = None
        self._loop = asyncio.get_running_loop()
        self._before: dict[int, Handler] = {}
        self._cancelling: asyncio.Task[None] | None = None
        self.let_go = False

    def __enter__(self) -> Self:
        """Take the signals."""
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *exc: object) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def watch(self, run: Run[Any], following: asyncio.Future[Any]) -> None:
        """Answer for this run; a signal that came before it is answered now."""
        self._run, self._following = run, following
        if self.let_go:
            following.cancel()
        elif self._count:
            self._cancel()

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 2:  # noqa: PLR2004 - the third, as the notice says
            self._abort()
        self._reason = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        if number == signal.SIGTERM and self._is_kept:
            self.let_go = True
            self._loop.call_soon_threadsafe(self._release)
        else:
            self._loop.call_soon_threadsafe(self._answer, self._count)

    def _release(self) -> None:
        if self._following is not None:
            self._following.cancel()

    def _answer(self, count: int) -> None:
        if count == 1:
            self._report.notice(f"{self._reason}: cancelling, and undoing what was done; twice more aborts")
            self._cancel()
        else:
            left = "leaves the rest for later" if self._is_kept else "leaves the rest NOT UNDONE"
            self._report.notice(f"{self._reason}: still rolling back, please wait; once more aborts and {left}")

    def _cancel(self) -> None:
        if self._run is not None and self._cancelling is None:
            self._cancelling = self._loop.create_task(self._ask(self._run))

    async def _ask(self, run: Run[Any]) -> None:
        with suppress(WrongState):  # it ended meanwhile, or is rolling back already
            await run.cancel(self._reason)

    def _abort(self) -> None:
        """End now: no cleanup of ours could be shorter than what the person no longer waits for."""
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), b"\x1b[?25h\n")  # the live tree hid the cursor
        left = "the same command goes on with it" if self._is_kept and self._run is not None else "what was not undone is still there"
        name = f" of {self._run.id}" if self._run is not None else ""
        os.write(2, f"aborted: the rollback{name} did not finish; {left}\n".encode())
        os._exit(ABORTED)
