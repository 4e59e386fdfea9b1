"""How a call that is over is noted: its value, or its failure and whether there is a next attempt.

That is asked here, where the exception is alive, and recorded: no rule sees an exception.
"""

from __future__ import annotations

import asyncio
import random
from math import inf
from typing import TYPE_CHECKING, Any, cast

from reactor.define.outcomes import Continue, Halt, TryAgain
from reactor.define.outcomes import Skip as SkipRaised
from reactor.define.reactor import Reactor, definition_of
from reactor.define.steps import Ask
from reactor.errors import ReactorError, ResultNotStorable, StepCancelled
from reactor.machine.events import CallFailed, CallSucceeded, ChildOpened, Compensated, Halted, Skipped, Undone
from reactor.record.words import EVENT_LIMIT
from reactor.run import interrupting
from reactor.run.arguments import arguments_of, code_of
from reactor.run.checking import LONGEST_ID, is_correlation_id
from reactor.run.failures import LONG, cut, failure_of, secret_texts, shown, speaks
from reactor.run.masking import HANDED, secrets_of
from reactor.run.values import FALSE, TRUE

if TYPE_CHECKING:
    from reactor.machine.commands import Call
    from reactor.machine.state import Scope
    from reactor.run.driver import Driver
    from reactor.run.runner import Runner

DEPTH = 32  # reactors in reactors
WIDEST = 4  # bytes of a character
AROUND = 1024  # bytes that an event takes beside its value and address
TIMEOUT = "timeout"
LET_GO = "the run is let go of: it goes on elsewhere"


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
        elif order.node.kind == "interrupt":
            _ask(runner, order, value, now)
        elif order.scope.is_batch or runner.keeps or order.node.is_flag:
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
        value, raw = kept_form(runner, order, value)
    except Exception as error:  # noqa: BLE001  # a flag's truth may raise anything
        failed(runner, order, error, now)
    else:
        runner.note_value(CallSucceeded(at, order.address, value), raw)


def kept_form(runner: Runner, order: Call, value: Any, *, optional: bool = False) -> tuple[Any, bytes]:
    """A value as it is kept, and its bytes: an element's encoded, a flag's as its truth, in a store any as it comes back from its bytes."""
    raw = b""
    if order.scope.is_batch:
        value, raw = runner.kept(order.node, value, optional=optional, encoded=True)
        see_that_it_fits(order.address, raw)
        return value, raw
    if runner.keeps:
        value, raw = runner.kept(order.node, value, optional=optional)
        see_that_it_fits(order.address, raw)
    return (bool(value), TRUE if value else FALSE) if order.node.is_flag else (value, raw)


def see_that_it_fits(address: str, raw: bytes) -> None:
    """Raises ResultNotStorable for a value that takes more than an event may, with what is said around it and the seal of a secret."""
    size = len(raw) + WIDEST * len(address)
    if size > EVENT_LIMIT - AROUND:
        said = f"with its address it takes {size:,} bytes and at most {EVENT_LIMIT - AROUND:,} are kept"
        raise ResultNotStorable(said, fix="store it elsewhere and return its key")


def _open_child(runner: Runner, order: Call, child: Any, at: float, now: float) -> None:
    """A compose, or an element, returned its reactor."""
    error = _not_a_child(runner, order, child)
    if error is not None:
        failed(runner, order, error, now)
    else:
        runner.secrets += secret_texts(child)
        try:
            runner.open_child(ChildOpened(at, order.address, definition_of(type(child)).name, child))
        except ReactorError as refused:
            failed(runner, order, refused, now)


def _ask(runner: Runner, order: Call, ask: Any, now: float) -> None:
    """An interrupt returned what it asks."""
    error = _no_ask(order, ask)
    if error is not None:
        failed(runner, order, error, now)
    else:
        interrupting.begin(cast("Driver", runner), order, ask)  # it is one: a run that is kept nowhere has no interrupts


def _no_ask(order: Call, ask: Any) -> ReactorError | None:
    node = order.node
    if not isinstance(ask, Ask):
        return ReactorError(
            f"the interrupt `{node.name}` returned {shown(ask)}",
            code="not-an-ask",
            where=node.definition.span,
            fix="return `Ask(correlation_id, show=…)`, or raise Skip(value) where there is nothing to ask",
        )
    named: Any = ask.correlation_id
    if named is not None and not is_correlation_id(named):
        return ReactorError(
            f"the interrupt `{node.name}` asks under the correlation id {shown(named)}",
            code="bad-correlation-id",
            where=node.definition.span,
            fix=f"give a text of 1 to {LONGEST_ID} characters, or none: then the run's id is what answers it",
        )
    return None


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
        value, raw = kept_form(runner, order, value, optional=True) if order.node.kind == "step" or runner.keeps else (value, b"")
    except Exception as error:  # noqa: BLE001  # a flag's truth may raise anything
        failed(runner, order, error, now)
    else:
        runner.note_value(Compensated(at, order.address, "continued", value), raw)


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
    arguments = _shown(runner, order)
    secrets = secrets_of(order, arguments) + runner.secrets
    if order.call == "do" and isinstance(spoken, Halt):
        halted(runner, order, cut(str(spoken.reason), LONG, secrets), at)
        return
    next_in, spoken = next_attempt(runner, order, spoken, now)
    if order.call == "do":
        runner.originals[order.address] = spoken
    failure = failure_of(spoken, order.attempt, arguments, secrets)
    runner.note(CallFailed(at, order.address, order.call, order.attempt, failure, next_in))


def halted(runner: Runner, order: Call, reason: str, at: float) -> None:
    """A call raised Halt: nothing begins any more in the whole run, and the runs around a batch hear it at once."""
    runner.note(Halted(at, order.address, reason))
    if runner.machine.state.halted is None:
        return  # a failure that stood before wins
    runner.halt_around(at, reason)


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
    spent = order.attempt - order.scope.lost.get((order.index, order.call), 0)  # what a crash cut off spends none
    try:
        next_in = policy.next_wait(spent, error, runner.last - began, random.random())  # noqa: S311  # jitter
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
        value, raw = kept_form(runner, order, value, optional=True)
    except Exception as error:  # noqa: BLE001  # a flag's truth may raise anything
        failed(runner, order, error, now)
    else:
        runner.note_value(Skipped(at, order.address, value, "raised"), raw)


def _shown(runner: Runner, order: Call) -> dict[str, Any]:
    """The arguments of a failed call, by name, to be shortened and masked."""
    code = code_of(order)
    try:
        args = arguments_of(runner, order, code)[1:]
    except BaseException:  # noqa: BLE001  # binding them is what failed
        return {}
    names = [param.name for param in code.definition.params]
    if len(args) > len(names):
        names.insert(0, HANDED.get(order.call, "element"))
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
