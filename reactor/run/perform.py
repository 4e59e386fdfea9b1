"""One function an order: do it, and note what happened. Whether to try again is asked here, where the exception is alive."""

from __future__ import annotations

import asyncio
import random
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from reactor.define.failing import StepError
from reactor.define.outcomes import Continue, Halt, TryAgain
from reactor.define.outcomes import Skip as SkipRaised
from reactor.define.reactor import Reactor, definition_of
from reactor.define.steps import in_call
from reactor.errors import ReactorError, StepCancelled
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
    CallSucceeded,
    ChildOpened,
    Closed,
    Compensated,
    Halted,
    RunEnded,
    Skipped,
    StopRequested,
    Undone,
)
from reactor.run import mapping
from reactor.run.calls import Flight, InContext, as_coroutine, in_thread
from reactor.run.failures import failure_of, secret_texts, speaks
from reactor.run.values import round_trip, storable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactor.run.runner import Runner

DEPTH = 32  # reactors in reactors


# ---- calls ------------------------------------------------------------------------------------------------------


def begin(runner: Runner, order: Call, now: float) -> Awaitable[None] | None:
    """Begin a call on the lane that asks. None: it is over already; else what is left of it, to be awaited.

    What was to be opened or bound for it and could not is a failed attempt of a call that never began.
    """
    scope, code = order.scope, order.node
    if order.call != "do":
        code = getattr(code, order.call)
    if code.providers and runner.site.resources.missing(code.providers):
        return _open_first(runner, order, code.providers)
    try:
        if scope.is_batch or order.call != "do":
            args = _arguments(runner, order, code)
        else:
            args = (scope.reactor, *code.bind(scope.values, runner.opened))
    except Exception as error:  # noqa: BLE001  # a path may lead nowhere
        failed(runner, order, error, now)
        return None
    if runner.slots is not None and not runner.slots.take():  # another took it while a resource was opened
        runner.machine.put_back(order)
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
        if runner.slots is not None:
            runner.slots.give()
        arrived(runner, order, end.value, now)
        return None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001  # an author's code may raise anything
        _give_back(runner)
        failed(runner, order, error, now)
        return None
    return _land(runner, order, InContext(coro, context, future), now)


async def _open_first(runner: Runner, order: Call, providers: Any) -> None:
    """Open what a call needs, then begin it, unless something has overtaken it."""
    try:
        await runner.site.resources.open(providers)
    except (KeyboardInterrupt, SystemExit):
        raise
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
    code = order.node if order.call == "do" else getattr(order.node, order.call)
    flight = runner.flights[key] = Flight(asyncio.current_task() if code.is_async else None)
    if code.timeout is not None:
        flight.timer = runner.site.loop.call_at(now + code.timeout, flight.end, "timeout")
    error: BaseException | None = None
    value = None
    try:
        value = await rest
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as raised:  # noqa: BLE001  # an author's code may raise anything
        error = raised
    finally:
        if flight.timer is not None:
            flight.timer.cancel()
        del runner.flights[key]
        runner.lent.pop(order.address, None)
        runner.loans.pop(order.address, None)
        _give_back(runner)
    if runner.released:
        return
    if flight.why == "timeout":
        error = _timed_out(code.timeout, error)
    elif flight.why is not None and error is not None:
        error = _cancelled(flight.why, error)
    if error is None:
        arrived(runner, order, value, now)
    else:
        failed(runner, order, error, now)


def _give_back(runner: Runner) -> None:
    if runner.slots is not None:
        runner.slots.give()


def _arguments(runner: Runner, order: Call, code: Any) -> tuple[Any, ...]:
    scope, index, opened = order.scope, order.index, runner.site.resources.opened
    if scope.is_batch:
        return mapping.element_arguments(runner, order, code)
    bound: tuple[Any, ...] = code.bind(scope.values, opened)
    if order.call == "do":
        return (scope.reactor, *bound)
    first = scope.values[index] if order.call == "undo" else error_of(runner, order)
    return (scope.reactor, first, *bound)


def error_of(runner: Runner, order: Call) -> StepError:
    """What `compensate` gets."""
    return StepError(order.scope.failures[order.index], order.address, runner.originals.get(order.address))


def arrived(runner: Runner, order: Call, value: Any, now: float) -> None:
    """A call returned."""
    runner.last = runner.clock()
    at = runner.last + runner.offset
    if runner.began:
        runner.began.pop((order.address, order.call), None)
    if order.call == "do":
        if order.node.kind == "compose":
            _open_child(runner, order, value, at, now)
        elif order.scope.is_batch or runner.site.debug:
            _keep(runner, order, value, at, now)
        else:
            runner.note(CallSucceeded(at, order.address, value))
    elif order.call == "undo":
        runner.note(Undone(at, order.address))
    else:
        _answered(runner, order, value, at, now)


def _keep(runner: Runner, order: Call, value: Any, at: float, now: float) -> None:
    """An element's result is kept encoded; in debug, a step's comes back from its bytes."""
    try:
        kept = storable(order.node.returns, value) if order.scope.is_batch else round_trip(order.node.returns, value)
    except ReactorError as error:
        failed(runner, order, error, now)
    else:
        runner.note(CallSucceeded(at, order.address, kept))


def _open_child(runner: Runner, order: Call, child: Any, at: float, now: float) -> None:
    """A compose, or an element, returned its reactor."""
    error = _not_a_child(order, child)
    if error is not None:
        failed(runner, order, error, now)
    else:
        runner.secrets += secret_texts(child)
        runner.note(ChildOpened(at, order.address, definition_of(type(child)).name, child))


def _not_a_child(order: Call, child: Any) -> ReactorError | None:
    known = [one.__name__ for one in order.node.children]
    where = order.node.definition.span
    if not isinstance(child, Reactor) or type(child) not in order.node.children:
        said = repr(child) if not isinstance(child, Reactor) else f"a {type(child).__name__}"
        return ReactorError(
            f"`{order.node.name}` returned {said}", code="not-a-child", where=where, known=known, fix="return one of the annotated reactors"
        )
    depth, scope = 1, order.scope
    while scope is not None:
        depth, scope = depth + 1, scope.parent
    if depth > DEPTH:
        return ReactorError(
            f"`{order.address[:60]}…` is {depth} reactors deep, and at most {DEPTH} may be in each other",
            code="too-deep",
            where=where,
            fix="end the recursion earlier, or map over the work instead",
        )
    return None


def _answered(runner: Runner, order: Call, answer: Any, at: float, now: float) -> None:
    """What `compensate` returned."""
    if answer is None:
        runner.note(Compensated(at, order.address))
    elif isinstance(answer, Continue):
        runner.note(Compensated(at, order.address, "continued", answer.value))
    elif isinstance(answer, TryAgain):
        runner.note(Compensated(at, order.address, "try_again", None, answer.after))
    else:
        error = ReactorError(
            f"the compensate of `{order.node.name}` returned {answer!r}",
            code="bad-answer",
            where=order.node.compensate.definition.span,
            fix="return None (the failure stands), Continue(value) or TryAgain(after)",
        )
        failed(runner, order, error, now)


# ---- failures ---------------------------------------------------------------------------------------------------


def failed(runner: Runner, order: Call, error: BaseException, now: float) -> None:
    """A call raised: Skip and Halt speak, everything else is a failure; is there a next attempt, and in how many seconds?"""
    runner.last = runner.clock()
    at = runner.last + runner.offset
    spoken = speaks(error)
    if order.call == "do":
        if isinstance(spoken, SkipRaised):
            skipped(runner, order, spoken.value, at, now)
            return
        if isinstance(spoken, Halt):
            runner.note(Halted(at, order.address, spoken.reason))
            return
    key = (order.address, order.call)
    policy = (order.node if order.call == "do" else getattr(order.node, order.call)).retry
    began = runner.began.setdefault(key, now)
    next_in = None
    again = order.call == "do" and order.index in order.scope.tries  # a TryAgain is one more call, with no budget of its own
    if policy is not None and not again and not isinstance(spoken, StepCancelled):
        try:
            next_in = policy.next_wait(order.attempt, error, at - runner.offset - began, random.random())  # noqa: S311  # jitter
        except Exception as broken:  # noqa: BLE001  # an author's predicate may raise anything: then there is no next attempt
            broken.__context__ = error
            error = spoken = broken
    if next_in is None:
        runner.began.pop(key, None)
    if order.call == "do":
        runner.originals[order.address] = spoken
    failure = failure_of(spoken, order.attempt, _shown(runner, order), runner.secrets)
    runner.note(CallFailed(at, order.address, order.call, order.attempt, failure, next_in))


def skipped(runner: Runner, order: Call, value: Any, at: float, now: float) -> None:
    """A step raised Skip: its value is kept like a result."""
    try:
        if order.scope.is_batch:
            value = storable(order.node.returns, value, optional=True)
        elif runner.site.debug:
            value = round_trip(order.node.returns, value, optional=True)
    except ReactorError as error:
        failed(runner, order, error, now)
    else:
        runner.note(Skipped(at, order.address, value, "raised"))


def _shown(runner: Runner, order: Call) -> dict[str, Any]:
    """The arguments of a failed call, by name, to be shortened and masked."""
    code = order.node if order.call == "do" else getattr(order.node, order.call)
    definition = code.definition
    try:
        args = _arguments(runner, order, code)[1:]
    except Exception:  # noqa: BLE001  # binding them is what failed
        return {}
    names = [param.name for param in definition.params]
    if len(args) > len(names):
        names.insert(0, {"undo": "value", "compensate": "error"}.get(order.call, "element"))
    return dict(zip(names, args, strict=False))


def _timed_out(timeout: float | None, error: BaseException | None) -> TimeoutError:
    timed_out = TimeoutError(f"it took longer than its timeout of {timeout:g} s")
    timed_out.__cause__ = None if isinstance(error, asyncio.CancelledError) else error
    if error is not None:
        timed_out.__traceback__ = error.__traceback__
    return timed_out


def _cancelled(why: str, error: BaseException) -> StepCancelled:
    cancelled = StepCancelled(f"the call was cancelled: {why}", code="step-cancelled")
    cancelled.__cause__ = None if isinstance(error, asyncio.CancelledError) else error
    cancelled.__traceback__ = error.__traceback__
    return cancelled


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
    """Cancel a call in flight; one that is only about to suspend is caught when it does."""
    flight = runner.flights.get((order.address, "do"))
    runner.note(CallCancelled(runner.site.now(), order.address, order.reason))
    if flight is not None:
        flight.end(order.reason or "the run was cancelled")


def expire(runner: Runner, _order: Expire) -> None:
    """The deadline has gone by."""
    runner.note(StopRequested(runner.site.now(), "", "deadline", "the run's deadline has gone by"))


def end(runner: Runner, order: End) -> None:
    """The last fact."""
    runner.note(RunEnded(runner.site.now(), "", order.status, runner.machine.state.reason))
    runner.ended()


PERFORM: dict[type[Any], Callable[[Runner, Any], Awaitable[None] | None]] = {
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
