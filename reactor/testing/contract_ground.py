"""What every check of the store contract stands on: a provider of a store, the list of laws, and a few words to say them in.

It refuses to know which store is asked, and what the laws are.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

import anyio

from reactor.errors import StoreUnavailable
from reactor.record.keeping import session_of
from reactor.record.store import HERE, Append, Appended, Claimed, Created, Delivered, Loaded, Message, NewRecord, Served, Store, TooLarge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")

Offer: TypeAlias = Literal["days", "rewind"]

LONG = 60.0  # seconds: a lease that does not run out while a check is made


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A store to be asked, empty and alone. A new one is made for every check.

    `open_store` opens a fresh handle on the same data, as another process would. `advance(seconds)` returns when the store's time has
    gone on by at least so many seconds: a virtual clock where the store allows, else a real sleep. `lease` is how long a lease is, in
    seconds, that a check lets run out: tens of milliseconds, where time is real. `close` drops the data and what held them; the handles
    are closed before.

    Where a store can do more, more is asked of it (`checks(offers)`):

    - "days": `advance` may be asked for weeks.
    - "rewind": `snapshot` gives the data as they are, `restore` brings them back under open handles, as a server does that lost its
      last second.

    `lose_reply(handle)` is a context in which the next write of that handle is applied, and the reply to it lost on its way: the handle
    raises StoreUnavailable, or asks again by itself. Without it a check drops the answer and asks again, which says less.
    """

    name: str
    open_store: Callable[[], Awaitable[Store]]
    advance: Callable[[float], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
    lease: float = 0.05
    lose_reply: Callable[[Store], AbstractAsyncContextManager[None]] | None = None
    snapshot: Callable[[], Awaitable[object]] | None = None
    restore: Callable[[Any], Awaitable[None]] | None = None


class Broken(AssertionError):
    """A store does not keep the law; the message says what it answered and what it should have."""


def equal(got: object, wanted: object, said: str = "") -> None:
    """The store answered this."""
    if got != wanted:
        raise Broken(f"{said or 'the answer'}: {got!r:.500}, not {wanted!r:.500}")


def holds(truth: object, said: str) -> None:
    """It is so."""
    if not truth:
        raise Broken(said)


def is_a(got: object, kind: type[T]) -> T:
    """The store answered one of these."""
    if not isinstance(got, kind):
        raise Broken(f"the answer: {got!r:.500}, not {kind.__name__}")
    return got


async def refused_as_too_large(call: Awaitable[object]) -> None:
    """The call raises `TooLarge`."""
    with suppress(TooLarge):
        raise Broken(f"{await call!r:.500} was answered to what is over a limit")


class Handles:
    """A provider's store under a check, the processes that use it, and its time."""

    def __init__(self, provider: Provider, store: Store) -> None:
        self.provider = provider
        self.store = store
        self._opened: list[Store] = [store]
        self._numbers = count(1)

    async def another(self) -> Store:
        """Another handle on the same data: another process."""
        store = await self.provider.open_store()
        self._opened.append(store)
        return store

    async def let_pass(self, seconds: float) -> None:
        """The store's time goes on."""
        await self.provider.advance(seconds)

    def fresh(self, word: str = "op") -> str:
        """A name that was not used yet."""
        return f"{word}{next(self._numbers)}"

    async def session(self, lease: float = LONG, store: Store | None = None) -> str:
        """An open session."""
        name = self.fresh("process")
        await (store or self.store).open_session(name, lease)
        return name

    async def remember(self) -> Callable[[], Awaitable[None]]:
        """The data as they are now: what is given brings them back."""
        provider = self.provider
        if provider.snapshot is None or provider.restore is None:
            raise Broken(f'{provider.name} offers "rewind", but has no `snapshot` and `restore`')
        return partial(provider.restore, await provider.snapshot())

    async def twice(self, call: Callable[[Store], Awaitable[T]]) -> T:
        """What is answered to a call whose first reply was lost, asked again by the same handle."""
        if self.provider.lose_reply is None:
            await call(self.store)
        else:
            async with self.provider.lose_reply(self.store):
                with suppress(StoreUnavailable):
                    await call(self.store)
        return await call(self.store)

    async def at_once(self, calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
        """What is answered to all of these, begun together, in their order."""
        answers: dict[int, T] = {}

        async def one(number: int, call: Callable[[], Awaitable[T]]) -> None:
            answers[number] = await call()

        async with anyio.create_task_group() as group:
            for number, call in enumerate(calls):
                group.start_soon(one, number, call)
        return [answers[number] for number in sorted(answers)]

    async def handles(self, number: int) -> list[Store]:
        """So many processes, this one among them."""
        return [self.store, *[await self.another() for _ in range(number - 1)]]

    async def close(self) -> None:
        """Close every handle that was opened."""
        for store in reversed(self._opened):
            await store.close()


class Ground(Handles):
    """… with words for what most checks begin with."""

    async def made(self, run: str = "shop:1", **more: Any) -> NewRecord:
        """A record that was created."""
        record = record_of(run, **more)
        is_a(await self.store.create(record), Created)
        return record

    async def driven(self, run: str = "shop:1", **more: Any) -> Claimed:
        """A record that was created, and is claimed."""
        await self.made(run, **more)
        return await self.taken(run)

    async def taken(self, run: str) -> Claimed:
        """A record that is there, claimed under a new session."""
        return is_a(await self.store.claim_run(await self.session(), run), Claimed)

    async def lapse(self, session: str) -> None:
        """The session's lease has run out."""
        await self.store.open_session(session, self.provider.lease)  # again, so that a slow machine cannot be too late to claim
        await self.let_pass(self.provider.lease * 1.2)

    async def left(self, run: str = "shop:1", **more: Any) -> Claimed:
        """A record that is claimed by a session whose lease has run out."""
        claimed = await self.driven(run, **more)
        await self.lapse(session_of(claimed.token))
        return claimed

    async def append(self, claimed: Claimed, seq: int, *events: bytes, **more: Any) -> Appended:
        """An append that is written."""
        return is_a(await self.store.append(self.append_of(claimed, seq, *events, **more)), Appended)

    def append_of(self, claimed: Claimed, seq: int, *events: bytes, **more: Any) -> Append:
        """An append of this token, not sent."""
        given: dict[str, Any] = {"op": self.fresh(), "status": "running", **more}
        return Append(run=claimed.run, token=claimed.token, seq=seq, events=events, **given)

    async def park(self, claimed: Claimed, seq: int = 0, *events: bytes, **more: Any) -> Appended:
        """The record is given back, and waits."""
        return await self.append(claimed, seq, *events, **{"status": "parked", "release": True, **more})

    async def end(self, claimed: Claimed, seq: int = 0, *events: bytes, **more: Any) -> Appended:
        """The record ends."""
        return await self.append(claimed, seq, *events, **{"status": "succeeded", "ended": True, **more})

    async def ended(self, run: str = "shop:1", **more: Any) -> None:
        """A run that was made and has ended."""
        await self.end(await self.driven(run, **more))

    async def tell(self, run: str = "shop:1", body: bytes = b"hello", *, kind: Any = "signal", moves: bool = True) -> Delivered:
        """A message that is left."""
        return is_a(await self.store.deliver(run, Message(kind, body), moves=moves, operation=self.fresh()), Delivered)

    async def loaded(self, run: str = "shop:1", after: int | None = None) -> Loaded:
        """A record that is there, as a fresh handle sees it."""
        return is_a(await (await self.another()).load(run, after=after), Loaded)

    async def claims(self, *serves: Served, place: str = HERE, limit: int = 100) -> list[str]:
        """The runs that a new session is given to drive, in this order."""
        asked = serves or (Served("shop", 1, "fp"),)
        return [one.run for one in await self.store.claim(await self.session(), asked, place, limit=limit)]


def record_of(run: str, **more: Any) -> NewRecord:
    """A record of reactor `shop`, fingerprint "fp", due at once."""
    return NewRecord(run=run, **{"root": run, "reactor": "shop", "fingerprint": "fp", **more})


SETTLED = Message("settled", b"done")


def child_of(root: str, name: str, **more: Any) -> NewRecord:
    """A record below a run."""
    return record_of(f"{root}/{name}", **{"root": root, "parent": root, **more})


class Law(Protocol):
    """An async function that asks a store, whose docstring is what must hold."""

    __name__: str

    async def __call__(self, ground: Ground, /) -> None:
        """Ask. Raises Broken."""
        ...


@dataclass(frozen=True)
class Check:
    """One law, and how to ask a store whether it keeps it: `await check(provider)` raises Broken where it does not."""

    name: str
    law: str
    needs: frozenset[Offer]
    ask: Law

    def __str__(self) -> str:
        return self.name

    async def __call__(self, provider: Provider) -> None:
        """Ask the provider's store. Raises Broken."""
        async with standing_on(provider) as ground:
            await self.ask(ground)


@asynccontextmanager
async def standing_on(provider: Provider) -> AsyncIterator[Ground]:
    """A ground whose handles are closed at the end."""
    ground = Ground(provider, await provider.open_store())
    try:
        yield ground
    finally:
        await ground.close()


class Laws:
    """The checks of one part of the contract, in the order in which they are written."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def add(self, *needs: Offer) -> Callable[[Law], Law]:
        """A decorator: this function is a check, of stores that offer all of these."""

        def listed(ask: Law) -> Law:
            self.checks.append(Check(ask.__name__, (ask.__doc__ or "").strip(), frozenset(needs), ask))
            return ask

        return listed


def chosen(laws: Sequence[Laws], offers: Iterable[Offer]) -> list[Check]:
    """The checks that a store with these offers is asked."""
    offered = frozenset(offers)
    return [check for part in laws for check in part.checks if check.needs <= offered]
