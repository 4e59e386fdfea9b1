"""A handle on one run: what callers wait for, read and command, from any process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from reactor.define.outcomes import Failed
from reactor.define.seconds import Seconds, as_seconds
from reactor.errors import StoreUnavailable, UnknownRun, WrongState
from reactor.machine.events import StopRequested
from reactor.machine.marks import DONE, RECOVERED, SKIPPED, UNDO_BACKOFF, UNDO_FAILED, UNDO_READY, UNDOING, UNDONE
from reactor.run import commanding, restarting
from reactor.run.context import current_call
from reactor.run.failures import LONG, cut
from reactor.run.fitting import readable
from reactor.run.mailing import letter
from reactor.run.observe import Event, event_of
from reactor.run.outcome import undone_in, value_or_raise
from reactor.run.preview import undo_plan
from reactor.run.view import ENDED, View, head_of, view_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from reactor.define.outcomes import Outcome, Status
    from reactor.define.steps import Node
    from reactor.run.driver import Driver
    from reactor.run.hosting import Host

T = TypeVar("T")
U = TypeVar("U")
HAS_VALUE = (DONE, SKIPPED, RECOVERED, UNDO_READY, UNDOING, UNDO_BACKOFF, UNDONE, UNDO_FAILED)
PATIENCE = 1.0  # seconds: a change may be missed, so it is looked for
FOLLOWING = 0.1  # … of a run that goes on in another process: not all that happens is told


class Run(Generic[T]):
    """A handle on one run. A command returns once it is recorded; what follows goes on by itself.

    `id` is the run's whole name, `{reactor}:{id}`.

    >>> from reactor import Engine, Reactor, step
    >>> class Greet(Reactor):
    ...     name: str
    ...
    ...     @step
    ...     async def output(self) -> str:
    ...         return f"hello {self.name}"
    >>> async def main() -> None:
    ...     async with Engine() as engine:
    ...         run = await engine.start(Greet(name="ann"), id="g-1")
    ...         print(run.id, await run.result(), await run.status())
    >>> asyncio.run(main())
    Greet:g-1 hello ann succeeded
    """

    __slots__ = ("_driver", "_host", "id", "reactor")

    def __init__(self, host: Host, run_id: str, driver: Driver | None = None) -> None:
        self._host = host
        self._driver = driver
        self.id = run_id
        self.reactor = run_id.partition(":")[0]

    def __repr__(self) -> str:
        return f"<Run {self.id!s}>"

    async def status(self) -> Status:
        """Where it stands now."""
        driver = self._here()
        if driver is not None:
            return cast("Status", driver.status)
        return await commanding.status_of(self._host, self.id)

    async def outcome(self, timeout: Seconds | None = None) -> Outcome[T]:  # the face's word; it only stops waiting
        """Wait until the run ends, or can only go on with a signal. Raises TimeoutError, after which the run goes on.

        Raises Incompatible where no code at hand fits its record.
        """
        limit = None if timeout is None else as_seconds(timeout, "timeout", zero=True)
        async with _slot_lent(), asyncio.timeout(limit):
            found: Outcome[T] = await self._outcome(parked=True)
        return found

    async def result(self, timeout: Seconds | None = None) -> T:  # the face's word; it only stops waiting
        """The output's value, through all parks. Raises RunFailed, RunStopped, or TimeoutError, after which the run goes on."""
        limit = None if timeout is None else as_seconds(timeout, "timeout", zero=True)
        async with _slot_lent(), asyncio.timeout(limit):
            outcome = await self._outcome(parked=False)
        undone = undone_in((await self._view()).machine.state) if isinstance(outcome, Failed) else []
        value: T = value_or_raise(outcome, undone)
        return value

    async def _outcome(self, *, parked: bool) -> Any:
        host = self._host
        while True:
            driver = self._here()
            if driver is None:
                with host.wakings.next_change(self.id) as change:
                    found = await self._outcome_on_record(parked=parked)
                    if found is not None:
                        return found
                    if host.wakings.closed:
                        raise let_go(self.id)
                    commanding.see_that_it_goes_on(host, self.id)
                    await asyncio.wait([change], timeout=PATIENCE)
                continue
            await asyncio.wait([driver.end])
            driver.end.result()  # raises what broke the driver, if anything did
            if driver.outcome is not None and (parked or not driver.parked):
                return driver.outcome

    async def _outcome_on_record(self, *, parked: bool) -> Any:
        mine = None if self._driver is None else self._driver.outcome
        try:
            loaded = await head_of(self._host, self.id)
        except UnknownRun:
            if mine is None:
                raise
            return mine  # it is past retention: who holds a handle can still read it
        driver = self._driver
        fresh = driver is not None and driver.writer.seq == loaded.seq and commanding.still_holds(self._host, loaded, mine)
        if mine is not None and driver is not None and fresh and (parked or not driver.parked):
            return mine
        return await commanding.outcome_on_record(self._host, loaded, parked=parked)

    async def value(self, node: Node[U], /) -> U:
        """A node's result, read from outside. Raises WrongState where it has none (yet)."""
        view = await self._view()
        root, plan = view.machine.state.root, view.plan
        index = plan.index.get(node.name)
        if index is None:
            raise WrongState(f"{plan.name} has no node `{node.name}`", code="unknown-node", known=plan.names)
        if root.marks[index] not in HAS_VALUE:
            said = f"`{node.name}` of {self.id} has no result: the run is {await self.status()}"
            raise WrongState(said, fix="wait for the run's outcome first")
        value: U = readable(root.values[index], node.name, self.id)
        return value

    async def events(self, after: int = 0) -> AsyncIterator[Event]:
        """The record in order from past seq `after`, then live; ends with the run."""
        at = max(after, 0)
        while True:
            with self._host.wakings.next_change(self.id) as change:
                loaded = await self._host.store.load(self.id, after=at)
                if loaded is None:
                    await head_of(self._host, self.id)
                    return
                for data in loaded.events:
                    at += 1
                    yield event_of(self.id, at, data)
                if self._host.wakings.closed or (loaded.status in ENDED and at >= loaded.seq):
                    return
                elsewhere = loaded.token is not None and self.id not in self._host.drivers
                await asyncio.wait([change], timeout=FOLLOWING if elsewhere else PATIENCE)

    async def cancel(self, reason: str, *, undo: bool = True) -> None:
        """Stop the run: calls in flight are cancelled and, unless `undo=False`, compensated, and what succeeded is undone.

        Raises WrongState where it has ended.
        """
        if await commanding.may(self._open(), self.id, "cancel", undo=undo):
            fact = StopRequested(self._host.site.now(), "", "cancel" if undo else "abandon", cut(str(reason), LONG))
            await commanding.deliver(self._host, self.id, letter("cancel", fact))

    async def undo(self) -> None:
        """Undo what succeeded, now or after the run's end. Raises WrongState where that cannot be."""
        if await commanding.may(self._open(), self.id, "undo"):
            await commanding.deliver(self._host, self.id, letter("undo"))

    async def undo_plan(self) -> Sequence[str]:
        """The addresses that an undo would call, in order; nothing is done."""
        return await undo_plan(self._host, self.id)

    async def retry_rollback(self) -> None:
        """Call again what a stuck run could not undo. Raises WrongState where it is not stuck."""
        stuck = await restarting.stuck_before(self._open(), self.id)
        if await commanding.may(self._open(), stuck, "retry_rollback"):
            await commanding.deliver(self._host, stuck, letter("retry_rollback"))

    async def restart(self, *, from_step: str | None = None) -> Run[T]:
        """A new run that keeps what succeeded, was not undone and does not depend on `from_step`; the rest is undone first.

        Raises WrongState while the run has not ended.
        """
        await commanding.may(self._open(), self.id, "restart")
        return Run(self._host, await restarting.restart(self._host, self.id, from_step))

    def _here(self) -> Driver | None:
        """Its driver, where that is in this process. Raises StoreUnavailable where the engine has let go of it."""
        if self._host.wakings.closed and not self._host.is_readable:
            driver = self._driver
            if driver is not None and driver.outcome is not None and not driver.parked:
                return driver
            raise let_go(self.id)
        return self._host.drivers.get(self.id)

    def _open(self) -> Host:
        """Where commands go. Raises StoreUnavailable where the engine has let go of the run."""
        if self._host.is_closing:
            raise let_go(self.id)
        return self._host

    async def _view(self) -> View:
        driver = self._here()
        if driver is not None and driver.reactor is not None:
            return View(await head_of(self._host, self.id), driver.machine, driver.reactor, driver.machine.state.root.plan)
        return await view_of(self._host, self.id)


def let_go(run_id: str) -> StoreUnavailable:
    """The refusal of a run whose engine has closed."""
    return StoreUnavailable(f"{run_id} was let go of: its engine closed", code="engine-closed", fix="keep the engine open until it ends")


@asynccontextmanager
async def _slot_lent() -> AsyncIterator[None]:
    """A step that only waits for another run holds no slot meanwhile."""
    around = current_call()
    here = around is not None and around[0].site.loop is asyncio.get_running_loop()  # in a thread of a step another loop may run
    loan = around[0].loan(around[1]) if around is not None and here else None
    if loan is None:
        yield
        return
    loan.give()
    try:
        yield
    finally:
        await loan.take_back()
