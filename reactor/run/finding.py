"""Finding runs: which ones match, newest first, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reactor.define.reactor import definition_of, values_of
from reactor.errors import ReactorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from reactor.define.outcomes import Status
    from reactor.run.live import Live

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """Some of what was found; `cursor` gives the next page, None is the last; `total` counts all.

    >>> Page(["a", "b"], cursor=None, total=2).items
    ['a', 'b']
    """

    items: Sequence[T_co]
    cursor: str | None
    total: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; None and empty are for anything."""

    reactor: str | None
    status: Status | None
    tag: str | None
    since: datetime | None
    until: datetime | None
    where: Mapping[str, object]
    text: str | None

    def matches(self, live: Live) -> bool:
        """Whether a run is one of these."""
        return (
            self.reactor in (None, live.plan.name)
            and self.status in (None, live.status)
            and (self.tag is None or self.tag in live.tags)
            and (self.since is None or live.created_at >= self.since.timestamp())
            and (self.until is None or live.created_at < self.until.timestamp())
            and self._has_inputs(live)
        )

    def _has_inputs(self, live: Live) -> bool:
        indexed = indexed_inputs(live)
        if any(name not in indexed or indexed[name] != value for name, value in self.where.items()):
            return False
        text = self.text
        if not text:
            return True
        names = (live.run_id, live.run_id.partition(":")[2])
        return any(name.startswith(text) for name in names) or any(str(value).startswith(text) for value in indexed.values())


def check_where(names: Iterable[str], served: Iterable[type[Any]]) -> None:
    """Raises ReactorError for an input that nothing is found by."""
    known = sorted({field.name for reactor in served for field in definition_of(reactor).inputs if field.index})
    for name in names:
        if name not in known:
            raise ReactorError(
                f"runs are not found by `{name}`",
                code="not-indexed",
                known=known,
                fix=f"mark the input: `{name}: Annotated[…, Index()]`",
            )


def indexed_inputs(live: Live) -> dict[str, Any]:
    """The inputs that a run can be found by."""
    values = values_of(live.reactor)
    return {field.name: values[field.name] for field in definition_of(type(live.reactor)).inputs if field.index}


def page_of(runs: Mapping[str, Live], wanted: Wanted, limit: int, cursor: str | None) -> Page[Live]:
    """The page that begins after the run that the cursor names. Raises ReactorError for a cursor of another kind."""
    if limit < 1:
        raise ReactorError(f"`limit` is {limit}", code="bad-limit", fix="give a whole number from 1")
    found = [live for live in reversed(runs.values()) if wanted.matches(live)]  # type: ignore[call-overload]  # a dict's values
    start = 0
    if cursor is not None:
        if cursor not in runs:
            raise ReactorError(f"{cursor!r} is no cursor of this search", code="bad-cursor", fix="take the `cursor` of the page before")
        place = {run_id: number for number, run_id in enumerate(runs)}
        start = sum(place[live.run_id] >= place[cursor] for live in found)  # by its place among all: it may match no more
    items = found[start : start + limit]
    more = start + limit < len(found)
    return Page(items, items[-1].run_id if more and items else None, len(found))
