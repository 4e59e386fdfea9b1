"""The facts of a run: what a store will have to write, and read back as the same facts."""

from functools import reduce
from operator import or_

import msgspec
import pytest

from reactor.define.failing import Failure, Frame
from reactor.machine import events
from reactor.machine.events import Event, RollbackFailed

FAILURE = Failure("Boom", "it broke", ("tests.Boom",), 2, (Frame("shop.py", 3, "pay", "raise Boom"),), ("a note",), {"amount": "3"})
STUCK = (RollbackFailed("ship[0]", "undo", FAILURE),)
FACTS = [
    events.CallStarted(1.0, "a", "undo", 3),
    events.CallSucceeded(1.0, "a", [1, "two"]),
    events.CallFailed(1.0, "a", "compensate", 2, FAILURE, 0.5),
    events.Skipped(1.0, "a", 3, "raised"),
    events.Compensated(1.0, "a", "try_again", None, 2.5),
    events.Undone(1.0, "a"),
    events.Halted(1.0, "a", "enough"),
    events.ChildOpened(1.0, "a", "payment", {"amount": 3}),
    events.Closed(1.0, "a", 3),
    events.MapOpened(1.0, "a", 3),
    events.BatchStarted(1.0, "a", 0, 0, 3),
    events.SourceEnded(1.0, "a", FAILURE),
    events.BatchSettled(1.0, "a", 0, 2, 1, 2, FAILURE, "a[1]", STUCK, "enough"),
    events.BatchUndoStarted(1.0, "a", 0),
    events.BatchUndone(1.0, "a", 0, STUCK),
    events.CallCancelled(1.0, "a", "told"),
    events.StopRequested(1.0, "", "abandon", "because"),
    events.UndoRequested(1.0, "", ("a", "b"), "superseded"),
    events.RollbackRetried(1.0, ""),
    events.Kept(1.0, "a", 3, skipped=True),
    events.RunStarted(1.0, "", "shop:1", "shop", 3, "f00", {"id": "o-1"}, 9.0, 5.0, ("vip",), 100, 10),
    events.RunEnded(1.0, "", "stuck", "because"),
]
KINDS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event]
ANY = msgspec.msgpack.Decoder(reduce(or_, KINDS))


def test_every_kind_of_fact_is_tried_here():
    """A fact that is added to the machine is added to the list above."""
    assert {type(fact) for fact in FACTS} == set(KINDS)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_a_fact_survives_its_bytes(fact):
    """The union of all facts is told apart by tag: what is written comes back as the same fact."""
    assert ANY.decode(msgspec.msgpack.encode(fact)) == fact


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_facts_tag_is_its_name(kind):
    """`call_started` for `CallStarted`: the word that observers and records see, and no two facts share it."""
    spelt = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__).lstrip("_")
    assert kind.__struct_config__.tag == spelt


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_fact_begins_with_when_and_where(kind):
    """Time and address come first in every fact, so that a reader of bytes needs to know no kind to find them."""
    assert kind.__struct_fields__[:2] == ("at", "address")


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_a_fact_never_changes(fact):
    """What happened has happened."""
    with pytest.raises(AttributeError):
        fact.address = "elsewhere"
