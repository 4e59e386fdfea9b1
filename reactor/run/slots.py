"""How many calls may be in flight in a process: a call holds a slot, nothing that only waits does.

Taking is immediate or not at all. Who got none leaves a `Waiter`: a slot that is given back is handed to the first who waits, never
put up for the quickest, so that a run with many steps does not starve the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Waiter:
    """Somebody who waits for one slot, in one queue or in several; `accept` takes it, or says no because it is needed no more."""

    __slots__ = ("_accept", "over")

    def __init__(self, accept: Callable[[], bool]) -> None:
        self._accept = accept
        self.over = False

    def grant(self) -> bool:
        """Hand over a slot. False: it is not wanted."""
        if self.over:
            return False
        self.over = True
        return self._accept()


class Slots:
    """The slots of an engine.

    >>> slots = Slots(1)
    >>> slots.take(), slots.take()
    (True, False)
    """

    __slots__ = ("_waiting", "free")

    def __init__(self, limit: int) -> None:
        self.free = limit
        self._waiting: deque[Waiter] = deque()

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
        """Give a slot back: to the first who waits and still wants it."""
        while self._waiting and self.free >= 0:
            if self._waiting.popleft().grant():
                return
        self.free += 1

    def wait(self, waiter: Waiter) -> None:
        """Be handed the next slot, in turn."""
        self._waiting.append(waiter)


class LentSlots(Slots):
    """The slots of a reactor that is awaited inside a step: the step's own slot, which it does not need meanwhile, then free ones."""

    __slots__ = ("_lender", "_taken")

    def __init__(self, lender: Slots) -> None:
        super().__init__(1)
        self._lender = lender
        self._taken = 0  # of the lender's

    def any_free(self) -> bool:
        """Whether `take` would succeed."""
        return self.free > 0 or self._lender.any_free()

    def take(self) -> bool:
        """Take the borrowed slot, or one of the lender's."""
        if super().take():
            return True
        if self._lender.take():
            self._taken += 1
            return True
        return False

    def give(self) -> None:
        """Give the lender's back first: others may wait for them."""
        if self._taken:
            self._taken -= 1
            self._lender.give()
        else:
            super().give()

    def wait(self, waiter: Waiter) -> None:
        """Be handed whichever comes first."""
        super().wait(waiter)
        self._lender.wait(Waiter(lambda: self._hand_on(waiter)))

    def _hand_on(self, waiter: Waiter) -> bool:
        if not waiter.grant():
            return False
        self._taken += 1
        return True


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
        if self.waits or self._slots.take():
            return
        handed = asyncio.get_running_loop().create_future()
        self._slots.wait(Waiter(lambda: _resolve(handed)))
        try:
            await handed
        except asyncio.CancelledError:
            if not handed.done() or handed.cancelled():
                self._slots.force()
            raise


def _resolve(handed: asyncio.Future[None]) -> bool:
    if handed.done():
        return False
    handed.set_result(None)
    return True
