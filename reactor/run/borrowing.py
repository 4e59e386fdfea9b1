"""How a runner comes by the slots and threads that its calls need, and lends the slot of a call that only waits.

It refuses to know what a call does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.run.slots import Loan, Waiter

if TYPE_CHECKING:
    from reactor.machine.commands import Call
    from reactor.machine.machine import Machine
    from reactor.run.calls import Flight
    from reactor.run.site import Site
    from reactor.run.slots import Slots


class Borrower:
    """The part of a runner that takes slots and gives them back."""

    __slots__ = ("_waiting", "granted", "threads_granted")

    if TYPE_CHECKING:
        site: Site
        slots: Slots | None
        machine: Machine
        starting: Call | None
        flights: dict[tuple[str, str], Flight]
        loans: dict[str, Loan]
        released: bool

        def pump(self) -> None:
            """See to it that a lane looks for orders."""

    def __init__(self) -> None:
        self.threads_granted = 0
        self.granted = 0  # slots that were handed over and not used yet
        self._waiting = False  # for a slot

    def loan(self, order: Call) -> Loan | None:
        """The slot of a step that waits for a reactor or for another run, for whoever needs it meanwhile."""
        if self.slots is None or (order is not self.starting and (order.address, order.call) not in self.flights):
            return None  # no slot to lend: a task that outlived its step
        loan = self.loans.get(order.address)
        if loan is None:
            loan = self.loans[order.address] = Loan(self.slots)
        return loan

    def _hand_back(self) -> None:
        """What was handed over and is needed no more, or not yet: it asks again."""
        while self.threads_granted:
            self.threads_granted -= 1
            self.site.thread_slots.give()
        while self.granted and self.slots is not None:
            self.granted -= 1
            self.slots.give()

    def take_thread(self, order: Call) -> bool:
        """A thread for a plain `def`: a call that would have to wait for one does not begin before it has it."""
        threads = self.site.thread_slots
        if self.threads_granted:
            self.threads_granted -= 1
            return True
        if threads.take():
            return True
        threads.wait(Waiter(lambda: self._accept_thread(order)))
        return False

    def _accept_thread(self, order: Call) -> bool:
        if self.released or not self.machine.is_due(order):
            return False
        self.threads_granted += 1
        self.machine.put_back(order)
        self.pump()
        return True

    def _accept_slot(self) -> bool:
        self._waiting = False
        if self.released or self.machine.state.ended is not None:
            return False
        self.granted += 1
        self.pump()
        return True

    def take_slot(self) -> bool:
        """The slot for a call: one that was handed over, or a free one."""
        if self.granted:
            self.granted -= 1
            return True
        return self.slots is None or self.slots.take()
