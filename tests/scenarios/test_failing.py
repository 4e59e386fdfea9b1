"""Failing, case by case: what compensate may say, what a failing run lets begin, rollback, stuck runs, and what is allowed when."""

import asyncio

import pytest

from reactor import (
    Cancelled,
    Continue,
    Engine,
    Failed,
    Halt,
    Halted,
    Reactor,
    Retry,
    StepError,
    Succeeded,
    TryAgain,
    Undone,
    WrongState,
    compose,
    step,
    step_context,
    use,
)
from tests.scenarios.world import Boom, Worse, act, awaited, compensate, engine, is_before, now, undo, until, world

pytestmark = pytest.mark.anyio


# ---- compensate -----------------------------------------------------------------------------------------------------


class Branches(Reactor):
    """A failing step with a compensation that takes its time, beside a branch of two."""

    @step
    async def bad(self) -> str:
        return await act("bad")

    @bad.compensate
    async def drop_bad(self, error: StepError) -> Continue[str] | TryAgain | None:
        await compensate("bad")
        match error.message:
            case "continue":
                return Continue("plan B")
            case "again":
                return TryAgain(after=1)
        return None

    @bad.undo
    async def undo_bad(self, value: str) -> None:
        await undo("bad")

    @step
    async def good1(self) -> str:
        return await act("good1")

    @good1.undo
    async def undo_good1(self, value: str) -> None:
        await undo("good1")

    @good1.compensate
    async def drop_good1(self, error: StepError) -> Continue[str] | TryAgain | None:
        await compensate("good1")
        return Continue("late") if error.message == "continue" else TryAgain()

    @step
    async def good2(self, good1: str = good1.result) -> str:
        return await act("good2")

    @good2.undo
    async def undo_good2(self, value: str) -> None:
        await undo("good2")

    @step
    async def output(self, bad: str = bad.result, good: str = good2.result) -> str:
        return await act("output", f"{bad} {good}")


async def test_compensate_is_asked_at_once_while_others_go_on(mode):
    """Until it has answered the run is not failing: another branch's next step begins."""
    world.fails("bad", Boom("continue"))
    world.takes("compensate bad", 10)
    world.takes("good1", 2)
    outcome = await mode(Branches())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == "plan B good2"
    assert world.when("began", "compensate bad") == pytest.approx(0)
    assert world.when("began", "good2") == pytest.approx(2)


async def test_a_failure_that_stands_stops_everything_new(mode):
    """Nothing new begins after it; what is in flight settles and is undone."""
    world.fails("bad", Boom("stands"))
    world.takes("compensate bad", 1)
    world.takes("good1", 2)
    outcome = await mode(Branches())
    assert isinstance(outcome, Failed)
    assert world.began == ["bad", "good1"]
    assert world.undone == ["good1"]
    assert world.when("began", "undo good1") >= 2


@pytest.mark.parametrize("says", ["continue", "again"])
async def test_a_late_failure_is_compensated_its_answer_ignored(mode, says):
    """A call in flight that fails while the run is failing is compensated; it does not recover and is not tried again."""
    world.fails("bad", Boom("stands"))
    world.takes("good1", 2)
    world.fails("good1", Boom(says))
    outcome = await mode(Branches())
    assert isinstance(outcome, Failed)
    assert outcome.step == "bad"
    assert world.compensated == ["bad", "good1"]
    assert world.began == ["bad", "good1"]
    assert world.undone == []


async def test_a_due_retry_is_dropped_by_a_failure(mode):
    """A step that waits for its next attempt when a failure stands is not called again; it failed, and is compensated."""

    class Waiting(Reactor):
        @step(retry=Retry(3, backoff="fixed", base=60, jitter=False))
        async def patient(self) -> str:
            return await act("patient")

        @patient.compensate
        async def drop(self, error: StepError) -> None:
            await compensate("patient")

        @step
        async def output(self) -> str:
            return await act("output")

    world.always_fails("patient", Boom("busy"))
    world.takes("output", 5)
    world.fails("output", Boom("stands"))
    outcome = await mode(Waiting())
    assert outcome.step == "output"
    assert world.began.count("patient") == 1
    assert world.compensated == ["patient"]
    assert now() == pytest.approx(5)


async def test_a_compensate_that_raises_is_a_rollback_failure(mode):
    """It is listed, the rollback goes on, the first failure stays the first."""
    world.fails("bad", Boom("stands"))
    world.takes("bad", 1)
    world.always_fails("compensate bad", Worse("cannot"))
    outcome = await mode(Branches())
    assert isinstance(outcome, Failed)
    assert outcome.error.message == "stands"
    (failure,) = outcome.rollback_failures
    assert (failure.step, failure.kind, failure.error.kind) == ("bad", "compensate", "Worse")
    assert world.undone == ["good2", "good1"]


async def broken() -> str:
    """A resource that does not open."""
    raise Boom("will not open")


async def test_what_never_began_is_never_compensated(mode):
    """A resource that would not open, a `when` that is false: neither compensated nor undone."""

    class NeverBegan(Reactor):
        @step
        async def flag(self) -> bool:
            return await act("flag", False)

        @step(when=flag)
        async def skipped(self) -> str:
            return await act("skipped")

        @skipped.undo
        async def undo_skipped(self, value: str) -> None:
            await undo("skipped")

        @skipped.compensate
        async def drop_skipped(self, error: StepError) -> None:
            await compensate("skipped")

        @step
        async def output(self, skipped: str | None = skipped.result, broken: str = use(broken)) -> str:
            return await act("output")

        @output.compensate
        async def drop_output(self, error: StepError) -> None:
            await compensate("output")

    outcome = await mode(NeverBegan())
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert world.began == ["flag"]
    assert world.compensated == []
    assert world.undone == []


async def test_compensate_gets_results_and_resources(mode):
    """Undo and compensate may take what their node depended on, and resources, as defaults."""

    def desk() -> str:
        return "desk"

    class Takes(Reactor):
        @step
        async def first(self) -> str:
            return await act("first")

        @step
        async def second(self, first: str = first.result) -> str:
            return await act("second")

        @second.undo
        async def undo_second(self, value: str, first: str = first.result, desk: str = use(desk)) -> None:
            await undo(f"{value} {first} {desk}")

        @step
        async def output(self, first: str = first.result, second: str = second.result) -> str:
            return await act("output")

        @output.compensate
        async def drop(self, error: StepError, second: str = second.result, desk: str = use(desk)) -> None:
            await compensate(f"{error.kind} {second} {desk}")

    world.fails("output", Boom("late"))
    await mode(Takes())
    assert world.compensated == ["Boom second desk"]
    assert world.undone == ["second first desk"]


async def test_the_original_is_at_hand_in_process():
    """`error.original` is the very exception, while it is at hand."""
    boom = Boom("mine")

    class Keeps(Reactor):
        @step
        async def output(self) -> str:
            raise boom

        @output.compensate
        async def drop(self, error: StepError) -> Continue[str]:
            return Continue("same" if error.original is boom else "other")

    assert await Keeps() == "same"


@pytest.mark.parametrize("value", [None, 0, "", False, []])
async def test_continue_with_a_falsy_value(mode, value):
    """Falsy values are values."""

    class Falsy(Reactor):
        @step
        async def bad(self) -> object:
            raise Boom("no")

        @bad.compensate
        async def go_on(self, error: StepError) -> Continue[object]:
            return Continue(value)

        @step
        async def output(self, bad: object = bad.result) -> object:
            return [bad]

    assert (await mode(Falsy())).value == [value]


# ---- settle -----------------------------------------------------------------------------------------------------------


class Settling(Reactor):
    @step
    async def endless(self) -> str:
        return await act("endless")

    @endless.compensate
    async def drop_endless(self, error: StepError) -> None:
        world.note("error", error.kind)
        await compensate("endless")

    @step(timeout=50)
    async def timed(self) -> str:
        return await act("timed")

    @timed.undo
    async def undo_timed(self, value: str) -> None:
        await undo("timed")

    @step
    async def output(self, endless: str = endless.result, timed: str = timed.result) -> str:
        return "never"

    @step
    async def bad(self) -> str:
        return await act("bad")


async def test_calls_in_flight_settle_or_are_cancelled():
    """Each in its own timeout, else within `settle`; one that does not is cancelled and compensated."""
    world.takes("endless", 1000)
    world.takes("timed", 40)
    world.takes("bad", 1)
    world.fails("bad", Boom("stands"))
    async with Engine("memory://", settle=7) as eng:
        outcome = await eng.run(Settling())
    assert isinstance(outcome, Failed)
    assert world.when("cancelled", "endless") == pytest.approx(8)
    assert world.names("error") == ["StepCancelled"]
    assert world.when("ended", "timed") == pytest.approx(40)
    assert world.undone == ["timed"]


async def test_settle_is_thirty_seconds_by_default(mode):
    """The same where nobody said anything."""
    world.takes("endless", 1000)
    world.fails("bad", Boom("stands"))
    outcome = await mode(Settling())
    assert outcome.step == "bad"
    assert world.when("cancelled", "endless") == pytest.approx(30)


# ---- rollback ------------------------------------------------------------------------------------------------------------


class Rolls(Reactor, name="rolls"):
    @step
    async def a(self) -> str:
        return await act("a")

    @a.undo(retry=Retry(1))
    async def undo_a(self, value: str) -> None:
        await undo("a")

    @step
    async def b(self, a: str = a.result) -> str:
        return await act("b")

    @b.undo(retry=Retry(2, backoff="fixed", base=1, jitter=False))
    async def undo_b(self, value: str) -> None:
        await undo("b")

    @step
    async def c(self, b: str = b.result) -> str:
        return await act("c")

    @c.undo
    async def undo_c(self, value: str) -> None:
        await undo("c")

    @step
    async def output(self, c: str = c.result) -> str:
        return await act("output")

    @output.compensate(retry=Retry(1))
    async def drop(self, error: StepError) -> None:
        await compensate("output")


async def test_an_undo_that_fails_counts_as_settled(mode):
    """It is tried as often as it says, listed, and the rest is undone all the same."""
    world.fails("output", Boom("late"))
    world.always_fails("undo b", Worse("jammed"))
    outcome = await mode(Rolls())
    assert isinstance(outcome, Failed)
    assert outcome.error.kind == "Boom"
    (failure,) = outcome.rollback_failures
    assert (failure.step, failure.kind, failure.error.kind, failure.error.attempt) == ("b", "undo", "Worse", 2)
    assert world.undone == ["c", "a"]
    assert world.names("began").count("undo b") == 2
    assert world.before(("failed", "undo b"), ("began", "undo a"))


async def test_retry_rollback_calls_only_those_again():
    """A stuck run whose undo works again ends as failed; what was undone is not undone twice."""
    world.fails("output", Boom("late"))
    world.always_fails("undo b", Worse("jammed"))
    async with engine() as eng:
        run = await eng.start(Rolls(), id="r")
        assert isinstance(await run.outcome(), Failed)
        assert await run.status() == "stuck"
        await run.retry_rollback()
        assert isinstance(await run.outcome(), Failed)
        assert await run.status() == "stuck"
        world.always.clear()
        await run.retry_rollback()
        outcome = await run.outcome()
        assert await run.status() == "failed"
    assert isinstance(outcome, Failed)
    assert outcome.step == "output"
    assert outcome.error.kind == "Boom"
    assert list(outcome.rollback_failures) == []
    assert world.undone == ["c", "a", "b"]


async def test_retry_rollback_of_a_compensation():
    """The same for a compensation that raised: it is called again with the failure it answers."""
    world.fails("output", Boom("late"))
    world.fails("compensate output", Worse("jammed"))
    async with engine() as eng:
        run = await eng.start(Rolls(), id="r")
        await run.outcome()
        assert await run.status() == "stuck"
        await run.retry_rollback()
        await run.outcome()
        assert await run.status() == "failed"
    assert world.compensated == ["output", "output"]
    assert world.undone == ["c", "b", "a"]


async def test_rollback_is_shown_while_it_goes_on():
    """A failing run is `rolling_back` until the last undo has ended."""
    world.fails("output", Boom("late"))
    world.takes("undo b", 10)
    async with engine() as eng:
        run = await eng.start(Rolls(), id="r")
        assert await run.status() in ("queued", "running")
        await until(lambda: "undo b" in world.names("began"))
        assert await run.status() == "rolling_back"
        await run.outcome()
        assert await run.status() == "failed"


async def test_an_undo_is_shielded():
    """An undo that goes on while whoever awaits its run is cancelled ends all the same."""
    world.fails("output", Boom("late"))
    world.takes("undo b", 10)
    task = asyncio.ensure_future(awaited(Rolls()))
    await until(lambda: "undo b" in world.names("began"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.names("cancelled") == []
    assert world.undone == ["c", "b", "a"]


async def test_undo_runs_in_a_context_that_knows(mode):
    """`step_context()` in an undo says whose it is."""

    class Knows(Reactor):
        @step
        async def first(self) -> str:
            return await act("first")

        @first.undo
        async def undo_first(self, value: str) -> None:
            world.note("context", f"{step_context().address} {step_context().attempt}")

        @step
        async def output(self, first: str = first.result) -> str:
            raise Boom("late")

    await mode(Knows())
    assert world.names("context") == ["first 1"]


# ---- what is allowed when -------------------------------------------------------------------------------------------------

COMMANDS = ("cancel", "undo", "restart", "retry_rollback")

ALLOWED = {
    "running": {"cancel": "yes", "undo": "yes"},
    "rolling_back": {"cancel": "already", "undo": "already", "retry_rollback": "already"},
    "stuck": {"retry_rollback": "yes"},
    "succeeded": {"undo": "yes", "restart": "yes"},
    "halted": {"undo": "yes", "restart": "yes"},
    "cancelled without undo": {"undo": "yes", "restart": "yes"},
    "failed": {"restart": "yes"},
    "undone": {"restart": "yes"},
    "cancelled with undo": {"restart": "yes"},
    "superseded": {},
}


async def brought_to(state: str, eng: Engine):
    """A run in this state."""
    plan = {
        "rolling_back": lambda: (world.fails("output", Boom("late")), world.takes("undo b", 100)),
        "stuck": lambda: (world.fails("output", Boom("late")), world.fails("undo a", Boom("jammed"))),
        "failed": lambda: world.fails("output", Boom("late")),
        "halted": lambda: world.fails("output", Halt("enough")),
    }
    plan.get(state, lambda: None)()
    if state in ("running", "cancelled without undo", "cancelled with undo"):
        world.takes("output", 100)
    run = await eng.start(Rolls(), id="r")
    if state in ("running", "cancelled without undo", "cancelled with undo"):
        await until(lambda: "output" in world.began)
    elif state == "rolling_back":
        await until(lambda: "undo b" in world.names("began"))
    else:
        await run.outcome()
    match state:
        case "cancelled without undo" | "cancelled with undo":
            await run.cancel("stop", undo=state == "cancelled with undo")
            await run.outcome()
        case "undone":
            await run.undo()
            await run.outcome()
        case "superseded":
            await (await run.restart()).outcome()
    assert await run.status() == state.split(maxsplit=1)[0]
    world.durations.pop("output", None)
    return run


async def told(run, command: str) -> None:
    """Give the command."""
    match command:
        case "cancel":
            await run.cancel("because")
        case "undo":
            await run.undo()
        case "restart":
            await (await run.restart()).outcome()
        case "retry_rollback":
            await run.retry_rollback()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("state", ALLOWED)
async def test_what_is_allowed_when(state, command):
    """Each cell of the table: done, already being done, or `WrongState`, which names the status and those that would do."""
    async with engine() as eng:
        run = await brought_to(state, eng)
        before = await run.status()
        began = len(world.names("began"))
        if command in ALLOWED[state]:
            await told(run, command)
            if ALLOWED[state][command] == "already":
                assert await run.status() == before
            await run.outcome()
        else:
            with pytest.raises(WrongState) as caught:
                await told(run, command)
            assert before in str(caught.value)
            assert await run.status() == before
            assert len(world.names("began")) == began


@pytest.mark.parametrize(
    ("state", "command", "becomes"),
    [
        ("running", "cancel", "cancelled"),
        ("running", "undo", "undone"),
        ("rolling_back", "cancel", "failed"),
        ("rolling_back", "undo", "failed"),
        ("rolling_back", "retry_rollback", "failed"),
        ("stuck", "retry_rollback", "failed"),
        ("succeeded", "undo", "undone"),
        ("halted", "undo", "undone"),
        ("cancelled without undo", "undo", "undone"),
        ("succeeded", "restart", "superseded"),
        ("halted", "restart", "superseded"),
        ("failed", "restart", "superseded"),
        ("undone", "restart", "superseded"),
        ("cancelled with undo", "restart", "superseded"),
        ("cancelled without undo", "restart", "superseded"),
    ],
)
async def test_what_becomes_of_it(state, command, becomes):
    """The status at the end, and the outcome that goes with it; each node was undone once at most."""
    async with engine() as eng:
        run = await brought_to(state, eng)
        await told(run, command)
        outcome = await run.outcome()
        assert await run.status() == becomes
    kinds = {"cancelled": Cancelled, "undone": Undone, "failed": Failed}
    if becomes in kinds:
        assert isinstance(outcome, kinds[becomes])
        assert sorted(world.undone) == ["a", "b", "c"]
        assert is_before(world.undone, "c", "b") or state == "stuck"
    assert outcome.run_id == run.id


# ---- in a child -----------------------------------------------------------------------------------------------------------


class StuckChild(Reactor):
    @compose
    async def rolls(self) -> Rolls:
        return Rolls()

    @step
    async def output(self, rolls: str = rolls.result) -> str:
        return await act("end", rolls)


async def test_a_childs_rollback_failure_is_the_runs(mode):
    """It is listed by its whole address."""
    world.fails("output", Boom("late"))
    world.always_fails("undo a", Worse("jammed"))
    outcome = await mode(StuckChild())
    assert isinstance(outcome, Failed)
    assert outcome.step == "rolls.output"
    assert [(failure.step, failure.kind) for failure in outcome.rollback_failures] == [("rolls.a", "undo")]


async def test_halted_child_keeps_what_it_did_until_undone():
    """Undo of a run that a child halted undoes the child's nodes in their order."""
    world.fails("output", Halt("enough"))
    async with engine() as eng:
        run = await eng.start(StuckChild(), id="s")
        assert isinstance(await run.outcome(), Halted)
        assert list(await run.undo_plan()) == ["rolls.c", "rolls.b", "rolls.a"]
        await run.undo()
        assert isinstance(await run.outcome(), Undone)
    assert world.undone == ["c", "b", "a"]
