"""What whoever watches a run sees of its record: public events, in order, then live."""

import asyncio
import json

import pytest

from reactor import Engine, Reactor, map_over, step
from reactor.define.failing import Failure, Frame
from reactor.machine import events as facts
from reactor.machine.events import RollbackFailed
from reactor.run.observe import Event, Record

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


# ---- the record ------------------------------------------------------------------------------------------------------------


def started(at=0.0):
    """Any fact."""
    return facts.RunStarted(at, "")


def ended():
    """The last."""
    return facts.RunEnded(9.0, "", "succeeded")


async def read(record, after=0):
    """All that a reader gets until the end."""
    return [(event.seq, event.kind) async for event in record.read(after)]


async def test_a_record_is_read_from_its_beginning_to_its_end():
    """By seq, from 1."""
    record = Record("shop:1")
    record.append(started())
    record.append(facts.CallStarted(1.0, "a"))
    record.append(ended())
    assert await read(record) == [(1, "run_started"), (2, "call_started"), (3, "run_ended")]


@pytest.mark.parametrize(("after", "seqs"), [(-5, [1, 2, 3]), (0, [1, 2, 3]), (2, [3]), (3, []), (99, [])])
async def test_a_reader_begins_past_a_seq(after, seqs):
    """Who was interrupted goes on where he was; past the end there is nothing."""
    record = Record("shop:1")
    for fact in (started(), facts.CallStarted(1.0, "a"), ended()):
        record.append(fact)
    assert [seq for seq, _ in await read(record, after)] == seqs


async def test_a_reader_waits_for_what_comes():
    """Live: each event as it is recorded, to every reader, until the run ends."""
    record = Record("shop:1")
    record.append(started())
    readers = [asyncio.ensure_future(read(record, after)) for after in (0, 0, 1)]
    for fact in (facts.CallStarted(1.0, "a"), facts.CallSucceeded(1.0, "a"), ended()):
        await asyncio.sleep(1)
        record.append(fact)
    assert [len(await reader) for reader in readers] == [4, 4, 3]


async def test_several_events_at_once_are_all_read():
    """A reader that was woken once reads all that came since."""
    record = Record("shop:1")
    reader = asyncio.ensure_future(read(record))
    await asyncio.sleep(1)
    for fact in (started(), facts.CallStarted(1.0, "a"), ended()):
        record.append(fact)
    assert len(await reader) == 3


async def test_a_reader_that_left_disturbs_nobody():
    """It was cancelled while it waited."""
    record = Record("shop:1")
    gone, stays = (asyncio.ensure_future(read(record)) for _ in range(2))
    await asyncio.sleep(1)
    gone.cancel()
    await asyncio.sleep(1)
    record.append(started())
    record.append(ended())
    assert len(await stays) == 2


async def test_a_record_that_is_closed_ends_its_readers():
    """The engine let go of the run: what was recorded is read, and nothing is waited for."""
    record = Record("shop:1")
    record.append(started())
    reader = asyncio.ensure_future(read(record))
    await asyncio.sleep(1)
    record.closed = True
    record.wake()
    assert await reader == [(1, "run_started")]
    assert await read(record) == [(1, "run_started")]


async def test_a_run_that_goes_on_after_its_end_is_read_on():
    """An undo was asked for: its events come live, to its second end."""

    class Undoes(Reactor):
        @step
        async def output(self) -> int:
            return 1

        @output.undo
        async def undo_output(self, value: int) -> None:
            await asyncio.sleep(1)

    async with Engine() as engine:
        run = await engine.start(Undoes())
        first = [event.kind async for event in run.events()]
        await run.undo()
        second = [event.kind async for event in run.events(after=len(first))]
    assert first[-1] == second[-1] == "run_ended"
    assert second == ["undo_requested", "call_started", "undone", "run_ended"]


# ---- observers ----------------------------------------------------------------------------------------------------------------


async def test_an_observer_sees_each_event_as_it_is_recorded():
    """Before what follows from it begins."""
    seen = []
    record = Record("shop:1", [lambda event: seen.append((event.seq, len(record.facts)))])
    record.append(started())
    record.append(ended())
    assert seen == [(1, 1), (2, 2)]


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
