"""Small reactors whose plans the machine's tests fold facts over. Their bodies are never called: only their graphs matter."""

from __future__ import annotations

from collections.abc import AsyncIterator

from reactor import Continue, Reactor, Results, Retry, StepError, TryAgain, compose, map_over, source, step


class Chain(Reactor):
    """a → b → output; a and b have an undo, b a compensate."""

    @step
    async def a(self) -> int: ...

    @a.undo
    async def undo_a(self, value: int) -> None: ...

    @step(retry=Retry(3))
    async def b(self, value: int = a.result) -> int: ...

    @b.undo
    async def undo_b(self, value: int) -> None: ...

    @b.compensate
    async def answer_b(self, error: StepError) -> Continue[int] | TryAgain | None: ...

    @step
    async def output(self, value: int = b.result) -> int: ...


class Diamond(Reactor):
    """top → left, right → output; all but the output have an undo."""

    @step
    async def top(self) -> int: ...

    @top.undo
    async def undo_top(self, value: int) -> None: ...

    @step
    async def left(self, value: int = top.result) -> int: ...

    @left.undo
    async def undo_left(self, value: int) -> None: ...

    @step
    async def right(self, value: int = top.result) -> int: ...

    @right.undo
    async def undo_right(self, value: int) -> None: ...

    @step
    async def output(self, a: int = left.result, b: int = right.result) -> int: ...


class Wide(Reactor):
    """one, two and three are independent, have an undo and a compensate; three has a timeout; output waits for all."""

    @step
    async def one(self) -> int: ...

    @one.undo
    async def undo_one(self, value: int) -> None: ...

    @one.compensate
    async def answer_one(self, error: StepError) -> Continue[int] | TryAgain | None: ...

    @step
    async def two(self) -> int: ...

    @two.undo
    async def undo_two(self, value: int) -> None: ...

    @two.compensate
    async def answer_two(self, error: StepError) -> Continue[int] | TryAgain | None: ...

    @step(timeout=60)
    async def three(self) -> int: ...

    @three.undo
    async def undo_three(self, value: int) -> None: ...

    @step
    async def output(self, a: int = one.result, b: int = two.result, c: int = three.result) -> int: ...


class Optional(Reactor):
    """flag → gift (when flag, with an undo) → output."""

    @step
    async def flag(self) -> bool: ...

    @step(when=flag)
    async def gift(self) -> str: ...

    @gift.undo
    async def undo_gift(self, value: str) -> None: ...

    @step
    async def output(self, gift: str | None = gift.result) -> str: ...


class Payment(Reactor):
    """hold → output (charge), both with an undo, the charge with a compensate."""

    @step
    async def hold(self) -> int: ...

    @hold.undo
    async def release(self, value: int) -> None: ...

    @step
    async def output(self, value: int = hold.result) -> int: ...

    @output.undo
    async def refund(self, value: int) -> None: ...

    @output.compensate
    async def answer_output(self, error: StepError) -> Continue[int] | TryAgain | None: ...


class Order(Reactor):
    """reserve → pay (composes Payment, with a compensate) → output; beside them a step that nothing waits for."""

    @step
    async def reserve(self) -> int: ...

    @reserve.undo
    async def unreserve(self, value: int) -> None: ...

    @compose
    async def pay(self, value: int = reserve.result) -> Payment: ...

    @pay.compensate
    async def answer_pay(self, error: StepError) -> Continue[int] | TryAgain | None: ...

    @step
    async def beside(self) -> int: ...

    @beside.undo
    async def undo_beside(self, value: int) -> None: ...

    @step
    async def output(self, paid: int = pay.result) -> int: ...


class Outer(Reactor):
    """A reactor in a reactor in a reactor: order (Order) → output."""

    @compose
    async def order(self) -> Order: ...

    @step
    async def output(self, value: int = order.result) -> int: ...


class Ship(Reactor):
    """first → ship (a map of elements at hand, one a batch, two in flight, with undo and compensate) → output."""

    @step
    async def first(self) -> list[int]: ...

    @first.undo
    async def undo_first(self, value: list[int]) -> None: ...

    @map_over(first.result, batch_size=1, in_flight=2)
    async def ship(self, one: int) -> int: ...

    @ship.undo
    async def unship(self, value: int) -> None: ...

    @ship.compensate
    async def answer_ship(self, error: StepError) -> Continue[Results[int]] | TryAgain | None: ...

    @step
    async def output(self, shipped: Results[int] = ship.result) -> int: ...


class Lazy(Reactor):
    """lines (a map of a source, two in flight) beside a step; output waits for both."""

    @source
    async def rows(self) -> AsyncIterator[int]:
        yield 1

    @map_over(rows, batch_size=2, in_flight=2)
    async def lines(self, row: int) -> int: ...

    @lines.undo
    async def unline(self, value: int) -> None: ...

    @step
    async def beside(self) -> int: ...

    @beside.undo
    async def undo_beside(self, value: int) -> None: ...

    @step
    async def output(self, lines: Results[int] = lines.result, beside: int = beside.result) -> int: ...


class Collecting(Reactor):
    """A map of reactors whose failures are data."""

    @map_over([1, 2, 3], on_error="collect")
    async def output(self, one: int) -> Payment: ...


class Shipping(Reactor):
    """A child with a map in it, then a step."""

    @compose
    async def child(self) -> Ship: ...

    @step
    async def output(self, value: int = child.result) -> int: ...


class Parcels(Reactor):
    """A child with a lazy map in it, then a step."""

    @compose
    async def child(self) -> Lazy: ...

    @step
    async def output(self, value: int = child.result) -> int: ...
