"""Which report a command shows a run with: for programs, for people on a terminal, for people elsewhere."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING, Any, TextIO

import click

from reactor.cli.problems import Problem
from reactor.cli.reports import JsonReport, PlainReport, QuietReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reactor.cli.board import Board
    from reactor.cli.reports import Report

FORMS = ("as_json", "plain", "quiet")


def form_options(command: Any) -> Any:
    """`--json`, `--plain` and `--quiet`, which exclude one another."""
    options: tuple[Callable[[Any], Any], ...] = (
        click.option("-q", "--quiet", is_flag=True, help="Print the output alone."),
        click.option("--plain", is_flag=True, help="Plain lines on a terminal too."),
        click.option("--json", "as_json", is_flag=True, help="One event a line as JSON; the last line is the outcome."),
    )
    for option in options:
        command = option(command)
    return command


@contextlib.contextmanager
def stdout_for(how: Mapping[str, bool]) -> Iterator[TextIO]:
    """Where a report goes. For programs stdout is ours alone: what the author's code prints goes to stderr."""
    if sum(how[form] for form in FORMS) > 1:
        raise Problem("--json, --plain and --quiet exclude one another", "fix: say one of them", code="usage")
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr) if how["as_json"] or how["quiet"] else contextlib.nullcontext():
        yield stdout


def report_for(board: Board, out: TextIO, how: Mapping[str, bool]) -> Report:
    """The report that was asked for, or that fits the output."""
    if how["as_json"]:
        return JsonReport(out)
    if how["quiet"]:
        return QuietReport(board, out)
    if not how["plain"] and out.isatty():
        live = _live()
        if live is not None and live.can_draw(out):
            report: Report = live.LiveReport(board, out)
            return report
    return PlainReport(board, out)


def _live() -> Any:
    """The live tree's module, where rich is installed (extra `cli`)."""
    try:
        return importlib.import_module("reactor.cli.live")
    except ImportError:
        return None
