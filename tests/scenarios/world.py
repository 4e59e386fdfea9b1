"""The outside world of the scenarios: one diary that every call writes to, and a plan of what goes wrong and how long it takes.

Steps say `await act("hotel")`; a test says `world.fails("hotel", Boom("full"))` or `world.takes("hotel", 5)` before it runs them, and
reads `world.began`, `world.undone` and the rest afterwards. It is reset before each test.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, overload

from reactor import Engine, Outcome, Reactor, RunFailed, RunStopped, Succeeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

T = TypeVar("T")


class Boom(Exception):
    """What goes wrong."""


class Declined(Boom):
    """A kind of it."""


class Worse(Exception):
    """Another."""


@dataclass
class Entry:
    """One line of the diary: a call began, ended, failed or was cancelled, at a virtual second."""

    what: str
    name: str
    at: float


@dataclass
class World:
    """The diary, and the plan."""

    diary: list[Entry] = field(default_factory=list)
    failures: dict[str, list[BaseException | None]] = field(default_factory=dict)
    always: dict[str, BaseException] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    running: Counter[str] = field(default_factory=Counter)
    most_running: int = 0

    # -- the plan

    def fails(self, name: str, *errors: BaseException | None) -> None:
        """The nth call of this name raises the nth error; None, and every call after the last, goes well."""
        self.failures[name] = list(errors)

    def always_fails(self, name: str, error: BaseException) -> None:
        """Every call of this name raises it."""
        self.always[name] = error

    def takes(self, name: str, seconds: float) -> None:
        """A call of this name takes so long, before it ends or fails."""
        self.durations[name] = seconds

    # -- the diary

    def note(self, what: str, name: str) -> None:
        """Write a line."""
        self.diary.append(Entry(what, name, now()))

    def names(self, what: str) -> list[str]:
        """Whose lines say this, in order."""
        return [entry.name for entry in self.diary if entry.what == what]

    @property
    def began(self) -> list[str]:
        """The calls of nodes that began, in order: undos and compensations left out."""
        return [name for name in self.names("began") if not name.startswith(("undo ", "compensate "))]

    @property
    def undone(self) -> list[str]:
        """What was undone, in the order in which that ended."""
        return [name.removeprefix("undo ") for name in self.names("ended") if name.startswith("undo ")]

    @property
    def compensated(self) -> list[str]:
        """What was compensated, in the order in which that began."""
        return [name.removeprefix("compensate ") for name in self.names("began") if name.startswith("compensate ")]

    def when(self, what: str, name: str) -> float:
        """The virtual second of the first such line."""
        return next(entry.at for entry in self.diary if (entry.what, entry.name) == (what, name))

    def times(self, what: str, name: str) -> list[float]:
        """The virtual seconds of all such lines."""
        return [entry.at for entry in self.diary if (entry.what, entry.name) == (what, name)]

    def before(self, first: tuple[str, str], second: tuple[str, str]) -> bool:
        """Whether one line was written before another."""
        lines = [(entry.what, entry.name) for entry in self.diary]
        return lines.index(first) < lines.index(second)

    def still_running(self) -> list[str]:
        """Calls that began and neither ended, failed nor were cancelled."""
        return sorted(name for name, count in self.running.items() if count)


world = World()


def reset() -> None:
    """Forget everything."""
    world.__init__()  # type: ignore[misc]


def now() -> float:
    """Virtual seconds; 0 in a thread, which has no loop."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0


def planned(name: str) -> BaseException | None:
    """What the plan says of this call."""
    left = world.failures.get(name)
    return left.pop(0) if left else world.always.get(name)


@overload
async def act(name: str) -> str: ...
@overload
async def act(name: str, value: T) -> T: ...
async def act(name: str, value: Any = None) -> Any:
    """What a step of this name does to the world; its value, or its name."""
    world.note("began", name)
    world.running[name] += 1
    world.most_running = max(world.most_running, sum(world.running.values()))
    try:
        await asyncio.sleep(world.durations.get(name, 0))
        if error := planned(name):
            raise error
    except asyncio.CancelledError:
        world.note("cancelled", name)
        raise
    except BaseException:
        world.note("failed", name)
        raise
    finally:
        world.running[name] -= 1
    world.note("ended", name)
    return name if value is None else value


def act_in_thread(name: str, value: T) -> T:
    """The same for a plain `def` step."""
    world.note("began", name)
    if error := planned(name):
        world.note("failed", name)
        raise error
    world.note("ended", name)
    return value


async def undo(name: str) -> None:
    """What an undo does to the world."""
    await act(f"undo {name}")


async def compensate(name: str) -> None:
    """What a compensation does to the world, when it lets the failure stand."""
    await act(f"compensate {name}")


# -- ways to run a reactor: each gives the outcome, and all must give the same


async def awaited(reactor: Reactor) -> Outcome[Any]:
    """In this process, kept nowhere; what it raises is turned back into the outcome."""
    try:
        return Succeeded(await reactor, "")  # type: ignore[misc, arg-type]
    except (RunFailed, RunStopped) as error:
        return error.outcome


async def by_engine(reactor: Reactor) -> Outcome[Any]:
    """Through an engine that keeps the record in memory."""
    async with Engine("memory://") as engine:
        return await engine.run(reactor)  # type: ignore[arg-type]


async def round_tripped(reactor: Reactor) -> Outcome[Any]:
    """The same, every value encoded and decoded on its way."""
    async with Engine("memory://", debug=True) as engine:
        return await engine.run(reactor)  # type: ignore[arg-type]


Mode = "Callable[[Reactor], Awaitable[Outcome[Any]]]"
MODES: Sequence[Any] = (awaited, by_engine, round_tripped)


# -- what tests ask


def is_before(order: Sequence[str], first: str, second: str) -> bool:
    """Whether one comes before another."""
    return order.index(first) < order.index(second)


def once_each(names: Iterable[str]) -> bool:
    """Whether nothing comes twice."""
    return all(count == 1 for count in Counter(names).values())


async def until(condition: Callable[[], bool]) -> None:
    """Let others go on until this holds; virtual time passes if it must."""
    while not condition():  # noqa: ASYNC110  it looks at the diary, and takes virtual time
        await asyncio.sleep(0.001)


async def turns(count: int = 20) -> None:
    """Let others go on for some turns of the loop, in no time."""
    for _ in range(count):
        await asyncio.sleep(0)


async def value_of(thing: Any) -> Any:
    """The value, awaited if it must be."""
    return await thing if inspect.isawaitable(thing) else thing


@asynccontextmanager
async def engine(**options: Any) -> AsyncIterator[Engine]:
    """An engine in memory, closed at the end."""
    async with Engine("memory://", **options) as opened:
        yield opened
