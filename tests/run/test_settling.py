"""How a call that is over is noted: its value, or its failure and whether there is a next attempt."""

import asyncio
from math import inf, nan

import pytest

from reactor import (
    Continue,
    Engine,
    Fail,
    Failed,
    Halt,
    Halted,
    Reactor,
    Results,
    Retry,
    Skip,
    StepCancelled,
    StepError,
    Succeeded,
    TryAgain,
    compose,
    map_over,
    step,
)
from reactor.run.settling import DEPTH, TIMEOUT, ended_by_us

pytestmark = pytest.mark.anyio


class Boom(Exception):
    """What goes wrong."""


async def ran(reactor, **options):
    """Its outcome, and the failures that its record tells."""
    failures = []

    def watch(event):
        if event.kind == "call_failed":
            failures.append((event.address, event.call, event.attempt, event.detail["failure"]["kind"], event.detail.get("next_in")))

    async with Engine(observers=[watch], **options) as engine:
        return await engine.run(reactor), failures


# ---- the next attempt -----------------------------------------------------------------------------------------------------


async def test_whether_there_is_a_next_attempt_is_asked_where_the_exception_is_alive():
    """By type, by what it carries; recorded as seconds."""

    class Picky(Reactor):
        @step(retry=Retry(5, on=Boom, backoff="fixed", base=7, jitter=False))
        async def output(self) -> int:
            raise Boom if len(FAILURES) < 2 else OSError

    FAILURES.clear()

    async with Engine(observers=[lambda event: FAILURES.append(event) if event.kind == "call_failed" else None]) as engine:
        outcome = await engine.run(Picky())
    assert isinstance(outcome, Failed)
    assert outcome.error.is_a(OSError)
    assert [event.detail.get("next_in") for event in FAILURES] == [7.0, 7.0, None]


FAILURES: list = []


async def test_fail_says_whether_trying_again_makes_sense():
    """Whatever the policy."""

    class Says(Reactor):
        again: bool

        @step(retry=Retry(2, base=1, jitter=False))
        async def output(self) -> int:
            raise Fail("no", retryable=self.again)

    assert len((await ran(Says(again=True)))[1]) == 2
    assert len((await ran(Says(again=False)))[1]) == 1


async def test_a_policy_that_raises_ends_the_call_with_what_it_raised():
    """An author's predicate is an author's code: what it raised is the failure, chained from what it was asked about."""

    def broken(_):
        raise ZeroDivisionError("predicate")

    class Odd(Reactor):
        @step(retry=Retry(3, when=broken))
        async def output(self) -> int:
            raise Boom("it")

    outcome, failures = await ran(Odd())
    assert outcome.error.is_a(ZeroDivisionError)
    assert isinstance(outcome.error.original.__context__, Boom)
    assert len(failures) == 1


@pytest.mark.parametrize("seconds", [-1, inf, nan, "soon"])
async def test_a_wait_that_is_no_time_ends_the_call(seconds):
    """The run fails with an error that says so, and does not wait for ever."""

    class Odd(Reactor):
        @step(retry=Retry(3, wait=lambda _: seconds))
        async def output(self) -> int:
            raise Boom("it")

    outcome, failures = await ran(Odd())
    assert isinstance(outcome, Failed)
    assert not outcome.error.is_a(Boom)
    assert len(failures) == 1


async def test_a_call_that_was_cancelled_has_no_next_attempt():
    """It was told to end."""

    class Slow(Reactor):
        @step(retry=Retry(5))
        async def output(self) -> int:
            await asyncio.sleep(3600)
            return 1

    async with Engine() as engine:
        run = await engine.start(Slow())
        await asyncio.sleep(1)
        await run.cancel("enough")
        await run.outcome()
        failed = [event async for event in run.events() if event.kind == "call_failed"]
    assert [(event.attempt, event.detail["failure"]["kind"], event.detail.get("next_in")) for event in failed] == [
        (1, "StepCancelled", None)
    ]


async def test_the_time_since_the_first_attempt_is_the_calls_own():
    """`stop=` after so many seconds counts from the first attempt of this call, waits included; each call anew."""
    from tenacity import stop_after_delay

    class Patient(Reactor):
        @step(retry=Retry(backoff="fixed", base=10, jitter=False, stop=stop_after_delay(35)))
        async def output(self) -> int:
            raise Boom

        @output.compensate
        async def again(self, error: StepError) -> None: ...

    _, failures = await ran(Patient())
    assert len(failures) == 5


# ---- what a call may say ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raised", [Skip(3), Halt("enough"), Fail("no"), Boom("it")], ids=repr)
async def test_what_a_step_raises_in_a_task_group_is_heard(raised):
    """Groups are searched, at any depth."""

    class Grouped(Reactor):
        @step
        async def output(self) -> int:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._raises())
                group.create_task(asyncio.sleep(3600))
            return 1

        async def _raises(self):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._deeper())

        async def _deeper(self):
            await asyncio.sleep(1)
            raise raised

    outcome, _ = await ran(Grouped())
    match raised:
        case Skip():
            assert outcome == Succeeded(3, outcome.run_id)
        case Halt():
            assert isinstance(outcome, Halted)
        case _:
            assert outcome.error.is_a(type(raised))


@pytest.mark.parametrize("where", ["undo", "compensate"])
@pytest.mark.parametrize("raised", [Skip(None), Halt("no")], ids=["skip", "halt"])
async def test_halt_and_skip_are_errors_in_the_backward_phase(where, raised):
    """They are an author's mistake there: what was to be done was not."""

    class Backwards(Reactor):
        @step
        async def first(self) -> int:
            return 1

        @first.undo(retry=Retry(1))
        async def undo_first(self, value: int) -> None:
            if where == "undo":
                raise raised

        @step(after=[first])
        async def output(self) -> int:
            raise Boom

        @output.compensate(retry=Retry(1))
        async def answer(self, error: StepError) -> None:
            if where == "compensate":
                raise raised

    outcome, _ = await ran(Backwards())
    assert [(one.kind, one.error.kind) for one in outcome.rollback_failures] == [(where, type(raised).__name__)]


@pytest.mark.parametrize("answer", [3, "yes", True, TryAgain, [Continue(1)]], ids=repr)
async def test_compensate_may_answer_three_things(answer):
    """Anything else is its failure, and says what to return."""

    class Answers(Reactor):
        @step
        async def output(self) -> int:
            raise Boom

        @output.compensate(retry=Retry(1))
        async def answer(self, error: StepError) -> None:
            return answer

    outcome, _ = await ran(Answers())
    [left] = outcome.rollback_failures
    assert left.error.failure.code == "bad-answer"
    assert "return None (the failure stands), Continue(value) or TryAgain(after)" in left.error.message


# ---- values ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["result", "skip", "continue"])
async def test_in_debug_every_value_passes_through_its_bytes(how):
    """Results, and the values of Skip and Continue: one that does not survive fails the call at once."""

    class Wrong(Reactor):
        @step
        async def output(self) -> int:
            if how == "skip":
                raise Skip("text")
            if how == "continue":
                raise Boom
            return "text"

        @output.compensate(retry=Retry(1))
        async def answer(self, error: StepError) -> Continue[int] | None:
            return Continue("text") if how == "continue" else None

    outcome, _ = await ran(Wrong(), debug=True)
    error = outcome.rollback_failures[0].error if how == "continue" else outcome.error
    assert error.failure.code == "result-not-storable"
    plain, _ = await ran(Wrong())
    assert plain.value == "text", "without debug the object itself is passed on"


@pytest.mark.parametrize("how", ["result", "skip"])
async def test_an_elements_value_always_passes_through_its_bytes(how):
    """A map keeps its results encoded, in every mode."""

    class Wrong(Reactor):
        @map_over([1])
        async def output(self, one: int) -> int:
            if how == "skip":
                raise Skip("text")
            return "text"

    outcome, _ = await ran(Wrong())
    assert outcome.error.failure.code == "result-not-storable"
    assert outcome.step == "output[0]"


async def test_an_element_may_be_skipped_with_nothing():
    """None stands in its place."""

    class Skips(Reactor):
        @map_over([1, 2])
        async def output(self, one: int) -> int:
            if one == 1:
                raise Skip(None)
            return one

    outcome, _ = await ran(Skips())
    assert await outcome.value.all() == [None, 2]


async def test_what_a_map_recovers_with_is_a_result():
    """In debug too: it is a handle, and no value to encode."""

    class Maps(Reactor):
        @map_over([1])
        async def some(self, one: int) -> int:
            raise Boom

        @some.compensate
        async def answer(self, error: StepError) -> Continue[Results[int]]:
            return Continue(Results.of([7]))

        @step
        async def output(self, some: Results[int] = some.result) -> int:
            return sum(await some.all())

    for debug in (True, False):
        outcome, _ = await ran(Maps(), debug=debug)
        assert outcome.value == 7


# ---- children -------------------------------------------------------------------------------------------------------------------


class Leaf(Reactor):
    @step
    async def output(self) -> int:
        return 1


class Other(Reactor):
    @step
    async def output(self) -> int:
        return 2


class Younger(Leaf):
    """A subclass is another reactor."""


@pytest.mark.parametrize("child", [None, 3, Leaf, Other(), Younger()], ids=repr)
async def test_a_compose_returns_one_of_its_reactors(child):
    """The error shows what it returned, and the annotated ones."""

    class Composes(Reactor):
        @compose
        async def output(self) -> Leaf:
            return child

    outcome, _ = await ran(Composes())
    assert outcome.error.failure.code == "not-a-child"
    assert "known: Leaf" in outcome.error.message


class Nested(Reactor):
    """A reactor in itself, so deep."""

    deep: int

    @step
    async def deeper(self) -> bool:
        return self.deep > 1

    @compose(when=deeper)
    async def inner(self) -> "Nested":
        return Nested(deep=self.deep - 1)

    @step
    async def output(self, inner: int | None = inner.result) -> int:
        return 1 + (inner or 0)


class NestedMaps(Reactor):
    """The same by way of maps: batches have records of their own."""

    deep: int

    @step
    async def some(self) -> list[int]:
        return [1] if self.deep > 1 else []

    @map_over(some.result)
    async def inner(self, one: int) -> "NestedMaps":
        return NestedMaps(deep=self.deep - 1)

    @step
    async def output(self, inner: Results[int] = inner.result) -> int:
        return 1 + sum(await inner.all())


@pytest.mark.parametrize("reactor", [Nested, NestedMaps])
async def test_so_many_reactors_may_be_in_each_other(reactor):
    """One more is refused, before it begins, with what to do instead."""
    outcome, _ = await ran(reactor(deep=DEPTH))
    assert outcome.value == DEPTH
    outcome, _ = await ran(reactor(deep=DEPTH + 1))
    assert outcome.error.failure.code == "too-deep"
    assert f"{DEPTH + 1} reactors deep" in outcome.error.message


# ---- ended by us ---------------------------------------------------------------------------------------------------------------


def test_a_value_that_came_all_the_same_counts_but_never_after_a_timeout():
    """A cancelled call that finished is a success; one that took too long has failed."""
    assert ended_by_us("the run was cancelled", None, None) is None
    timed_out = ended_by_us(TIMEOUT, 2.5, None)
    assert isinstance(timed_out, TimeoutError)
    assert str(timed_out) == "it took longer than its timeout of 2.5 s"


def test_what_a_call_raised_while_it_was_ended_is_its_cause():
    """Its own cleanup failed: that is worth telling. A plain cancellation is not."""
    own = Boom("cleanup")
    for why, kind in ((TIMEOUT, TimeoutError), ("because", StepCancelled)):
        error = ended_by_us(why, 1.0, own)
        assert isinstance(error, kind)
        assert error.__cause__ is own
        assert ended_by_us(why, 1.0, asyncio.CancelledError()).__cause__ is None
    assert "because" in str(ended_by_us("because", None, own))


async def test_a_timeout_counts_as_an_attempt():
    """It is cancelled, awaited, and tried again."""
    ended = []

    class Slow(Reactor):
        @step(timeout=5, retry=Retry(2, base=1, jitter=False))
        async def output(self) -> int:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(2)
                ended.append(asyncio.get_running_loop().time())
            return 1

    outcome, failures = await ran(Slow())
    assert outcome.error.is_a(TimeoutError)
    assert [attempt for _, _, attempt, _, _ in failures] == [1, 2]
    assert ended[1] - ended[0] == 8


# ---- flags -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("said", "begins"), [(True, True), (False, False), (1, True), ("", False), ([], False)])
async def test_a_flag_is_its_truth(said, begins):
    """Whatever a sloppy step returns: it is asked once."""

    class Flagged(Reactor):
        @step
        async def flag(self) -> bool:
            return said

        @step(when=flag)
        async def gift(self) -> str:
            return "gift"

        @step
        async def output(self, gift: str | None = gift.result) -> str:
            return gift or "none"

    outcome, _ = await ran(Flagged())
    assert outcome.value == ("gift" if begins else "none")


async def test_a_flag_that_has_no_truth_fails_its_step():
    """Never the driver."""

    class Unsure:
        def __bool__(self):
            raise Boom("do not ask me")

    class Flagged(Reactor):
        @step
        async def flag(self) -> bool:
            return Unsure()

        @step(when=flag)
        async def gift(self) -> str:
            return "gift"

        @step
        async def output(self, gift: str | None = gift.result) -> str:
            return gift or "none"

    outcome, _ = await ran(Flagged())
    assert isinstance(outcome, Failed)
    assert (outcome.step, outcome.error.kind) == ("flag", "Boom")
