"""A handle on one run: what callers wait for, read and command."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reactor.define.seconds import Seconds, as_seconds
from reactor.errors import WrongState
from reactor.machine.marks import DONE, RECOVERED, SKIPPED, UNDO_BACKOFF, UNDO_FAILED, UNDO_READY, UNDOING, UNDONE
from reactor.run.context import current_call
from reactor.run.live import let_go
from reactor.run.outcome import undone_in, value_or_raise
from reactor.run.preview import undo_plan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from reactor.define.outcomes import Outcome, Status
    from reactor.define.steps import Node
    from reactor.run.live import Live
    from reactor.run.observe import Event

T = TypeVar("T")
U = TypeVar("U")
HAS_VALUE = (DONE, SKIPPED, RECOVERED, UNDO_READY, UNDOING, UNDO_BACKOFF, UNDONE, UNDO_FAILED)


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

    __slots__ = ("_live", "_restart", "id", "reactor")

    def __init__(self, live: Live, restart: Callable[[Live, str | None], Run[Any]]) -> None:
        self._live = live
        self._restart = restart
        self.id = live.run_id
        self.reactor = live.plan.name

    def __repr__(self) -> str:
        return f"<Run {self.id} {self._live.status}>"

    async def status(self) -> Status:
        """Where it stands now."""
        return self._live.status

    async def outcome(self, timeout: Seconds | None = None) -> Outcome[T]:  # the face's word; it only stops waiting
        """Wait until the run ends. Raises TimeoutError, after which the run goes on."""
        live = self._live
        limit = None if timeout is None else as_seconds(timeout, "timeout", zero=True)
        async with _slot_lent(), asyncio.timeout(limit):
            while not _is_over(live):
                if live.record.closed:
                    raise let_go(self.id)
                before = live.predecessor if live.runner.held else None
                await asyncio.wait([live.runner.end if before is None else before.runner.end])
                if live.runner.end.done():
                    live.runner.end.result()  # raises what broke the driver, if anything did
        before = live.predecessor if live.blocked else None
        outcome = live.outcome if before is None else before.outcome
        if outcome is None:
            raise WrongState(f"{self.id} has no outcome")
        return outcome

    async def result(self, timeout: Seconds | None = None) -> T:  # the face's word; it only stops waiting
        """The output's value. Raises RunFailed, RunStopped, or TimeoutError, after which the run goes on."""
        value: T = value_or_raise(await self.outcome(timeout), undone_in(self._live.runner.machine.state))
        return value

    async def value(self, node: Node[U], /) -> U:
        """A node's result, read from outside. Raises WrongState where it has none (yet)."""
        root, plan = self._live.runner.machine.state.root, self._live.plan
        index = plan.index.get(node.name)
        if index is None:
            raise WrongState(f"{plan.name} has no node `{node.name}`", code="unknown-node", known=plan.names)
        if root.marks[index] not in HAS_VALUE:
            said = f"`{node.name}` of {self.id} has no result: the run is {self._live.status}"
            raise WrongState(said, fix="wait for the run's outcome first")
        value: U = root.values[index]
        return value

    def events(self, after: int = 0) -> AsyncIterator[Event]:
        """The record in order from past seq `after`, then live; ends with the run."""
        return self._live.record.read(after)

    async def cancel(self, reason: str, *, undo: bool = True) -> None:
        """Stop the run: calls in flight are cancelled and, unless `undo=False`, compensated, and what succeeded is undone.

        Raises WrongState where it has ended.
        """
        self._live.cancel(reason, undo=undo)

    async def undo(self) -> None:
        """Undo what succeeded, now or after the run's end. Raises WrongState where that cannot be."""
        self._live.undo()

    async def undo_plan(self) -> Sequence[str]:
        """The addresses that an undo would call, in order; nothing is done."""
        return undo_plan(self._live)

    async def retry_rollback(self) -> None:
        """Call again what a stuck run could not undo. Raises WrongState where it is not stuck."""
        self._live.retry_rollback()

    async def restart(self, *, from_step: str | None = None) -> Run[T]:
        """A new run that keeps what succeeded, was not undone and does not depend on `from_step`; the rest is undone first.

        Raises WrongState while the run has not ended, and where undoing leaves it stuck.
        """
        return self._restart(self._live, from_step)


def _is_over(live: Live) -> bool:
    """Whether it has ended, or cannot begin because the run before it is stuck."""
    return live.runner.machine.state.ended is not None or live.blocked or (live.superseded and live.outcome is not None)


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
