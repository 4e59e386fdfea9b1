"""What whoever watches a run sees of its record: public events, in order, then live."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.define.failing import Failure
from reactor.machine.events import Event as Fact
from reactor.machine.events import RunEnded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

LOGGER = logging.getLogger("reactor")
HIDDEN = ("at", "address", "call", "attempt", "value", "inputs", "child", "settle")  # said elsewhere, or nobody's business


class Progress(Fact, tag="progress", frozen=True):
    """How far a call is, by its own word."""

    done: int
    total: int | None = None


class Event:
    """One fact of a run's record: `seq` from 1, `at` in seconds since the epoch, `address` None for the run itself.

    `call` and `attempt` are set where a call is meant; `detail` holds what else the fact says, ready for JSON.

    >>> from reactor import Engine, Reactor, step
    >>> class Greet(Reactor):
    ...     @step
    ...     async def output(self) -> str:
    ...         return "hello"
    >>> async def main() -> None:
    ...     async with Engine(observers=[print]) as engine:
    ...         await engine.run(Greet(), id="g-1")
    >>> asyncio.run(main())
    <Event 1 run_started>
    <Event 2 call_started output do 1>
    <Event 3 call_succeeded output>
    <Event 4 run_ended>
    """

    __slots__ = ("address", "at", "attempt", "call", "detail", "kind", "run_id", "seq")

    def __init__(self, run_id: str, seq: int, fact: Fact) -> None:
        self.run_id = run_id
        self.seq = seq
        self.at = fact.at
        self.kind: str = fact.__struct_config__.tag  # type: ignore[assignment]  # ours are strings
        self.address = fact.address or None
        self.call: str | None = getattr(fact, "call", None)
        self.attempt: int | None = getattr(fact, "attempt", None)
        said = ((name, getattr(fact, name)) for name in fact.__struct_fields__ if name not in HIDDEN)
        self.detail: dict[str, object] = {name: _plain(value) for name, value in said if value is not None and value != ()}

    def __repr__(self) -> str:
        said = " ".join(str(part) for part in (self.address, self.call, self.attempt) if part is not None)
        return f"<Event {self.seq} {self.kind} {said}".rstrip() + ">"


def _plain(value: Any) -> Any:
    if isinstance(value, Failure):
        frame = value.frames[-1] if value.frames else None
        return {
            "kind": value.kind,
            "message": value.message,
            "attempt": value.attempt,
            "file": frame.file if frame else None,
            "line": frame.line if frame else None,
        }
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value


class Record:
    """The record of one run, in memory, and those who read it as it grows."""

    __slots__ = ("_observers", "_woken", "closed", "facts", "run_id")

    def __init__(self, run_id: str, observers: Sequence[Callable[[Event], None]] = ()) -> None:
        self.run_id = run_id
        self.facts: list[Fact] = []
        self.closed = False  # the engine lets go of it
        self._observers = observers
        self._woken: list[asyncio.Future[None]] = []

    def append(self, fact: Fact) -> None:
        """Record a fact and tell whoever watches."""
        self.facts.append(fact)
        self._tell(fact)
        if self._woken:
            self.wake()

    def progress(self, at: float, address: str, done: int, total: int | None) -> None:
        """Tell observers how far a call is. It is no fact: nothing follows from it, and it is not recorded."""
        self._tell(Progress(at, address, done, total))

    def _tell(self, fact: Fact) -> None:
        for observer in self._observers:
            try:
                observer(Event(self.run_id, len(self.facts), fact))
            except BaseException:  # an observer never disturbs a run
                LOGGER.exception("an observer of %s raised", self.run_id)

    def close(self) -> None:
        """The engine lets go of it: what is there can be read, and nothing more will come."""
        self.closed = True
        self.wake()

    def wake(self) -> None:
        """Let readers look again."""
        woken, self._woken = self._woken, []
        for future in woken:
            if not future.done():
                future.set_result(None)

    async def read(self, after: int) -> AsyncIterator[Event]:
        """The events past seq `after`, then live, to the run's end."""
        at = max(after, 0)
        while True:
            while at < len(self.facts):
                fact = self.facts[at]
                at += 1
                yield Event(self.run_id, at, fact)
            if self.closed or (self.facts and isinstance(self.facts[-1], RunEnded)):
                return
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._woken.append(future)
            await future
