"""What a run looks like so far: its public events folded into one row a node. Any report draws it; it knows no terminal.

Elements of a map have no rows of their own (there may be a million): their map's row counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from reactor.cli.text import clean

if TYPE_CHECKING:
    from reactor.run.observe import Event

State: TypeAlias = Literal[
    "waiting", "running", "retrying", "succeeded", "recovered", "skipped", "failed", "compensating", "cancelled", "halted",
    "undoing", "undone", "stuck",
]  # fmt: skip
REASONS = {"when": "its when was false", "raised": "it raised Skip"}
OPEN: frozenset[State] = frozenset({"running", "retrying", "compensating"})
BACKWARD: frozenset[State] = frozenset({"undoing", "undone", "stuck"})


@dataclass(slots=True)
class Elements:
    """How far a map is: elements by count, batches by count."""

    total: int | None = None  # None while a lazy source has not ended
    taken: int = 0
    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0  # batches
    undoable: dict[int, int] = field(default_factory=dict)  # by batch that is not undone yet
    undone: int = 0

    @property
    def settled(self) -> int:
        """Elements that have come to their end."""
        return self.succeeded + self.failed


@dataclass(slots=True)
class Row:
    """One node occurrence. Times are seconds on the record's clock."""

    address: str
    state: State = "waiting"
    attempt: int = 0
    note: str = ""
    started: float | None = None
    ended: float | None = None
    elements: Elements | None = None
    children: dict[str, Row] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.address.rpartition(".")[2]

    @property
    def shown(self) -> State:
        """The state, or what the child's nodes say of a compose that no event of its own speaks of."""
        if not self.children or self.state in {"recovered", "compensating", "halted"}:
            return self.state
        states = {child.shown for child in self.children.values()}
        for said in ("stuck", "undoing"):
            if said in states:
                return "stuck" if said == "stuck" else "undoing"
        if self.state == "succeeded" and "undone" in states:
            return "undone"
        return "failed" if self.state == "running" and "failed" in states else self.state

    def spent(self, now: float) -> float | None:
        """Seconds from the first call to the end, or until now; None where it never began."""
        return None if self.started is None else (self.ended if self.ended is not None else now) - self.started


class Board:
    """The rows of one run, by address, the plan's nodes first.

    >>> board = Board("checkout", ["price", "reserve"])
    >>> [row.state for row in board.rows()]
    ['waiting', 'waiting']
    """

    def __init__(self, reactor: str, names: Iterable[str]) -> None:
        self.reactor = reactor
        self.run_id = ""
        self.status = "running"
        self.started: float | None = None
        self.ended: float | None = None
        self.stopping = ""  # why the run was told to stop, where it was
        self.top: dict[str, Row] = {name: Row(name) for name in names}
        self._all: dict[str, Row] = dict(self.top)

    def rows(self) -> Iterator[Row]:
        """Every row, a parent before its children."""
        for row in list(self.top.values()):
            yield from _walk(row)

    def find(self, address: str) -> Row:
        """The row of an address: for an element, its map's; a row that was not known begins to exist."""
        whole = address.partition("[")[0]
        row = self._all.get(whole)
        if row is None:
            row = self._all[whole] = Row(whole)
            above, _, _ = whole.rpartition(".")
            (self.find(above).children if above else self.top)[whole] = row
        return row

    def apply(self, event: Event) -> Row | None:
        """Fold one event; the row that it speaks of, None where it speaks of the run or of one element."""
        if event.address is None:
            self._apply_run(event)
            return None
        row = self.find(event.address)
        if "[" in event.address:
            _element(row, event)
            return None
        act = _ACTS.get(event.kind)
        if act is not None:
            act(row, event)
        return row

    def _apply_run(self, event: Event) -> None:
        detail = event.detail
        if event.kind == "run_started":
            self.started = event.at
            self.run_id = str(detail.get("run_id") or self.run_id)
        elif event.kind == "run_ended":
            self.ended = event.at
            self.status = str(detail.get("status", "ended"))
            self._close()
        elif event.kind in {"stop_requested", "undo_requested"}:
            self.stopping = str(detail.get("reason") or event.kind)

    def _close(self) -> None:
        """The run is over: nothing is open any more, whatever the last event of a row said."""
        for row in self.rows():
            if row.state in OPEN:
                row.state = "failed" if row.shown == "failed" or (row.elements and row.elements.failed) else "cancelled"
            if row.started is not None and row.ended is None:
                row.ended = self.ended


def _walk(row: Row) -> Iterator[Row]:
    yield row
    for child in list(row.children.values()):
        yield from _walk(child)


# ---- one function an event ------------------------------------------------------------------------------------


def failure_text(detail: Mapping[str, object]) -> str:
    """`Kind: message` of an event's failure, safe to print; empty where there is none."""
    failure = detail.get("failure")
    if not isinstance(failure, Mapping):
        return ""
    message = clean(failure.get("message") or "", 160)
    kind = clean(failure.get("kind") or "failure", 80)
    return f"{kind}: {message}" if message else kind


def _number(detail: Mapping[str, object], name: str) -> int:
    value = detail.get(name)
    return value if isinstance(value, int) else 0


def _call_started(row: Row, event: Event) -> None:
    if event.call == "do":
        row.started = event.at if row.started is None else row.started
        row.ended = None
        row.state, row.attempt, row.note = "running", event.attempt or 1, ""
    else:
        row.state = "undoing" if event.call == "undo" else "compensating"


def _call_failed(row: Row, event: Event) -> None:
    said = failure_text(event.detail)
    again = event.detail.get("next_in")
    if isinstance(again, int | float):
        said = f"{said} (again in {again:.1f} s)"
    if event.call != "do":
        row.state = row.state if again is not None else "stuck"
        row.note = f"{event.call} failed: {said}"
        return
    if row.state == "cancelled":  # the failure that follows says the same again
        return
    row.state, row.attempt, row.note = ("failed" if again is None else "retrying"), event.attempt or 1, said
    row.ended = event.at if again is None else None


def _settled(state: State) -> Callable[[Row, Event], None]:
    def settle(row: Row, event: Event) -> None:
        row.state, row.ended = state, event.at
        row.started = event.at if row.started is None and state == "succeeded" else row.started
        reason = event.detail.get("reason")
        row.note = REASONS.get(str(reason), clean(reason, 160)) if reason else ""

    return settle


def _undone(row: Row, _event: Event) -> None:
    row.state, row.note = "undone", ""


def _compensated(row: Row, event: Event) -> None:
    verdict = event.detail.get("verdict")
    row.ended = event.at
    if verdict == "continued":
        row.state = "recovered"
    elif verdict == "try_again":
        row.state, row.ended = "retrying", None
    else:
        row.state = "failed"


def _child_opened(row: Row, event: Event) -> None:
    row.started = event.at if row.started is None else row.started
    row.state, row.note = "running", clean(event.detail.get("reactor") or "", 80)


def _map_opened(row: Row, event: Event) -> None:
    total = event.detail.get("total")
    row.elements = Elements(total if isinstance(total, int) else None)
    row.started = event.at if row.started is None else row.started
    row.state = "running"


def _elements(row: Row) -> Elements:
    if row.elements is None:
        row.elements = Elements()
    return row.elements


def _batch_started(row: Row, event: Event) -> None:
    elements = _elements(row)
    elements.in_flight += 1
    elements.taken += _number(event.detail, "size")


def _batch_settled(row: Row, event: Event) -> None:
    elements = _elements(row)
    elements.in_flight -= 1
    elements.undoable[_number(event.detail, "batch")] = _number(event.detail, "undoable")
    elements.succeeded += _number(event.detail, "succeeded")
    elements.failed += _number(event.detail, "failed")
    if event.detail.get("failure"):
        row.ended = row.ended or event.at
        row.state, row.note = "failed", f"{clean(event.detail.get('failed_at') or row.address, 80)}: {failure_text(event.detail)}"


def _source_ended(row: Row, event: Event) -> None:
    elements = _elements(row)
    if event.detail.get("failure"):
        row.state, row.note, row.ended = "failed", failure_text(event.detail), event.at
    elif elements.total is None:
        elements.total = elements.taken


def _batch_undone(row: Row, event: Event) -> None:
    elements = _elements(row)
    stuck = event.detail.get("stuck")
    elements.undone += elements.undoable.pop(_number(event.detail, "batch"), 0) - (len(stuck) if isinstance(stuck, list) else 0)
    if stuck:
        row.state = "stuck"
    elif row.state == "undoing" and not any(elements.undoable.values()):
        row.state = "undone"


def _batch_undo_started(row: Row, event: Event) -> None:
    row.ended = row.ended or event.at
    row.state = row.state if row.state in {"stuck", "failed"} else "undoing"


def _element(row: Row, event: Event) -> None:
    """One element's own event: what failed for good is worth a word on its map's row."""
    if event.kind == "call_failed" and event.detail.get("next_in") is None:
        row.note = f"{clean(event.address, 80)}: {failure_text(event.detail)}"


_ACTS: dict[str, Callable[[Row, Any], None]] = {
    "call_started": _call_started,
    "call_succeeded": _settled("succeeded"),
    "call_failed": _call_failed,
    "call_cancelled": _settled("cancelled"),
    "skipped": _settled("skipped"),
    "halted": _settled("halted"),
    "compensated": _compensated,
    "undone": _undone,
    "child_opened": _child_opened,
    "closed": _settled("succeeded"),
    "map_opened": _map_opened,
    "batch_started": _batch_started,
    "batch_settled": _batch_settled,
    "source_ended": _source_ended,
    "batch_undo_started": _batch_undo_started,
    "batch_undone": _batch_undone,
}
