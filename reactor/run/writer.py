"""Appends what happened to one record: one append in flight at a time, each under a name of its own, so that none is done twice.

It refuses to know what the facts mean: it holds bytes, and gives the store's answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from reactor.errors import StoreUnavailable
from reactor.record.words import Append, Appended, Behind, Fenced, TooLarge, Unread
from reactor.run.context import LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor.machine.events import Event
    from reactor.record.store import Store
    from reactor.record.words import Message, NewRecord

FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0  # seconds between two tries
Answer = Appended | Unread | Fenced | Behind


class Writer:
    """The pen of one record. `seq` counts the events that the store has acknowledged."""

    __slots__ = (
        "afters", "begun", "children", "data", "facts", "fence", "given_up", "messages", "name", "read_up_to", "seq",
        "store", "token", "version",
    )  # fmt: skip

    def __init__(self, store: Store, name: str, token: str, *, fence: int = 0, seq: int = 0) -> None:
        self.store = store
        self.name = name
        self.token = token
        self.fence = fence
        self.seq = seq
        self.facts: list[Event] = []  # noted, and not acknowledged
        self.data: list[bytes] = []
        self.messages: list[tuple[str, Message]] = []
        self.children: list[NewRecord] = []
        self.afters: list[Callable[[], Any]] = []  # what may be done once that is acknowledged
        self.read_up_to = 0
        self.version: tuple[int, str] | None = None
        self.given_up = False  # nobody waits for the store any more
        self.begun = 0  # appends

    def add(self, fact: Event, data: bytes) -> None:
        """Take down a fact."""
        self.facts.append(fact)
        self.data.append(data)

    def withdraw(self, fact: Event | None, message: tuple[str, Message] | None) -> None:
        """What was to be written with an append that the store refused is not said after all."""
        for number, noted in enumerate(self.facts):
            if noted is fact:
                del self.facts[number], self.data[number]
                break
        if message is not None:
            self.messages = [one for one in self.messages if one is not message]

    @property
    def is_dirty(self) -> bool:
        """Whether anything waits to be written."""
        return bool(self.data or self.messages or self.children)

    async def append(
        self, status: str, *, due: float | None = None, release: bool = False, ended: bool = False, chunk: bytes | None = None
    ) -> tuple[Answer, list[Event]]:
        """Write all that was noted, however long the store takes; its answer, and the facts that are on record now.

        Raises StoreUnavailable where that was given up, or the record is damaged, TooLarge where it can never be.
        """
        self.begun += 1
        facts, afters, version = self.facts, self.afters, self.version
        order = Append(
            run=self.name,
            token=self.token,
            seq=self.seq,
            op=f"{self.token}:{self.seq}:{self.begun}",
            events=tuple(self.data),
            status=status,
            due=due,
            release=release,
            ended=ended,
            read_up_to=self.read_up_to,
            messages=tuple(self.messages),
            children=tuple(self.children),
            chunk=chunk,
            reactor_version=version,
        )
        self.facts, self.data, self.messages, self.children, self.afters = [], [], [], [], []
        try:
            answer = await self.store.append(order)
        except StoreUnavailable as error:
            answer = await self._tried_again(order, error)
        if isinstance(answer, Appended):
            self.seq = answer.seq
            self.version = None if self.version is version else self.version
            for after in afters:
                after()
            return answer, facts
        self.facts = facts + self.facts
        self.data = [*order.events, *self.data]
        self.messages = [*order.messages, *self.messages]
        self.children = [*order.children, *self.children]
        self.afters = afters + self.afters
        return answer, []

    async def _tried_again(self, order: Append, error: StoreUnavailable) -> Answer:
        """As often as it takes, where that may help."""
        wait = FIRST_WAIT
        while not (isinstance(error, TooLarge) or self.given_up or error.is_damage):
            if wait == FIRST_WAIT:
                LOGGER.warning("%s waits for its store: %s", self.name, error)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            try:
                return await self.store.append(order)
            except StoreUnavailable as again:
                error = again
        raise error
