"""`reactor runs get`: all that a record tells of one run, for people and for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reactor.cli.endings import as_data, card, summary
from reactor.cli.listing import ago
from reactor.cli.reports import PlainReport, as_event
from reactor.cli.text import clean, duration
from reactor.cli.values import as_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from reactor.cli.records import Reading
    from reactor.define.outcomes import Waiting
    from reactor.record.sealing import Sealer

LONG = 400  # characters of one input


def as_object(reading: Reading, sealer: Sealer) -> dict[str, Any]:
    """A run for programs: what it is, why it waits, what came of it, and its events."""
    loaded, story = reading.loaded, reading.story
    outcome = story.outcome(reading.status)
    return {
        "run_id": loaded.run,
        "reactor": loaded.reactor,
        "version": loaded.version,
        "status": loaded.status,
        "created_at": loaded.created_at,
        "ended_at": loaded.ended_at,
        "deadline": story.deadline,
        "due": loaded.due,
        "owner": _owner(reading),
        "tags": list(loaded.tags),
        "inputs": reading.inputs(),
        "waiting": [{"step": one.step, "correlation_id": one.correlation_id, "deadline": one.deadline} for one in story.waiting],
        "in_flight": [{"address": at, "call": call, "attempt": n, "since": since} for at, (since, n, call) in story.calls.items()],
        "retrying": [{"address": at, "call": call, "attempt": n, "due": due} for at, (due, n, call) in story.due.items()],
        "mail": [message.kind for message in loaded.mail],
        "outcome": None if outcome is None else as_data(outcome, reading.output(sealer)),
        "events": [as_event(event) for event in reading.events],
    }


def tell(reading: Reading, sealer: Sealer, out: TextIO, now: float) -> None:
    """A run for people: a head, its timeline, its end. The board must not have its events yet: they are told as it takes them in."""
    report = PlainReport(reading.board, out)
    for line in [*_head(reading, now), *_open(reading, now), ""]:
        report.notice(line)
    for event in reading.events:
        report.event(event, reading.board.apply(event))
    outcome = reading.story.outcome(reading.status)
    if outcome is None:
        report.notice(f"{clean(reading.run)} {reading.status.replace('_', ' ')}")
    elif reading.status == "superseded":
        report.notice(f"{clean(reading.run)} superseded: a restart took over")
    elif reading.status == "succeeded":
        report.end(outcome, reading.output(sealer))
    else:
        for _, text in [summary(reading.board, outcome), *card(reading.board, outcome)]:
            report.notice(text)


def _head(reading: Reading, now: float) -> Iterator[str]:
    loaded, story = reading.loaded, reading.story
    yield f"{clean(loaded.run)}  {loaded.status.replace('_', ' ')}"
    version = f", version {loaded.version}" if loaded.version != 1 else ""
    yield f"  reactor     {clean(loaded.reactor)}{version}"
    yield f"  began       {moment(loaded.created_at)} ({ago(loaded.created_at, now)})"
    if loaded.ended_at is not None:
        yield f"  ended       {moment(loaded.ended_at)} ({ago(loaded.ended_at, now)})"
    if story.deadline is not None:
        yield f"  deadline    {moment(story.deadline)}"
    if loaded.tags:
        yield f"  tags        {', '.join(clean(tag, 60) for tag in loaded.tags)}"
    for name, value in reading.inputs().items():
        yield f"  input       {clean(name, 60)} = {clean(as_json(value), LONG)}"


def _open(reading: Reading, now: float) -> Iterator[str]:
    """What it waits for, and who drives it."""
    loaded, story = reading.loaded, reading.story
    for one in story.waiting:
        yield f"  waiting     {waits_for(one)}"
    for address, (due, attempt, _) in story.due.items():
        yield f"  retrying    {clean(address)}, attempt {attempt} {_in(due, now)}"
    for address, (since, attempt, call) in story.calls.items():
        what = "" if call == "do" else f"{call}, "
        yield f"  in flight   {clean(address)}, {what}attempt {attempt} since {duration(now - since)}"
    owner = _owner(reading)
    if owner is not None:
        yield f"  driven by   {clean(owner)}"
    elif loaded.due is not None and loaded.due <= now:
        yield "  driven by   nobody: it is due, and waits for a process that serves its reactor"
    for message in loaded.mail:
        yield f"  unread      a message: {message.kind.replace('_', ' ')}"


def waits_for(one: Waiting) -> str:
    """An open interrupt in words."""
    asked = f"  correlation id {clean(one.correlation_id)}" if one.correlation_id else ""
    return f"{clean(one.step)}{asked}" + (f"  until {moment(one.deadline)}" if one.deadline is not None else "")


def moment(at: float) -> str:
    """A time for people, in the zone of this machine.

    >>> len(moment(0.0))
    19
    """
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _in(at: float, now: float) -> str:
    return f"in {duration(at - now)}" if at > now else "now"


def _owner(reading: Reading) -> str | None:
    """The session that drives it."""
    token = reading.loaded.token
    return None if token is None else token.rpartition(":")[0]
