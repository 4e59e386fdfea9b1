"""How a call that is over is noted: its value, or its failure and whether there is a next attempt.

That is asked here, where the exception is alive, and recorded: no rule sees an exception.
"""

from __future__ import annotations

import asyncio
import random
from math import inf
from typing import TYPE_CHECKING, Any

from reactor.define.outcomes import Continue, Halt, TryAgain
from reactor.define.outcomes import Skip as SkipRaised
from reactor.define.reactor import Reactor, definition_of
from reactor.errors import ReactorError, StepCancelled
from reactor.machine.events import CallFailed, CallSucceeded, ChildOpened, Compensated, Halted, Skipped, StopRequested, Undone
from reactor.run.arguments import arguments_of, code_of
from reactor.run.failures import blotted, failure_of, secret_texts, shown, speaks
from reactor.run.values import round_trip, storable

if TYPE_CHECKING:
    from reactor.machine.commands import Call
    from reactor.machine.state import Scope
    from reactor.run.runner import Runner

DEPTH = 32  # reactors in reactors
TIMEOUT = "timeout"


def arrived(runner: Runner, order: Call, value: Any, now: float) -> None:
    """A call returned."""
    runner.last = runner.clock()
    at = runner.last + runner.offset
    if runner.began or runner.doomed:
        runner.began.pop((order.address, order.call), None)
        runner.doomed.pop((order.address, order.call), None)
    if order.call == "do":
        if order.node.kind == "compose":
            _open_child(runner, order, value, at, now)
        elif order.scope.is_batch or runner.site.debug or order.node.is_flag:
            _keep(runner, order, value, at, now)
        else:
            runner.note(CallSucceeded(at, order.address, value))
    elif order.call == "undo":
        runner.note(Undone(at, order.address))
    else:
        _answered(runner, order, value, at, now)


def _keep(runner: Runner, order: Call, value: Any, at: float, now: float) -> None:
    """Note a value that is more than handed on."""
    try:
        kept = kept_form(runner, order, value)
    except Exception as error:  # noqa: BLE001  # a flag's truth may raise anything
        failed(runner, order, error, now)
    else:
        runner.note(CallSucceeded(at, order.address, kept))


def kept_form(runner: Runner, order: Call, value: Any, *, optional: bool = False) -> Any:
    """A value as it is kept: an element's encoded, a flag's as its truth, in debug any as it comes back from its bytes."""
    if order.scope.is_batch:
        return storable(order.node.returns, value, optional=optional)
    if runner.site.debug:
        value = round_trip(order.node.returns, value, optional=optional)
    return bool(value) if order.node.is_flag else value


def _open_child(runner: Runner, order: Call, child: Any, at: float, now: float) -> None:
    """A compose, or an element, returned its reactor."""
    error = _not_a_child(runner, order, child)
    if error is not None:
        failed(runner, order, error, now)
    else:
        runner.secrets += secret_texts(child)
        runner.note(ChildOpened(at, order.address, definition_of(type(child)).name, child))


def _not_a_child(runner: Runner, order: Call, child: Any) -> ReactorError | None:
    known = [one.__name__ for one in order.node.children]
    where = order.node.definition.span
    if not isinstance(child, Reactor) or type(child) not in order.node.children:
        said = shown(child) if not isinstance(child, Reactor) else f"a {type(child).__name__}"
        return ReactorError(
            f"`{order.node.name}` returned {said}", code="not-a-child", where=where, known=known, fix="return one of the annotated reactors"
        )
    depth = depth_of(runner, order.scope) + 1
    if depth > DEPTH:
        return ReactorError(
            f"`{order.address[:60]}…` is {depth} reactors deep, and at most {DEPTH} may be in each other",
            code="too-deep",
            where=where,
            fix="end the recursion earlier, or map over the work instead",
        )
    return None


def depth_of(runner: Runner, scope: Scope) -> int:
    """How many reactors are around a node, maps' elements counted with them."""
    depth, around = 0, scope
    while True:
        depth += not around.is_batch
        if around.parent is not None:
            around = around.parent
        elif runner.batch is not None:
            around, runner = runner.batch.map_run.scope, runner.batch.map_run.runner
        else:
            return depth


def _answered(runner: Runner, order: Call, answer: Any, at: float, now: float) -> None:
    """What `compensate` returned."""
    if answer is None:
        runner.note(Compensated(at, order.address))
    elif isinstance(answer, Continue):
        _recover(runner, order, answer.value, at, now)
    elif isinstance(answer, TryAgain):
        runner.note(Compensated(at, order.address, "try_again", None, answer.after))
    else:
        error = ReactorError(
            f"the compensate of `{order.node.name}` returned {shown(answer)}",
            code="bad-answer",
            where=order.node.compensate.definition.span,
            fix="return None (the failure stands), Continue(value) or TryAgain(after)",
        )
        failed(runner, order, error, now)


def _recover(runner: Runner, order: Call, value: Any, at: float, now: float) -> None:
    """The value of a Continue is kept like a result."""
    try:
        value = kept_form(runner, order, value, optional=True) if order.node.kind == "step" or runner.site.debug else value
    except Exception as error:  # noqa: BLE001  # a flag's truth may raise anything
        failed(runner, order, error, now)
    else:
        runner.note(Compensated(at, order.address, "continued", value))


# ---- failures ---------------------------------------------------------------------------------------------------


def failed(runner: Runner, order: Call, error: BaseException, now: float) -> None:
    """A call raised: Skip and Halt speak, everything else is a failure."""
    runner.last = runner.clock()
    at = runner.last + runner.offset
    runner.doomed.pop((order.address, order.call), None)
    spoken = speaks(error)
    if order.call == "do" and isinstance(spoken, SkipRaised):
        skipped(runner, order, spoken.value, at, now)
        return
    if order.call == "do" and isinstance(spoken, Halt):
        halted(runner, order, blotted(str(spoken.reason), runner.secrets), at)
        return
    next_in, spoken = next_attempt(runner, order, spoken, now)
    if order.call == "do":
        runner.originals[order.address] = spoken
    failure = failure_of(spoken, order.attempt, _shown(runner, order), runner.secrets)
    runner.note(CallFailed(at, order.address, order.call, order.attempt, failure, next_in))


def halted(runner: Runner, order: Call, reason: str, at: float) -> None:
    """A call raised Halt: nothing begins any more in the whole run, and the runs around a batch hear it at once."""
    runner.note(Halted(at, order.address, reason))
    if runner.machine.state.halted is None:
        return  # a failure that stood before wins
    around: Runner = runner
    while around.batch is not None:
        around = around.batch.map_run.runner
        around.tell(StopRequested(at, "", "halt", reason))


def next_attempt(runner: Runner, order: Call, error: BaseException, now: float) -> tuple[float | None, BaseException]:
    """In how many seconds the next attempt is due, None for none; and the exception that counts.

    A call that was cancelled has no next attempt, nor has the one more call that a TryAgain gives. An author's predicate that raises
    ends it with what it raised.
    """
    key = (order.address, order.call)
    began = runner.began.pop(key, now)
    policy = code_of(order).retry
    if policy is None or isinstance(error, StepCancelled) or (order.call == "do" and order.index in order.scope.tries):
        return None, error
    try:
        next_in = policy.next_wait(order.attempt, error, runner.last - began, random.random())  # noqa: S311  # jitter
    except Exception as broken:  # noqa: BLE001  # see above
        broken.__context__ = error
        return None, broken
    if next_in is not None and not 0 <= next_in < inf:
        return None, ValueError(f"the Retry of `{order.node.name}` says to wait {next_in} seconds")
    if next_in is not None:
        runner.began[key] = began
    return next_in, error


def skipped(runner: Runner, order: Call, value: Any, at: float, now: float) -> None:
    """A step raised Skip: its value is kept like a result."""
    try:
        value = kept_form(runner, order, value, optional=True)
    except Exception as error:  # noqa: BLE001  # a flag's truth may raise anything
        failed(runner, order, error, now)
    else:
        runner.note(Skipped(at, order.address, value, "raised"))


def _shown(runner: Runner, order: Call) -> dict[str, Any]:
    """The arguments of a failed call, by name, to be shortened and masked."""
    code = code_of(order)
    try:
        args = arguments_of(runner, order, code)[1:]
    except BaseException:  # noqa: BLE001  # binding them is what failed
        return {}
    names = [param.name for param in code.definition.params]
    if len(args) > len(names):
        names.insert(0, {"undo": "value", "compensate": "error"}.get(order.call, "element"))
    return dict(zip(names, args, strict=False))


def ended_by_us(why: str, timeout: float | None, error: BaseException | None) -> BaseException | None:
    """What a call that was told to end is recorded as. A value that came all the same counts, but never after a timeout."""
    if why == TIMEOUT:
        return _timed_out(timeout, error)
    return None if error is None else _cancelled(why, error)


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
