"""`reactor runs signal|cancel|undo|restart|retry-rollback`: their words and options. How they are asked is in `asking.py`."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from reactor.cli.answering import choose, payload
from reactor.cli.apps import engine_for, named_app, needed_app, store_of
from reactor.cli.asking import Said, ask, moving_options
from reactor.cli.endings import CODES
from reactor.cli.leaving import Command, leave
from reactor.cli.problems import Problem
from reactor.cli.records import read
from reactor.cli.reports import Output
from reactor.cli.stores import opened
from reactor.cli.text import clean
from reactor.cli.values import as_json
from reactor.define.waiting import wait_names
from reactor.record.keeping import root_of

if TYPE_CHECKING:
    from reactor.cli.answering import Chosen
    from reactor.cli.apps import App
    from reactor.cli.records import Reading
    from reactor.engine import Engine
    from reactor.run.handle import Run

ANY = "-"  # instead of an id: whichever run waits for the correlation id
DONE = {"undone": 0, "cancelled": 0}  # what cancel and undo were to come to
AGAIN = {**DONE, "failed": 0, "succeeded": 0, "halted": 0}  # what a rollback that is no longer stuck ends as


@click.command(short_help="Answer an interrupt of a parked run.")
@moving_options
@click.argument("interrupt")
@click.argument("said_payload", metavar="[PAYLOAD]", required=False)
@click.option("--input", "source", metavar="FILE.json", help="The payload; - reads stdin.")
@click.option("--correlation-id", metavar="ID", help="Which occurrence, where several are open.")
@click.option("--delivery-id", metavar="ID", help="A name of this signal: sent twice, it counts once.")
def signal(interrupt: str, said_payload: str | None, source: str | None, **rest: Any) -> None:
    """Answer an interrupt, and drive the run on until it ends or parks again.

    ID is the run's whole name, or - where only --correlation-id is known. INTERRUPT is its name or address, as `reactor runs get`
    shows it. PAYLOAD is converted to the type that the interrupt asks for; lists and objects are written as JSON.
    """
    ids = {name: rest.pop(name) for name in ("correlation_id", "delivery_id")}
    said = Said(**rest)
    app = needed_app(said.app, "answer an interrupt")
    if said.run_id == ANY:
        if not ids["correlation_id"]:
            raise Problem("- is no run", "fix: say its whole name, or which --correlation-id is answered", code="usage")
        chosen = choose(app.reactors, interrupt, {})
        body = payload(chosen, said_payload, source)
        found = asyncio.run(_run_waiting(said, app, chosen, ids["correlation_id"]))
        if found is None:
            asyncio.run(_deliver_early(said, app, chosen, body, ids))
            return
        said = replace(said, run_id=found)
    else:
        reading = _reading(said, app)
        chosen = choose([app.serving(reading.loaded.reactor)], interrupt, reading.story.children)
        body = payload(chosen, said_payload, source)
        waits = [one for one in reading.story.waiting if one.step == interrupt]
        ids["run_id"] = reading.run
        ids["correlation_id"] = ids["correlation_id"] or (waits[0].correlation_id if waits else None)

    async def act(engine: Engine, run: Run[Any]) -> Run[Any]:
        await _delivered(engine, chosen, body, ids)
        return run

    ask(said, app, act)


async def _run_waiting(said: Said, app: App, chosen: Chosen, correlation_id: str) -> str | None:
    """The run that asked under this correlation id; None where nobody did."""
    async with opened(store_of(app, said.store)) as store:
        for name in wait_names(chosen.cls, chosen.node.name):
            found = await store.find_waiting(name, correlation_id)
            if found is not None:
                return root_of(found[0])
    return None


async def _deliver_early(said: Said, app: App, chosen: Chosen, body: bytes, ids: dict[str, Any]) -> None:
    async with engine_for(app, store_of(app, said.store), plain_secrets=said.plain_secrets) as engine:
        await _delivered(engine, chosen, body, ids)


async def _delivered(engine: Engine, chosen: Chosen, body: bytes, ids: dict[str, Any]) -> None:
    """Signal it, and say what became of it."""
    delivery = await engine.signal_json(chosen.interrupt, body, **ids)
    words = {
        "accepted": "accepted",
        "early": "kept: nobody has asked for it yet; it is consumed when somebody does",
        "duplicate": "known already: nothing was changed",
    }
    click.echo(f"{clean(chosen.node.name)}: {words[delivery.status]}", err=True)


@click.command(short_help="Cancel a run, and undo what it did.")
@moving_options
@click.option("--reason", default="asked for on the command line", show_default=True, help="Kept in the run's record.")
@click.option("--no-undo", is_flag=True, help="Leave what was done as it is, and calls in flight in doubt.")
def cancel(reason: str, no_undo: bool, **rest: Any) -> None:  # noqa: FBT001  # click's way to hand in a flag
    """Cancel a run that has not ended: calls in flight are cancelled and compensated, what succeeded is undone.

    Without --app the message is left for whoever drives it, or will. Exits with 0 where it is cancelled.
    """
    said = Said(**rest)

    async def act(_engine: Engine, run: Run[Any]) -> Run[Any]:
        await run.cancel(reason, undo=not no_undo)
        return run

    _tell(said, "cancel", act, DONE, reason=reason, undo=not no_undo)


@click.command(short_help="Undo what a run did, newest first.")
@moving_options
@click.option("--dry-run", is_flag=True, help="Only print the addresses that would be undone, in order.")
def undo(dry_run: bool, **rest: Any) -> None:  # noqa: FBT001  # click's way to hand in a flag
    """Undo what a run did: now, where it has not ended, else after its end.

    Without --app the message is left for whoever drives it, or will. Exits with 0 where it is undone.
    """
    said = Said(**rest)
    if dry_run:
        _preview(said)
        return

    async def act(_engine: Engine, run: Run[Any]) -> Run[Any]:
        await run.undo()
        return run

    _tell(said, "undo", act, DONE)


def _preview(said: Said) -> None:
    app = needed_app(said.app, "say what would be undone")
    reading = _reading(said, app)
    app.serving(reading.loaded.reactor)

    async def planned() -> list[str]:
        async with engine_for(app, store_of(app, said.store), plain_secrets=said.plain_secrets) as engine:
            return list(await (await engine.get(reading.run)).undo_plan())

    addresses = asyncio.run(planned())
    out = Output(sys.stdout)
    if said.as_json:
        out.line(as_json(addresses))
        return
    for address in addresses or ["nothing would be undone"]:
        out.line(clean(address))


@click.command(short_help="Run again what a run that ended did not keep.")
@moving_options
@click.option("--from-step", metavar="NODE", help="Run this one again too, and all that depends on it.")
def restart(from_step: str | None, **rest: Any) -> None:
    """Begin the next life of a run that ended: it keeps what succeeded and was not undone; the rest is undone first, and run again."""
    said = Said(**rest)

    async def act(_engine: Engine, run: Run[Any]) -> Run[Any]:
        return await run.restart(from_step=from_step)

    ask(said, needed_app(said.app, "restart a run"), act)


@click.command("retry-rollback", short_help="Try again what a stuck run could not undo.")
@moving_options
def retry_rollback(**rest: Any) -> None:
    """Call again every undo and compensate that finally failed. Exits with 0 where the run is no longer stuck.

    Without --app the message is left for whoever serves its reactor.
    """
    said = Said(**rest)

    async def act(_engine: Engine, run: Run[Any]) -> Run[Any]:
        await run.retry_rollback()
        return run

    _tell(said, "retry_rollback", act, AGAIN)


COMMANDS = (signal, cancel, undo, restart, retry_rollback)


def _tell(said: Said, command: Command, act: Any, codes: dict[str, int], **how: Any) -> None:
    """Ask it of an engine; where there is no code, or nobody waits, leave the message."""
    app = named_app(said.app)
    if app is not None and not said.no_wait:
        ask(said, app, act, {**CODES, **codes})
        return

    async def left() -> str:
        async with opened(store_of(app, said.store)) as store:
            return await leave(store, await read(store, said.run_id), command, **how)

    click.echo(asyncio.run(left()))
    if app is None and not said.no_wait:
        click.echo("nothing is driven here without its code: --app module:Class", err=True)


def _reading(said: Said, app: App) -> Reading:
    async def found() -> Reading:
        async with opened(store_of(app, said.store)) as store:
            return await read(store, said.run_id)

    return asyncio.run(found())
