"""One function an order: do it, and note what happened."""

from __future__ import annotations

import asyncio
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from reactor.define.steps import in_call
from reactor.errors import ReactorError
from reactor.machine.commands import (
    Call,
    CancelCall,
    Close,
    CloseSource,
    Dispatch,
    End,
    Expire,
    OpenMap,
    Skip,
    StopBatch,
    UndoBatch,
)
from reactor.machine.events import (
    CallCancelled,
    CallFailed,
    CallStarted,
    Closed,
    RunEnded,
    Skipped,
    StopRequested,
)
from reactor.run import mapping
from reactor.run.arguments import arguments_of, code_of, unbound
from reactor.run.calls import Flight, InContext, as_coroutine, in_thread
from reactor.run.failures import failure_of
from reactor.run.settling import TIMEOUT, arrived, ended_by_us, failed
from reactor.run.values import storable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from reactor.plan.plan import Handler, PlanNode
    from reactor.run.runner import Runner

# ---- calls ------------------------------------------------------------------------------------------------------


def begin(runner: Runner, order: Call, now: float) -> Awaitable[None] | None:
    """Begin a call on the lane that asks, up to where it lets go of the loop, in a context of its own.

    None: it is over already; else what is left of it, to be awaited. What was to be opened or bound for it and could not is a failed
    attempt of a call that never began. This is the hot path: what the common call does not need stands in functions of its own.
    """
    scope, code, slots = order.scope, order.node if order.call == "do" else code_of(order), runner.slots
    if code.providers and runner.site.resources.missing(code.providers):
        return _open_first(runner, order, code)
    try:
        plain = order.call == "do" and not scope.is_batch
        args = (scope.reactor, *code.bind(scope.values, runner.opened)) if plain else arguments_of(runner, order, code)
    except BaseException as error:  # noqa: BLE001  # a path may lead nowhere, by way of an author's property
        failed(runner, order, unbound(error), now)
        return None
    if (slots is not None or not code.is_async) and not _room(runner, order, code):
        runner.last = now
        return None
    runner.note(CallStarted(now + runner.offset, order.address, order.call, order.attempt))
    context = runner.context.copy()
    context.run(in_call.set, (runner, order))
    runner.starting = order
    if not code.is_async:
        return _land(runner, order, in_thread(runner.site.loop, runner.site.threads, context, code.call, args), now)
    try:
        coro = context.run(code.call, *args)
        if type(coro) is not CoroutineType:
            coro = as_coroutine(coro)
        future = context.run(coro.send, None)
    except StopIteration as end:
        _give_back(runner)
        arrived(runner, order, end.value, now)
        return None
    except BaseException as error:  # noqa: BLE001  # an author's code may raise anything
        _give_back(runner)
        failed(runner, order, error, now)
        return None
    return _land(runner, order, InContext(coro, context, future), now)


def _room(runner: Runner, order: Call, code: PlanNode | Handler) -> bool:
    """Take the slot, and the thread, that a call needs. False: it does not begin now."""
    if not code.is_async and not runner.take_thread(order):
        return False
    if runner.take_slot():
        return True
    runner.machine.put_back(order)  # another took the slot while a resource was opened
    if not code.is_async:
        runner.site.thread_slots.give()
    return False


async def _open_first(runner: Runner, order: Call, code: PlanNode | Handler) -> None:
    """Open what a call needs, then begin it, unless something has overtaken it."""
    try:
        await runner.site.resources.open(code.providers)
    except BaseException as error:  # noqa: BLE001  # opening may raise anything
        if not runner.released and runner.machine.is_due(order):
            failed(runner, order, error, runner.clock())
        return
    if not runner.released and runner.machine.is_due(order):
        rest = begin(runner, order, runner.clock())
        if rest is not None:
            await rest


async def _land(runner: Runner, order: Call, rest: Awaitable[Any], now: float) -> None:
    """Await a call that let go of the loop, at most for its timeout, and note how it ended."""
    key = (order.address, order.call)
    code = code_of(order)
    flight = runner.flights[key] = Flight(asyncio.current_task() if code.is_async else None)
    if key in runner.doomed:
        flight.end(runner.doomed.pop(key))
    if code.timeout is not None:
        flight.timer = runner.site.loop.call_at(now + code.timeout, flight.end, TIMEOUT)
    error: BaseException | None = None
    value = None
    try:
        value = await rest
    except BaseException as raised:  # noqa: BLE001  # an author's code may raise anything
        error = raised
    finally:
        if flight.timer is not None:
            flight.timer.cancel()
        runner.landed(order)
        _give_back(runner, threads=0 if code.is_async else 1)
    if runner.released:
        return
    if flight.why is not None:
        error = ended_by_us(flight.why, code.timeout, error)
    if error is None:
        arrived(runner, order, value, now)
    else:
        failed(runner, order, error, now)


def _give_back(runner: Runner, threads: int = 0) -> None:
    if threads:
        runner.site.thread_slots.give()
    if runner.slots is not None:
        runner.slots.give()


# ---- all other orders -------------------------------------------------------------------------------------------


def skip(runner: Runner, order: Skip) -> None:
    """Its `when` was false."""
    runner.note(Skipped(runner.site.now(), order.address))


def close(runner: Runner, order: Close) -> None:
    """A child or a map is done; an element's output is kept encoded."""
    scope, index = order.scope, order.index
    value = None
    if scope.plan.nodes[index].kind == "map":
        value = mapping.results_of(runner, order.address)
    elif scope.is_batch:
        child = scope.children[index]
        try:
            value = storable(child.plan.nodes[child.plan.output].returns, child.values[child.plan.output], optional=True)
        except ReactorError as error:
            failure = failure_of(error, 1)
            runner.note(CallFailed(runner.site.now(), order.address, "do", 1, failure))
            return
    runner.note(Closed(runner.site.now(), order.address, value))


def cancel_call(runner: Runner, order: CancelCall) -> None:
    """Cancel a call in flight; one that has not let go of the loop yet, as when it cancels its own run, when it does."""
    key, why = (order.address, "do"), order.reason or "the run was cancelled"
    runner.note(CallCancelled(runner.site.now(), order.address, order.reason))
    if key in runner.flights:
        runner.flights[key].end(why)
    else:
        runner.doomed[key] = why


def expire(runner: Runner, _order: Expire) -> None:
    """The deadline has gone by."""
    runner.note(StopRequested(runner.site.now(), "", "deadline", "the run's deadline has gone by"))


def end(runner: Runner, order: End) -> None:
    """The last fact."""
    runner.note(RunEnded(runner.site.now(), "", order.status, runner.machine.state.reason))
    runner.ended()


PERFORM: dict[type[Any], Callable[[Runner, Any], Coroutine[Any, Any, None] | None]] = {
    Skip: skip,
    Close: close,
    CancelCall: cancel_call,
    Expire: expire,
    End: end,
    OpenMap: mapping.open_map,
    Dispatch: mapping.dispatch,
    CloseSource: mapping.close_source,
    StopBatch: mapping.stop_batch,
    UndoBatch: mapping.undo_batch,
}
