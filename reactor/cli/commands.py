"""The `reactor` command: its words, options and exit codes. What each does lives in the other modules."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from reactor.cli.board import Board
from reactor.cli.drive import Kept, drive
from reactor.cli.endings import exit_code, how_to_answer
from reactor.cli.inputs import build
from reactor.cli.problems import Problem, as_problem
from reactor.cli.reports import Output, Report
from reactor.cli.runs import doctor, runs
from reactor.cli.showing import FORMS, form_options, report_for, stdout_for
from reactor.cli.stores import DEFAULT, is_kept, make_folder, said_again, store_option
from reactor.cli.targets import load
from reactor.cli.text import clean, escape_json
from reactor.define.outcomes import Parked
from reactor.define.reactor import definition_of
from reactor.errors import ReactorError
from reactor.plan import diagram, svg
from reactor.plan.compile import plan_of
from reactor.run.checking import is_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactor.define.definition import Definition
    from reactor.define.outcomes import Outcome
    from reactor.define.reactor import Reactor
    from reactor.plan.plan import Plan

FAILED = 1
CANCELLED = 4  # Ctrl-C before anything began
TERMINATED = 143  # as a shell says of a process that SIGTERM ended

EXIT_CODES = """
\b
Exit codes:
  0  succeeded
  1  failed, or stuck: something was not undone
  2  never began: usage, target, inputs or store
  3  parked
  4  cancelled or undone
  5  halted
  143  let go of by SIGTERM: it is kept
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reactor-saga", prog_name="reactor")
def cli() -> None:
    """Run a reactor, show its graph, look at runs and steer them."""


@cli.command(
    epilog=EXIT_CODES,
    short_help="Run a reactor in this process and show it live.",
)
@click.argument("target")
@click.argument("inputs", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--input", "source", metavar="FILE.json", help="Inputs as one JSON object; - reads stdin. KEY=VALUE wins.")
@click.option("--id", "run_id", metavar="ID", help="The run's id: the same reactor and id is the same run. Else one is drawn.")
@store_option(f"Where the run is kept: sqlite:///runs.db, redis://host:6379/0, memory:// (nowhere); else {DEFAULT}.")
@click.option("--plain-secrets", is_flag=True, help="Keep secret inputs unsealed; REACTOR_KEYS holds keys that seal them.")
@form_options
def run(target: str, inputs: tuple[str, ...], source: str | None, **said: Any) -> None:
    """Run a reactor in this process and show it live; its output is printed as JSON.

    TARGET is package.module:Class or path/file.py:Class. KEY=VALUE gives an input, converted to its type; lists and objects are
    written as JSON. Ctrl-C cancels the run and undoes what was done; SIGTERM lets go of it, and the same command goes on with it.
    """
    how = {form: said[form] for form in FORMS}
    kept = Kept(said["store"] or DEFAULT, said["run_id"], said["plain_secrets"])
    with stdout_for(how) as stdout:
        definition, plan = _planned(target)
        reactor = _built(definition, inputs, source, target)
        make_folder(kept.url)
        board = Board(definition.name, [plan.nodes[at].name for at in plan.order])
        outcome = _driven(reactor, board, report_for(board, stdout, how), kept)
    if outcome is None:
        click.echo(f"SIGTERM: {clean(board.run_id)} is let go of; the same command, with its --id, goes on with it", err=True)
        sys.exit(TERMINATED)
    if isinstance(outcome, Parked):
        _tell_parked(outcome, target, kept.url)
    sys.exit(exit_code(outcome))


def _tell_parked(outcome: Parked, target: str, url: str) -> None:
    if not is_kept(url):
        click.echo("a run in memory ends with this process: it was cancelled and undone, for nothing could answer it later", err=True)
        return
    for line in how_to_answer(outcome, target, said_again(url)):
        click.echo(line, err=True)


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
        raise as_problem(error) from None


def _built(definition: Definition, inputs: tuple[str, ...], source: str | None, target: str) -> Reactor:
    try:
        return build(definition, inputs, source, target)
    except ReactorError as error:  # an author's `__post_init__` may do what no reactor may
        raise as_problem(error) from None


def _driven(reactor: Reactor, board: Board, report: Report, kept: Kept) -> Outcome[Any] | None:
    try:
        return asyncio.run(drive(reactor, board, report, kept))
    except ReactorError as error:
        raise as_problem(error) from None
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


cli.add_command(runs)
cli.add_command(doctor)


def _check_texts(args: Sequence[str]) -> None:
    """What the shell hands over may be no UTF-8. The name of a file may be so; nothing else that is said here can."""
    for number, (before, arg) in enumerate(pairwise(("", *args)), 1):
        if not is_text(arg) and before not in ("--input", "--out"):  # it is not repeated: it may be a secret
            raise Problem(f"argument {number} is no UTF-8", "fix: say it in UTF-8, whatever the terminal speaks", code="usage")


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code; `args` are those of the process unless given."""
    try:
        _check_texts(sys.argv[1:] if args is None else args)
        cli.main(args=args, prog_name="reactor", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ReactorError as error:
        problem = as_problem(error)
        problem.show()
        sys.exit(problem.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("cancelled before anything began", err=True)
        sys.exit(CANCELLED)
    sys.exit(0)
