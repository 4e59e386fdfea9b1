"""What an author raises or returns to steer a run, and what a run ends as.

This room refuses to know how an outcome comes about: it holds the words only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

from reactor.define.seconds import Seconds, as_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactor.define.failing import StepError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


# ---- raised in a step -----------------------------------------------------------------------------------------


class Skip(BaseException, Generic[T]):
    """Raised at any depth inside a step: it did nothing; `value` flows on; it is never undone.

    >>> Skip(0).value
    0
    """

    __match_args__ = ("value",)

    def __init__(self, value: T) -> None:
        super().__init__(value)
        self.value = value


class Halt(BaseException):
    """Raised at any depth inside a step: stop the run cleanly, with no rollback.

    >>> Halt("the shop is closed").reason
    'the shop is closed'
    """

    __match_args__ = ("reason",)

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Fail(Exception):
    """Raised at any depth inside a step: fail it, and say whether trying again makes sense.

    >>> Fail("the card is stolen").retryable
    False
    """

    __match_args__ = ("reason",)

    def __init__(self, reason: str, *, retryable: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable


# ---- returned by compensate -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Continue(Generic[T]):
    """Returned by `compensate`: the step recovered; go on with this value.

    >>> Continue(0)
    Continue(value=0)
    """

    value: T


@dataclass(frozen=True, slots=True, init=False)
class TryAgain:
    """Returned by `compensate`: call the step again after a delay in seconds, outside its retry budget, at most ten times.

    >>> from datetime import timedelta
    >>> TryAgain(timedelta(minutes=1))
    TryAgain(after=60.0)
    """

    after: float

    def __init__(self, after: Seconds = 0.0) -> None:
        object.__setattr__(self, "after", as_seconds(after, "after", zero=True))


# ---- what a run ends as ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Succeeded(Generic[T_co]):
    """The run came to its output, whose value this holds.

    >>> match Succeeded(3, "count:1"):
    ...     case Succeeded(value):
    ...         print(value)
    3
    """

    __match_args__ = ("value",)
    value: T_co
    run_id: str = ""


@dataclass(frozen=True)
class RollbackFailure:
    """One undo or compensate that finally failed: a person must look.

    >>> import asyncio
    >>> from reactor import Engine, Failed, Reactor, Retry, step
    >>> class Hold(Reactor):
    ...     @step
    ...     async def reserve(self) -> str:
    ...         return "h-1"
    ...
    ...     @reserve.undo(retry=Retry(1))
    ...     async def release(self, hold: str) -> None:
    ...         raise OSError("gone")
    ...
    ...     @step
    ...     async def output(self, hold: str = reserve.result) -> int:
    ...         raise ValueError
    >>> async def main() -> None:
    ...     async with Engine() as engine:
    ...         outcome = await engine.run(Hold())
    ...         if isinstance(outcome, Failed):
    ...             print([(one.kind, one.step, one.error.message) for one in outcome.rollback_failures])
    >>> asyncio.run(main())
    [('undo', 'reserve', 'gone')]
    """

    step: str
    kind: Literal["undo", "compensate"]
    error: StepError


@dataclass(frozen=True)
class Failed:
    """The failure that stood first; where `rollback_failures` is not empty, the run is stuck.

    >>> import asyncio
    >>> from reactor import Engine, Fail, Failed, Reactor, step
    >>> class Pay(Reactor):
    ...     @step
    ...     async def output(self) -> int:
    ...         raise Fail("no funds")
    >>> async def main() -> None:
    ...     async with Engine() as engine:
    ...         match await engine.run(Pay()):
    ...             case Failed(error, step):
    ...                 print(step, "failed:", error.message)
    >>> asyncio.run(main())
    output failed: no funds
    """

    __match_args__ = ("error", "step")
    error: StepError
    step: str
    run_id: str = ""
    rollback_failures: Sequence[RollbackFailure] = ()


@dataclass(frozen=True)
class Waiting:
    """An open interrupt; `deadline` in seconds since the epoch.

    >>> Waiting("approval", "order:o-1").correlation_id
    'order:o-1'
    """

    step: str
    correlation_id: str | None = None
    deadline: float | None = None


@dataclass(frozen=True)
class Parked:
    """Nothing can go on without a signal.

    >>> match Parked([Waiting("approval")]):
    ...     case Parked(waiting):
    ...         print([one.step for one in waiting])
    ['approval']
    """

    __match_args__ = ("waiting",)
    waiting: Sequence[Waiting]
    run_id: str = ""


@dataclass(frozen=True)
class Halted:
    """A step raised `Halt`: nothing was rolled back.

    >>> Halted("the shop is closed").reason
    'the shop is closed'
    """

    __match_args__ = ("reason",)
    reason: str
    run_id: str = ""


@dataclass(frozen=True)
class Cancelled:
    """The run was cancelled; `in_doubt` are the addresses of the calls that `undo=False` left as they were.

    >>> Cancelled("ann asked for it").reason
    'ann asked for it'
    """

    __match_args__ = ("reason",)
    reason: str
    run_id: str = ""
    in_doubt: Sequence[str] = ()


@dataclass(frozen=True)
class Undone:
    """The run succeeded, or was under way, and was undone on request.

    >>> Undone("checkout:o-1").run_id
    'checkout:o-1'
    """

    __match_args__ = ()
    run_id: str = ""


Outcome: TypeAlias = Succeeded[T] | Failed | Parked | Halted | Cancelled | Undone

Status: TypeAlias = Literal[
    "queued",
    "running",
    "parked",
    "rolling_back",
    "succeeded",
    "failed",
    "stuck",
    "halted",
    "cancelled",
    "undone",
    "superseded",
    "incompatible",
]
