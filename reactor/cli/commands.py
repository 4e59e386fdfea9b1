"""The `reactor` command: its words, options and exit codes. What each does lives in the other modules."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from reactor.cli.board import Board
from reactor.cli.drive import drive
from reactor.cli.endings import exit_code
from reactor.cli.inputs import build
from reactor.cli.problems import Problem
from reactor.cli.reports import JsonReport, Output, PlainReport, QuietReport, Report
from reactor.cli.targets import load
from reactor.cli.text import clean, clean_lines, escape_json
from reactor.define.reactor import definition_of
from reactor.errors import ReactorError
from reactor.plan import diagram, svg
from reactor.plan.compile import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactor.define.definition import Definition
    from reactor.define.outcomes import Outcome
    from reactor.define.reactor import Reactor
    from reactor.plan.plan import Plan

FAILED = 1
CANCELLED = 4  # Ctrl-C before anything began

EXIT_CODES = """
\b
Exit codes:
  0  succeeded
  1  failed, or stuck: something was not undone
  2  never began: usage, target or inputs
  3  parked
  4  cancelled or undone
  5  halted
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reactor-saga", prog_name="reactor")
def cli() -> None:
    """Run a reactor in this process, or show its graph."""


@cli.command(
    epilog=EXIT_CODES,
    short_help="Run a reactor in this process and show it live.",
)
@click.argument("target")
@click.argument("inputs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--input", "source", metavar="FILE.json", help="Inputs as one JSON object; - reads stdin. KEY=VALUE wins.")
@click.option("--id", "run_id", metavar="ID", help="The run's id, which its idempotency keys begin with; else one is drawn.")
@click.option("--json", "as_json", is_flag=True, help="One event a line as JSON; the last line is the outcome.")
@click.option("--plain", is_flag=True, help="Plain lines on a terminal too.")
@click.option("-q", "--quiet", is_flag=True, help="Print the output alone.")
def run(target: str, inputs: tuple[str, ...], source: str | None, run_id: str | None, **how: bool) -> None:
    """Run a reactor in this process and show it live; its output is printed as JSON.

    TARGET is package.module:Class or path/file.py:Class. KEY=VALUE gives an input, converted to its type; lists and objects are
    written as JSON. Ctrl-C cancels the run and undoes what was done.
    """
    stdout = sys.stdout
    if sum(how.values()) > 1:
        raise Problem("--json, --plain and --quiet exclude one another", "fix: say one of them", code="usage")
    programs = how["as_json"] or how["quiet"]
    # for programs stdout is ours alone: what the author's code prints goes to stderr
    with contextlib.redirect_stdout(sys.stderr) if programs else contextlib.nullcontext():
        definition, plan = _planned(target)
        reactor = _built(definition, inputs, source, target)
        board = Board(definition.name, [plan.nodes[at].name for at in plan.order])
        outcome = _driven(reactor, board, _report(board, stdout, how), run_id)
    sys.exit(exit_code(outcome))


@cli.command(short_help="Print a reactor's graph.")
@click.argument("target")
@click.option("--mermaid", is_flag=True, help="As Mermaid, for documents.")
@click.option("--svg", is_flag=True, help="As an SVG picture.")
@click.option("--json", is_flag=True, help="As JSON: inputs, nodes, edges, spans.")
@click.option("--out", metavar="FILE", help="Write to this file instead of stdout.")
def show(target: str, out: str | None, **forms: bool) -> None:
    """Print a reactor's graph: what it takes, its nodes in an order in which they could run, and what each waits for.

    TARGET is package.module:Class or path/file.py:Class.
    """
    if sum(forms.values()) > 1:
        raise Problem("--mermaid, --svg and --json exclude one another", "fix: say one of them", code="usage")
    form = next((name for name, said in forms.items() if said), None)
    with contextlib.redirect_stdout(sys.stderr):  # what the author's file prints while imported is no part of the graph
        _, plan = _planned(target)
        text = _drawn(plan, form)
    if out is None:
        Output(sys.stdout, encoding=None if form is None else "utf-8").line(text.removesuffix("\n"))
        return
    try:
        Path(out).write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    except OSError as error:
        raise Problem(f"{clean(out)} cannot be written: {clean(error.strerror)}", code="out-file") from None


def _planned(target: str) -> tuple[Definition, Plan]:
    try:
        cls = load(target)
        return definition_of(cls), plan_of(cls)
    except ReactorError as error:
        raise _as_problem(error) from None


def _built(definition: Definition, inputs: tuple[str, ...], source: str | None, target: str) -> Reactor:
    try:
        return build(definition, inputs, source, target)
    except ReactorError as error:  # an author's `__post_init__` may do what no reactor may
        raise _as_problem(error) from None


def _as_problem(error: ReactorError) -> Problem:
    """An error of the library as the command's own: it says code, place and fix already."""
    what, *rest = clean_lines(str(error))
    return Problem(what.removeprefix(f"[{error.code}] "), *(line.removeprefix("  ") for line in rest), code=error.code)


def _report(board: Board, out: TextIO, how: dict[str, bool]) -> Report:
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


def _driven(reactor: Reactor, board: Board, report: Report, run_id: str | None) -> Outcome[Any]:
    try:
        return asyncio.run(drive(reactor, board, report, run_id))
    except ReactorError as error:
        raise _as_problem(error) from None
    except (KeyboardInterrupt, SystemExit) as error:  # our own signals never arrive here: an author's code raised it
        report.close()
        report.notice(f"a step raised {type(error).__name__}, which ends the process: the run did not end, and nothing was undone")
        sys.exit(FAILED)
    finally:
        report.close()


def _drawn(plan: Plan, form: str | None) -> str:
    match form:
        case "mermaid":
            return diagram.mermaid(plan)
        case "svg":
            return svg.svg(plan)
        case "json":
            return escape_json(json.dumps(diagram.as_dict(plan), indent=2, ensure_ascii=False))
        case _:
            return diagram.text(plan)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code; `args` are those of the process unless given."""
    try:
        cli.main(args=args, prog_name="reactor", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("cancelled before anything began", err=True)
        sys.exit(CANCELLED)
    sys.exit(0)
