"""What whoever watches a run sees of its record: public events, in order, then live."""

import json

import pytest

from reactor import Engine, Reactor, map_over, step
from reactor.define.failing import Failure, Frame
from reactor.machine import events as facts
from reactor.machine.events import RollbackFailed
from reactor.run.observe import Event, tell

pytestmark = pytest.mark.anyio
FAILURE = Failure("Boom", "it broke", ("x.Boom",), 2, (Frame("shop.py", 1, "a", ""), Frame("shop.py", 7, "pay", "raise")), ("note",))


# ---- one event ------------------------------------------------------------------------------------------------------------


def test_an_event_says_which_fact():
    """Its place, its time, its kind, and whose it is."""
    event = Event("shop:1", 3, facts.CallStarted(12.5, "pay", "undo", 2))
    assert (event.run_id, event.seq, event.at, event.kind, event.address) == ("shop:1", 3, 12.5, "call_started", "pay")
    assert (event.call, event.attempt, event.detail) == ("undo", 2, {})
    assert repr(event) == "<Event 3 call_started pay undo 2>"


def test_an_event_of_the_run_itself_has_no_address():
    """Nor a call."""
    event = Event("shop:1", 1, facts.RunEnded(1.0, "", "failed", "because"))
    assert (event.address, event.call, event.attempt) == (None, None, None)
    assert event.detail == {"status": "failed", "reason": "because"}


@pytest.mark.parametrize(
    ("fact", "detail"),
    [
        (facts.CallFailed(1.0, "a", "do", 2, FAILURE, 5.0), {"failure": "Boom", "next_in": 5.0}),
        (facts.CallFailed(1.0, "a", "do", 2, FAILURE), {"failure": "Boom"}),
        (facts.MapOpened(1.0, "a", 3), {"total": 3}),
        (facts.MapOpened(1.0, "a"), {}),
        (facts.BatchStarted(1.0, "a", 0, 0, 3), {"batch": 0, "first": 0, "size": 3}),
        (facts.Skipped(1.0, "a", "value", "raised"), {"reason": "raised"}),
        (facts.Compensated(1.0, "a", "try_again", None, 2.0), {"verdict": "try_again", "after": 2.0}),
        (facts.ChildOpened(1.0, "a", "payment", "inputs"), {"reactor": "payment"}),
        (facts.StopRequested(1.0, "", "cancel", "because"), {"mode": "cancel", "reason": "because"}),
        (facts.UndoRequested(1.0, "", ("a", "b"), "superseded"), {"keep": ["a", "b"], "then": "superseded"}),
        (facts.Kept(1.0, "a", "value", child=object()), {"skipped": False}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_the_detail_is_what_else_a_fact_says(fact, detail):
    """Never a value, an input or an object of ours; what is not said is left out."""
    shown = Event("shop:1", 1, fact).detail
    if "failure" in shown:
        assert shown["failure"] == {"kind": "Boom", "message": "it broke", "attempt": 2, "file": "shop.py", "line": 7}
        shown = {**shown, "failure": "Boom"}
    assert shown == detail


def test_what_is_stuck_is_shown_in_full():
    """A failure inside a fact is plain data at any depth."""
    settled = facts.BatchSettled(1.0, "a", 0, 2, 1, 2, FAILURE, "a[1]", (RollbackFailed("a[0]", "undo", FAILURE),), "enough")
    detail = Event("shop:1", 1, settled).detail
    assert detail["stuck"][0]["address"] == "a[0]"
    assert detail["stuck"][0]["failure"]["kind"] == "Boom"
    assert detail["halted"] == "enough"


def test_a_failure_without_frames_has_no_line():
    """None, not an error."""
    shown = Event("shop:1", 1, facts.CallFailed(1.0, "a", "do", 1, Failure("Boom", "it"))).detail["failure"]
    assert (shown["file"], shown["line"]) == (None, None)


async def test_every_event_of_a_run_is_ready_for_json():
    """Whatever its steps return, and however it ends."""

    class Shows(Reactor):
        thing: object = None

        @step
        async def made(self) -> object:
            return object()

        @map_over([1, 2], on_error="collect")
        async def some(self, one: int) -> int:
            return 1 // (one - 1)

        @step(after=[made, some])
        async def output(self) -> int:
            raise OSError("no")

    seen = []
    async with Engine(observers=[seen.append]) as engine:
        await engine.run(Shows(), tags=["vip"], deadline=60)
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    for event in seen:
        json.dumps(event.detail)
    assert seen[0].detail["tags"] == ["vip"]


# ---- observers ----------------------------------------------------------------------------------------------------------------


def test_all_observers_are_told_though_one_raises(caplog):
    """In order; whatever it raises."""
    seen = []

    def leaves(_event):
        raise SystemExit

    event = Event("shop:1", 1, facts.RunStarted(0.0, ""))
    tell([seen.append, leaves, seen.append], event)
    assert seen == [event, event]
    assert "an observer of shop:1 raised" in caplog.text


async def test_an_observer_sees_what_is_on_record():
    """In order, each once, before anybody who waits for the run; not what an append that failed would have said."""
    seen = []
    async with Engine(observers=[lambda event: seen.append((event.run_id, event.seq, event.kind))]) as engine:

        class Plain(Reactor):
            @step
            async def output(self) -> int:
                return len(seen)

        run = await engine.start(Plain(), id="p")
        assert await run.result() == 2, "its start is on record before it begins"
        assert seen == [("Plain:p", event.seq, event.kind) async for event in run.events()]


async def test_an_observer_that_raises_is_logged_and_ignored(caplog):
    """Neither the run nor the other observers feel it."""
    seen = []

    class Plain(Reactor):
        @step
        async def output(self) -> int:
            return 1

    async with Engine(observers=[lambda _: 1 // 0, seen.append]) as engine:
        outcome = await engine.run(Plain(), id="p")
    assert outcome.value == 1
    assert [event.kind for event in seen] == ["run_started", "call_started", "call_succeeded", "run_ended"]
    assert caplog.text.count("an observer of Plain:p raised") == 4
    assert "ZeroDivisionError" in caplog.text
