"""What a map leaves: one shape in every mode, lazy, so that a million elements never sit in memory.

This room refuses to know where the values are kept: `run/` reads encoded chunks through the one method `read`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from reactor.define.teaching import author_span
from reactor.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class ElementFailure:
    """An element that failed: its place in the source, from 0, and its error in words.

    >>> Results.of(["a", ElementFailure(1, "no stock")]).failed
    1
    """

    index: int
    error: str


class Results(Generic[T_co]):
    """What a map leaves, in the order of its source; `len` counts all elements, those that failed too.

    A kind of its own overrides `read`; all else follows from it.

    >>> results = Results.of(["a", ElementFailure(1, "no stock"), "c"])
    >>> len(results), results.succeeded, results.failed
    (3, 2, 1)
    """

    __slots__ = ("failed", "succeeded")

    def __init__(self, succeeded: int, failed: int = 0) -> None:
        self.succeeded = succeeded
        self.failed = failed

    @classmethod
    def of(cls, values: Sequence[T | ElementFailure]) -> Results[T]:
        """For unit tests, and for a `compensate` that recovers a map: the values, kept in memory."""
        return _InMemory(values)

    def read(self, start: int = 0) -> AsyncIterator[tuple[int, T_co | ElementFailure]]:
        """Index and value (or failure) of each element from `start` on: the one method that a kind of its own overrides."""
        raise NotImplementedError

    def __len__(self) -> int:
        return self.succeeded + self.failed

    async def __aiter__(self) -> AsyncIterator[T_co]:
        async for _, value in self.read():
            if not isinstance(value, ElementFailure):
                yield value

    def items(self) -> AsyncIterator[tuple[int, T_co | ElementFailure]]:
        """Index and value, or failure, of every element."""
        return self.read()

    async def failures(self) -> AsyncIterator[ElementFailure]:
        """The failures alone."""
        if self.failed:
            async for _, value in self.read():
                if isinstance(value, ElementFailure):
                    yield value

    async def all(self) -> list[T_co]:
        """Every value that succeeded, in memory at once."""
        return [value async for value in self]

    def __repr__(self) -> str:
        return f"<Results: {self.succeeded} succeeded, {self.failed} failed>"


def _not_at_once(self: Results[object], *_: object) -> NoReturn:
    raise DefinitionError(
        f"{self!r} is read a chunk at a time, not at once",
        code="results-read-at-once",
        where=author_span(),
        fix="say `async for value in results`, or `await results.all()` for a list",
    )


for _name in ("__iter__", "__getitem__"):  # at run time only: a checker must not take Results for an Iterable
    setattr(Results, _name, _not_at_once)


class _InMemory(Results[T_co]):
    __slots__ = ("_values",)

    def __init__(self, values: Sequence[T_co | ElementFailure]) -> None:
        self._values = tuple(values)
        failed = sum(isinstance(value, ElementFailure) for value in self._values)
        super().__init__(len(self._values) - failed, failed)

    async def read(self, start: int = 0) -> AsyncIterator[tuple[int, T_co | ElementFailure]]:
        for index in range(start, len(self._values)):
            yield index, self._values[index]
