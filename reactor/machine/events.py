"""The facts of a run, past tense. The state is their fold; status, timeline and undo preview are views of them.

`at` is the store's time in seconds since the epoch, `address` the occurrence ("" is the run, or the batch, itself). A fact
holds values as opaque objects: encoding them is the record's business. Facts of the hot path come first.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from reactor.define.failing import Failure

Call: TypeAlias = Literal["do", "undo", "compensate"]
Verdict: TypeAlias = Literal["stands", "continued", "try_again"]
StopMode: TypeAlias = Literal["settle", "halt", "cancel", "abandon", "undo", "deadline"]
EndStatus: TypeAlias = Literal["succeeded", "failed", "stuck", "halted", "cancelled", "undone", "superseded"]


class Event(msgspec.Struct, array_like=True, gc=False, frozen=True, tag=True):
    """One fact."""

    at: float
    address: str


class CallStarted(Event, tag="call_started", frozen=True):
    """A node's code (or its undo, or compensate) began."""

    call: Call = "do"
    attempt: int = 1


class CallSucceeded(Event, tag="call_succeeded", frozen=True):
    """A step's own code, or an element's, gave its result."""

    value: Any = None


class CallFailed(Event, tag="call_failed", frozen=True):
    """An attempt failed; `next_in` says in how many seconds the next one is due, None that there is none."""

    call: Call
    attempt: int
    failure: Failure
    next_in: float | None = None


class Skipped(Event, tag="skipped", frozen=True):
    """The node did nothing, with this value: its `when` was false, or it raised Skip."""

    value: Any = None
    reason: Literal["when", "raised"] = "when"


class Compensated(Event, tag="compensated", frozen=True):
    """`compensate` answered a failure; `value` goes with continued, `after` (seconds) with try_again."""

    verdict: Verdict = "stands"
    value: Any = None
    after: float = 0.0


class Undone(Event, tag="undone", frozen=True):
    """An undo succeeded."""


class Halted(Event, tag="halted", frozen=True):
    """A call raised Halt: nothing more begins, nothing is rolled back."""

    reason: str


class ChildOpened(Event, tag="child_opened", frozen=True):
    """A compose (or an element) returned this reactor; its nodes are now in this record, under the address."""

    reactor: str
    inputs: Any = None


class Closed(Event, tag="closed", frozen=True):
    """All of a child's nodes are done, or all of a map's elements: the node succeeded."""

    value: Any = None


class MapOpened(Event, tag="map_opened", frozen=True):
    """A map began; `total` is known where its elements are at hand. `call` counts its TryAgains."""

    total: int | None = None


class BatchStarted(Event, tag="batch_started", frozen=True):
    """A batch of elements `first … first + size - 1` was taken from the source and handed on."""

    batch: int
    first: int
    size: int


class SourceEnded(Event, tag="source_ended", frozen=True):
    """The source has no more elements, or failed: then the map fails."""

    failure: Failure | None = None


class RollbackFailed(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """One undo or compensate that finally failed."""

    address: str
    call: Call
    failure: Failure


class BatchSettled(Event, tag="batch_settled", frozen=True):
    """Every element of a batch has come to its end. `undoable` counts the elements that an undo would call."""

    batch: int
    succeeded: int
    failed: int
    undoable: int = 0
    failure: Failure | None = None  # the first that stood, of a map that fails on the first
    failed_at: str = ""  # its address
    stuck: tuple[RollbackFailed, ...] = ()
    halted: str | None = None


class BatchUndoStarted(Event, tag="batch_undo_started", frozen=True):
    """The elements of a batch are being undone."""

    batch: int


class BatchUndone(Event, tag="batch_undone", frozen=True):
    """A batch's elements are undone; `stuck` lists those that could not be."""

    batch: int
    stuck: tuple[RollbackFailed, ...] = ()


class CallCancelled(Event, tag="call_cancelled", frozen=True):
    """A call in flight was told to end: the run was cancelled, or the call did not settle in time."""

    reason: str = ""


class StopRequested(Event, tag="stop_requested", frozen=True):
    """A message, or the deadline: cancel, abandon (cancel without undo), undo; to a batch: settle (its map is failing), halt."""

    mode: StopMode
    reason: str = ""


class UndoRequested(Event, tag="undo_requested", frozen=True):
    """After its end: undo what succeeded, but for the addresses kept (a restart keeps some); then end as `then`."""

    keep: tuple[str, ...] = ()
    then: Literal["undone", "superseded"] = "undone"


class RollbackRetried(Event, tag="rollback_retried", frozen=True):
    """A stuck run: call again what could not be undone or compensated."""


class Kept(Event, tag="kept", frozen=True):
    """A restart kept this node's result; `skipped` ones are never undone."""

    value: Any = None
    skipped: bool = False
    child: Any = None  # what a later undo of a compose or map needs: opaque here


class RunStarted(Event, tag="run_started", frozen=True):
    """The first fact of a run (or, with a map's address, of a batch). `deadline` is a time, `settle` seconds."""

    run_id: str = ""
    reactor: str = ""
    version: int = 1
    fingerprint: str = ""
    inputs: Any = None
    deadline: float | None = None
    settle: float = 30.0
    tags: tuple[str, ...] = ()
    first: int = 0  # a batch: the first element's index
    size: int = 0


class RunEnded(Event, tag="run_ended", frozen=True):
    """The last fact, unless an undo or a retried rollback is asked for later."""

    status: EndStatus
    reason: str = ""
