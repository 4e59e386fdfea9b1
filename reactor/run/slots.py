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
    """Somebody who waits for one slot; `accept` takes it, or says no because it is needed no more."""

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


class Loan:
    """The slot of a call that only waits, for a reactor that it awaits or for another run: given to others meanwhile.

    It is given once, however many things the call waits for at a time.
    """

    __slots__ = ("_slots", "waits")

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.waits = 0

    def give(self) -> None:
        """The call waits for one more thing."""
        self.waits += 1
        if self.waits == 1:
            self._slots.give()

    async def take_back(self, *, at_once: bool = False) -> None:
        """It goes on: with a slot as soon as there is one. A call that is cancelled (`at_once`, or meanwhile) does not wait for it."""
        self.waits -= 1
        if self.waits or self._slots.take():
            return
        if at_once:
            self._slots.force()
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
