"""What a step may know of itself, found at any call depth through the one context variable that each call sets."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

from reactor.define.steps import in_call
from reactor.errors import ReactorError

if TYPE_CHECKING:
    from logging import Logger

    from reactor.machine.commands import Call
    from reactor.machine.state import Scope
    from reactor.run.runner import Runner

LONGEST_KEY = 200
LOGGER = logging.getLogger("reactor")
LOGGER.addHandler(logging.NullHandler())


class StepContext:
    """What a step may know of itself. Each attribute is read when it is asked for.

    >>> import asyncio
    >>> from reactor import Reactor, step, step_context
    >>> class Keyed(Reactor):
    ...     @step
    ...     async def output(self) -> str:
    ...         return step_context().address
    >>> async def main() -> str:
    ...     return await Keyed()
    >>> asyncio.run(main())
    'output'
    """

    __slots__ = ("_order", "_runner")

    def __init__(self, runner: Runner, order: Call) -> None:
        self._runner = runner
        self._order = order

    @property
    def run_id(self) -> str:
        """`{reactor}:{id}`."""
        return self._runner.run_id

    @property
    def address(self) -> str:
        """The path of this occurrence: `ship[3].label`."""
        return self._order.address

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._order.attempt

    @property
    def idempotency_key(self) -> str:
        """Run, address, direction and call: the same for every attempt of one call, so that a target can tell repeats.

        At most 200 characters, as targets bound them: a longer one ends in its digest.
        """
        counts = ".".join(map(str, call_counts(self._order.scope, self._order.index)))
        around = self._runner.counts_around
        key = f"{self.run_id}/{self.address}/{self._order.call}/{around}{counts}"
        if len(key) <= LONGEST_KEY:
            return key
        return f"{key[: LONGEST_KEY - 33]}~{blake2b(key.encode(), digest_size=16).hexdigest()}"

    @property
    def fence(self) -> int:
        """Rises with every change of owner; a run that is kept nowhere has one owner."""
        return self._runner.site.fence

    @property
    def deadline(self) -> float | None:
        """When the run's forward phase must be over, in seconds since the epoch."""
        return self._runner.deadline

    @property
    def cancelled(self) -> bool:
        """Whether this call was told to end: for plain `def` steps, which cannot be interrupted."""
        flight = self._runner.flights.get((self.address, self._order.call))
        return flight is not None and flight.why is not None

    @property
    def logger(self) -> logging.LoggerAdapter[Logger]:
        """`reactor`'s logger; its records carry run, address and attempt."""
        return logging.LoggerAdapter(LOGGER, {"run_id": self.run_id, "address": self.address, "attempt": self.attempt})

    def progress(self, done: int, total: int | None = None) -> None:
        """Tell the engine's observers how far this call is: an event of kind `progress`, with `done` and `total` in its detail.

        It is not recorded, and an awaited reactor has nobody who watches. From a plain `def` step it is told in the engine's loop.
        """
        site = self._runner.site
        tell = partial(self._runner.progressed, site.now(), self.address, done, total)
        try:
            here = asyncio.get_running_loop() is site.loop
        except RuntimeError:  # a thread
            here = False
        if here:
            tell()
        else:
            site.loop.call_soon_threadsafe(tell)


def call_counts(scope: Scope, index: int) -> list[int]:
    """The TryAgain counts of the composes around a node, outermost first, and its own."""
    counts = []
    at: Scope | None = scope
    while at is not None:
        counts.append(at.tries.get(index, 0))
        index = at.at
        at = at.parent
    return counts[::-1]


def step_context() -> StepContext:
    """The context of the step that is running, at any call depth. Raises ReactorError outside of one.

    >>> step_context()
    Traceback (most recent call last):
    reactor.errors.ReactorError: [not-in-a-step] no step is running here
      fix: call step_context() in a step, or in what a step calls
    """
    found = current_call()
    if found is None:
        raise ReactorError("no step is running here", code="not-in-a-step", fix="call step_context() in a step, or in what a step calls")
    return StepContext(*found)


def current_call() -> tuple[Runner, Call] | None:
    """The runner and the order of the call that is running here: the runner alone sets it, to this pair."""
    return cast("tuple[Runner, Call] | None", in_call.get())
