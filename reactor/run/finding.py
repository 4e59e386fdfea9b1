"""Finding runs: a page of them, and what they can be found by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from reactor.define.foreign import encode_foreign
from reactor.define.reactor import definition_of, values_of
from reactor.errors import ReactorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reactor.define.reactor import Reactor

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


def indexed_inputs(reactor: Reactor) -> dict[str, Any]:
    """The inputs that a run can be found by."""
    values = values_of(reactor)
    return {field.name: values[field.name] for field in definition_of(type(reactor)).inputs if field.index}


def texts_of(values: Mapping[str, Any]) -> dict[str, str]:
    """As an index keeps them: texts as they are, all else as JSON."""
    return {name: value if isinstance(value, str) else _text(value) for name, value in values.items()}


def _text(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=encode_foreign).decode()
