"""`await Checkout(…)`: one run in this process, kept nowhere, undone under shield if whoever awaits it is cancelled."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

import anyio

from reactor.errors import NeedsEngine
from reactor.machine.events import RunStarted, StopRequested, UndoRequested
from reactor.machine.machine import Machine
from reactor.plan.compile import family_of, plan_of
from reactor.run.context import LOGGER, current_call
from reactor.run.failures import secret_texts
from reactor.run.ids import new_id
from reactor.run.outcome import outcome_of, output_of, undone_in, value_or_raise
from reactor.run.runner import Runner
from reactor.run.shielding import shielded
from reactor.run.site import Site

if TYPE_CHECKING:
    from reactor.define.reactor import Reactor
    from reactor.machine.commands import Call
    from reactor.plan.plan import Plan


async def perform(reactor: Reactor) -> Any:
    """Run it and give its output. Raises NeedsEngine before anything begins, RunFailed or RunStopped after."""
    plan = plan_of(type(reactor))
    if plan.may_park:
        raise cannot_park(plan)
    around = current_call()
    if around is None or around[0].site.loop is not asyncio.get_running_loop():  # in a thread of a step another loop may run
        return await _alone(Runner(Site(), Machine(plan), lambda: f"{plan.name}:{new_id()}"), reactor)
    outer, order = around
    if outer.site.debug:
        said = f"{plan.name} is awaited inside the step `{order.address}`: it is no part of that saga and is not undone with it"
        warnings.warn(said, stacklevel=2)
    return await _inside(outer, order, Runner(outer.site, Machine(plan), lambda: f"{plan.name}:{new_id()}", slots=outer.slots), reactor)


async def _inside(outer: Runner, order: Call, runner: Runner, reactor: Reactor) -> Any:
    """Drive a run that a step awaits, on the engine's slots: the step, which only waits, gives its own meanwhile."""
    loan = outer.loan(order)
    if loan is None:
        return await _drive(runner, reactor)
    loan.give()
    try:
        value = await _drive(runner, reactor)
    except BaseException as error:
        await loan.take_back(at_once=isinstance(error, asyncio.CancelledError))
        raise
    await loan.take_back()
    return value


async def _alone(runner: Runner, reactor: Reactor) -> Any:
    """Drive a run that has resources of its own, and close them. Whoever is cancelled while they close never gets the value."""
    site = runner.site
    try:
        value = await _drive(runner, reactor)
    except BaseException:
        await _close(site)
        raise
    try:
        await _close(site)
    except asyncio.CancelledError:
        await _take_back(runner)
        await _close(site)
        raise
    return value


def cannot_park(plan: Plan) -> NeedsEngine:
    """The refusal of a reactor that an interrupt could park."""
    members = family_of(plan.definition)
    interrupts = [f"`{one.name}.{node.name}`" for one in members for node in one.nodes.values() if node.kind == "interrupt"]
    return NeedsEngine(
        f"{plan.name} can be parked by {', '.join(interrupts)}, and a run that is kept nowhere could never go on",
        code="needs-engine",
        where=plan.definition.span,
        fix="run it on an engine whose store keeps parked runs, or leave the interrupt out",
    )


async def _drive(runner: Runner, reactor: Reactor) -> Any:
    site = runner.site
    runner.secrets = secret_texts(reactor)
    runner.note(RunStarted(site.now(), "", inputs=reactor, settle=site.settle))
    runner.pump()
    try:
        await runner.end
        lanes = [lane for lane in runner.tasks if not lane.done()]
        if lanes:
            await asyncio.wait(lanes)  # they have nothing to do any more
    except asyncio.CancelledError:
        await _take_back(runner)
        raise
    if runner.machine.state.ended == "succeeded":
        return output_of(runner.machine.state)
    return value_or_raise(outcome_of(runner), undone_in(runner.machine.state))


async def _take_back(runner: Runner) -> None:
    """Whoever awaited the run was cancelled: cancel it, or, where it had just succeeded, undo it; under shield, to the end."""
    state = runner.machine.state
    runner.reopen()
    if state.ended is None:
        runner.tell(StopRequested(runner.site.now(), "", "cancel", "whoever awaited it was cancelled"))
    elif state.ended == "succeeded":
        runner.tell(UndoRequested(runner.site.now(), ""))
    await _until_ended(runner)


async def _until_ended(runner: Runner) -> None:
    """Wait for the rollback, however often whoever waits is cancelled."""
    with anyio.CancelScope(shield=True):
        while runner.machine.state.ended is None:
            try:
                await asyncio.shield(runner.end)
            except asyncio.CancelledError:
                continue


async def _close(site: Site) -> None:
    """Close what the run opened, to the end. What fails in that takes nothing from how the run ended."""
    if site.resources.used or site.has_threads:
        await shielded(_close_all(site))


async def _close_all(site: Site) -> None:
    try:
        await site.close()
    except ExceptionGroup:
        LOGGER.exception("a run is over, and what it had opened did not close")
