"""The reports that need no terminal: plain lines, one JSON event a line, and silence. `live.py` has the one that does."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from reactor.cli.board import BACKWARD
from reactor.cli.endings import Line, as_data, card, summary, word_of
from reactor.cli.text import clean, duration, marks_for
from reactor.cli.values import as_json

if TYPE_CHECKING:
    from reactor.cli.board import Board, Row
    from reactor.define.outcomes import Outcome
    from reactor.run.observe import Event

EVERY = 2.0  # seconds of the run between two lines about one map
MOST_ELEMENTS = 10  # failed elements of one map that get a line

SILENT = frozenset({"call_started", "map_opened"})
BATCHES = frozenset({"batch_started", "batch_settled", "batch_undo_started", "batch_undone"})
WORDS = {"recovered": "recovered by its compensate", "stuck": "NOT UNDONE", "undoing": "undoing", "skipped": "skipped"}


class Report(Protocol):
    """What shows a run. `event` is called after the board has taken the event in."""

    def event(self, event: Event, row: Row | None) -> None:
        """One fact of the run."""
        ...

    def notice(self, text: str) -> None:
        """A word of the command's own: what Ctrl-C did."""
        ...

    def end(self, outcome: Outcome[Any], value: object) -> None:
        """The run ended; `value` is its output as JSON-ready data."""
        ...

    def close(self) -> None:
        """Give the terminal back, however the command ends; safe to call twice."""
        ...


class Output:
    """A stream that never fails the run: what it cannot encode is escaped, and a reader that went away is not written to."""

    def __init__(self, stream: TextIO, encoding: str | None = None) -> None:
        self.stream = stream
        self.broken = False
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding=encoding, errors="backslashreplace")

    def line(self, text: str) -> None:
        """Write and flush one line."""
        if self.broken:
            return
        try:
            self.stream.write(text + "\n")
            self.stream.flush()
        except BrokenPipeError:
            self.broken = True
            with suppress(OSError, ValueError):  # else Python's own flush at exit fails, and with it the exit code
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


class JsonReport:
    """One public event a line; the last line is the outcome."""

    def __init__(self, out: TextIO) -> None:
        self._out = Output(out)

    def event(self, event: Event, row: Row | None) -> None:
        """The event as JSON; the row is for people."""
        del row
        said = {
            "seq": event.seq,
            "at": event.at,
            "kind": event.kind,
            "address": event.address,
            "call": event.call,
            "attempt": event.attempt,
            "detail": event.detail,
        }
        self._out.line(as_json(said))

    def notice(self, text: str) -> None:
        """To stderr: stdout is for programs."""
        Output(sys.stderr).line(text)

    def end(self, outcome: Outcome[Any], value: object) -> None:
        """The last line."""
        self._out.line(as_json(as_data(outcome, value)))

    def close(self) -> None:
        """Nothing is held."""


class QuietReport:
    """The output alone on stdout; what went wrong on stderr."""

    def __init__(self, board: Board, out: TextIO) -> None:
        self._board = board
        self._out = Output(out)
        self._err = Output(sys.stderr)

    def event(self, event: Event, row: Row | None) -> None:
        """Nothing."""

    def notice(self, text: str) -> None:
        """To stderr."""
        self._err.line(text)

    def end(self, outcome: Outcome[Any], value: object) -> None:
        """The value, or the card."""
        if word_of(outcome) == "succeeded":
            self._out.line(as_json(value, indent=2))
            return
        for _, text in [summary(self._board, outcome), *card(self._board, outcome)]:
            self._err.line(text)

    def close(self) -> None:
        """Nothing is held."""


class PlainReport:
    """A line where a node settles, retries or is rolled back; a map speaks every other second."""

    def __init__(self, board: Board, out: TextIO) -> None:
        self._board = board
        self._out = Output(out)
        self._marks = marks_for(out.encoding)
        self._spoke: dict[str, float] = {}
        self._elements: dict[str, int] = {}
        self._backward = False

    def event(self, event: Event, row: Row | None) -> None:
        """A line, for the events that people want one for."""
        if event.address is None:
            self._run(event)
        elif row is None:
            self._element(event)
        elif event.kind in BATCHES:
            self._map(event, row)
        else:
            self._node(event, row)

    def notice(self, text: str) -> None:
        """As a line among the others."""
        self._out.line(text)

    def end(self, outcome: Outcome[Any], value: object) -> None:
        """One line, then the value or the card."""
        lines: list[Line] = [summary(self._board, outcome), *card(self._board, outcome)]
        for _, text in lines:
            self._out.line(text)
        if word_of(outcome) == "succeeded":
            self._out.line(as_json(value, indent=2))

    def close(self) -> None:
        """Nothing is held."""

    def _run(self, event: Event) -> None:
        if event.kind == "run_started":
            self._out.line(f"{clean(self._board.run_id or self._board.reactor)} started")
        elif event.kind == "stop_requested":
            self._say(event.at, "cancelled", f"told to stop: {clean(self._board.stopping)}")

    def _say(self, at: float, mark: str, text: str) -> None:
        since = at - self._board.started if self._board.started is not None else 0.0
        self._out.line(f"{since:8.2f}s {self._marks[mark]} {text}")

    def _element(self, event: Event) -> None:
        if event.kind != "call_failed" or event.detail.get("next_in") is not None or event.address is None:
            return
        row = self._board.find(event.address)
        count = self._elements[row.address] = self._elements.get(row.address, 0) + 1
        if count <= MOST_ELEMENTS:
            self._say(event.at, "failed", row.note)
        elif count == MOST_ELEMENTS + 1:
            self._say(event.at, "failed", f"{clean(row.address)}: more elements failed; from here on they are only counted")

    def _map(self, event: Event, row: Row) -> None:
        """A failed batch at once, the last undone one, and between them a line every other second."""
        if not self._backward and event.kind == "batch_undo_started":
            self._backward = True
            self._say(event.at, "undoing", "rolling back")
        if event.kind == "batch_settled" and event.detail.get("failure"):
            self._say(event.at, "failed", f"{clean(row.address)}  failed  {row.note}")
        elif event.kind == "batch_undone" and row.elements is not None and not any(row.elements.undoable.values()):
            word = WORDS.get(row.state, row.state)
            self._say(event.at, "undone", f"{clean(row.address)}  {word}  {row.elements.undone:,} elements undone")
        elif event.at - self._spoke.setdefault(row.address, event.at) >= EVERY:
            self._spoke[row.address] = event.at
            self._say(event.at, row.state, f"{clean(row.address)}  {WORDS.get(row.state, row.state)}  {progress(row, event.at)}")

    def _node(self, event: Event, row: Row) -> None:
        if not self._backward and event.call == "undo":
            self._backward = True
            self._say(event.at, "undoing", "rolling back")
        said_already = event.kind == "call_failed" and row.state == "cancelled"
        if said_already or event.kind in SILENT or (event.kind == "source_ended" and row.state != "failed"):
            return
        word = "" if event.kind == "child_opened" else WORDS.get(row.state, row.state)
        parts = [clean(row.address), word, self._facts(row, event), row.note]
        self._say(event.at, row.state, "  ".join(p for p in parts if p))

    def _facts(self, row: Row, event: Event) -> str:
        if event.kind in {"call_succeeded", "closed"}:
            spent = duration(row.spent(event.at) or 0.0)
            tried = f"attempt {row.attempt}, " if row.attempt > 1 else ""
            return f"{tried}{spent}" + (f", {progress(row, event.at)}" if row.elements else "")
        return f"attempt {event.attempt}" if event.kind == "call_failed" and event.call == "do" else ""


def progress(row: Row, now: float) -> str:
    """A map in words: how many elements of how many, how many failed, the rate, and the time left."""
    elements = row.elements
    if elements is None:
        return ""
    spent = row.spent(now) or 0.0
    parts = [f"{elements.settled:,}" + (f" of {elements.total:,}" if elements.total is not None else "")]
    if elements.failed:
        parts.append(f"{elements.failed:,} failed")
    if elements.undone or row.state in BACKWARD:
        return ", ".join([*parts, f"{elements.undone:,} undone"])
    if spent > 0 and elements.settled:
        rate = elements.settled / spent
        parts.append(f"{rate:,.0f}/s")
        if elements.total is not None and elements.total > elements.settled:
            parts.append(f"{duration((elements.total - elements.settled) / rate)} left")
    return ", ".join(parts)
