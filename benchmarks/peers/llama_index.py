"""llama-index-workflows: steps that take and return events.

A class an edge is possible, and costs several times more, since every event is offered to every step: 2,706 µs a step in a chain of
200. So each shape is written in its idiom: a chain is a step that loops, a fan-out a list of events with a step that takes the list,
layers are such fan-outs one after the other (a barrier a layer, stronger than the shape's edges). `num_workers` stays at its default
of four: a thousand, which the fan-out would need to be as concurrent as the others, makes it three times slower.
"""

from __future__ import annotations

from typing import Any

from workflows import Workflow, step
from workflows.events import Event, StartEvent, StopEvent

from benchmarks.measure import Contestant, expect
from benchmarks.shapes import Shape


class Begin(StartEvent):
    steps: int
    layers: int = 1


class Tick(Event):
    number: int
    of: int


class Work(Event):
    layer: int
    width: int
    layers: int


class Done(Event):
    layer: int
    width: int
    layers: int


class Chain(Workflow):
    @step
    async def first(self, ev: Begin) -> Tick:
        return Tick(number=1, of=ev.steps)

    @step
    async def each(self, ev: Tick) -> Tick | StopEvent:
        return Tick(number=ev.number + 1, of=ev.of) if ev.number + 1 < ev.of else StopEvent(result=ev.of)


class Layers(Workflow):
    @step
    async def first(self, ev: Begin) -> list[Work]:
        return [Work(layer=1, width=ev.steps, layers=ev.layers) for _ in range(ev.steps)]

    @step
    async def each(self, ev: Work) -> Done:
        return Done(layer=ev.layer, width=ev.width, layers=ev.layers)

    @step
    async def joined(self, done: list[Done]) -> list[Work] | StopEvent:
        layer, width, layers = done[0].layer, len(done), done[0].layers
        if layer == layers:
            return StopEvent(result=layer * width)
        return [Work(layer=layer + 1, width=width, layers=layers) for _ in range(width)]


async def contestant(shape: Shape) -> Contestant:
    """One run of the shape's idiom: its own bookkeeping steps are not counted as steps."""
    form: Any = (Chain if shape.name == "chain" else Layers)(timeout=None)
    work = {"chain": (shape.steps, 1), "fan-out": (shape.steps - 2, 1), "layered": (shape.width, shape.layers)}[shape.name]
    steps = shape.steps

    async def once() -> None:
        expect(await form.run(start_event=Begin(steps=work[0], layers=work[1])), work[0] * work[1])

    return Contestant("llama-index-workflows", steps, once, rounds=2, note="its idiom, fewer edges")
