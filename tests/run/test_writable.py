"""A text that has no bytes breaks no driver: what is raised or told is spelled out, what names something is refused where it is said.

Python makes such texts of the names of files, and of arguments, that are no UTF-8.
"""

from collections.abc import AsyncIterator

import pytest

from reactor import (
    Ask,
    Cancelled,
    Engine,
    Fail,
    Failed,
    Halt,
    Halted,
    Parked,
    Reactor,
    ReactorError,
    Results,
    Retry,
    UnknownRun,
    interrupt,
    map_over,
    source,
    step,
)

pytestmark = pytest.mark.anyio
LONE = "caf\udce9"
SPELLED = r"caf\udce9"


class Broken(Reactor):
    what: str

    @step
    async def kept(self) -> str:
        return "kept"

    @kept.undo(retry=Retry(1))
    async def drop(self, kept: str) -> None:
        if self.what == "undo":
            raise ValueError(LONE)

    @step
    async def first(self, kept: str = kept.result) -> str:
        if self.what in ("undo", "step"):
            raise ValueError(LONE)
        if self.what == "fail":
            raise Fail(LONE)
        if self.what == "halt":
            raise Halt(LONE)
        if self.what == "group":
            raise ExceptionGroup(LONE, [ValueError(LONE), OSError(LONE)])
        if self.what == "note":
            noted = ValueError(SPELLED)
            noted.add_note(LONE)
            raise noted
        return "first"

    @source
    async def rows(self, first: str = first.result) -> AsyncIterator[str]:
        yield "row"
        if self.what == "source":
            raise ValueError(LONE)

    @map_over(rows)
    async def each(self, row: str) -> str:
        if self.what == "element":
            raise ValueError(LONE)
        if self.what == "halt in an element":
            raise Halt(LONE)
        return row

    @step
    async def output(self, each: Results[str] = each.result) -> int:
        return each.succeeded


class Asks(Reactor):
    under: str | None = None
    lone: bool = False

    @interrupt
    async def approval(self) -> Ask[int]:
        return Ask(LONE if self.lone else self.under)

    @step
    async def output(self, approval: int = approval.result) -> int:
        return approval


@pytest.fixture
async def engine():
    """Of a store in memory: it keeps bytes, too."""
    async with Engine(reactors=[Broken, Asks]) as made:
        yield made


@pytest.mark.parametrize("what", ["step", "fail", "group", "note", "undo", "source", "element"])
async def test_what_is_raised_is_spelled_out(engine, what):
    """The run fails, as it would with any other text, and its record can be read again."""
    outcome = await engine.run(Broken(what=what), id="1")
    assert isinstance(outcome, Failed)
    assert SPELLED in outcome.error.message
    again = await (await engine.get(Broken, "1")).outcome()
    assert repr(again) == repr(outcome)
    assert all(SPELLED in one.error.message for one in outcome.rollback_failures)
    assert await (await engine.get(Broken, "1")).status() == ("stuck" if what == "undo" else "failed")


@pytest.mark.parametrize("what", ["halt", "halt in an element"])
async def test_the_reason_of_a_halt_is_spelled_out(engine, what):
    """As any other text."""
    assert await engine.run(Broken(what=what), id="1") == Halted(SPELLED, "Broken:1")


async def test_the_reason_of_a_cancel_is_spelled_out(engine):
    """A command's reason may be an argument of a process."""
    run = await engine.start(Asks(), id="1")
    await run.cancel(LONE)
    assert await run.outcome() == Cancelled(SPELLED, "Asks:1")


async def test_an_interrupt_cannot_ask_under_it(engine):
    """Spelled out it would be another id: the interrupt fails, and no driver breaks."""
    outcome = await engine.run(Asks(lone=True))
    assert isinstance(outcome, Failed)
    assert "bad-correlation-id" in outcome.error.message


@pytest.mark.parametrize("said", ["", "x" * 201, LONE, 5, b"x"])
async def test_a_correlation_id_under_which_nobody_can_ask_is_refused(engine, said):
    """It was kept as early, for a day, and for nobody."""
    with pytest.raises(ReactorError, match="bad-correlation-id"):
        await engine.signal(Asks.approval, 1, correlation_id=said)


async def test_a_correlation_id_under_which_one_can_ask_is_not(engine):
    """Up to its last character."""
    longest = "ä" * 200
    assert (await engine.signal(Asks.approval, 1, correlation_id=longest)).status == "early"
    assert not isinstance(await engine.run(Asks(under=longest)), Parked)


@pytest.mark.parametrize("said", [LONE, 5, b"x"])
async def test_a_delivery_id_is_text(engine, said):
    """5 and "5" would be one."""
    with pytest.raises(ReactorError, match="bad-delivery-id"):
        await engine.signal(Asks.approval, 1, correlation_id="a", delivery_id=said)


async def test_tags_and_names_of_runs_are_texts(engine):
    """No run has such a name, and none can have such a tag."""
    with pytest.raises(ReactorError, match="bad-tags"):
        await engine.start(Asks(), tags=[LONE])
    for ask in (engine.get(LONE), engine.get(Asks, LONE), engine.signal(Asks.approval, 1, run_id=LONE)):
        with pytest.raises(UnknownRun):
            await ask
