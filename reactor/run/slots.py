"""How many calls may be in flight in a process: a call holds a slot, nothing that only waits does.

Taking is immediate or not at all; who got none leaves a callback and is called, one for each slot that comes free, in turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Slots:
    """The slots of an engine.

    >>> slots = Slots(1)
    >>> slots.take(), slots.take()
    (True, False)
    """

    __slots__ = ("_waiting", "free")

    def __init__(self, limit: int) -> None:
        self.free = limit
        self._waiting: deque[Callable[[], None]] = deque()

    def any_free(self) -> bool:
        """Whether `take` would succeed."""
        return self.free > 0

    def take(self) -> bool:
        """Take a slot if there is one."""
        if self.free <= 0:
            return False
        self.free -= 1
        return True

    def force(self) -> None:
        """Take a slot whether there is one or not: the call that had lent it is ending."""
        self.free -= 1

    def give(self) -> None:
        """Give a slot back and wake the first who waits."""
        self.free += 1
        self.nudge()

    def wait(self, wake: Callable[[], None]) -> None:
        """Be called when a slot comes free; nothing is held for the caller until it takes."""
        self._waiting.append(wake)

    def nudge(self) -> None:
        """Wake the first who waits, if a slot is free."""
        if self._waiting and self.any_free():
            self._waiting.popleft()()


class LentSlots(Slots):
    """The slots of a reactor that is awaited inside a step: the step's own slot, which it does not need meanwhile, then free ones."""

    __slots__ = ("_lender",)

    def __init__(self, lender: Slots) -> None:
        super().__init__(1)
        self._lender = lender

    def any_free(self) -> bool:
        """Whether `take` would succeed."""
        return self.free > 0 or self._lender.any_free()

    def take(self) -> bool:
        """Take the borrowed slot, or one of the lender's."""
        return super().take() or self._lender.take()

    def give(self) -> None:
        """Give back the borrowed slot last, so that what others need goes first."""
        if self.free < 1:
            super().give()
        else:
            self._lender.give()

    def wait(self, wake: Callable[[], None]) -> None:
        """Be called when either comes free."""
        super().wait(wake)
        self._lender.wait(wake)


class Loan:
    """The slot of a call that only waits, given to others meanwhile: once, however many things the call waits for."""

    __slots__ = ("_slots", "waits")

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.waits = 0

    def give(self) -> None:
        """The call waits for one more thing."""
        self.waits += 1
        if self.waits == 1:
            self._slots.give()

    async def take_back(self) -> None:
        """It goes on: with a slot as soon as there is one. A call that is cancelled meanwhile has it at once."""
        self.waits -= 1
        if self.waits:
            return
        loop = asyncio.get_running_loop()
        while not self._slots.take():
            free = loop.create_future()
            self._slots.wait(partial(_wake, free))
            try:
                await free
            except asyncio.CancelledError:
                self._slots.force()
                raise


def _wake(free: asyncio.Future[None]) -> None:
    if not free.done():
        free.set_result(None)
