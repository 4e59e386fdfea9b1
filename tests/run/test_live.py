"""One run that an engine holds in memory: what it is called, where it stands, and what may be asked of it when."""

import asyncio

import pytest

from reactor import Engine, Halt, Reactor, Retry, StepError, WrongState, step
from reactor.run.live import ALLOWED

pytestmark = pytest.mark.anyio


class Story(Reactor, max_running=1):
    """A step with an undo, then an end that is told."""

    ending: str = ""

    @step
    async def first(self) -> int:
        return 1

    @first.undo(retry=Retry(1))
    async def undo_first(self, value: int) -> None:
        if self.ending == "rolling_back":
            await asyncio.sleep(1000)
        if self.ending == "stuck":
            raise OSError

    @step(after=[first])
    async def output(self) -> int:
        match self.ending:
            case "failed" | "stuck" | "rolling_back":
                raise ValueError
            case "halted":
                raise Halt("enough")
            case "running" | "cancelled" | "left" | "undone" | "queued":
                await asyncio.sleep(1000)
        return 1

    @output.compensate
    async def answer(self, error: StepError) -> None: ...


STATUSES = ("queued", "running", "rolling_back", "stuck", "succeeded", "halted", "failed", "undone", "cancelled", "left", "superseded")


@pytest.fixture
async def engine():
    """Open."""
    async with Engine() as made:
        yield made


async def standing(engine, status):
    """A run with this status; `left`: cancelled without undo."""
    if status == "queued":
        await engine.start(Story(ending="running"))
    run = await engine.start(Story(ending="succeeded" if status == "superseded" else status), id="s")
    await asyncio.sleep(1)
    if status in ("cancelled", "left"):
        await run.cancel("enough", undo=status == "cancelled")
    if status == "undone":
        await run.undo()
    if status == "superseded":
        await (await run.restart()).outcome()
    await asyncio.sleep(1)
    assert await run.status() == ("cancelled" if status == "left" else status)
    return run


async def asked(run, command):
    """`yes`, `already`, or `no`."""
    before = len(run._live.record.facts)
    try:
        await {
            "cancel": lambda: run.cancel("enough"),
            "undo": run.undo,
            "restart": run.restart,
            "retry_rollback": run.retry_rollback,
        }[command]()
    except WrongState:
        return "no"
    changed = len(run._live.record.facts) > before or await run.status() == "superseded"
    return "yes" if changed else "already"


TABLE = {  # the table of what is allowed when, as the design has it
    "queued": {"cancel": "yes", "undo": "yes"},
    "running": {"cancel": "yes", "undo": "yes"},
    "rolling_back": {"cancel": "already", "undo": "already", "retry_rollback": "already"},
    "stuck": {"retry_rollback": "yes"},
    "succeeded": {"undo": "yes", "restart": "yes"},
    "halted": {"undo": "yes", "restart": "yes"},
    "left": {"undo": "yes", "restart": "yes"},
    "failed": {"restart": "yes"},
    "undone": {"restart": "yes"},
    "cancelled": {"restart": "yes"},
    "superseded": {},
}


@pytest.mark.parametrize("command", ALLOWED)
@pytest.mark.parametrize("status", STATUSES)
async def test_what_may_be_asked_when(engine, status, command):
    """As the table says: yes, "already", or WrongState."""
    run = await standing(engine, status)
    assert await asked(run, command) == TABLE[status].get(command, "no")


@pytest.mark.parametrize(
    ("status", "command", "said"), [("failed", "undo", "cancelled without undo"), ("queued", "restart", "for runs that are")]
)
async def test_a_refusal_says_what_is_allowed(engine, status, command, said):
    """The run's status, and the ones in which it could be asked."""
    run = await standing(engine, status)
    with pytest.raises(WrongState, match=f"Story:s is {status}: it cannot be asked to {command}") as raised:
        await getattr(run, command)()
    assert raised.value.known == ALLOWED[command]
    assert said in raised.value.fix


async def test_a_run_has_a_base_that_its_restarts_share(engine):
    """The part before `~`."""
    run = await standing(engine, "succeeded")
    again = await run.restart()
    assert (run._live.base, again._live.base, again._live.run_id) == ("Story:s", "Story:s", "Story:s~2")


async def test_the_outcome_that_it_ended_with_last(engine):
    """An undo after success changes it; one that makes room for a restart does not."""
    run = await standing(engine, "succeeded")
    first = run._live.outcome
    assert first.value == 1
    await run.undo()
    await run.outcome()
    assert run._live.outcome != first
    assert run._live.is_undone


@pytest.mark.parametrize("status", STATUSES)
async def test_whether_its_end_has_undone_what_succeeded(engine, status):
    """A cancel without undo has not."""
    run = await standing(engine, status)
    assert run._live.is_undone is (status in ("failed", "undone", "cancelled"))


async def test_a_halting_run_is_running(engine):
    """Its calls settle and nothing is rolled back: that is not rolling back, and it can be cancelled."""

    class Halting(Reactor):
        @step
        async def slow(self) -> int:
            await asyncio.sleep(100)
            return 1

        @step
        async def output(self) -> int:
            raise Halt("enough")

    run = await engine.start(Halting())
    await asyncio.sleep(1)
    assert await run.status() == "running"
    await run.cancel("now")
    await run.outcome()
    assert await run.status() == "cancelled"


async def test_a_cancelled_queued_run_makes_no_room(engine):
    """It had none: the run that is driven stays alone."""
    first = await engine.start(Story(ending="running"))
    second, third = [await engine.start(Story(ending="running")) for _ in range(2)]
    await second.cancel("enough")
    await second.outcome()
    await asyncio.sleep(1)
    assert [await run.status() for run in (first, second, third)] == ["running", "cancelled", "queued"]
    await first.cancel("enough")
    await first.outcome()
    await asyncio.sleep(1)
    assert await third.status() == "running"
