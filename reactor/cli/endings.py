"""How a run ended: its word, its exit code, its JSON, and the card that shows a failure to a person."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

from reactor.cli.targets import short
from reactor.cli.text import clean, clean_lines, duration, listed
from reactor.define.outcomes import Cancelled, Failed, Halted, Outcome, Parked, Succeeded, Undone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reactor.cli.board import Board, Row
    from reactor.define.failing import Failure, Frame, StepError

Line: TypeAlias = tuple[str, str]  # a style ("" is plain), and text that is safe to print

CODES = {"succeeded": 0, "failed": 1, "stuck": 1, "parked": 3, "cancelled": 4, "undone": 4, "halted": 5}
STYLES = {"succeeded": "green", "failed": "red", "stuck": "red", "parked": "yellow", "halted": "yellow"}


def word_of(outcome: Outcome[Any]) -> str:
    """The outcome in one word: `stuck` is a failed run whose rollback could not finish."""
    match outcome:
        case Failed():
            return "stuck" if outcome.rollback_failures else "failed"
        case Succeeded() | Parked() | Halted() | Cancelled() | Undone():
            return type(outcome).__name__.lower()


def exit_code(outcome: Outcome[Any]) -> int:
    """0 succeeded, 1 failed or stuck, 3 parked, 4 cancelled or undone, 5 halted."""
    return CODES[word_of(outcome)]


# ---- for programs ---------------------------------------------------------------------------------------------


def as_data(outcome: Outcome[Any], value: object) -> dict[str, Any]:
    """The last line of `--json`; `value` is the output as JSON-ready data."""
    data: dict[str, Any] = {"outcome": word_of(outcome), "run_id": outcome.run_id}
    match outcome:
        case Succeeded():
            data["value"] = value
        case Failed():
            failures = [{"step": f.step, "call": f.kind, "error": _error(f.error)} for f in outcome.rollback_failures]
            data |= {"step": outcome.step, "error": _error(outcome.error), "rollback_failures": failures}
        case Parked():
            data["waiting"] = [{"step": w.step, "correlation_id": w.correlation_id, "deadline": w.deadline} for w in outcome.waiting]
        case Halted() | Cancelled():
            data["reason"] = outcome.reason
        case Undone():
            pass
    return data


def _error(error: StepError) -> dict[str, Any]:
    failure = error.failure
    innermost = author_frame(failure) or (failure.frames[-1] if failure.frames else None)
    return {
        "kind": failure.kind,
        "message": failure.message,
        "code": failure.code or None,
        "attempt": failure.attempt,
        "file": innermost.file if innermost else None,
        "line": innermost.line if innermost else None,
        "arguments": failure.arguments,
        "notes": list(failure.notes),
    }


# ---- for people -----------------------------------------------------------------------------------------------


def summary(board: Board, outcome: Outcome[Any]) -> Line:
    """`checkout:7 succeeded in 1.2 s`."""
    word = word_of(outcome)
    spent = f" in {duration(board.ended - board.started)}" if board.started is not None and board.ended is not None else ""
    return STYLES.get(word, "yellow"), f"{clean(outcome.run_id)} {word}{spent}"


def card(board: Board, outcome: Outcome[Any]) -> list[Line]:
    """What a person must know of a run that did not succeed: why, where, what was undone and what was not."""
    match outcome:
        case Failed():
            return [*_failed(outcome), *_rolled_back(board, outcome)]
        case Cancelled():
            return [("", f"reason      {clean(outcome.reason)}"), *_rolled_back(board, None)]
        case Undone():
            return list(_rolled_back(board, None))
        case Halted():
            return [("", f"reason      {clean(outcome.reason)}"), ("dim", "nothing was rolled back: a halt keeps what was done")]
        case Parked():
            waits = [("", f"waiting     {clean(w.step)} {clean(w.correlation_id or '')}".rstrip()) for w in outcome.waiting]
            return [*waits, ("dim", "a run in memory ends with this process: nothing can answer it later")]
        case Succeeded():
            return []


def _failed(outcome: Failed) -> Iterator[Line]:
    failure = outcome.error.failure
    yield "red", f"{clean(outcome.step)} failed at attempt {failure.attempt}"
    yield from _why(failure)
    yield from _where(failure)
    for name, value in failure.arguments.items():
        yield "", f"argument    {clean(name, 60)} = {clean(value, 200)}"
    for note in failure.notes:
        for line in clean_lines(note):
            yield "dim", f"note        {line}"


def _where(failure: Failure) -> Iterator[Line]:
    """The author's own line, then, where it was a library that raised, the library's."""
    if not failure.frames:
        return
    innermost = failure.frames[-1]
    authors = author_frame(failure) or innermost
    yield "", f"at {short(authors.file)}:{authors.line} in {clean(authors.function)}"
    for line in clean_lines(failure.snippet if authors is innermost and failure.snippet else authors.code):
        yield "dim", f"    {line}"
    if authors is not innermost:
        yield "dim", f"raised at {short(innermost.file)}:{innermost.line} in {clean(innermost.function)}"


def author_frame(failure: Failure) -> Frame | None:
    """The innermost frame that is neither Python's own nor an installed package's."""
    installed = (sys.prefix, sys.base_prefix, "<frozen")
    return next((f for f in reversed(failure.frames) if not f.file.startswith(installed) and "site-packages" not in f.file), None)


def _why(failure: Failure) -> Iterator[Line]:
    code = f" [{clean(failure.code)}]" if failure.code and failure.code not in failure.message else ""
    first, *rest = clean_lines(failure.message, 20) or [""]
    yield "bold", f"{clean(failure.kind)}{code}: {first}" if first else f"{clean(failure.kind)}{code}"
    for line in rest:
        yield "", f"    {line}"


def _undone(row: Row) -> str:
    return f"{row.address} ({row.elements.undone:,} elements)" if row.elements else row.address


def _rolled_back(board: Board, failed: Failed | None) -> Iterator[Line]:
    rows = [row for row in board.rows() if not row.children]
    undone = [_undone(row) for row in rows if row.state == "undone" or (row.elements and row.elements.undone)]
    kept = [row.address for row in rows if row.state == "succeeded"]
    if undone:
        yield "", f"undone      {listed(undone)}"
    if kept:
        yield "dim", f"no undo     {listed(kept)}"
    for failure in failed.rollback_failures if failed else ():
        why = clean(f"{failure.error.kind}: {failure.error.message}", 200)
        yield "red", f"NOT UNDONE  {clean(failure.step)}: its {failure.kind} failed at attempt {failure.error.attempt}: {why}"
    if failed and failed.rollback_failures:
        yield "red", "the run is stuck: a person must look at what was not undone"
    elif not undone:
        yield "dim", "there was nothing to undo"
