"""The two references: the least that a hand-written asyncio scheduler does, and the bare machine that the engine grew from.

`one_task_a_step` is the limit that the engine is held to. `BareRunner` is what a pure machine with slots costs when it knows no
errors, retries, records or stores: a figure to look at, never to reach. Both are kept as they were first written, but for types.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import msgspec

from benchmarks.shapes import Shape


class StepStarted(msgspec.Struct, gc=False, array_like=True):
    at: int
    when: float


class StepSucceeded(msgspec.Struct, gc=False, array_like=True):
    at: int
    when: float
    value: object = None


class Plan:
    """A shape, ready to run: one no-op for every step, edges both ways, in-degrees."""

    def __init__(self, shape: Shape) -> None:
        self.fns: list[Callable[..., Any]] = [noop] * shape.steps
        self.needs, self.output = shape.needs, shape.output
        self.feeds: list[list[int]] = [[] for _ in self.fns]
        for at, parents in enumerate(self.needs):
            for parent in parents:
                self.feeds[parent].append(at)
        self.in_degrees = [len(parents) for parents in self.needs]


async def noop(*values: int) -> int:
    return 1


# ---- the limit ------------------------------------------------------------------------------------------------


async def one_task_a_step(plan: Plan) -> Any:
    """Counters of what is left to wait for, and a task for each step that has nothing left."""
    waiting, results, left = plan.in_degrees.copy(), [None] * len(plan.fns), len(plan.fns)
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    end: asyncio.Future[Any] = loop.create_future()

    async def perform(at: int) -> None:
        nonlocal left
        results[at] = await plan.fns[at](*[results[parent] for parent in plan.needs[at]])
        left -= 1
        for n in plan.feeds[at]:
            waiting[n] -= 1
            if waiting[n] == 0:
                start(n)
        if left == 0:
            end.set_result(results[plan.output])

    def start(at: int) -> None:
        task = loop.create_task(perform(at))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    for at, n in enumerate(plan.in_degrees):
        if n == 0:
            start(at)
    return await end


# ---- the bare machine -----------------------------------------------------------------------------------------


class BareMachine:
    """Pure: `apply` a fact, ask for the `next` order."""

    __slots__ = ("left", "orders", "plan", "results", "waiting")

    def __init__(self, plan: Plan) -> None:
        self.plan, self.waiting, self.left = plan, plan.in_degrees.copy(), len(plan.fns)
        self.results: list[Any] = [None] * len(plan.fns)
        self.orders = deque(at for at, n in enumerate(plan.in_degrees) if n == 0)

    def apply(self, event: StepStarted | StepSucceeded) -> None:
        if type(event) is StepSucceeded:
            self.results[event.at] = event.value
            self.left -= 1
            for at in self.plan.feeds[event.at]:
                self.waiting[at] -= 1
                if self.waiting[at] == 0:
                    self.orders.append(at)

    def next(self) -> int | None:
        return self.orders.popleft() if self.orders else None


class InContext:
    """Drive a coroutine in a Context of its own, from whichever task awaits it."""

    __slots__ = ("context", "coro")

    def __init__(self, coro: Any, context: contextvars.Context) -> None:
        self.coro, self.context = coro, context

    def __await__(self) -> Generator[Any, Any, Any]:
        run, send, throw = self.context.run, self.coro.send, self.coro.throw
        step, value = send, None
        try:
            while True:
                future = run(step, value)
                try:
                    value, step = (yield future), send
                except BaseException as error:  # noqa: BLE001 - a cancellation is thrown into the step, as asyncio does
                    value, step = error, throw
        except StopIteration as end:
            return end.value


class BareRunner:
    """Calls are performed by slots: a slot is a task that takes ready calls back to back."""

    def __init__(self, plan: Plan) -> None:
        self.machine = BareMachine(plan)
        self.record: list[StepStarted | StepSucceeded] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.loop = asyncio.get_running_loop()
        self.end: asyncio.Future[Any] = self.loop.create_future()
        self.context = contextvars.copy_context()
        self.pending = False

    async def run(self) -> Any:
        self.open_slot()
        return await self.end

    def open_slot(self) -> None:
        self.pending = True
        task = self.loop.create_task(self.slot())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def note(self, event: StepStarted | StepSucceeded) -> None:
        self.record.append(event)
        self.machine.apply(event)

    async def slot(self) -> None:
        self.pending = False
        machine, plan = self.machine, self.machine.plan
        while (at := machine.next()) is not None:
            if machine.orders and not self.pending:
                self.open_slot()
            self.note(StepStarted(at, time.time()))
            values = [machine.results[parent] for parent in plan.needs[at]]
            value = await InContext(plan.fns[at](*values), self.context.copy())
            self.note(StepSucceeded(at, time.time(), value))
            if machine.left == 0 and not self.end.done():
                self.end.set_result(machine.results[plan.output])


# ---- as contestants -------------------------------------------------------------------------------------------


def limit_of(shape: Shape) -> Callable[[], Awaitable[Any]]:
    """One run of the hand-written scheduler a call."""
    plan = Plan(shape)
    return lambda: one_task_a_step(plan)


def bare_machine_of(shape: Shape) -> Callable[[], Awaitable[Any]]:
    """One run of the bare machine a call."""
    plan = Plan(shape)
    return lambda: BareRunner(plan).run()
