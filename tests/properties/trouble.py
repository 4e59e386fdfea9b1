"""Stores that lose replies, are away for a while, or give a record to another; and processes that die in between, in this one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hypothesis import strategies as st

from reactor.errors import StoreUnavailable

if TYPE_CHECKING:
    from reactor import Engine

Kind: TypeAlias = Literal["lost", "away", "stolen", "killed"]
TROUBLED = frozenset({"create", "append", "deliver", "mail", "load", "claim", "claim_run", "held", "open_wait", "close_wait"})
AWAY = 4  # calls that a store is away for


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with the nth call of a store: its reply is lost, or it and the next few are not made at all; or around it."""

    nth: int
    kind: Kind


def troubles(*kinds: Kind) -> st.SearchStrategy[list[Trouble]]:
    """Some, of these kinds; at most two takeovers, since the third in a call may fail it."""
    some = st.lists(st.builds(Trouble, st.integers(1, 40), st.sampled_from(kinds)), max_size=4, unique_by=lambda one: one.nth)
    return some.filter(lambda found: sum(one.kind in ("killed", "stolen") for one in found) <= 2)


class Troubled:
    """A store that has troubles, which outlive its handles: they count on. `around`: what steals and kills."""

    def __init__(self, troubles: list[Trouble]) -> None:
        self.kinds = {one.nth: one.kind for one in troubles}
        self.calls = 0
        self.away = 0
        self.killing = asyncio.Event()
        self.stolen: list[str] = []

    def wrap(self, store: Any) -> Handle:
        """A handle."""
        return Handle(self, store)


class Handle:
    """One process's view of a store."""

    def __init__(self, troubled: Troubled, store: Any) -> None:
        self.inner = store
        self.is_dead = False
        self._troubled = troubled

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        return partial(self._call, name, found) if name in TROUBLED or iscoroutinefunction(found) else found

    async def _call(self, name: str, call: Any, *args: Any, **options: Any) -> Any:
        troubled = self._troubled
        if self.is_dead:
            await asyncio.get_running_loop().create_future()
        if name not in TROUBLED:
            return await call(*args, **options)
        troubled.calls += 1
        kind = troubled.kinds.get(troubled.calls)
        if kind == "away":
            troubled.away = AWAY
        if troubled.away:
            troubled.away -= 1
            raise StoreUnavailable("it is away")
        if kind == "stolen" and name == "append":
            await self._steal(args[0].run)
        answer = await call(*args, **options)
        if kind == "killed":
            self.is_dead = True
            troubled.killing.set()
            await asyncio.get_running_loop().create_future()
        if kind == "lost":
            raise StoreUnavailable("its reply was lost")
        return answer

    async def _steal(self, run: str) -> None:
        """Another process takes the record over, and dies at once: its lease is over."""
        store, loaded = self.inner, await self.inner.load(run, after=1 << 62)
        if loaded is None or loaded.token is None:
            return
        owner, thief = loaded.token.partition(":")[0], f"thief{len(self._troubled.stolen)}"
        self._troubled.stolen.append(run)
        held = [one.run for one in await store.held(owner)]
        await store.close_session(owner)
        await store.open_session(thief, 60.0)
        await store.claim_run(thief, run)
        await store.open_session(owner, 1e9)
        for other in held:
            if other != run:
                await store.claim_run(thief, other)
        await store.close_session(thief)


async def kill(engine: Engine) -> None:
    """Its process is gone: nothing of it goes on, nothing is said or closed, and in time its lease is over."""
    host = engine._host
    handle: Handle = host.store
    handle.is_dead = True
    host.is_closing = True
    for driver in host.drivers.values():
        driver.released = True
    here = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not here]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    await handle.inner.close()


async def patiently(call: Any) -> Any:
    """Ask until the store answers, as its callers would."""
    while True:
        try:
            return await call()
        except StoreUnavailable:
            await asyncio.sleep(0.1)
