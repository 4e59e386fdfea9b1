"""Scenario 14: a map whose later step fails: every element that succeeded is undone once, newest batch first, offloaded too."""

from typing import Any

import pytest

from reactor import Failed, Reactor, Results, map_over, step
from tests.scenarios.world import Boom, act, once_each, undo, world

pytestmark = pytest.mark.anyio


def shipping(size: int, batch: int, flight: int, *, away: bool) -> type[Any]:
    """A reactor that ships so many lines, then bills."""

    class Ship(Reactor):
        @step
        async def lines(self) -> list[int]:
            return list(range(size))

        @lines.undo
        async def undo_lines(self, value: list[int]) -> None:
            await undo("lines")

        @map_over(lines.result, batch_size=batch, in_flight=flight, offload=away)
        async def ship(self, line: int) -> str:
            return await act(f"ship {line}")

        @ship.undo
        async def unship(self, parcel: str) -> None:
            await undo(parcel)

        @step
        async def bill(self, parcels: Results[str] = ship.result) -> int:
            return await act("bill", len(parcels))

        @step
        async def output(self, bill: int = bill.result) -> int:
            return bill

    return Ship


def batch_of(name: str, batch: int) -> int:
    """Which batch an element is of."""
    return int(name.rsplit(maxsplit=1)[-1]) // batch


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize(("size", "batch", "flight"), [(1, 1, 1), (6, 2, 1), (7, 3, 2), (20, 4, 3), (5, 100, 4)])
async def test_newest_batch_first(mode, size, batch, flight, away):
    """Each element once; while a batch is undone, fewer newer ones than may be in flight are not yet; then what the map depended on."""
    world.fails("bill", Boom("no funds"))
    outcome = await mode(shipping(size, batch, flight, away=away)())
    assert isinstance(outcome, Failed)
    assert outcome.step == "bill"
    assert once_each(world.undone)
    assert set(world.undone) == {"lines", *(f"ship {n}" for n in range(size))}
    assert world.undone[-1] == "lines"
    left = {n: min(batch, size - n * batch) for n in range((size + batch - 1) // batch)}
    for entry in world.diary:
        if entry.name.startswith("undo ship"):
            number = batch_of(entry.name, batch)
            left[number] -= entry.what == "ended"
            assert sum(1 for newer, count in left.items() if newer > number and count) < flight


async def test_undo_is_bounded_by_in_flight(mode):
    """No more batches are being undone at a time than were ever done at a time."""
    for n in range(12):
        world.takes(f"undo ship {n}", 1 + n % 3)
    world.fails("bill", Boom("no funds"))
    await mode(shipping(12, 2, 2, away=False)())
    busy: set[int] = set()
    running: dict[int, int] = {}
    for entry in world.diary:
        if entry.name.startswith("undo ship"):
            batch = batch_of(entry.name, 2)
            running[batch] = running.get(batch, 0) + (1 if entry.what == "began" else -1)
            busy = {number for number, count in running.items() if count}
            assert len(busy) <= 2
    assert busy == set()


async def test_an_undo_of_an_element_that_fails(mode):
    """It is listed by its address, the others are undone all the same, and so is what the map depended on."""
    world.always_fails("undo ship 3", Boom("lost"))
    world.fails("bill", Boom("no funds"))
    outcome = await mode(shipping(6, 2, 1, away=False)())
    assert [(failure.step, failure.kind) for failure in outcome.rollback_failures] == [("ship[3]", "undo")]
    assert set(world.undone) == {"lines", "ship 0", "ship 1", "ship 2", "ship 4", "ship 5"}
    assert world.began.count("bill") == 1


async def test_an_undo_has_five_attempts(mode):
    """Undo's own default: it is tried five times before it is given up."""
    world.fails("undo ship 1", *[Boom("busy")] * 4)
    world.fails("bill", Boom("no funds"))
    outcome = await mode(shipping(2, 2, 1, away=False)())
    assert list(outcome.rollback_failures) == []
    assert world.names("began").count("undo ship 1") == 5
    assert world.names("began").count("undo ship 0") == 1
