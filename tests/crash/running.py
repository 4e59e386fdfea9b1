"""Workers as processes, stores of two kinds, and a look at both from outside."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.engine import open_store
from tests.crash.ledger import Ledger
from tests.crash.worker import Told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.stores.redis_server import Server

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds that anything here may take
LOOK = 0.005


@dataclass
class Place:
    """A store and a ledger, for as many runs as one likes; `fresh` ones beside it are as empty as it was."""

    name: str
    folder: Path
    server: Server | None = None
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.folder / f"{self.name}.ledger")

    @property
    def url(self) -> str:
        """Where the store is."""
        return f"sqlite:///{self.path}" if self.server is None else f"{self.server.address}?namespace={self.name}"

    @property
    def kind(self) -> str:
        """Which kind of store it is."""
        return "sqlite" if self.server is None else "redis"

    @property
    def path(self) -> Path:
        """The file of a store in one."""
        return self.folder / f"{self.name}.db"

    def fresh(self, name: str) -> Place:
        """Another of its kind."""
        return Place(f"{self.name}-{name}", self.folder, self.server)

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Any]:
        """A hand on the store, beside all engines."""
        store = await open_store(self.url)
        try:
            yield store
        finally:
            await store.close()


@dataclass
class Ended:
    """How a worker ended."""

    code: int
    told: dict[str, Told] | None
    errors: str

    @property
    def was_killed(self) -> bool:
        """By SIGKILL."""
        return self.code == -signal.SIGKILL


class Worker:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.pid = process.pid

    def send(self, number: signal.Signals) -> None:
        """Signal it."""
        self.process.send_signal(number)

    async def ended(self) -> Ended:
        """Wait for its end."""
        out, errors = await self.process.communicate()
        told = msgspec.json.decode(out, type=dict[str, Told]) if out else None
        return Ended(self.process.returncode, told, errors.decode())


@asynccontextmanager
async def worker(place: Place, **job: Any) -> AsyncIterator[Worker]:
    """A worker on a place; gone at the end, however that comes."""
    given = msgspec.json.encode({"url": place.url, "ledger": place.ledger.path, **job}).decode()
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "tests.crash.worker", given], cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield Worker(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def worked(place: Place, **job: Any) -> Ended:
    """A worker's whole life."""
    async with asyncio.timeout(PATIENCE), worker(place, **job) as one:
        return await one.ended()


async def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Look until it holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  it is a file, or a process
            await asyncio.sleep(LOOK)
