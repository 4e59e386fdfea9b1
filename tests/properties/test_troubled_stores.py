"""Random runs on all three stores: forgetting after every append, while the store is in trouble, and while the process that drives dies."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from reactor import Cancelled, Failed, Succeeded
from reactor.machine.events import CallCut, CallStarted
from reactor.testing import run_virtual
from reactor.testing.forgetting import Forgetting
from tests.places import PLACES, place_of
from tests.properties.model import Story, foreseeable, steady, stories
from tests.properties.oracle import Judge, fate_of
from tests.properties.playing import start_over
from tests.properties.running import Told, Watching, built, ended, first_failure, state_of, tell
from tests.properties.test_random_runs import foreseen, judged, seeds
from tests.properties.trouble import Troubled, kill, patiently, troubles

if TYPE_CHECKING:
    from tests.places import Place

pytestmark = pytest.mark.timeout(900)  # many runs in one test, on whatever machine
EXAMPLES = {kind: count * settings.default.max_examples // 100 for kind, count in {"memory": 40, "sqlite": 15, "redis": 15}.items()}
quietly = list(HealthCheck)
steadily = st.builds(Story, foreseeable.map(lambda story: steady(story.graph)), st.none(), st.sampled_from([1, 2, 1000, 1000]))


class OnlyFacts(Forgetting):
    """It keeps its sources open, so that nothing comes at another turn of the loop."""

    sources = False


@pytest.fixture(params=PLACES)
def kind(request: pytest.FixtureRequest) -> str:
    """Of the store."""
    return str(request.param)


def facts_of(told: Told) -> dict[str, list[tuple[str, str]]]:
    """What is on record, whatever came first of what came at once."""
    return {record.name: sorted((type(fact).__name__, fact.address) for fact in record.facts()) for record in told.records}


@settings(suppress_health_check=quietly)
@given(stories)
def test_a_run_that_forgets_is_the_same_run(story):
    """All memory dropped after every append and read back: the outcome, the value, the undos in their order and the facts are the same."""
    live, told = tell(story), tell(story, forgets=OnlyFacts)
    judged(story, told)
    assert (told.status, told.value, first_failure(told)) == (live.status, live.value, first_failure(live))
    assert undone(told) == undone(live)
    assert facts_of(told) == facts_of(live)


def test_it_may_forget_on_every_store(kind):
    """A store that takes time lets things come in another order: the run still ends as its graph says, and breaks no rule."""

    @settings(max_examples=EXAMPLES[kind], suppress_health_check=quietly)
    @given(foreseeable)
    def look(story: Story) -> None:
        live, told = tell(story), tell(story, kind=kind, forgets=Forgetting)
        foreseen(story, told)
        judged(story, told)
        if len(fate_of(story.graph).failing) < 2:
            assert (told.status, told.value, first_failure(told)) == (live.status, live.value, first_failure(live))

    look()


def test_it_may_be_cancelled_while_it_forgets(kind):
    """Its sources are opened again and skipped forward when the cancel comes: nothing begins after it, and nothing stays open."""

    @settings(max_examples=EXAMPLES[kind], suppress_health_check=quietly)
    @given(stories, seeds)
    def look(story: Story, seed: int | None) -> None:
        told = tell(story, seed=seed, kind=kind, forgets=Forgetting)
        judged(story, told)
        assert told.tasks_left == 0
        if isinstance(told.outcome, Cancelled):
            assert [line.path for line in told.trace.lines if line.what == "do" and line.at > story.cancel_at] == []

    look()


def undone(told: Told) -> list[str]:
    """What was undone, in order."""
    return [line.path for line in told.trace.lines if line.what == "undone"]


def test_a_store_in_trouble_changes_nothing(kind):
    """Replies are lost, the store is away: the run ends as its graph says, no call is made twice for it, and its record is its life."""

    @settings(max_examples=EXAMPLES[kind], suppress_health_check=quietly)
    @given(foreseeable, troubles("lost", "away"))
    def look(story: Story, trouble: list[Any]) -> None:
        with place_of(kind) as place:
            told = run_virtual(_in_trouble(story, place, Troubled(trouble)))
        foreseen(story, told)
        judged(story, told)
        for record in told.records:
            assert not record.is_whole or state_of(record.replayed()) == state_of(record.live)

    look()


async def _in_trouble(story: Story, place: Place, troubled: Troubled) -> Told:
    trace, watching = start_over(), Watching()
    place.wrapped = troubled.wrap
    reactor = built(story.graph)
    async with place.engine(reactors=[reactor], concurrency=story.concurrency, lease=15, sweep=True) as engine:
        watching.watch(engine._host)
        run = await patiently(lambda: engine.start(reactor(), id="r"))
        outcome = await patiently(run.outcome)
        troubled.kinds.clear()
        return await ended(run, outcome, trace, watching)


def test_whoever_drives_may_die(kind):
    """Killed at any question to the store, robbed of any record: others go on, and U1 to U3 hold of what was called."""

    @settings(max_examples=EXAMPLES[kind], suppress_health_check=quietly)
    @given(steadily, troubles("lost", "away", "killed", "killed", "stolen"))
    def look(story: Story, trouble: list[Any]) -> None:
        with place_of(kind) as place:
            told, in_flight = run_virtual(_killed(story, place, Troubled(trouble)))
        for line in told.trace.lines:
            note(f"{line.at:6.2f} {line.what} {line.path}")
        promised(story, told, in_flight)
        for record in told.records:
            assert not record.is_whole or state_of(record.replayed()) == state_of(record.live)

    look()


async def _killed(story: Story, place: Place, troubled: Troubled) -> tuple[Told, int]:
    trace, watching, in_flight = start_over(), Watching(), 0
    place.wrapped = troubled.wrap
    reactor = built(story.graph)
    while True:
        troubled.killing.clear()
        engine = await place.engine(reactors=[reactor], concurrency=story.concurrency, lease=15, sweep=True).__aenter__()
        watching.watch(engine._host)
        driving = asyncio.ensure_future(_driven(engine, reactor))
        dying = asyncio.ensure_future(troubled.killing.wait())
        await asyncio.wait([driving, dying], return_when=asyncio.FIRST_COMPLETED)
        if driving.done():
            dying.cancel()
            run, outcome = driving.result()
            troubled.kinds.clear()
            told = await ended(run, outcome, trace, watching)
            await engine.__aexit__(None, None, None)
            return told, in_flight
        in_flight += sum(len(driver.flights) for driver in engine._host.drivers.values())
        session = engine._host.session.id
        await kill(engine)
        with suppress(asyncio.CancelledError):
            await driving
        outside = await place.outside()
        await outside.close_session(session)
        await outside.close()


async def _driven(engine: Any, reactor: Any) -> tuple[Any, Any]:
    run = await patiently(lambda: engine.start(reactor(), id="r"))
    return run, await patiently(run.outcome)


def promised(story: Story, told: Told, in_flight: int) -> None:
    """The outcome that was foreseen; each call was on record before it began, and was not over there; what succeeded was undone."""
    fate = fate_of(story.graph)
    note(f"{told.outcome!r}, foreseen {fate}, {in_flight} in flight")
    if fate.failing:
        assert isinstance(told.outcome, Failed)
        assert told.outcome.step in fate.failing
        assert _left(story, told) == []
    else:
        assert isinstance(told.outcome, Succeeded)
        assert told.value == fate.value
    for record in told.records:
        facts = record.facts()
        begun = [one for one in told.trace.begun if one.record == record.name]
        for one in begun:
            before = [fact for fact in facts[: one.seq] if fact.address == one.address and getattr(fact, "call", one.call) == one.call]
            starts = [at for at, fact in enumerate(before) if isinstance(fact, CallStarted) and fact.attempt == one.attempt]
            assert starts, f"{one} began before it was on record"
            assert all(isinstance(fact, CallStarted | CallCut) or _is_cancel(fact) for fact in before[starts[-1] :]), f"{one} was over"
        starts = sum(isinstance(fact, CallStarted) for fact in facts)
        assert len(begun) <= starts


def _is_cancel(fact: Any) -> bool:
    return type(fact).__name__ == "CallCancelled"


def _left(story: Story, told: Told) -> list[str]:
    """What succeeded last and was not undone after."""
    judge = Judge(story, told.trace, dead=True)
    paths = [
        path for scope in judge.scopes for node in scope.graph.nodes if node.undo != "no" for path, _ in judge._occurrences(scope, node)
    ]
    lasts = {path: judge.exactly(path, "ok", "undone") for path in paths}
    return [path for path, at in lasts.items() if at and told.trace.lines[at[-1]].what == "ok"]
