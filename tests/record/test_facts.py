"""Events go to bytes and come back the same; what no release of ours wrote is refused, what a newer one added is passed over."""

import time

import msgspec
import pytest

from reactor.define.failing import Failure, Frame
from reactor.errors import Incompatible
from reactor.machine import events
from reactor.record import facts
from reactor.record.facts import KNOWN, VALUED, decode, encode

FAILURE = Failure(
    "Boom", "no", ("a.Boom", "builtins.Exception"), 2, (Frame("f.py", 3, "go", "go()"),), ("note",), {"x": "1"}, "code", "> go()"
)
STUCK = (events.RollbackFailed("a", "undo", FAILURE),)
SAMPLES = [
    events.CallStarted(1.5, "price", "undo", 3),
    events.CallSucceeded(1.5, "price"),
    events.CallFailed(1.5, "ship[3].label", "do", 2, FAILURE, 0.25),
    events.CallFailed(1.5, "a", "compensate", 1, FAILURE),
    events.Skipped(1.5, "a", None, "raised"),
    events.Compensated(1.5, "a", "try_again", None, 2.0),
    events.Undone(1.5, "a"),
    events.Halted(1.5, "a", "enough"),
    events.ChildOpened(1.5, "pay", "card-payment"),
    events.Closed(1.5, "pay"),
    events.MapOpened(1.5, "ship", None),
    events.BatchStarted(1.5, "ship", 2, 100, 50),
    events.SourceEnded(1.5, "ship", FAILURE),
    events.BatchSettled(1.5, "ship", 2, 49, 1, 49, FAILURE, "ship[107]", STUCK, "enough"),
    events.BatchUndoStarted(1.5, "ship", 2),
    events.BatchUndone(1.5, "ship", 2, STUCK),
    events.CallCancelled(1.5, "a", "late"),
    events.StopRequested(1.5, "", "deadline", "too late"),
    events.UndoRequested(1.5, "", ("a", "b"), "superseded"),
    events.RollbackRetried(1.5, ""),
    events.Kept(1.5, "a", None, True),
    events.RunStarted(1.5, "", "shop:1", "shop", 3, "f00d", None, 99.5, 30.0, ("vip",), 0, 0),
    events.RunEnded(1.5, "", "stuck", "why"),
]


def named(event):
    """A test's id: pytest wants no two alike."""
    return f"{type(event).__name__} {SAMPLES.index(event)}"


def test_there_is_a_sample_of_every_event():
    """So that a new kind cannot be forgotten here."""
    assert {type(sample) for sample in SAMPLES} == set(KNOWN.values())


@pytest.mark.parametrize("event", SAMPLES, ids=named)
def test_an_event_comes_back_as_it_was(event):
    """Every field, of every kind."""
    again, value = decode(encode(event))
    assert again == event
    assert value in (b"", b"\xc0")


@pytest.mark.parametrize("event", [sample for sample in SAMPLES if type(sample) in VALUED], ids=named)
def test_a_value_stays_raw(event):
    """Its bytes are kept as they were given, and nothing is decoded without its type."""
    given = msgspec.msgpack.encode({"at": [1, "x", None, b"\x00"]})
    again, value = decode(encode(event, given))
    assert again == event
    assert value == given


def test_fields_of_a_newer_release_are_passed_over():
    """A rolling upgrade reads what its newer neighbours wrote."""
    assert decode(msgspec.msgpack.encode(["undone", 1.5, "a", "new", {"newer": 1}])) == (events.Undone(1.5, "a"), b"")


def test_fields_that_an_older_release_did_not_write_have_their_default():
    """Fields are only ever appended."""
    assert decode(msgspec.msgpack.encode(["call_started", 1.5, "a"]))[0] == events.CallStarted(1.5, "a")


def test_an_older_form_is_brought_up(monkeypatch):
    """By its tag, before it is read."""
    monkeypatch.setitem(facts.UPCASTS, "undone", lambda fields: [fields[1], fields[0]])
    assert decode(msgspec.msgpack.encode(["undone", "a", 1.5]))[0] == events.Undone(1.5, "a")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x90",
        msgspec.msgpack.encode(["never_heard_of", 1.5, "a"]),
        msgspec.msgpack.encode(["undone", "when", "a"]),
        msgspec.msgpack.encode(["undone"]),
        msgspec.msgpack.encode({"t": "undone"}),
        b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07os.path\x94.",  # a pickle
        encode(SAMPLES[2])[:-5],
    ],
    ids=[f"no {number}" for number in range(9)],
)
def test_what_is_no_event_is_refused(data):
    """With an error of its own; nothing is guessed, and nothing in the data is ever run."""
    with pytest.raises(Incompatible, match="unreadable-event"):
        decode(data)


def test_reading_is_linear():
    """Ten times the events take about ten times as long, in processor time."""
    few = [encode(SAMPLES[1], b"\x07"), encode(SAMPLES[0])] * 500

    def seconds(data):
        begun = time.process_time()
        for one in data:
            decode(one)
        return time.process_time() - begun

    seconds(few)
    assert min(seconds(few * 10) for _ in range(3)) < 20 * min(seconds(few) for _ in range(5))
