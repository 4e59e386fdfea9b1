"""The whole tree of errors, sorted by what the caller can do about them.

    ReactorError
    ├── DefinitionError        mend the reactor: found when the class is made, or first planned
    │   └── NoSuchAttribute    … an attribute that a node or a reference does not have (also an AttributeError)
    ├── MissingArguments       a step called alone, as in a unit test, lacks arguments (also a TypeError)
    ├── InputInvalid           mend the inputs: nothing was persisted or queued
    ├── PayloadInvalid         mend the signal: the run is still parked, or its attempts are used up
    ├── RunConflict            the same id with other inputs, or a second, different answer
    ├── UnknownRun             no such run
    ├── NotWaiting             the interrupt timed out, was dropped, or the run ended unanswered
    ├── Expired                the run ended and its record is past retention
    ├── AmbiguousSignal        several occurrences are open: say which correlation id
    ├── MailboxFull            too many early signals
    ├── WrongState             the run's status does not allow this
    ├── Incompatible           the run's record does not fit the code at hand
    ├── NeedsEngine            this reactor can park, or is asked to be durable: give it an engine
    ├── ResultNotStorable      a step's result does not survive msgspec
    ├── StoreUnavailable       the store cannot be reached; nothing was lost, try again
    ├── RunFailed              raised by `await Reactor(...)` and `Run.result()`
    ├── RunStopped             … where the run was halted, cancelled or undone
    ├── SourceChanged          a source that was re-opened does not give what it gave
    ├── StepCrashed            the process died three times in this call
    ├── StepCancelled          the call was cancelled
    └── DeadlineExceeded       the run's deadline has gone by (also a TimeoutError)

Each says a code, what is wrong, where in the author's file, the nearest name, the known set, and one fix. This room imports
nothing of `reactor` and refuses to know when an error is raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactor.define.outcomes import Cancelled, Failed, Halted, Undone

SHOWN = 12  # known names that are listed before the rest is counted


class Place(Protocol):
    """A line in a file."""

    @property
    def file(self) -> str:
        """The path."""
        ...

    @property
    def line(self) -> int:
        """From 1."""
        ...


class At(NamedTuple):
    """A line in a file, as an error keeps it."""

    file: str
    line: int


class ReactorError(Exception):
    """Root of the tree. Each error has a `code` and says what, where, and one fix.

    >>> print(ReactorError("`pricee` is no node", code="unknown-node", fix="say `price`", known=("price", "ship"), nearest="price"))
    [unknown-node] `pricee` is no node
      did you mean `price`?
      known: price, ship
      fix: say `price`
    """

    code: str = "reactor"

    def __init__(
        self,
        what: str,
        *,
        code: str | None = None,
        where: Place | None = None,
        fix: str | None = None,
        known: Sequence[str] = (),
        nearest: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.code = code or self.code
        self.where = None if where is None else At(where.file, where.line)  # plain data: an error may travel
        self.fix = fix
        self.known = tuple(known)
        self.nearest = nearest

    def __str__(self) -> str:
        lines = [f"[{self.code}] {self.what}"]
        if self.where is not None:
            lines.append(f"  at {self.where.file}:{self.where.line}")
        if self.nearest is not None:
            lines.append(f"  did you mean `{self.nearest}`?")
        if self.known:
            rest = len(self.known) - SHOWN
            lines.append(f"  known: {', '.join(self.known[:SHOWN])}" + (f" and {rest:,} more" if rest > 0 else ""))
        if self.fix is not None:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


# ---- the author's --------------------------------------------------------------------------------------------


class DefinitionError(ReactorError):
    """Mend the reactor: found when the class is made, or where an annotation resolves later, when it is first planned."""

    code = "definition"


class NoSuchAttribute(DefinitionError, AttributeError):
    """A node, a reference or `self.price` does not have this attribute; `hasattr` answers False."""

    code = "no-such-attribute"


class MissingArguments(ReactorError, TypeError):
    """A step called alone, as in a unit test, lacks arguments or got some that it does not take."""

    code = "missing-arguments"


# ---- the caller's ---------------------------------------------------------------------------------------------


class InputInvalid(ReactorError):
    """Mend the inputs: nothing was persisted or queued. `problems` pairs each input's path with what is wrong with it."""

    code = "input-invalid"
    problems: tuple[tuple[str, str], ...] = ()


class PayloadInvalid(ReactorError):
    """Mend the signal: the run is still parked, or was failed when its attempts were used up."""

    code = "payload-invalid"
    problems: tuple[tuple[str, str], ...] = ()


class RunConflict(ReactorError):
    """The same id with other inputs, the same correlation id, or a second, different answer."""

    code = "run-conflict"


class UnknownRun(ReactorError):
    """No such run."""

    code = "unknown-run"


class NotWaiting(ReactorError):
    """The interrupt timed out, was dropped, or the run ended unanswered."""

    code = "not-waiting"


class Expired(ReactorError):
    """The run ended and its record is past retention; the id stays taken."""

    code = "expired"


class AmbiguousSignal(ReactorError):
    """Several occurrences are open; lists them: say which correlation id."""

    code = "ambiguous-signal"


class MailboxFull(ReactorError):
    """Too many early signals for one id or run."""

    code = "mailbox-full"


class WrongState(ReactorError):
    """The run's status does not allow this; says which do."""

    code = "wrong-state"


class Incompatible(ReactorError):
    """The run's record does not fit the code at hand; says which rule and where."""

    code = "incompatible"


class NeedsEngine(ReactorError):
    """The reactor can park or is asked to be durable: give it an engine."""

    code = "needs-engine"


class ResultNotStorable(ReactorError):
    """A step's result does not survive msgspec."""

    code = "result-not-storable"


class StoreUnavailable(ReactorError):
    """The store cannot be reached or refuses writes; nothing was lost, try again."""

    code = "store-unavailable"


# ---- what became of a run -------------------------------------------------------------------------------------


class RunFailed(ReactorError):
    """Raised by `await Reactor(...)` and `Run.result()`; chained from the step's own exception where it is at hand."""

    code = "run-failed"
    outcome: Failed


class RunStopped(ReactorError):
    """Raised by the same where the run was halted, cancelled or undone."""

    code = "run-stopped"
    outcome: Halted | Cancelled | Undone


class SourceChanged(ReactorError):
    """A source that was re-opened does not give what it gave."""

    code = "source-changed"


class StepCrashed(ReactorError):
    """The process died three times in this call."""

    code = "step-crashed"


class StepCancelled(ReactorError):
    """The call was cancelled: by a cancel of the run, or because it did not settle in time."""

    code = "step-cancelled"


class DeadlineExceeded(ReactorError, TimeoutError):
    """The run's deadline has gone by."""

    code = "deadline-exceeded"
