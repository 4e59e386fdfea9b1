"""What must hold after all kills, read from the two witnesses: the ledger, which saw the calls, and the record, which is to survive.

In the record a call is *in flight* when its last fact is its start (or that it was cut off); what comes to light of it in the ledger is
then allowed twice. A call whose failure is on record and which waits to be retried is made again by design.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from reactor.machine.events import BatchStarted, CallCut, CallFailed, CallStarted
from reactor.record import facts
from tests.crash.saga import ITEMS
from tests.crash.witness import end_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reactor.machine.events import Event
    from tests.crash.ledger import Line

PACKS = [f"pack[{number}]" for number in range(ITEMS)]
DONE = ["reserve", "pay", *PACKS, "parcel", "parcel.label", "parcel.output", "approval", "output"]
UNDONE = ["reserve", "pay", *PACKS, "parcel.label", "parcel.output"]
CALLS: dict[str, list[str]] = {  # by story: each call that the world must see, and no other
    "forward": [f"{address}/do" for address in DONE],
    "failing": [f"{address}/do" for address in DONE] + [f"{address}/undo" for address in UNDONE] + ["output/compensate"],
    "cancel": [f"{address}/do" for address in DONE] + [f"{address}/undo" for address in UNDONE] + ["output/compensate"],
    "undo": [f"{address}/do" for address in DONE] + [f"{address}/undo" for address in UNDONE],
}
OUTCOMES = {
    "forward": ("Succeeded", "sent 5: yes", "succeeded"),
    "failing": ("Failed", "output: Declined", "failed"),
    "cancel": ("Cancelled", "not wanted", "cancelled"),
    "undo": ("Undone", "", "undone"),
}
AFTER = [("parcel.output", "parcel.label"), ("parcel.label", "pay"), ("pay", "reserve"), *((pack, "reserve") for pack in PACKS)]


async def records_of(store: Any, run: str) -> dict[str, list[Event]]:
    """The facts of a run, and of all that belongs to it, by record."""
    found: dict[str, list[Event]] = {}
    names = [run]
    while names:
        name = names.pop()
        loaded = await store.load(name)
        if loaded is None:
            continue
        found[name] = [facts.decode(data)[0] for data in loaded.events]
        names += [f"{run}/{fact.address}#{fact.batch}" for fact in found[name] if isinstance(fact, BatchStarted)]
    return found


def call_of(line: Line) -> str:
    """`{run}/{address}/{call}` of a line of the ledger."""
    return line.key.rpartition("/")[0]


class Kept:
    """What the records say of a run's calls at one moment. Names are `{run}/{address}/{call}`."""

    def __init__(self, run: str, records: dict[str, list[Event]]) -> None:
        self.in_flight: set[str] = set()
        self.to_retry: set[str] = set()
        self.ended: set[str] = set()
        self.starts: Counter[tuple[str, int]] = Counter()
        self.after_end: list[str] = []  # what began though its end was there
        for events in records.values():
            for fact in events:
                self._read(run, fact)

    def _read(self, run: str, fact: Event) -> None:
        if isinstance(fact, CallStarted):
            name = f"{run}/{fact.address}/{fact.call}"
            self.starts[name, fact.attempt] += 1
            self.in_flight.add(name)
            self.to_retry.discard(name)
            if name in self.ended:
                self.after_end.append(name)
        elif isinstance(fact, CallCut):
            self.in_flight.add(f"{run}/{fact.address}/{fact.call}")
        elif (end := end_of(fact)) is not None:
            self.in_flight.discard(f"{run}/{end}")
            self.ended.add(f"{run}/{end}")
        elif isinstance(fact, CallFailed):
            name = f"{run}/{fact.address}/{fact.call}"
            self.in_flight.discard(name)
            self.to_retry.add(name)


def u1(lines: Sequence[Line], kept: Kept) -> None:
    """No call begins again after its end was recorded."""
    assert kept.after_end == []
    over: set[str] = set()
    for line in lines:
        if line.what == "recorded":
            over.add(line.key)
        elif line.what == "begin":
            assert call_of(line) not in over, f"{line.key} began again after its end was recorded"


def u2(lines: Iterable[Line]) -> None:
    """Per idempotency key the world sees one distinct effect, and an attempt by one owner is one call."""
    said: dict[str, set[str]] = defaultdict(set)
    begun: Counter[tuple[str, int, int]] = Counter()
    for line in lines:
        if line.what == "begin":
            said[line.key].add(line.said)
            begun[line.key, line.attempt, line.fence] += 1
    assert {key: effects for key, effects in said.items() if len(effects) > 1} == {}
    assert {key: count for key, count in begun.items() if count > 1} == {}


def u3(before: Sequence[Line], after: Sequence[Line], kept: Kept) -> tuple[int, int]:
    """Calls that were made again are at most those in flight at the kill. How many were, and how many could have been."""
    known = {call_of(line) for line in before if line.what == "begin"}
    again = {call_of(line) for line in after if line.what == "begin"} & known
    repeated = again - kept.to_retry
    assert repeated <= kept.in_flight, f"made again though it was not in flight: {sorted(repeated - kept.in_flight)}"
    return len(repeated), len(kept.in_flight)


def as_designed(story: str, run: str, lines: Sequence[Line]) -> None:
    """Each call that the story has was made, and no other; undos go from what depended to what was depended on."""
    begun = {call_of(line).removeprefix(f"{run}/") for line in lines if line.what == "begin"}
    assert begun == set(CALLS[story])
    for later, earlier in AFTER:
        ends = [at for at, line in enumerate(lines) if line.what == "end" and call_of(line) == f"{run}/{later}/undo"]
        begins = [at for at, line in enumerate(lines) if line.what == "begin" and call_of(line) == f"{run}/{earlier}/undo"]
        if begins:
            assert ends, f"{earlier} was undone and {later} was not"
            assert ends[-1] < begins[0], f"{earlier} was undone before {later}"
