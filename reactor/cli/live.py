"""The live tree on a terminal: a line a node, a bar a map, rollback as it happens. The one file that knows rich.

Every text is a `Text`, never markup: an author's `[red]` is shown as it was written. The tree is drawn by rich's own thread a
few times a second from the board; events cost nothing here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from reactor.cli.board import OPEN, Board, Row, State
from reactor.cli.endings import card, summary, word_of
from reactor.cli.reports import WORDS, progress
from reactor.cli.text import clean, duration, marks_for
from reactor.cli.values import as_json

if TYPE_CHECKING:
    from reactor.define.outcomes import Outcome
    from reactor.run.observe import Event

FRAMES = 8  # a second
AT_END = 200  # rows of the last picture, which scrolls
BAR = 24  # columns of a map's bar

STYLES = {
    "waiting": "dim",
    "running": "cyan",
    "retrying": "yellow",
    "succeeded": "green",
    "recovered": "green",
    "skipped": "dim",
    "failed": "red",
    "compensating": "yellow",
    "cancelled": "yellow",
    "halted": "yellow",
    "undoing": "magenta",
    "undone": "magenta",
    "stuck": "bold red",
}
_SPINNING = frozenset({"running", "compensating", "undoing"})
_PRESSING = frozenset({"running", "retrying", "compensating", "undoing", "stuck", "failed"})  # shown first where rows must be left out


def can_draw(out: TextIO) -> bool:
    """Whether a live tree makes sense here."""
    return Console(file=out).is_terminal and not Console(file=out).is_dumb_terminal


class LiveReport:
    """Draws the board until the run ended, then prints its value or its card below."""

    def __init__(self, board: Board, out: TextIO) -> None:
        self._board = board
        self._console = Console(file=out, highlight=False, emoji=False, markup=False)
        self._marks = marks_for(out.encoding)
        self._spinners = {state: Spinner("dots" if self._marks["running"] == "▸" else "line", style=STYLES[state]) for state in _SPINNING}
        self._notice = ""
        self._ended = False
        self._behind = 0.0  # this clock less the record's
        self._live = Live(console=self._console, get_renderable=self._picture, refresh_per_second=FRAMES)

    def event(self, event: Event, row: Row | None) -> None:
        """The board has it already; only the clock is learned. The first event starts the picture."""
        del row
        self._behind = time.time() - event.at
        if not self._live.is_started and not self._ended:
            self._live.start()

    def notice(self, text: str) -> None:
        """Below the tree, until the next one."""
        self._notice = text
        if self._live.is_started:
            self._live.refresh()  # now: the next frame may come too late
        else:
            self._console.print(Text(text, "yellow"))

    def end(self, outcome: Outcome[Any], value: object) -> None:
        """The last picture stays; the value or the card goes below it."""
        self._notice = ""
        self.close()
        style, text = summary(self._board, outcome)
        self._console.print(Text(text, f"bold {style}"))
        for style, text in card(self._board, outcome):
            self._console.print(Text(text, style))
        if word_of(outcome) == "succeeded":
            self._console.print(Text(as_json(value, indent=2)))

    def close(self) -> None:
        """Give the terminal back; safe to call twice."""
        self._ended = True
        self._live.stop()

    # ---- drawing ----------------------------------------------------------------------------------------------

    def _picture(self) -> RenderableType:
        now = time.time() - self._behind
        room = AT_END if self._ended else max(self._console.height - 5, 4)
        rows, left_out = _choose(list(self._board.rows()), room)
        table = Table.grid(padding=(0, 1))
        for _ in range(3):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=False)  # so that rich shortens this one, where a note is long, and not the names
        for row in rows:
            table.add_row(*self._cells(row, now))
        parts: list[RenderableType] = [table]
        if left_out:
            parts.append(Text(f"  … and {left_out} more", "dim"))
        if not self._ended:
            parts.append(Text(self._headline(now), "bold"))
        if self._notice:
            parts.append(Text(self._notice, "yellow"))
        return Group(*parts)

    def _headline(self, now: float) -> str:
        board = self._board
        spent = duration(now - board.started) if board.started is not None else ""
        backward = any(row.state in {"undoing", "undone"} for row in board.rows())
        return f"{clean(board.run_id or board.reactor)}  {'rolling back' if backward else board.status}  {spent}"

    def _cells(self, row: Row, now: float) -> list[RenderableType]:
        state = row.shown
        style = STYLES[state]
        icon: RenderableType = self._spinners[state] if state in _SPINNING and not self._ended else Text(self._marks[state], style)
        spent = row.spent(now)
        took = Text(duration(spent) if spent is not None and state != "waiting" else "", "dim", justify="right")
        return [icon, Text(_label(row), "" if state in OPEN else style), took, self._said(row, state, now)]

    def _said(self, row: Row, state: State, now: float) -> RenderableType:
        tried = f"attempt {row.attempt}" if row.attempt > 1 else ""
        silent = state in {"succeeded", "running", "waiting"} or (row.elements and state == "undone")  # the bar says it
        word = "" if silent else WORDS.get(state, state)
        text = Text("  ".join(part for part in (word, tried, row.note) if part), STYLES[state], no_wrap=True, overflow="ellipsis")
        if row.elements is None:
            return text
        total, left = row.elements.total, row.elements.settled - row.elements.undone  # the bar goes back as elements are undone
        pulse = total is None and state in OPEN
        bar = ProgressBar(total=None if pulse else (total or max(left, 1)), completed=left, width=BAR, pulse=pulse)
        grid = Table.grid(padding=(0, 1))
        for _ in range(3):
            grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_row(bar, Text(progress(row, now)), text)
        return grid


def _label(row: Row) -> str:
    return "  " * row.address.count(".") + clean(row.name, 40)


def _choose(rows: list[Row], room: int) -> tuple[list[Row], int]:
    """The rows that fit, in their order: what presses first, then what settled last, then what waits."""
    if len(rows) <= room:
        return rows, 0

    def weight(row: Row) -> tuple[bool, bool, float]:
        return (row.shown in _PRESSING or row.elements is not None, row.state != "waiting", row.ended or 0.0)

    kept = {id(row) for row in sorted(rows, key=weight, reverse=True)[:room]}
    return [row for row in rows if id(row) in kept], len(rows) - len(kept)
