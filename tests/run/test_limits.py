"""Whatever an author's code gives or raises, its record takes it or its step fails: no driver breaks at a limit of the store."""

import asyncio
import base64
from typing import Annotated

import pytest

from reactor import (
    Ask,
    Cancelled,
    Engine,
    Failed,
    Halt,
    Halted,
    Parked,
    Reactor,
    Results,
    Retry,
    Secret,
    StoreUnavailable,
    Succeeded,
    interrupt,
    map_over,
    step,
)
from reactor.record.codec import LIMIT
from reactor.record.words import BATCH_LIMIT, EVENT_LIMIT
from reactor.run.failures import LONG

pytestmark = pytest.mark.anyio
KEY = base64.b64decode("q6urq6urq6urq6urq6urqw==")
HUGE = 3 * LIMIT
Text = Annotated[str, Secret()]


@pytest.fixture
async def engine():
    """One that seals."""
    async with Engine(keys=[KEY]) as made:
        yield made


# ---- results ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("less", [0, 1, 5, 6, 100])
async def test_a_sealed_result_near_the_limit_is_kept_or_refused(engine, less):
    """Of one secret, or of very many: it is sealed as a whole."""

    class One(Reactor):
        @step
        async def output(self) -> Text:
            return "x" * (LIMIT - less)

    class Many(Reactor):
        @step
        async def output(self) -> list[Text]:
            return ["ab"] * ((LIMIT - less) // 3)

    for reactor in (One, Many):
        outcome = await engine.run(reactor())
        if isinstance(outcome, Failed):
            assert outcome.error.kind == "ResultNotStorable"
        else:
            assert isinstance(outcome, Succeeded)


@pytest.mark.parametrize("size", [EVENT_LIMIT - LIMIT - 2000, EVENT_LIMIT - LIMIT + 2000])
async def test_a_result_whose_event_would_be_too_large_fails_its_step(engine, size):
    """The address counts, too, however long an author made it."""
    name = "s" * (size // 2)
    space: dict = {}
    code = f"class Wide(Reactor):\n @step\n async def {name}(self) -> bytes:\n  return b'x' * (LIMIT - 10)\n output = {name}"
    exec(code, {"Reactor": Reactor, "step": step, "LIMIT": LIMIT}, space)  # nobody writes such a name
    outcome = await engine.run(space["Wide"]())
    assert isinstance(outcome, Failed)
    assert outcome.error.kind == "ResultNotStorable"


async def test_elements_that_are_too_large_once_they_are_sealed_fail_their_map(engine):
    """As those that are without."""

    class Sealed(Reactor):
        @map_over([b"x" * (LIMIT - 5)] * 7 + [b"x" * (BATCH_LIMIT - 7 * LIMIT - 40)], batch_size=100)
        async def some(self, one: Annotated[bytes, Secret()]) -> int:
            return len(one)

        @step
        async def output(self, some: Results[int] = some.result) -> int:
            return 1

    outcome = await engine.run(Sealed())
    assert isinstance(outcome, Failed)
    assert "a batch of `some` takes" in str(outcome.error)


# ---- what is raised -----------------------------------------------------------------------------------------------------


def noted(times, size):
    """An error with notes."""
    error = ValueError("no")
    for _ in range(times):
        error.add_note("é" * size)
    return error


KINDS = [type(f"E{number}", (ValueError,), {}) for number in range(5000)]
RAISED = {
    "a long text": lambda: ValueError("x" * HUGE),
    "a long note": lambda: noted(1, HUGE),
    "many notes": lambda: noted(50_000, 100),
    "many long notes": lambda: noted(1000, LONG),
    "a group of many kinds": lambda: ExceptionGroup("many", [kind("x" * 500) for kind in KINDS]),
    "a name that is long": lambda: type("E" * HUGE, (ValueError,), {})("x"),
}


@pytest.mark.parametrize("what", RAISED)
async def test_whatever_is_raised_is_recorded_in_short(engine, what):
    """What a person would read of it, with secrets blotted out before anything is cut."""

    class Raises(Reactor):
        secret: Text = "é" * 7

        @step
        async def output(self) -> int:
            error = RAISED[what]()
            raise error

    run = await engine.start(Raises(), id="r")
    outcome = await run.outcome()
    assert isinstance(outcome, Failed)
    assert "é" * 7 not in repr(outcome.error)
    loaded = await engine._host.store.load(run.id)
    assert max(map(len, loaded.events)) < EVENT_LIMIT / 4


async def test_the_reason_of_a_halt_is_cut(engine):
    """As long as a message may be."""

    class Halts(Reactor):
        @step
        async def output(self) -> int:
            raise Halt("x" * HUGE)

    outcome = await engine.run(Halts())
    assert isinstance(outcome, Halted)
    assert len(outcome.reason) == LONG


async def test_the_reason_of_a_cancel_is_cut(engine):
    """The same."""

    class Waits(Reactor):
        @step
        async def output(self) -> int:
            await asyncio.sleep(1000)
            return 1

    run = await engine.start(Waits())
    await run.cancel("x" * HUGE)
    outcome = await run.outcome()
    assert isinstance(outcome, Cancelled)
    assert len(outcome.reason) == LONG


# ---- what batches tell --------------------------------------------------------------------------------------------------


class Asks(Reactor):
    """A question."""

    number: int

    @interrupt
    async def approval(self) -> Ask[bool]:
        return Ask(f"ask-{self.number}")

    output = approval


class ManyAsk(Reactor):
    """Very many questions in one batch."""

    @map_over(list(range(1500)), batch_size=1500)
    async def some(self, number: int) -> Asks:
        return Asks(number=number)

    @step
    async def output(self, some: Results[bool] = some.result) -> int:
        return some.succeeded


async def test_a_batch_in_which_very_many_wait_parks(engine):
    """All that it waits for is told, and can be answered."""
    run = await engine.start(ManyAsk())
    outcome = await run.outcome()
    assert isinstance(outcome, Parked)
    assert len(outcome.waiting) == 1500
    for number in (0, 1499):
        await engine.signal(Asks.approval, True, correlation_id=f"ask-{number}")
    await asyncio.sleep(10)
    assert len((await run.outcome()).waiting) == 1498


UNDOES: list[bool] = []


class ManyStuck(Reactor):
    """Very many undos that fail, in one batch."""

    @map_over(list(range(3000)), batch_size=3000)
    async def some(self, number: int) -> int:
        return number

    @some.undo(retry=Retry(1))
    async def undo_some(self, value: int) -> None:
        if not UNDOES[-1]:
            raise ValueError("no" * 100)

    @step(after=[some])
    async def output(self) -> int:
        raise OSError


async def test_a_batch_in_which_very_many_undos_fail_is_stuck(engine):
    """As many as a fact of its run may hold are told there; all are undone when that is tried again."""
    UNDOES.append(False)
    run = await engine.start(ManyStuck())
    outcome = await run.outcome()
    assert isinstance(outcome, Failed)
    assert 100 < len(outcome.rollback_failures) < 3000
    assert await run.status() == "stuck"
    UNDOES.append(True)
    await run.retry_rollback()
    outcome = await run.outcome()
    assert (len(outcome.rollback_failures), await run.status()) == (0, "failed")


async def test_a_signal_that_is_too_large_is_its_senders(engine):
    """Nothing of it is kept, and the run waits on."""
    run = await engine.start(ManyAsk())
    await run.outcome()
    with pytest.raises(StoreUnavailable, match="a message to"):
        await engine.signal(Asks.approval, True, correlation_id="ask-1", delivery_id="d" * HUGE)
    assert isinstance(await run.outcome(), Parked)
