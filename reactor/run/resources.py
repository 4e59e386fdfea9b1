"""What steps share (pools, clients): opened when first needed, once, and closed in reverse with their engine or their awaited run.

Each resource lives in a task of its own, which enters it and leaves it: a task group or cancel scope inside it is entered and left
by the same task. An opening that fails is not remembered: the next call tries again.
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any

from reactor.errors import ReactorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Resources:
    """The resources of one engine, or of one awaited run."""

    __slots__ = ("_keepers", "_overrides", "closing", "opened")

    def __init__(self, overrides: Mapping[Callable[..., Any], Callable[..., Any]] | None = None) -> None:
        self._overrides = dict(overrides or {})
        self._keepers: dict[Callable[[], Any], _Keeper] = {}
        self.opened: dict[Callable[[], Any], Any] = {}  # by provider: what binding reads
        self.closing = False

    def missing(self, providers: Iterable[Callable[[], Any]]) -> list[Callable[[], Any]]:
        """Those that are not open."""
        return [provider for provider in providers if provider not in self.opened]

    @property
    def used(self) -> bool:
        """Whether anything was opened, or is being opened."""
        return bool(self._keepers)

    async def open(self, providers: Iterable[Callable[[], Any]]) -> None:
        """Open what is not open. Raises what the first that fails raised."""
        for provider in self.missing(providers):
            if self.closing:
                raise ReactorError("the engine is closing: no resource is opened any more", code="closing", fix="keep the engine open")
            keeper = self._keepers.get(provider)
            if keeper is None:
                keeper = self._keepers[provider] = _Keeper(self._overrides.get(provider, provider))
            try:
                self.opened[provider] = await asyncio.shield(keeper.value)
            except BaseException:
                value = keeper.value
                failed = value.done() and (value.cancelled() or value.exception() is not None)
                if failed and self._keepers.get(provider) is keeper:
                    del self._keepers[provider]
                raise

    async def close(self) -> None:
        """Close all, the newest first. Raises an ExceptionGroup of what closing raised, when all are closed."""
        self.closing = True
        failures = []
        while self._keepers:
            _, keeper = self._keepers.popitem()
            failure = await keeper.close()
            if failure is not None:
                failures.append(failure)
        self.opened.clear()
        self.closing = False
        if failures:
            raise ExceptionGroup("resources that did not close", failures)


class _Keeper:
    """The task that holds one resource open."""

    def __init__(self, provider: Callable[[], Any]) -> None:
        self._closing = asyncio.Event()
        self.value: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep(provider), name=f"reactor resource {getattr(provider, '__name__', provider)}")

    async def _keep(self, provider: Callable[[], Any]) -> None:
        async with AsyncExitStack() as stack:
            try:
                value = await _enter(provider, stack)
            except BaseException as error:
                if self.value.cancelled():
                    raise
                self.value.set_exception(error if isinstance(error, Exception) else ReactorError(f"opening it ended in {error!r}"))
                self.value.exception()  # seen, whoever waits or not
                return
            self.value.set_result(value)
            await self._closing.wait()

    async def close(self) -> Exception | None:
        """Leave the resource; what leaving raised."""
        self._closing.set()
        if not self.value.done():
            self._task.cancel()
        await asyncio.wait([self._task])
        if self._task.cancelled():
            return None
        failure = self._task.exception()
        return failure if isinstance(failure, Exception) else None


async def _enter(provider: Callable[[], Any], stack: AsyncExitStack) -> Any:
    made = provider()
    if isinstance(made, AbstractAsyncContextManager):
        return await stack.enter_async_context(made)
    if isinstance(made, AbstractContextManager):
        return stack.enter_context(made)
    return await made if inspect.isawaitable(made) else made
