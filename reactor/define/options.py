"""What each kind of node takes beyond its code, as a table, and each option's own check.

This room refuses to know nodes and the graph: whether `when` names a step is for those who see the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from reactor.define.definition import OnError
from reactor.define.retrying import Retry
from reactor.define.seconds import as_seconds
from reactor.define.teaching import author_span, nearest
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TAKES: dict[str, tuple[str, ...]] = {
    "step": ("when", "after", "retry", "timeout", "offload"),
    "map_over": ("batch_size", "in_flight", "offload", "on_error", "after", "retry", "timeout"),
    "compose": ("when", "after"),
    "interrupt": ("timeout", "attempts", "after"),
    "source": ("key",),
    "undo": ("retry", "timeout"),
    "compensate": ("retry", "timeout"),
}

_WHY_NOT = {
    ("map_over", "when"): "map over nothing instead: let the step or source that it maps over give no elements",
    ("compose", "retry"): "give it to the child's own steps, or return TryAgain from this node's compensate",
    ("compose", "timeout"): "give it to the child's own steps, or a deadline to the run",
    ("compose", "offload"): "give it to the child's own steps",
    ("interrupt", "when"): "raise Skip(value) in the method: it is answered without asking",
    ("interrupt", "retry"): "leave it out: `attempts` counts payloads that do not validate",
    ("interrupt", "offload"): "leave it out: a parked run holds nothing",
    ("step", "attempts"): "say `retry=Retry(attempts)`",
    ("step", "retries"): "say `retry=Retry(attempts)`; attempts counts the first call",
    ("step", "name"): "rename the method: a node's name is its method's",
}


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """What is said about a node beyond its code; durations are in seconds."""

    when: Any = None
    after: Any = ()
    retry: Retry | None = None
    timeout: float | None = None
    offload: bool | str = False
    attempts: int | None = None
    elements: Any = None
    batch_size: int = 100
    in_flight: int = 4
    on_error: OnError = "fail"
    key: Callable[[Any], Any] | None = None


def read_options(word: str, given: Mapping[str, Any], elements: Any = None) -> Options:
    """The options of `@word(...)`, each checked by itself.

    Raises DefinitionError for one that this kind does not take, or a value out of range.
    """
    takes = TAKES[word]
    for name in given:
        if name not in takes:
            raise _not_taken(word, name, takes)
    return Options(elements=elements, **{name: _CHECKS[name](value, name) for name, value in given.items()})


def _not_taken(word: str, name: str, takes: tuple[str, ...]) -> DefinitionError:
    near = nearest(name, takes)
    return DefinitionError(
        f"@{word} takes no `{name}`",
        code="option-not-taken",
        where=author_span(),
        known=takes,
        nearest=near,
        fix=_WHY_NOT.get((word, name), f"say `{near}`" if near else "leave it out"),
    )


def _wrong(name: str, value: object, fix: str, near: str | None = None) -> DefinitionError:
    return DefinitionError(f"`{name}` is {value!r}", code=f"bad-{name.replace('_', '-')}", where=author_span(), nearest=near, fix=fix)


def _as_said(value: Any, _: str) -> Any:
    return value


def _retry(value: Any, name: str) -> Retry | None:
    if value is None or isinstance(value, Retry):
        return value
    raise _wrong(name, value, f"say `{name}=Retry({value if isinstance(value, int) else ''})`; attempts counts the first call")


def _timeout(value: Any, name: str) -> float | None:
    return None if value is None else as_seconds(value, name)


def _offload(value: Any, name: str) -> bool | str:
    if isinstance(value, bool) or (isinstance(value, str) and value):
        return value
    raise _wrong(name, value, "say True for the engine's queue, or a queue's name")


def _positive(value: Any, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise _wrong(name, value, "give a whole number from 1")


def _attempts(value: Any, name: str) -> int | None:
    return None if value is None else _positive(value, name)


def _on_error(value: Any, name: str) -> OnError:
    known = get_args(OnError)
    if value in known:
        found: OnError = value
        return found
    raise _wrong(name, value, "say 'fail' (the first failure fails the map) or 'collect' (failures are data)", nearest(str(value), known))


def _key(value: Any, name: str) -> Callable[[Any], Any]:
    if callable(value):
        found: Callable[[Any], Any] = value
        return found
    raise _wrong(name, value, "give a function from an element to its key, `key=lambda order: order.id`; keys must rise")


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "when": _as_said,
    "after": _as_said,
    "retry": _retry,
    "timeout": _timeout,
    "offload": _offload,
    "attempts": _attempts,
    "batch_size": _positive,
    "in_flight": _positive,
    "on_error": _on_error,
    "key": _key,
}
