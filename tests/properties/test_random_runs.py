"""Random graphs with children, maps, retries, failures, skips and cancels: what must hold of every run, whatever its order of events."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from reactor import Cancelled, Failed, Succeeded
from reactor.machine.events import CallStarted
from reactor.machine.marks import CUT, FORWARD
from reactor.record.facts import decode
from tests.properties.model import Graph, Story, foreseeable, halting, mended, quiet_stories, stories
from tests.properties.oracle import Judge, fate_of
from tests.properties.running import Again, Told, first_failure, rolled_back, state_of, tell, tell_again

pytestmark = pytest.mark.timeout(900)  # many runs in one test, on whatever machine
seeds = st.one_of(st.none(), st.integers(0, 1000))
much = settings(
    max_examples=settings.default.max_examples // 2,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def judged(story: Story, told: Told) -> None:
    """Nothing in the trace is wrong."""
    problems = Judge(story, told.trace, rolled_back(told)).problems()
    for line in told.trace.lines if problems else ():
        note(f"{line.at:6.2f} {line.what} {line.path}")
    assert problems == []
    assert list(begun_late(told)) == []


def begun_late(told: Told) -> Iterator[str]:
    """What began, by the records, when a failure stood around it: nothing does, but a call that a crash had cut off."""
    for record in told.records:
        machine, reading = record.fresh()
        for data in record.data:
            fact = decode(data)[0]
            if isinstance(fact, CallStarted) and fact.call == "do":
                scope, index = machine.state.place(fact.address)
                if scope.phase != FORWARD and scope.marks[index] != CUT:
                    yield f"{fact.address} of {record.name}"
            reading.replay(machine, [data])


def foreseen(story: Story, told: Told) -> None:
    """It ended as the graph alone says it must."""
    fate = fate_of(story.graph)
    note(f"{told.outcome!r}, foreseen {fate}")
    if fate.failing:
        assert isinstance(told.outcome, Failed)
        assert told.outcome.step in fate.failing
    else:
        assert isinstance(told.outcome, Succeeded)
        assert told.value == fate.value


@much
@given(foreseeable, seeds)
def test_a_run_ends_as_its_graph_says(story, seed):
    """Every run ends; it succeeds with the foreseen value, or fails at a step that can fail; and its trace breaks no rule."""
    told = tell(story, seed=seed)
    foreseen(story, told)
    judged(story, told)
    assert told.tasks_left == 0


@much
@given(stories, seeds)
def test_a_run_that_is_cancelled_leaves_no_trace(story, seed):
    """Whenever a cancel comes: nothing begins after it, all that succeeded is undone once, in order, and the run ends."""
    told = tell(story, seed=seed)
    judged(story, told)
    fate = fate_of(story.graph)
    match told.outcome:
        case Succeeded():
            assert told.value == fate.value
            assert not fate.failing
        case Failed():  # before it was cancelled, or because it could not be undone
            assert told.outcome.step in fate.failing or told.outcome.rollback_failures
        case Cancelled():
            late = [line.path for line in told.trace.lines if line.what == "do" and line.at > story.cancel_at]
            assert late == []
            assert told.at < story.cancel_at + 100
        case _:
            raise AssertionError(told.outcome)
    assert told.tasks_left == 0


@much
@given(foreseeable, st.lists(st.integers(0, 1000), min_size=2, max_size=4, unique=True))
def test_the_outcome_does_not_depend_on_the_interleaving(story, orders):
    """Under every order of ready tasks: the same status and value; where one step alone can fail, the same step and the same rollback."""
    alone = len(fate_of(story.graph).failing) == 1
    seen = set()
    for seed in (None, *orders):
        told = tell(story, seed=seed)
        judged(story, told)
        seen.add((type(told.outcome), told.value, first_failure(told) if alone else None))
    note(f"{seen}")
    assert len(seen) == 1


@much
@given(stories, seeds)
def test_replay_of_a_record_is_the_live_state(story, seed):
    """The record of a run, and of each batch, folded by a fresh machine gives the state of the one that was live."""
    for record in tell(story, seed=seed).records:
        assert state_of(record.replayed()) == state_of(record.live)


@much
@given(stories, seeds)
def test_replay_of_any_beginning_is_a_state_that_goes_on(story, seed):
    """Every prefix of a record is a state: it can be replayed, twice alike, and one that has not ended has something that could end it."""
    for record in tell(story, seed=seed).records:
        for count in range(1, len(record.data) + 1, max(1, len(record.data) // 7)):
            assert state_of(record.replayed(count)) == state_of(record.replayed(count))


@much
@given(quiet_stories, seeds)
def test_what_could_not_be_undone_is_listed(story, seed):
    """A failed run is stuck if, and only if, an undo of it failed for good; each is listed by its address."""
    told = tell(story, seed=seed)
    if not isinstance(told.outcome, Failed):
        return
    listed = sorted(failure.step for failure in told.outcome.rollback_failures)
    judge = Judge(story, told.trace, dead=True)
    assert listed == sorted(judge.never_undone())
    assert told.status == ("stuck" if listed else "failed")


@much
@given(stories, st.one_of(st.none(), st.integers(0, 7)), seeds)
def test_a_restarted_run_can_be_undone_as_a_whole(story, place, seed):
    """However a run ended, wherever it is restarted from: what is kept is not called again; in the end each thing is undone, once."""
    graph = mended(story.graph)
    from_step = None if place is None else graph.nodes[place % len(graph.nodes)].name
    again = tell_again(replace(story, graph=graph), restart=True, from_step=from_step, seed=seed)
    for line in again.trace.lines:
        note(f"{line.at:6.2f} {line.what} {line.path}")
    note(f"{again.ended}, from {from_step}")
    assert list(Judge(Story(graph), again.trace, dead=True).left_over()) == []
    assert again.trace.problems == []
    called_again = {line.path for line in again.trace.lines[again.before :] if line.what == "do"}
    assert not called_again & set(kept(graph, again, from_step))


def kept(graph: Graph, again: Again, from_step: str | None) -> Iterator[str]:
    """The steps that a restart keeps for certain: they and all their ancestors are steps that gave results and were not undone."""
    safe: set[int] = set()
    before = [(line.what, line.path) for line in again.trace.lines[: again.before]]
    for node in graph.nodes:
        done = ("ok", node.name) in before and ("undone", node.name) not in before
        if node.kind in ("step", "flag") and done and node.name != from_step and safe >= set(node.parents):
            safe.add(node.index)
            yield node.name


@much
@given(quiet_stories, st.integers(0, 20), seeds)
def test_a_halted_run_stops_and_can_be_undone(story, place, seed):
    """Nothing begins after a Halt, at whatever depth, nothing is left running, and an undo later undoes each thing once."""
    graph = halting(mended(story.graph), place)
    again = tell_again(replace(story, graph=graph), restart=False, seed=seed)
    for line in again.trace.lines:
        note(f"{line.at:6.2f} {line.what} {line.path}")
    note(f"{again.ended}")
    if again.ended[0] == "halted":
        at = next(at for at, line in enumerate(again.trace.lines) if line.what == "halt")
        assert [line.path for line in again.trace.lines[at:] if line.what == "do"] == []
    assert list(Judge(Story(graph), again.trace, dead=True).left_over()) == []


def test_the_strategies_reach_every_corner():
    """What is drawn has all kinds of ends in it: a generator that only made runs that succeed would prove nothing."""
    seen: set[str] = set()

    @settings(max_examples=200, phases=[Phase.generate], database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(stories)
    def look(story: Story) -> None:
        told = tell(story)
        seen.add(type(told.outcome).__name__)
        seen.add(told.status)
        for line in told.trace.lines:
            seen.add(line.what)
            seen.add("in a child" if "#" in line.path else "at the top")
            seen.add("an element" if line.element is not None else "no element")

    look()
    assert seen >= {
        "Succeeded", "Failed", "Cancelled", "stuck", "do", "ok", "skip", "fail", "cancelled", "undo", "undone", "undo failed", "compensate",
        "stands", "continue", "again", "in a child", "an element",
    }  # fmt: skip
