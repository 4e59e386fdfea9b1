"""What the scenarios of interrupts share: an engine on each store, closed and opened again wherever a run has parked."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from reactor import Engine, Interrupt, Parked, Reactor, ReactorError, Run
from reactor.testing import virtual_backend
from tests.stores.redis_server import shared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAMESPACES = count(1)
PLACES = ["memory", "sqlite", "redis"]


class Stage:
    """One store, and the engine that is open on it now."""

    def __init__(self, place: str, url: str, *reactors: type[Reactor], **options: Any) -> None:
        self.place = place
        self.url = url
        self.reactors = reactors
        self.options = {"lease": 1.0, **options}
        self.engine: Engine = self.opened()

    @property
    def lasts(self) -> bool:
        """Whether runs outlive an engine here."""
        return self.place != "memory"

    def opened(self) -> Engine:
        """An engine on this store."""
        return Engine(self.url, reactors=self.reactors, **self.options)

    async def again(self) -> None:
        """Close the engine and open another: what is parked neither knows nor cares. A store in memory would forget."""
        if self.lasts:
            await self.engine.__aexit__(None, None, None)
            self.engine = self.opened()
            await self.engine.__aenter__()

    async def parks(self, run_id: str, *steps: str) -> Parked:
        """The run comes to wait for exactly these; then all memory of it is dropped."""
        run = await self.run(run_id)
        outcome = await run.outcome(timeout=20)
        assert isinstance(outcome, Parked), outcome
        assert sorted(one.step for one in outcome.waiting) == sorted(steps)
        assert await run.status() == "parked"
        await self.again()
        return outcome

    async def run(self, run_id: str) -> Run[Any]:
        """A handle on it, by the engine that is open now."""
        return await self.engine.get(run_id)

    async def outcome(self, run_id: str) -> Any:
        """What it ended as, or waits for."""
        return await (await self.run(run_id)).outcome(timeout=20)

    async def signal(self, interrupt: Interrupt[Any], payload: Any, **to: Any) -> str:
        """The status of the delivery."""
        return (await self.engine.signal(interrupt, payload, **to)).status

    async def refused(self, kind: type[ReactorError], interrupt: Interrupt[Any], payload: Any, **to: Any) -> ReactorError:
        """What a signal raises."""
        with pytest.raises(kind) as caught:
            await self.engine.signal(interrupt, payload, **to)
        return caught.value

    async def record(self, name: str) -> Any:
        """What the store keeps of it."""
        return await self.engine._host.store.load(name)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    """Where runs are kept."""
    return str(request.param)


@pytest.fixture
def anyio_backend(place: str) -> Any:
    """In memory time is virtual; a store that lasts has its own."""
    return virtual_backend() if place == "memory" else ("asyncio", {})


@pytest.fixture
def at(place: str, tmp_path: Any) -> Any:
    """What opens a stage for reactors."""
    urls = {
        "memory": lambda: "memory://",
        "sqlite": lambda: f"sqlite:///{tmp_path / 'runs.db'}",
        "redis": lambda: f"{shared().address}?namespace=parking{next(NAMESPACES)}",
    }

    @asynccontextmanager
    async def opened(*reactors: type[Reactor], **options: Any) -> AsyncIterator[Stage]:
        stage = Stage(place, urls[place](), *reactors, **options)
        await stage.engine.__aenter__()
        try:
            yield stage
        finally:
            await stage.engine.__aexit__(None, None, None)

    return opened


def drivers_tasks() -> list[str]:
    """The tasks of this loop that drive a record."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith(("Driver.", "Runner."))]
