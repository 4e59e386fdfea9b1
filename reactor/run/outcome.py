"""What a run ended as, read off its state."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from reactor.define.failing import StepError
from reactor.define.outcomes import Cancelled, Failed, Halted, RollbackFailure, Succeeded, Undone
from reactor.errors import RunFailed, RunStopped
from reactor.machine.constants import DEADLINE
from reactor.machine.marks import LEFT, UNDONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactor.define.outcomes import Outcome
    from reactor.machine.events import RollbackFailed
    from reactor.machine.state import State
    from reactor.run.runner import Runner


def outcome_of(runner: Runner) -> Outcome[Any]:
    """The outcome of a run that has ended."""
    state, run_id = runner.machine.state, runner.run_id
    match state.ended:
        case "succeeded":
            return Succeeded(output_of(state), run_id)
        case "halted":
            return Halted(state.halted or state.reason, run_id)
        case "cancelled":
            return Cancelled(state.reason, run_id, in_doubt_in(runner))
        case "undone":
            return Undone(run_id)
    return failed_outcome(runner)


def output_of(state: State) -> Any:
    """The value of the output node."""
    return state.root.values[state.root.plan.output]


def failed_outcome(runner: Runner) -> Failed:
    """Failed or stuck: the failure that stood first, and what could not be undone."""
    state = runner.machine.state
    root = state.root
    stuck = [_rollback_failure(one.what) for one in state.stuck]
    failure = state.failure or (root.failures[root.failed] if root.failed >= 0 else None)
    if failure is None:  # cancelled, or undone after its end: what failed is the rollback
        return Failed(stuck[0].error, stuck[0].step, runner.run_id, stuck)
    original = None if failure is DEADLINE else runner.originals.get(root.failed_at)
    return Failed(StepError(failure, root.failed_at, original), root.failed_at, runner.run_id, stuck)


def _rollback_failure(what: RollbackFailed) -> RollbackFailure:
    kind: Literal["undo", "compensate"] = "undo" if what.call == "undo" else "compensate"
    return RollbackFailure(what.address, kind, StepError(what.failure, what.address))


def undone_in(state: State) -> list[str]:
    """The addresses whose undo succeeded; a batch of a map by its map."""
    done = [scope.names[index] for scope in state.scopes() for index, mark in enumerate(scope.marks) if mark == UNDONE]
    return [address for address in done if state.place(address)[0].plan.nodes[state.place(address)[1]].kind != "compose"]


def in_doubt_in(runner: Runner) -> list[str]:
    """The addresses of calls that began, did not succeed and were not compensated; in batches too."""
    found = [scope.names[index] for scope in runner.machine.state.scopes() for index, mark in enumerate(scope.marks) if mark == LEFT]
    for map_run in runner.maps.values():
        found.extend(map_run.in_doubt)
    return found


def value_or_raise(outcome: Any, undone: Sequence[str] = ()) -> Any:
    """The value of a run that succeeded. Raises RunFailed or RunStopped for any other."""
    if isinstance(outcome, Succeeded):
        return outcome.value
    if isinstance(outcome, Failed):
        raise run_failed(outcome, undone) from outcome.error.original
    said = {Halted: "was halted", Cancelled: "was cancelled", Undone: "was undone"}[type(outcome)]
    reason = f": {outcome.reason}" if getattr(outcome, "reason", "") else ""
    stopped = RunStopped(f"{outcome.run_id} {said}{reason}")
    stopped.outcome = outcome
    raise stopped


def run_failed(outcome: Failed, undone: Sequence[str]) -> RunFailed:
    """The error that says what failed, where in the author's file, and what could not be undone."""
    error = outcome.error
    frame = error.failure.frames[-1] if error.failure.frames else None
    where = f"`{outcome.step}`" if outcome.step else "the run"
    said = f"{where} failed in attempt {error.attempt} of {outcome.run_id}: {error.kind}: {error.message}"
    if outcome.rollback_failures:
        left = (f"{one.step} ({one.error.kind}: {one.error.message})" for one in outcome.rollback_failures)
        said += f"; could not be undone: {', '.join(left)}"
    failed = RunFailed(said, where=frame)
    failed.outcome = outcome
    what = f"run {outcome.run_id}, address {outcome.step or '(the run)'}, attempt {error.attempt}"
    notes = (what, f"undone: {', '.join(undone) or 'nothing'}")
    for raised in filter(None, (failed, error.original)):
        for note in notes:
            if note not in (getattr(raised, "__notes__", None) or ()):
                with suppress(Exception):  # an author's exception may be frozen
                    raised.add_note(note)
    return failed
