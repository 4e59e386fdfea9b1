"""A failure as recorded, and the view of it that `compensate` and callers get: the same in process and after a reload.

This room refuses to know how a failure is made of a live exception (`run/perform.py`) and what follows from it (`machine/`).
"""

from __future__ import annotations

import msgspec


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One frame of the author's traceback."""

    file: str
    line: int
    function: str
    code: str  # the source line, stripped; empty where the source is not at hand


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """What is recorded of an exception."""

    kind: str  # the class's own name
    message: str
    lineage: tuple[str, ...] = ()  # `module.qualname` of the class and its bases, object left out
    attempt: int = 1
    frames: tuple[Frame, ...] = ()  # outermost first, at most 30, the author's code only
    notes: tuple[str, ...] = ()
    arguments: dict[str, str] = {}  # shortened reprs, secrets masked
    code: str = ""  # a ReactorError's code
    snippet: str = ""  # the author's lines around the innermost frame


def lineage_of(exception: type[BaseException]) -> tuple[str, ...]:
    """The names that `StepError.is_a` compares, most derived first."""
    return tuple(f"{c.__module__}.{c.__qualname__}" for c in exception.__mro__ if c is not object)


class StepError:
    """What `compensate` gets, in process and after a crash alike: the failure as recorded.

    >>> import asyncio
    >>> from reactor import Continue, Reactor, StepError, step
    >>> class Pay(Reactor):
    ...     @step
    ...     async def output(self) -> str:
    ...         raise TimeoutError("no answer")
    ...
    ...     @output.compensate
    ...     async def put_down(self, error: StepError) -> Continue[str] | None:
    ...         return Continue(f"owed: {error.message}") if error.is_a(OSError) else None
    >>> async def main() -> str:
    ...     return await Pay()
    >>> asyncio.run(main())
    'owed: no answer'
    """

    __slots__ = ("address", "failure", "original")

    def __init__(self, failure: Failure, address: str = "", original: BaseException | None = None) -> None:
        self.failure = failure
        self.address = address
        self.original = original if isinstance(original, Exception) else None  # only while it is at hand

    @property
    def kind(self) -> str:
        """The exception's own name."""
        return self.failure.kind

    @property
    def message(self) -> str:
        """The exception's text."""
        return self.failure.message

    @property
    def attempt(self) -> int:
        """The attempt that failed, from 1."""
        return self.failure.attempt

    def is_a(self, exception: type[BaseException], /) -> bool:
        """By recorded name, subclasses included: true for the real exception and after a reload alike."""
        return f"{exception.__module__}.{exception.__qualname__}" in self.failure.lineage

    def __repr__(self) -> str:
        where = f" at {self.address}" if self.address else ""
        return f"StepError({self.kind}: {self.message}{where}, attempt {self.attempt})"
