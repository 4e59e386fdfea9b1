"""Engines on real stores in virtual time: where runs are kept, and a store whose calls take no time on the loop's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from inspect import iscoroutinefunction
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

from reactor import Engine
from reactor.engine import open_store
from reactor.run.session import FOREVER
from reactor.stores.memory import MemoryStore
from reactor.testing.forgetting import Forgetting
from tests.stores.redis_server import shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reactor.run.site import Site
    from reactor.testing import VirtualTimeLoop

PLACES = ("memory", "sqlite", "redis")
NAMESPACES = count(1)

Opener: TypeAlias = Callable[[Any], Any]


class Timeless:
    """A store that is asked while the clock is held, and whose time is the engine's: what it measures by itself it need not be asked."""

    def __init__(self, store: Any, site: Site | None = None) -> None:
        self.store = store
        self._site = site

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.store, name)
        if iscoroutinefunction(found):
            found = partial(_held, found)
            setattr(self, name, found)
        return found

    async def now(self) -> float:
        """The store's time would lag behind."""
        assert self._site is not None
        return self._site.now()

    def watch(self, _changed: Callable[[str], None], *, besides: str = "") -> Callable[[], None]:
        """Hints are no promise: an engine alone on its store needs none."""
        return lambda: None


async def _held(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    loop: VirtualTimeLoop = asyncio.get_running_loop()
    with loop.holding():
        return await call(*args, **options)


class Place:
    """One store, which outlives the engines that are opened on it. `wrapped` puts something between them and it."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        self.memory = MemoryStore()
        self.wrapped: Callable[[Any], Any] = lambda store: store

    async def open_store(self, site: Site) -> Any:
        """A handle on it."""
        if self.kind == "memory":
            self.memory.time = site.now
            return self.wrapped(Timeless(Lasting(self.memory), site))
        return self.wrapped(Timeless(await _held(open_store, self.url), site))

    async def outside(self) -> Any:
        """A handle that belongs to no engine, to be closed."""
        return Lasting(self.memory) if self.kind == "memory" else Timeless(await _held(open_store, self.url))

    def engine(self, **options: Any) -> PlacedEngine:
        """An engine on it, alone there: it neither sweeps nor renews a lease."""
        return PlacedEngine(self, **options)


class Lasting:
    """A store in memory that outlives its engine."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def close(self) -> None:
        """It stays."""


class PlacedEngine(Engine):
    """An engine on a place."""

    def __init__(self, place: Place, *, forgets: type[Forgetting] | None = None, **options: Any) -> None:
        super().__init__("sqlite:///unused", **{"lease": FOREVER, "sweep": False} | options)
        self._place = place
        self._forgets = forgets

    async def _open(self) -> None:
        await super()._open()
        self._host.forgets = self._forgets

    async def _open_store(self, site: Site) -> Any:
        return await self._place.open_store(site)


@contextmanager
def place_of(kind: str) -> Iterator[Place]:
    """A store with nothing in it."""
    if kind == "redis":
        yield Place(kind, f"{shared().address}?namespace=place{next(NAMESPACES)}")
    else:
        with TemporaryDirectory(prefix="rx-") as folder:
            yield Place(kind, f"sqlite:///{Path(folder) / 'runs.db'}")
