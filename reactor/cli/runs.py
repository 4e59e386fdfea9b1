"""`reactor runs …`: the commands over a store. What only looks needs no code of the author's; what moves a run is in `asking.py`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from reactor.cli.apps import sealer_for
from reactor.cli.doctor import Finding, examine, lines, refused
from reactor.cli.listing import as_line, checked_status, find, more, table, time_from
from reactor.cli.moving import COMMANDS
from reactor.cli.problems import Problem
from reactor.cli.records import begin, read
from reactor.cli.reports import Output
from reactor.cli.showing import form_options, stdout_for
from reactor.cli.stores import DEFAULT, opened, shown, store_option
from reactor.cli.telling import as_object, tell
from reactor.cli.text import clean, marks_for
from reactor.cli.values import as_json
from reactor.cli.watching import watch
from reactor.errors import ReactorError

USAGE = frozenset({"unknown-store", "bad-store-url"})  # the command line is wrong, not the store
STOPPED = 130  # as a shell says of a process that an interrupt ended
the_store = store_option(f"The store the runs are in; else {DEFAULT}.")


@click.group(short_help="Look at runs of a store, answer and steer them.")
def runs() -> None:
    """Look at the runs of a store, answer and steer them.

    Without --store it is the one of this folder, where `reactor run` keeps its runs.
    """


@runs.command("ls", short_help="List runs, newest first.")
@the_store
@click.option("--reactor", metavar="NAME", help="Those of this reactor.")
@click.option("--status", metavar="STATUS", help="Those that stand so: parked, stuck, failed, …")
@click.option("--tag", metavar="TAG", help="Those with this tag.")
@click.option("--where", "pairs", multiple=True, metavar="INPUT=VALUE", help="Those with this indexed input; may be said again.")
@click.option("--text", metavar="TEXT", help="Those whose id, or an indexed input, begins so.")
@click.option("--since", metavar="TIME", help="Begun at this time or later: 2h, 3d (so long ago), or a date.")
@click.option("--until", metavar="TIME", help="Begun before this time.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=0), help="How many at most; 0 is all.")
@click.option("--cursor", metavar="CURSOR", help="The page after the one that said so.")
@click.option("--json", "as_lines", is_flag=True, help="One JSON object a line, for programs; where there are more, stderr says so.")
def ls(store: str | None, limit: int, as_lines: bool, **wanted: Any) -> None:  # noqa: FBT001  # click's way to hand in a flag
    """List the runs of a store, newest first, a page at a time.

    No run comes twice, and none that was there is left out, whatever begins or ends between two pages.
    """
    checked_status(wanted["status"])
    where, cursor = dict(_pair(pair) for pair in wanted.pop("pairs")), wanted.pop("cursor")
    out = Output(sys.stdout)

    async def main() -> None:
        async with opened(store or DEFAULT) as there:
            now = await there.now()
            times = {name: time_from(wanted[name], f"--{name}", now) for name in ("since", "until")}
            found = await find(there, {**wanted, **times, "where": where}, limit, cursor)
        for line in [as_json(as_line(row)) for row in found.rows] if as_lines else table(found, now):
            out.line(line)
        if as_lines and found.cursor:
            click.echo(more(found.cursor), err=True)

    asyncio.run(main())


@runs.command(short_help="Show one run: inputs, timeline, waits, failure.")
@click.argument("run_id", metavar="ID")
@the_store
@click.option("--json", "as_one", is_flag=True, help="One JSON object, for programs.")
def get(run_id: str, store: str | None, as_one: bool) -> None:  # noqa: FBT001  # click's way to hand in a flag
    """Show one run: its inputs, how it stands, what it waits for, its timeline, and why it failed.

    ID is the whole name, REACTOR:ID; of a restarted run it is the newest life.
    """

    async def main() -> None:
        async with opened(store or DEFAULT) as there:
            now = await there.now()
            if as_one:
                Output(sys.stdout).line(as_json(as_object(await read(there, run_id), sealer_for())))
                return
            reading = await begin(there, run_id)
            reading.take(reading.loaded)
            tell(reading, sealer_for(), sys.stdout, now)

    asyncio.run(main())


@runs.command("watch", short_help="Follow a run live until it ends.")
@click.argument("run_id", metavar="ID")
@the_store
@form_options
def watch_run(run_id: str, store: str | None, **how: bool) -> None:
    """Follow a run from its first event, live, until it ends. Ctrl-C only stops watching.

    The exit code is that of `reactor run`: 0 succeeded, 1 failed or stuck, 4 cancelled or undone, 5 halted.
    """

    async def main(out: Any) -> int:
        async with opened(store or DEFAULT) as there:
            return await watch(there, run_id, out, how)

    try:
        with stdout_for(how) as out:
            code = asyncio.run(main(out))
    except KeyboardInterrupt:
        click.echo("stopped watching; the run goes on", err=True)
        code = STOPPED
    sys.exit(code)


for moving_command in COMMANDS:
    runs.add_command(moving_command)


@click.command(short_help="Look at a store: what is wrong, and how to mend it.")
@the_store
@click.option("--json", "as_one", is_flag=True, help="One JSON object, for programs.")
def doctor(store: str | None, as_one: bool) -> None:  # noqa: FBT001  # click's way to hand in a flag
    """Look at a store: reachable, fit to keep runs, what is due and nobody drives, what is stuck; each finding with a fix.

    Exits with 1 where something is wrong.
    """
    url = store or DEFAULT
    found = asyncio.run(_examined(url))
    out = Output(sys.stdout)
    is_well = all(one.level != "wrong" for one in found)
    if as_one:
        out.line(as_json({"store": shown(url), "ok": is_well, "findings": [one.as_object() for one in found]}))
    else:
        marks = marks_for(sys.stdout.encoding)
        for line in lines(found, {"fine": marks["succeeded"], "note": marks["stuck"], "wrong": marks["failed"]}):
            out.line(line)
    sys.exit(0 if is_well else 1)


async def _examined(url: str) -> list[Finding]:
    try:
        async with opened(url) as there:
            return await examine(there, url)
    except ReactorError as error:
        if error.code in USAGE:
            raise
        return [refused(error)]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Problem(f"--where {clean(text, 60)!r} is not INPUT=VALUE", "fix: --where order_id=7", code="usage")
    return name, value
