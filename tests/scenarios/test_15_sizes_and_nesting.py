"""Scenario 15: 120 elements at default settings; a map in a child; a map in a map."""

import pytest

from reactor import Failed, Reactor, Results, Succeeded, compose, map_over, step
from tests.scenarios.world import Boom, act, once_each, undo, world

pytestmark = pytest.mark.anyio


class Many(Reactor):
    count: int = 120

    @step
    async def numbers(self) -> list[int]:
        return list(range(self.count))

    @map_over(numbers.result)
    async def square(self, n: int) -> int:
        return await act(f"square {n}", n * n)

    @square.undo
    async def unsquare(self, value: int) -> None:
        await undo(f"{value}")

    @step
    async def output(self, squares: Results[int] = square.result) -> int:
        return await act("sum", sum(await squares.all()))


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 120, 400, 401])
async def test_sizes_around_a_batch(mode, count):
    """Every element once, whatever the number of batches; the run ends."""
    outcome = await mode(Many(count=count))
    assert isinstance(outcome, Succeeded)
    assert outcome.value == sum(n * n for n in range(count))
    assert len(world.began) == count + 1
    assert once_each(world.began)


class Parent(Reactor):
    @compose
    async def child(self) -> Many:
        return Many(count=12)

    @step
    async def output(self, total: int = child.result) -> int:
        return await act("output", total)


async def test_a_map_in_a_child(mode):
    """A child's map ends, and so does the run."""
    outcome = await mode(Parent())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == sum(n * n for n in range(12))


async def test_a_map_in_a_child_is_undone(mode):
    """By a failure of the parent's, each element once."""
    world.fails("output", Boom("late"))
    outcome = await mode(Parent())
    assert isinstance(outcome, Failed)
    assert sorted(world.undone, key=int) == [str(n * n) for n in range(12)]


async def test_a_failing_element_in_a_child(mode):
    """Its address says where."""
    world.fails("square 5", Boom("five"))
    outcome = await mode(Parent())
    assert outcome.step == "child.square[5]"
    assert once_each(world.undone)
    assert set(world.undone) == {str(int(name.split()[1]) ** 2) for name in world.names("ended") if name.startswith("square")}


class Row(Reactor):
    y: int

    @step
    async def cells(self) -> list[int]:
        return list(range(5))

    @map_over(cells.result, batch_size=2, in_flight=1)
    async def cell(self, x: int) -> int:
        return await act(f"cell {self.y}.{x}", 10 * self.y + x)

    @cell.undo
    async def erase(self, value: int) -> None:
        await undo(f"cell {value // 10}.{value % 10}")

    @step
    async def output(self, cells: Results[int] = cell.result) -> list[int]:
        return await act(f"row {self.y}", await cells.all())


class Grid(Reactor):
    @step
    async def rows(self) -> list[int]:
        return list(range(7))

    @map_over(rows.result, batch_size=3, in_flight=2)
    async def row(self, y: int) -> Row:
        return Row(y=y)

    @step
    async def output(self, rows: Results[list[int]] = row.result) -> list[list[int]]:
        return await act("output", await rows.all())


async def test_a_map_in_a_map(mode):
    """Values in order of the outer source, then of the inner."""
    outcome = await mode(Grid())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == [[10 * y + x for x in range(5)] for y in range(7)]
    assert once_each(world.began)


async def test_a_map_in_a_map_is_undone(mode):
    """By a failure at the end: every cell once, and within a row the newest batch first."""
    world.fails("output", Boom("late"))
    await mode(Grid())
    assert sorted(world.undone) == sorted(f"cell {y}.{x}" for y in range(7) for x in range(5))
    for y in range(7):
        batches = [int(name[-1]) // 2 for name in world.undone if name.startswith(f"cell {y}.")]
        assert batches == sorted(batches, reverse=True)


async def test_a_cell_fails(mode):
    """The address says row and cell; every cell that was done is undone once, in flight or not."""
    world.fails("cell 4.3", Boom("dead"))
    outcome = await mode(Grid())
    assert isinstance(outcome, Failed)
    assert outcome.step == "row[4].cell[3]"
    ended = [name for name in world.names("ended") if name.startswith("cell")]
    assert once_each(world.undone)
    assert sorted(world.undone) == sorted(ended)
