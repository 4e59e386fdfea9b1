"""What whoever watches a run sees of its record: public events."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.define.failing import Failure
from reactor.machine.events import Asked
from reactor.machine.events import Event as Fact
from reactor.record import facts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOGGER = logging.getLogger("reactor")
HIDDEN = ("at", "address", "call", "attempt", "value", "inputs", "child", "settle", "digest", "key")  # said elsewhere, or nobody's business


class Progress(Fact, tag="progress", frozen=True):
    """How far a call is, by its own word."""

    done: int
    total: int | None = None


class Event:
    """One fact of a run's record: `seq` from 1, `at` in seconds since the epoch, `address` None for the run itself.

    `call` and `attempt` are set where a call is meant; `detail` holds what else the fact says, ready for JSON.

    >>> import asyncio
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


def event_of(run_id: str, seq: int, data: bytes) -> Event:
    """An event out of a record: with no values, but for what an interrupt shows to whoever answers it."""
    fact, raw = facts.decode(data)
    if isinstance(fact, Asked) and raw:
        fact = msgspec.structs.replace(fact, show=msgspec.msgpack.decode(raw))
    return Event(run_id, seq, fact)


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


def tell(observers: Sequence[Callable[[Event], None]], event: Event) -> None:
    """Tell them all. One that raises never disturbs a run."""
    for observer in observers:
        try:
            observer(event)
        except BaseException:  # see above
            LOGGER.exception("an observer of %s raised", event.run_id)
