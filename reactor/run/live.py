"""One run that an engine holds in memory: its runner, its record, what it is called and what may be asked of it when."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from reactor.define.reactor import values_of
from reactor.errors import StoreUnavailable, WrongState
from reactor.machine.events import RollbackRetried, StopRequested, UndoRequested
from reactor.machine.marks import FORWARD
from reactor.run.outcome import outcome_of

if TYPE_CHECKING:
    from reactor.define.outcomes import Outcome, Status
    from reactor.define.reactor import Reactor
    from reactor.plan.plan import Plan
    from reactor.run.observe import Record
    from reactor.run.runner import Runner

ALLOWED: dict[str, tuple[Status, ...]] = {
    "cancel": ("queued", "running"),
    "undo": ("queued", "running", "succeeded", "halted", "cancelled"),
    "restart": ("succeeded", "halted", "cancelled", "failed", "undone"),
    "retry_rollback": ("stuck",),
}


def fresh(reactor: Reactor) -> Reactor:
    """The same reactor with inputs of its own: what a step, or the caller, does to a list does not change what the run was given."""
    made = type(reactor).__new__(type(reactor))
    made.__dict__.update({name: _copied(value) for name, value in values_of(reactor).items()})
    return made


def _copied(value: Any) -> Any:
    try:
        return deepcopy(value)
    except Exception:  # noqa: BLE001  # what cannot be copied is shared
        return value


def let_go(run_id: str) -> StoreUnavailable:
    """The refusal of a run whose engine has closed."""
    return StoreUnavailable(f"{run_id} was let go of: its engine closed", code="engine-closed", fix="keep the engine open until it ends")


class Live:
    """One run. `run_id` is its whole name, `base` the part before a restart's `~n`."""

    def __init__(self, run_id: str, reactor: Reactor, plan: Plan, runner: Runner, record: Record, tags: tuple[str, ...]) -> None:
        self.run_id = run_id
        self.reactor = reactor
        self.plan = plan
        self.runner = runner
        self.record = record
        self.tags = tags
        self.begun = False  # its reactor has a place for it
        self.superseded = False
        self.successor: Live | None = None  # the run that supersedes it, once what it does not keep is undone
        self.predecessor: Live | None = None  # the run that it supersedes
        self.outcome: Outcome[Any] | None = None  # the one it ended with, last
        self.created_at = 0.0
        self.ended_at = 0.0

    @property
    def base(self) -> str:
        """The name that every restart of this run shares."""
        return self.run_id.partition("~")[0]

    @property
    def blocked(self) -> bool:
        """Whether it cannot begin, because what the run before it did is stuck half undone."""
        return self.runner.held and self.predecessor is not None and self.predecessor.status == "stuck"

    @property
    def status(self) -> Status:
        """Where it stands."""
        if self.superseded:
            return "superseded"
        state = self.runner.machine.state
        if state.ended is not None:
            return state.ended
        if self.runner.broken or self.blocked:
            return "stuck"
        if not self.begun:
            return "queued"
        return "running" if state.root.phase == FORWARD or state.root.quiet else "rolling_back"

    def ended(self, now: float) -> None:
        """Keep what it ended with. An undo that makes room for a restart changes nothing of it."""
        self.ended_at = now
        if self.runner.machine.state.ended != "superseded":
            self.outcome = outcome_of(self.runner)

    @property
    def is_driven(self) -> bool:
        """Whether something of it is going on here."""
        return self.runner.machine.state.ended is None and not self.runner.held and not self.runner.broken

    @property
    def is_undone(self) -> bool:
        """Whether its end has undone what had succeeded."""
        return self.status in ("failed", "undone") or (self.status == "cancelled" and self.runner.machine.state.stop_mode != "abandon")

    # ---- commands ---------------------------------------------------------------------------------------------

    def cancel(self, reason: str, *, undo: bool) -> None:
        """Stop it. Raises WrongState where there is nothing to cancel."""
        if self.may("cancel"):
            self.runner.tell(StopRequested(self.now(), "", "cancel" if undo else "abandon", reason))

    def undo(self) -> None:
        """Undo it, now or after its end. Raises WrongState where that cannot be."""
        if not self.may("undo"):
            return
        state = self.runner.machine.state
        if state.ended is None:
            self.runner.tell(StopRequested(self.now(), "", "undo", "undo was asked for"))
        else:
            self.reopen(UndoRequested(self.now(), ""))

    def retry_rollback(self) -> None:
        """Call again what could not be undone. Raises WrongState where nothing is stuck."""
        if self.blocked and self.predecessor is not None:
            self.predecessor.retry_rollback()
        elif self.may("retry_rollback"):
            self.reopen(RollbackRetried(self.now(), ""))

    def reopen(self, event: UndoRequested | RollbackRetried) -> None:
        """Go on with a run that had ended."""
        self.runner.reopen()
        self.runner.tell(event)

    def may(self, command: str) -> bool:
        """Whether a command has something to do; False: it is being done already. Raises WrongState."""
        status = self.status
        if self.record.closed:
            raise let_go(self.run_id)
        if self.runner.broken:
            raise WrongState(
                f"the driver of {self.run_id} broke, by a mistake of the engine's: nothing can be asked of it", code="driver-broke"
            )
        if status == "rolling_back" and command != "restart":
            return False
        allowed = ALLOWED[command]
        refused = status == "cancelled" and command == "undo" and self.is_undone
        if status in allowed and not refused:
            return True
        raise WrongState(
            f"{self.run_id} is {status}: it cannot be asked to {command.replace('_', ' ')}",
            code="wrong-state",
            known=allowed,
            fix=f"`{command}` is for runs that are {', '.join(allowed)}" + (" (cancelled without undo)" if command == "undo" else ""),
        )

    def now(self) -> float:
        """The site's time."""
        return self.runner.site.now()
