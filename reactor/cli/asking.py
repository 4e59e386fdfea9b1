"""What moves a run of a store: it is asked of an engine, which drives the run here until it ends or parks, unless `--no-wait`.

Without the author's code only a message can be left (`leaving.py`).
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from reactor.cli.apps import app_option, engine_for, sealer_for, store_of
from reactor.cli.board import Board
from reactor.cli.endings import CODES, how_to_answer, word_of
from reactor.cli.following import elsewhere, follow
from reactor.cli.records import read
from reactor.cli.showing import form_options, report_for, stdout_for
from reactor.cli.stores import opened, said_again, store_option
from reactor.cli.values import readable
from reactor.define.outcomes import Parked, Succeeded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from typing import TextIO

    from reactor.cli.apps import App
    from reactor.cli.records import Reading
    from reactor.cli.reports import Report
    from reactor.define.outcomes import Outcome
    from reactor.engine import Engine
    from reactor.run.handle import Run

STOPPED = 130  # as a shell says of a process that an interrupt ended
Act: TypeAlias = "Callable[[Engine, Run[Any]], Awaitable[Run[Any]]]"


@dataclass(frozen=True)
class Said:
    """What all commands that move a run are told."""

    run_id: str
    store: str | None
    app: str | None
    plain_secrets: bool
    no_wait: bool
    as_json: bool
    plain: bool
    quiet: bool

    @property
    def how(self) -> dict[str, bool]:
        """The forms of the report."""
        return {"as_json": self.as_json, "plain": self.plain, "quiet": self.quiet}


def moving_options(command: Any) -> Any:
    """The options that `Said` is made of."""
    no_wait = click.option("--no-wait", is_flag=True, help="Only tell the run; do not drive it here.")
    store = store_option("The store the run is in.")
    return click.argument("run_id", metavar="ID")(store(app_option(no_wait(form_options(command)))))


def ask(said: Said, app: App, act: Act, codes: Mapping[str, int] = CODES) -> None:
    """Ask it of the run, show what follows, and exit with the code of how it ends."""
    with stdout_for(said.how) as out:
        code = interruptible(_asked(said, app, act, codes, out), "the run is kept, and goes on where its reactor is served")
    sys.exit(code)


def interruptible(work: Coroutine[Any, Any, int], left: str) -> int:
    """Run to the end; Ctrl-C and SIGTERM only let go, once: what is open is closed properly."""

    async def main() -> int:
        here = asyncio.current_task()
        with suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: here.cancel() if here else None)
        return await work

    try:
        return asyncio.run(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo(f"let go of: {left}", err=True)
        return STOPPED


async def _asked(said: Said, app: App, act: Act, codes: Mapping[str, int], out: TextIO) -> int:
    url = store_of(app, said.store)
    async with opened(url) as store:
        reading = await read(store, said.run_id)
    app.serving(reading.loaded.reactor)
    if reading.loaded.token is not None and not said.no_wait:
        click.echo(elsewhere(reading.run), err=True)
    for event in reading.events:
        reading.board.apply(event)
    async with engine_for(app, url, plain_secrets=said.plain_secrets) as engine:
        run = await act(engine, await engine.get(reading.run))
        if said.no_wait:
            click.echo(f"{run.id}: it is told", err=True)
            return 0
        outcome = await _followed(run, reading, out, said.how, reading.secret_texts(sealer_for(app)))
    if isinstance(outcome, Parked):
        for line in how_to_answer(outcome, app.said, "" if app.engine is not None else said_again(url)):
            click.echo(line, err=True)
    return codes[word_of(outcome)]


async def _followed(run: Run[Any], reading: Reading, out: TextIO, how: Mapping[str, bool], secrets: tuple[str, ...] | None) -> Outcome[Any]:
    """Show a run from where it stood, or, where it is another one by now, from its beginning."""
    is_same = run.id == reading.run
    board = reading.board if is_same else Board(reading.loaded.reactor, reading.names)
    board.run_id, board.is_resumed = run.id, is_same
    report = report_for(board, out, how)
    try:
        outcome = await follow(run, board, report, len(reading.events) if is_same else 0)
        await tell_end(report, outcome, secrets)
    finally:
        report.close()
    return outcome


async def tell_end(report: Report, outcome: Outcome[Any], secrets: tuple[str, ...] | None) -> None:
    """Tell the end, with the output where it has one; not shown where what is secret in it cannot be known."""
    value: Any = None
    if isinstance(outcome, Succeeded):
        value = "(not shown: its secrets are sealed)" if secrets is None else await readable(outcome.value, secrets)
    report.end(outcome, value)
