"""What may be asked of a run when, and how it is told: a message on its record."""

import asyncio

import pytest

from reactor import Engine, Halt, Reactor, Retry, StepError, Undone, WrongState, step
from reactor.run.commanding import ALLOWED, deliver, life_before
from reactor.run.mailing import letter
from reactor.stores.memory import MemoryStore

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


LEFT: list[str] = []  # the kinds of the messages that were left for runs


@pytest.fixture
async def engine(monkeypatch):
    """Open, on a store that tells what is left in it."""
    deliver = MemoryStore.deliver

    async def told(store, run, message, **more):
        LEFT.append(message.kind)
        return await deliver(store, run, message, **more)

    monkeypatch.setattr(MemoryStore, "deliver", told)
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
    LEFT.clear()
    try:
        await {
            "cancel": lambda: run.cancel("enough"),
            "undo": run.undo,
            "restart": run.restart,
            "retry_rollback": run.retry_rollback,
        }[command]()
    except WrongState:
        return "no"
    return "yes" if LEFT else "already"


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


@pytest.mark.parametrize(("life", "before"), [("Story:s~2", "Story:s"), ("Story:s~3", "Story:s~2"), ("Story:s~12", "Story:s~11")])
def test_the_life_before(life, before):
    """The run that a restart superseded: the first has no number."""
    assert life_before(life) == before


async def test_the_outcome_that_it_ended_with_last(engine):
    """An undo after success changes it; one that makes room for a restart does not."""
    run = await standing(engine, "succeeded")
    first = await run.outcome()
    assert first.value == 1
    await run.undo()
    assert isinstance(await run.outcome(), Undone)
    other = await engine.start(Story(), id="other")
    first = await other.outcome()
    await (await other.restart(from_step="output")).outcome()
    assert await other.status() == "superseded"
    assert await other.outcome() == first


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


@pytest.mark.parametrize(
    ("status", "kind"),
    [("failed", "retry_rollback"), ("succeeded", "retry_rollback"), ("undone", "restart"), ("superseded", "restart"), ("stuck", "undo")],
)
async def test_a_command_that_was_overtaken_leaves_a_run_as_it_is(engine, status, kind):
    """Two asked for the same: the second's word comes when the first's was heeded. It is over as it was, and nobody drives it."""
    run = await standing(engine, status)
    outcome = await run.outcome()
    await deliver(engine._host, run.id, letter(kind))
    assert await run.outcome(timeout=10) == outcome
    assert await run.status() == status
    assert engine._host.drivers == {}
    kept = await engine._host.store.load(run.id)
    assert (kept.status, kept.token, kept.mail) == (status, None, ())


async def test_a_run_that_a_command_left_as_it_is_heeds_the_next(engine):
    """Nobody holds it: it is claimed as any other."""
    run = await standing(engine, "succeeded")
    await deliver(engine._host, run.id, letter("retry_rollback"))
    await run.undo()
    assert await run.outcome(timeout=10) == Undone(run.id)
