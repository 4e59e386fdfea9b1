"""A run under trial: with failures put into it, calls replaced, every value passed through its bytes, and all that was called told.

It is for the tests of a reactor's author. On a `VirtualTimeLoop` (`run_virtual`, or `virtual_backend` for anyio's plugin) retries,
timeouts and deadlines take no time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reactor.engine import Engine
from reactor.run.outcome import value_or_raise
from reactor.testing.faults import Faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from reactor.define.outcomes import Outcome
    from reactor.define.reactor import Reactor
    from reactor.define.steps import HasOutput
    from reactor.plan.plan import Plan
    from reactor.run.observe import Event
    from reactor.testing.faults import Fault, Made

T = TypeVar("T")


class Injected(Exception):
    """The failure that `fail_each` puts in where it is told no other."""


class Trial(Generic[T]):
    """What a trial showed: `outcome`, the public `events`, and every call that was `made`, elements included.

    `made` is in the order in which calls ended. `failing` is the address that `fail_each` failed, else None.
    """

    def __init__(self, outcome: Outcome[T], events: Sequence[Event], faults: Faults) -> None:
        self.outcome = outcome
        self.events = tuple(events)
        self.made: tuple[Made, ...] = tuple(faults.made)
        self.failing: str | None = None
        self._began = tuple(faults.began)

    @property
    def value(self) -> T:
        """The run's result. Raises RunFailed or RunStopped where it has none."""
        value: T = value_or_raise(self.outcome)
        return value

    @property
    def calls(self) -> list[str]:
        """The addresses whose own code was called, in the order in which calls began; one that was called again, again."""
        return [address for call, address in self._began if call == "do"]

    @property
    def compensated(self) -> list[str]:
        """The addresses that were compensated, in the order in which that began."""
        return [address for call, address in self._began if call == "compensate"]

    @property
    def undone(self) -> list[str]:
        """The addresses that were undone, in the order in which that succeeded."""
        return [made.address for made in self.made if made.call == "undo" and made.error is None]

    @property
    def results(self) -> dict[str, Any]:
        """What each step returned last, by address."""
        return {made.address: made.value for made in self.made if made.call == "do" and made.error is None}

    def __repr__(self) -> str:
        return f"Trial({self.outcome!r}, calls={self.calls}, compensated={self.compensated}, undone={self.undone})"


class _TrialEngine(Engine):
    def __init__(self, faults: Faults, resources: Mapping[Callable[..., Any], Callable[..., Any]] | None, concurrency: int) -> None:
        super().__init__("memory://", resources=resources, concurrency=concurrency, debug=True)
        self._faults = faults

    def _plan(self, reactor: type[Reactor]) -> Plan:
        return self._faults.around(super()._plan(reactor))


async def trial(
    reactor: HasOutput[T],
    /,
    *,
    fail: Mapping[str, Fault | Sequence[Fault]] | None = None,
    replace: Mapping[str, Any] | None = None,
    resources: Mapping[Callable[..., Any], Callable[..., Any]] | None = None,
    deadline: float | None = None,
    concurrency: int = 1000,
) -> Trial[T]:
    """Run it, with this going wrong and that replaced; what it showed.

    Args:
        reactor: the reactor to run, on an engine in memory that passes every value through its bytes.
        fail: by address, what is raised instead of calling the author's code: an exception, `HANG`, `CANCEL`, or one for each call
            in turn (None lets a call through, as does the sequence's end). `undo:reserve` and `compensate:pay` mean those calls,
            `ship[*]` every element.
        replace: by address, a value to return instead, or a callable that gets what the author's method would, but for self.
        resources: other providers in the place of those that the reactor uses.
        deadline: seconds that bound the forward phase.
        concurrency: calls in flight at a time.

    Raises:
        NotReached: an address was never called, so that the trial would have tested nothing.

    >>> from reactor import Reactor, step
    >>> from reactor.testing import run_virtual, trial
    >>> class Book(Reactor):
    ...     @step
    ...     async def seat(self) -> str:
    ...         return "12a"
    ...
    ...     @seat.undo
    ...     async def free(self, seat: str) -> None: ...
    ...
    ...     @step
    ...     async def output(self, seat: str = seat.result) -> str:
    ...         return f"booked {seat}"
    >>> run_virtual(trial(Book(), replace={"seat": "1c"})).value
    'booked 1c'
    >>> shown = run_virtual(trial(Book(), fail={"output": OSError("printer on fire")}))
    >>> shown.outcome.step, shown.undone
    ('output', ['seat'])
    """
    faults = Faults(fail or {}, replace or {})
    shown = await _tried(reactor, faults, _TrialEngine(faults, resources, concurrency), deadline)
    faults.check()
    return shown


async def fail_each(
    make: Callable[[], HasOutput[T]],
    /,
    *,
    error: Fault = None,
    at: Sequence[str] | None = None,
    replace: Mapping[str, Any] | None = None,
    resources: Mapping[Callable[..., Any], Callable[..., Any]] | None = None,
) -> AsyncIterator[Trial[T]]:
    """Run it once for each call that it makes, with just that call failing: what a saga is for, tried at every point.

    Args:
        make: gives the reactor, in a world that is as it was: it is called before every run, the first one included, in which all
            goes well and which is not shown.
        error: what is raised, `Injected` unless given.
        at: the addresses to fail; all that the first run called unless given.
        replace: as `trial` has it.
        resources: as `trial` has it.

    Raises:
        RunFailed: the first run fails by itself.

    >>> from reactor import Reactor, step
    >>> from reactor.testing import fail_each, run_virtual
    >>> class Book(Reactor):
    ...     @step
    ...     async def seat(self) -> str:
    ...         return "12a"
    ...
    ...     @seat.undo
    ...     async def free(self, seat: str) -> None: ...
    ...
    ...     @step
    ...     async def output(self, seat: str = seat.result) -> str:
    ...         return f"booked {seat}"
    >>> async def all_of_them() -> None:
    ...     async for shown in fail_each(Book):
    ...         print(shown.failing, shown.undone)
    >>> run_virtual(all_of_them())
    seat []
    output ['seat']
    """
    well = await trial(make(), replace=replace, resources=resources)
    assert_went_well(well)
    for address in at or dict.fromkeys(well.calls):
        shown = await trial(make(), fail={address: Injected(address) if error is None else error}, replace=replace, resources=resources)
        shown.failing = address
        yield shown


def assert_went_well(shown: Trial[Any]) -> None:
    """Raise what its outcome says, unless it succeeded."""
    value_or_raise(shown.outcome)


async def _tried(reactor: HasOutput[T], faults: Faults, engine: Engine, deadline: float | None) -> Trial[T]:
    cancelling: list[asyncio.Task[None]] = []
    async with engine:
        run = await engine.start(reactor, deadline=deadline)
        faults.cancel = lambda: cancelling.append(asyncio.ensure_future(run.cancel("the trial says so")))
        outcome = await run.outcome()
        await asyncio.gather(*cancelling)
        events = [event async for event in run.events()]
        return Trial(outcome, events, faults)
