"""What a record tells without the code that wrote it: what it waits for, what failed, what could not be undone. A fold of its facts.

`board.py` has the rows of the same run; this room has what is said of the run as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from reactor.define.failing import Failure, StepError
from reactor.define.outcomes import Cancelled, Failed, Halted, Parked, RollbackFailure, Succeeded, Undone, Waiting
from reactor.machine import events
from reactor.machine.constants import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor.define.outcomes import Outcome
    from reactor.machine.events import Event as Fact
    from reactor.machine.events import RollbackFailed


@dataclass
class Story:
    """Facts folded, in order. Times are seconds since the epoch, on the store's clock."""

    run_id: str
    deadline: float | None = None
    started: float | None = None
    ended: float | None = None
    end: str = ""  # the status of the last end
    reason: str = ""
    waits: dict[str, Waiting] = field(default_factory=dict)
    batches: dict[tuple[str, int], list[Waiting]] = field(default_factory=dict)  # waits in batches of a map
    due: dict[str, tuple[float, int, str]] = field(default_factory=dict)  # the next attempt: when, its number, of which call
    calls: dict[str, tuple[float, int, str]] = field(default_factory=dict)  # in flight: since when, attempt, which call
    failures: dict[str, Failure] = field(default_factory=dict)  # what stands, in the order in which it failed
    stuck: dict[tuple[str, str], RollbackFailure] = field(default_factory=dict)
    children: dict[str, str] = field(default_factory=dict)  # the reactor that a compose returned
    halted: str = ""
    doubtful: dict[str, None] = field(default_factory=dict)  # calls that began and have no end on record, in order
    was: str = ""  # the end before a restart took over
    mode: str = ""  # how it was last told to stop

    def apply(self, fact: Fact) -> None:
        """Fold one fact."""
        _doubt(self, fact)
        act = _ACTS.get(type(fact))
        if act is not None:
            act(self, fact)

    @property
    def waiting(self) -> list[Waiting]:
        """Every interrupt that is open."""
        return [*self.waits.values(), *(one for several in self.batches.values() for one in several)]

    def outcome(self, status: str) -> Outcome[Any] | None:
        """What this status is an outcome of, without the output's value; None while the run goes on."""
        match status:
            case "succeeded":
                return Succeeded(None, self.run_id)
            case "parked":
                return Parked(self.waiting, self.run_id)
            case "halted":
                return Halted(self.halted or self.reason, self.run_id)
            case "cancelled":
                return Cancelled(self.reason, self.run_id, tuple(self.doubtful))
            case "undone":
                return Undone(self.run_id)
            case "failed" | "stuck":
                return self._failed()
            case "superseded" if self.was and self.was != "superseded":
                return self.outcome(self.was)
        return None

    def _failed(self) -> Failed | None:
        stuck = list(self.stuck.values())
        for address, failure in self.failures.items():
            return Failed(StepError(failure, address), address, self.run_id, stuck)
        return Failed(stuck[0].error, stuck[0].step, self.run_id, stuck) if stuck else None

    # ---- what facts do ----------------------------------------------------------------------------------------

    def settle(self, address: str) -> None:
        """Nothing of this address is open any more."""
        self.calls.pop(address, None)
        self.due.pop(address, None)
        self.waits.pop(address, None)

    def recover(self, address: str) -> None:
        """Its failure, and those below it, stand no longer."""
        below = tuple(f"{address}{mark}" for mark in ".[")
        self.failures = {at: failure for at, failure in self.failures.items() if at != address and not at.startswith(below)}

    def stick(self, address: str, call: str, failure: Failure) -> None:
        """An undo or compensate has finally failed."""
        kind: Literal["undo", "compensate"] = "undo" if call == "undo" else "compensate"
        self.stuck[address, call] = RollbackFailure(address, kind, StepError(failure, address))

    def stick_all(self, several: tuple[RollbackFailed, ...]) -> None:
        """Those of a batch."""
        for one in several:
            self.stick(one.address, one.call, one.failure)


KNOWN = (events.CallSucceeded, events.Skipped, events.Halted, events.Asked, events.ChildOpened, events.Compensated)  # how a call ended


def _doubt(story: Story, fact: Fact) -> None:
    """Which calls may have been done, or not, where nothing compensates them."""
    match fact:
        case events.CallStarted(call="do"):
            story.doubtful[fact.address] = None
        case events.CallCancelled() | events.CallFailed(call="do", next_in=None) if story.mode != "abandon":
            story.doubtful.pop(fact.address, None)
        case events.BatchSettled():
            story.doubtful.update(dict.fromkeys(fact.in_doubt))
        case _ if isinstance(fact, KNOWN):
            story.doubtful.pop(fact.address, None)


# ---- one function a fact --------------------------------------------------------------------------------------


def _run_started(story: Story, fact: events.RunStarted) -> None:
    story.started, story.deadline = fact.at, fact.deadline


def _run_ended(story: Story, fact: events.RunEnded) -> None:
    if story.end:
        story.was = story.end
    story.ended, story.end, story.reason = fact.at, fact.status, fact.reason or story.reason
    story.calls.clear()
    story.due.clear()
    story.waits.clear()
    story.batches.clear()


def _stop_requested(story: Story, fact: events.StopRequested) -> None:
    story.reason, story.mode = fact.reason or story.reason, fact.mode
    if fact.mode == "deadline":
        story.failures.setdefault("", DEADLINE)


def _started(story: Story, fact: events.CallStarted) -> None:
    story.ended = None
    story.due.pop(fact.address, None)
    story.calls[fact.address] = (fact.at, fact.attempt, fact.call)


def _cut(story: Story, fact: events.CallCut) -> None:
    story.calls.pop(fact.address, None)


def _settled(story: Story, fact: Fact) -> None:
    story.settle(fact.address)


def _failed(story: Story, fact: events.CallFailed) -> None:
    story.settle(fact.address)
    if fact.next_in is not None:
        story.due[fact.address] = (fact.at + fact.next_in, fact.attempt + 1, fact.call)
    elif fact.call == "do":
        story.failures.setdefault(fact.address, fact.failure)
    else:
        story.stick(fact.address, fact.call, fact.failure)


def _compensated(story: Story, fact: events.Compensated) -> None:
    story.settle(fact.address)
    if fact.verdict != "stands":
        story.recover(fact.address)
    if fact.verdict == "try_again":
        story.due[fact.address] = (fact.at + fact.after, 1, "do")


def _undone(story: Story, fact: events.Undone) -> None:
    story.settle(fact.address)
    story.stuck.pop((fact.address, "undo"), None)


def _child_opened(story: Story, fact: events.ChildOpened) -> None:
    story.children[fact.address] = fact.reactor


def _halted(story: Story, fact: events.Halted) -> None:
    story.settle(fact.address)
    story.halted = story.halted or fact.reason


def _asked(story: Story, fact: events.Asked) -> None:
    story.settle(fact.address)
    story.waits[fact.address] = Waiting(fact.address, fact.correlation_id, fact.deadline)


def _batch_parked(story: Story, fact: events.BatchParked) -> None:
    story.batches[fact.address, fact.batch] = [Waiting(one.address, one.correlation_id, one.deadline) for one in fact.waiting]


def _batch_woke(story: Story, fact: events.BatchWoke) -> None:
    story.batches.pop((fact.address, fact.batch), None)


def _batch_settled(story: Story, fact: events.BatchSettled) -> None:
    story.batches.pop((fact.address, fact.batch), None)
    story.stick_all(fact.stuck)
    if fact.failure is not None:
        story.failures.setdefault(fact.failed_at or fact.address, fact.failure)
    if fact.halted is not None:
        story.halted = story.halted or fact.halted


def _batch_undone(story: Story, fact: events.BatchUndone) -> None:
    story.stick_all(fact.stuck)


def _source_ended(story: Story, fact: events.SourceEnded) -> None:
    if fact.failure is not None:
        story.failures.setdefault(fact.address, fact.failure)


def _rollback_retried(story: Story, _fact: events.RollbackRetried) -> None:
    story.stuck.clear()  # each is called again: it is undone, or said again


_ACTS: dict[type[Fact], Callable[[Story, Any], None]] = {
    events.RunStarted: _run_started,
    events.RunEnded: _run_ended,
    events.StopRequested: _stop_requested,
    events.CallStarted: _started,
    events.CallSucceeded: _settled,
    events.CallFailed: _failed,
    events.CallCancelled: _settled,
    events.CallCut: _cut,
    events.Skipped: _settled,
    events.Closed: _settled,
    events.Compensated: _compensated,
    events.Undone: _undone,
    events.ChildOpened: _child_opened,
    events.Halted: _halted,
    events.Asked: _asked,
    events.Answered: _settled,
    events.BatchParked: _batch_parked,
    events.BatchWoke: _batch_woke,
    events.BatchSettled: _batch_settled,
    events.BatchUndone: _batch_undone,
    events.SourceEnded: _source_ended,
    events.RollbackRetried: _rollback_retried,
}
