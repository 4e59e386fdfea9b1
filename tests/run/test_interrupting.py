"""Where a signal meets a driver: at the very moments at which it could be forgotten, taken twice, or come too late, on every store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from reactor import (
    Ask,
    Continue,
    Failed,
    NotWaiting,
    Parked,
    PayloadInvalid,
    Reactor,
    Results,
    RunConflict,
    StepError,
    Succeeded,
    TryAgain,
    compose,
    interrupt,
    map_over,
    step,
)
from reactor.plan.compile import plan_of
from reactor.record import facts
from reactor.record.sealing import Sealer
from reactor.record.words import Message
from reactor.run.payloads import encoded
from reactor.run.sighting import Lookout
from reactor.run.signalling import Signalling
from reactor.testing.forgetting import Forgetting
from tests.places import PLACES, place_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.places import Place

pytestmark = pytest.mark.anyio


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """An empty store."""
    with place_of(request.param) as made:
        yield made


class Gate(Reactor):
    """before → go (an interrupt) → output."""

    key: str | None = None

    @step
    async def before(self) -> int:
        return 1

    @interrupt(after=[before])
    async def go(self) -> Ask[int]:
        return Ask(self.key)

    @step
    async def output(self, go: int = go.result) -> int:
        return go


class Hurry(Reactor):
    """go (an interrupt of an hour, 0 where nobody answers) → output."""

    @interrupt(timeout=3600)
    async def go(self) -> Ask[int]:
        return Ask("hurry")

    @go.compensate
    async def default(self, error: StepError) -> Continue[int]:
        return Continue(0)

    @step
    async def output(self, go: int = go.result) -> int:
        return go


async def sent(store: Any, payload: int, of: Any = Gate.go, **to: Any) -> str:
    """A signal by a process that drives nothing: its answer, or the code of what it raises."""
    lookout = Lookout(store, {}, plan_of, of.owner)
    one = Signalling(store, lookout, of, Sealer((), plain=True), lambda _: None)
    address = {"run_id": None, "correlation_id": None, "delivery_id": None} | to
    return (await one.send(lambda: encoded(of, payload), **address)).status


class Between:
    """A store that lets something happen just before, or just after, one of its calls: once."""

    def __init__(self, store: Any, name: str, when: Callable[..., bool], *, before: Any = None, after: Any = None) -> None:
        self._store = store
        self._name = name
        self._when = when
        self._before, self._after = before, after
        self.happened = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._call(found) if name == self._name else found

    def _call(self, found: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **options: Any) -> Any:
            now = not self.happened and self._when(*args, **options)
            self.happened += now
            if now and self._before is not None:
                await self._before(self._store)
            answer = await found(*args, **options)
            if now and self._after is not None:
                await self._after(self._store)
            return answer

        return call


def parks(append: Any) -> bool:
    """Whether an append gives the record back to wait for a signal."""
    return append.release and append.status == "parked"


async def kinds(store: Any, run: str) -> list[str]:
    """The facts of a record."""
    return [type(facts.decode(data)[0]).__name__ for data in (await store.load(run)).events]


# ---- nothing is forgotten ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("to", [{"run_id": "Gate:1"}, {"correlation_id": "k"}], ids=["run", "correlation"])
async def test_a_signal_between_the_last_look_and_the_park_is_never_forgotten(place, moment, to):
    """Delivered just before the park is written, the park is refused and the mail read; just after it, the record is due at once."""
    answers = []

    async def signal(store) -> None:
        answers.append(await sent(store, 7, **to))

    place.wrapped = lambda store: Between(store, "append", parks, **{moment: signal})
    async with place.engine(reactors=[Gate]) as engine:
        run = await engine.start(Gate(key="k"), id="1")
        assert await run.result(timeout=60) == 7
        assert engine._host.store.happened == 1
        assert answers[0] in ("early", "accepted")
        assert (await kinds(engine._host.store, "Gate:1")).count("Answered") == 1


async def test_a_signal_before_the_interrupt_is_on_record_is_never_forgotten(place):
    """By correlation id, after the registry was opened and before the fact that asks was written."""

    async def signal(store) -> None:
        assert await sent(store, 7, correlation_id="k") == "early"

    place.wrapped = lambda store: Between(store, "open_wait", lambda *_: True, after=signal)
    async with place.engine(reactors=[Gate]) as engine:
        assert await engine.run(Gate(key="k"), id="1") == Succeeded(7, "Gate:1")


async def test_a_signal_just_before_the_registry_is_opened_is_never_forgotten(place):
    """It is kept for the id, and handed over as it is opened."""

    async def signal(store) -> None:
        assert await sent(store, 7, correlation_id="k") == "early"

    place.wrapped = lambda store: Between(store, "open_wait", lambda *_: True, before=signal)
    async with place.engine(reactors=[Gate]) as engine:
        assert await engine.run(Gate(key="k"), id="1") == Succeeded(7, "Gate:1")


async def test_the_registry_is_opened_while_a_signal_is_kept(place):
    """Whoever kept it too late is told that it is open, looks again, and finds the run."""

    async def opens(_store) -> None:
        await engine.start(Gate(key="k"), id="1")
        await asyncio.sleep(1)

    async with place.engine(reactors=[Gate]) as engine:
        slow = Between(engine._host.store, "keep_early", lambda *_: True, before=opens)
        assert await sent(slow, 7, correlation_id="k") == "accepted"
        assert slow.happened == 1
        assert await (await engine.get(Gate, "1")).result(timeout=60) == 7


async def test_two_senders_that_both_saw_it_open(place):
    """The second one's message is not left: it is told what the first one's says, before and after that is read."""
    async with place.engine(reactors=[Gate]) as engine:
        store = engine._host.store
        await engine.run(Gate(), id="1")

        async def first(inner) -> None:
            assert await sent(inner, 7, run_id="Gate:1") == "accepted"

        slow = Between(store, "deliver", lambda *_, **__: True, before=first)
        assert await sent(slow, 7, run_id="Gate:1") == "duplicate"
        await engine.run(Gate(), id="2")

        async def first_and_read(inner) -> None:
            assert await sent(inner, 7, run_id="Gate:2") == "accepted"
            assert await (await engine.get(Gate, "2")).result(timeout=60) == 7

        slow = Between(store, "deliver", lambda *_, **__: True, before=first_and_read)
        with pytest.raises(RunConflict) as caught:
            await sent(slow, 8, run_id="Gate:2")
        assert caught.value.code == "other-answer"


# ---- time ---------------------------------------------------------------------------------------------------------


async def test_what_was_accepted_before_the_deadline_wins(place):
    """The message lies there when the time goes by, and nobody has read it: it is read before the clock is obeyed."""
    async with place.engine(reactors=[Hurry]) as engine:
        assert isinstance(await engine.run(Hurry(), id="1"), Parked)
        await asyncio.sleep(3599)
        assert await sent(engine._host.store, 7, Hurry.go, run_id="Hurry:1") == "accepted"
        await asyncio.sleep(10)
        assert await (await engine.get(Hurry, "1")).result(timeout=60) == 7


async def test_after_the_deadline_nobody_waits(place):
    """Also where nobody has obeyed the clock yet: no engine was open."""
    async with place.engine(reactors=[Hurry]) as engine:
        assert isinstance(await engine.run(Hurry(), id="1"), Parked)
    async with place.engine() as other:
        await asyncio.sleep(3601)
        for to in ({"run_id": "Hurry:1"}, {"correlation_id": "hurry"}):
            with pytest.raises(NotWaiting):
                await sent(other._host.store, 7, Hurry.go, **to)
    async with place.engine(reactors=[Hurry]) as engine:
        assert await (await engine.get(Hurry, "1")).result(timeout=7200) == 0
        with pytest.raises(NotWaiting):
            await engine.signal(Hurry.go, 7, run_id="Hurry:1")


async def test_a_signal_that_was_late_on_its_way_learns_the_verdict(place):
    """Sent in time, it lands after the deadline: it is accepted only if the run takes it, and is told so."""

    async def dawdle(_store) -> None:
        await asyncio.sleep(7200)

    async with place.engine(reactors=[Hurry]) as engine:
        run = await engine.start(Hurry(), id="1")
        await run.outcome()
        slow = Between(engine._host.store, "deliver", lambda *_, **__: True, before=dawdle)
        with pytest.raises(NotWaiting):
            await sent(slow, 7, Hurry.go, run_id="Hurry:1")
        assert await run.result(timeout=60) == 0


# ---- what comes of odd ones ---------------------------------------------------------------------------------------


class Odd(Reactor):
    """An interrupt whose method returns what a test says."""

    @interrupt
    async def output(self) -> Ask[int]:
        return odd[0]


odd: list[Any] = []


@pytest.mark.parametrize(
    ("ask", "kind"),
    [(3, "ReactorError"), (Ask(""), "ReactorError"), (Ask("x" * 201), "ReactorError"), (Ask(show=object()), "ResultNotStorable")],
    ids=["no ask", "empty id", "long id", "show"],
)
async def test_what_cannot_be_asked_fails_the_interrupt(place, ask, kind):
    """Loudly, and before anybody could answer."""
    odd[:] = [ask]
    async with place.engine(reactors=[Odd]) as engine:
        outcome = await engine.run(Odd(), id="1")
        assert isinstance(outcome, Failed)
        assert outcome.error.kind == kind


async def test_what_is_shown_is_plain_data(place):
    """For whoever answers: it needs no code to be read."""
    odd[:] = [Ask("k", show={"total": 3, "of": ["a", "b"]})]
    async with place.engine(reactors=[Odd]) as engine:
        run = await engine.start(Odd(), id="1")
        await run.outcome()
        asked = [event async for event in until(run, "asked")]
        assert asked[0].detail["show"] == {"total": 3, "of": ["a", "b"]}


async def test_mail_that_nobody_can_read_is_left_aside(place, caplog):
    """Whoever writes to a store cannot stop a run: it is told to the log, and the next signal is taken."""
    async with place.engine(reactors=[Gate]) as engine:
        await engine.run(Gate(), id="1")
        for number, body in enumerate((b"", b"\x80\x04N.", b"\xc1", b"\x93\x01\x02\x03")):
            await engine._host.store.deliver("Gate:1", Message("signal", body), moves=True, operation=f"x{number}")
        assert await sent(engine._host.store, 7, run_id="Gate:1") == "accepted"
        assert await (await engine.get(Gate, "1")).result(timeout=60) == 7
        assert "left aside" in caplog.text


async def until(run, kind):
    """The facts of a run up to the first of this kind."""
    async for event in run.events():
        if event.kind == kind:
            yield event
            return


# ---- with no memory -----------------------------------------------------------------------------------------------


class Long(Reactor):
    """Asks a child, then by itself with little time and two payloads, then each element."""

    @compose
    async def first(self) -> Gate:
        return Gate(key="first")

    @interrupt(timeout=60, attempts=2, after=[first])
    async def second(self) -> Ask[int]:
        return Ask("second")

    @second.compensate
    async def again(self, error: StepError) -> TryAgain:
        return TryAgain(5)

    @map_over([1, 2], batch_size=1)
    async def third(self, number: int, _: int = second.result) -> Gate:
        return Gate(key=f"third {number}")

    @step
    async def output(self, a: int = first.result, b: int = second.result, c: Results[int] = third.result) -> list[int]:
        return [a, b, *await c.all()]


@pytest.mark.parametrize("forgets", [None, Forgetting], ids=["remembers", "forgets"])
async def test_nothing_that_matters_is_in_memory_only(place, forgets):
    """A driver that drops all it knows after each append asks, refuses, times out and is answered as one that remembers."""
    async with place.engine(reactors=[Long], forgets=forgets) as engine:
        run = await engine.start(Long(), id="1")
        assert await steps(run) == ["first.go"]
        assert (await engine.signal(Gate.go, 1, correlation_id="first")).status == "accepted"
        assert await steps(run) == ["second"]
        await asyncio.sleep(61)  # it times out, and is asked again
        for payload in ("a", "b"):  # it is refused twice, and asked again
            assert await steps(run) == ["second"]
            with pytest.raises(PayloadInvalid):
                await engine.signal(Long.second, payload, correlation_id="second")
        await asyncio.sleep(10)
        assert await steps(run) == ["second"]
        assert (await engine.signal(Gate.go, 4, correlation_id="third 2")).status == "early"
        assert (await engine.signal(Long.second, 2, correlation_id="second")).status == "accepted"
        assert await steps(run) == ["third[0].go"]
        assert (await engine.signal(Gate.go, 3, run_id="Long:1")).status == "accepted"
        assert await run.result(timeout=60) == [1, 2, 3, 4]
        facts = await kinds(engine._host.store, "Long:1")
        assert [facts.count(kind) for kind in ("Asked", "Answered", "AnswerRefused")] == [4, 2, 2]


async def steps(run: Any) -> list[str]:
    """What a run waits for."""
    return [one.step for one in (await run.outcome(timeout=60)).waiting]
