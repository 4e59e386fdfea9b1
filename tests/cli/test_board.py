"""The board: what rows say after the events of real runs."""

import pytest

from reactor import Continue, Engine, Halt, Reactor, Retry, Skip, StepError, TryAgain, compose, map_over, step
from reactor.cli.board import Board
from reactor.cli.reports import progress

pytestmark = pytest.mark.anyio


async def board_of(reactor: Reactor) -> Board:
    """The board of a run that ended."""
    board = Board("x", [])
    async with Engine(observers=[board.apply]) as engine:
        await (await engine.start(reactor)).outcome()
    return board


def states(board: Board) -> dict[str, str]:
    """What is shown of each address."""
    return {row.address: row.shown for row in board.rows()}


class Inner(Reactor):
    fails: bool

    @step
    async def first(self) -> int:
        return 1

    @first.undo
    async def unfirst(self, n: int) -> None: ...

    @step
    async def output(self, n: int = first.result) -> int:
        if self.fails:
            raise ValueError("inner")
        return n


class Outer(Reactor):
    inner_fails: bool = False
    outer_fails: bool = False

    @compose
    async def child(self) -> Inner:
        return Inner(fails=self.inner_fails)

    @step
    async def output(self, n: int = child.result) -> int:
        if self.outer_fails:
            raise ValueError("outer")
        return n


async def test_a_child_that_fails_shows_on_its_compose():
    """No event says that a compose failed: its child's rows do."""
    board = await board_of(Outer(inner_fails=True))
    assert states(board) == {
        "child": "failed",
        "child.first": "undone",
        "child.output": "failed",
    }
    assert all(row.ended is not None for row in board.rows() if row.started is not None)


async def test_a_child_that_is_undone_later_shows_on_its_compose():
    """Its nodes are undone; it succeeded, and counts as undone."""
    assert states(await board_of(Outer(outer_fails=True))) == {
        "child": "undone",
        "child.first": "undone",
        "child.output": "succeeded",
        "output": "failed",
    }


class Answers(Reactor):
    @step
    async def skips(self) -> int:
        raise Skip(1)

    @step
    async def recovers(self) -> int:
        raise ValueError("x")

    @recovers.compensate
    async def go_on(self, error: StepError) -> Continue[int]:
        return Continue(2)

    @step(retry=Retry(3, base=0.0, jitter=False))
    async def insists(self) -> int:
        if len(CALLS) < 4:
            CALLS.append(1)
            raise ValueError("x")
        return 1

    @insists.compensate
    async def once_more(self, error: StepError) -> TryAgain:
        return TryAgain()

    @step
    async def output(self, a: int = skips.result, b: int = recovers.result, c: int = insists.result) -> int:
        return a + b + c


CALLS: list[int] = []


async def test_answers_to_failures():
    """Skipped, recovered, and tried until it succeeded."""
    CALLS.clear()
    board = await board_of(Answers())
    assert states(board) == {"skips": "skipped", "recovers": "recovered", "insists": "succeeded", "output": "succeeded"}
    assert board.status == "succeeded"


class Halts(Reactor):
    @step
    async def output(self) -> int:
        raise Halt("enough")


async def test_a_halt():
    """The step says so, and the run."""
    board = await board_of(Halts())
    assert (states(board), board.status) == ({"output": "halted"}, "halted")


class Many(Reactor):
    bad: int = -1
    later: bool = False

    @step
    async def numbers(self) -> list[int]:
        return list(range(100))

    @map_over(numbers.result, batch_size=10, in_flight=2)
    async def each(self, n: int) -> int:
        if n == self.bad:
            raise ValueError(n)
        return n

    @each.undo
    async def uneach(self, n: int) -> None: ...

    @step
    async def output(self, results: object = each.result) -> int:
        if self.later:
            raise ValueError("later")
        return 1


async def test_a_map_counts_its_elements():
    """All that succeeded, in how many; none in flight at the end."""
    row = (await board_of(Many())).find("each")
    assert row.elements is not None
    assert (row.elements.total, row.elements.succeeded, row.elements.failed, row.elements.in_flight) == (100, 100, 0, 0)
    assert progress(row, (row.started or 0) + 1).startswith("100 of 100, ")


async def test_a_map_that_is_undone_counts_back():
    """A later failure undoes every element; the map is undone."""
    row = (await board_of(Many(later=True))).find("each")
    assert row.elements is not None
    assert (row.state, row.elements.undone) == ("undone", 100)


async def test_a_map_that_fails_names_the_element():
    """The first that stood, by address; what succeeded was undone."""
    row = (await board_of(Many(bad=15))).find("each[15]")
    assert row.elements is not None
    assert row.state == "failed"
    assert row.note == "each[15]: ValueError: 15"
    assert row.elements.undone == row.elements.succeeded
