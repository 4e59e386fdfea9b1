"""A real store that is watched, and held where a test wants it."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reactor.record import facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reactor.record.words import Append, NewRecord
    from tests.places import Place


class Witness:
    """What a store was asked to write, in order, and whether it is held."""

    def __init__(self) -> None:
        self.created: list[NewRecord] = []
        self.appends: list[Append] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._free = asyncio.Event()
        self._free.set()

    def on(self, place: Place) -> Witness:
        """Stand between this store and its engines."""
        place.wrapped = lambda store: Watched(store, self)
        return self

    @contextmanager
    def holding(self) -> Iterator[None]:
        """No append is done until this is left."""
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    async def freed(self) -> None:
        """Wait until appends are done again."""
        await self._free.wait()

    def written(self, run: str) -> list[list[str]]:
        """The facts of a record, as kind and address, one list for each write."""
        made = [record.events for record in self.created if record.run == run]
        return [list(map(said, events)) for events in [*made, *(order.events for order in self.appends if order.run == run)]]


class Watched:
    """One process's handle."""

    def __init__(self, store: Any, witness: Witness) -> None:
        self._store = store
        self._witness = witness

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def create(self, record: NewRecord) -> Any:
        """Write it down."""
        self._witness.created.append(record)
        return await self._store.create(record)

    async def append(self, append: Append) -> Any:
        """Write it down, and do it when it may be done."""
        witness = self._witness
        witness.appends.append(append)
        witness.in_flight += 1
        witness.most_in_flight = max(witness.most_in_flight, witness.in_flight)
        try:
            await witness.freed()
            return await self._store.append(append)
        finally:
            witness.in_flight -= 1


def said(data: bytes) -> str:
    """A fact's kind and address.

    >>> from reactor.machine.events import CallStarted
    >>> said(facts.encode(CallStarted(1.0, "price")))
    'call_started price'
    """
    fact, _ = facts.decode(data)
    return f"{fact.__struct_config__.tag} {fact.address}".rstrip()
