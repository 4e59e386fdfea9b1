"""A record, looked at from anywhere: what follows from its facts, without the types or the keys of its values."""

import base64
from typing import Annotated

import pytest

from reactor import Ask, Engine, Incompatible, Reactor, ReactorError, Secret, interrupt, map_over, step
from reactor.machine.marks import DONE, OPEN
from reactor.machine.parking import waiting_in
from reactor.plan.compile import plan_of
from reactor.run.sighting import Lookout

pytestmark = pytest.mark.anyio


class Asks(Reactor):
    """A question."""

    who: str

    @interrupt
    async def approval(self) -> Ask[bool]:
        return Ask(self.who)

    output = approval


class Shop(Reactor, name="shop", aliases=("old-shop",)):
    """A secret, and questions in elements."""

    @step
    async def secret(self) -> Annotated[str, Secret()]:
        return "4242"

    @map_over(["a", "b"], batch_size=1)
    async def some(self, who: str) -> Asks:
        return Asks(who=who)

    @step(after=[secret, some])
    async def output(self) -> int:
        return 1


class Branch(Shop, name="branch"):
    """A subclass."""


@pytest.fixture
async def store():
    """With a run of each in it, sealed and parked."""
    async with Engine(keys=[base64.b64decode("q6urq6urq6urq6urq6urqw==")]) as engine:
        for reactor in (Shop, Branch):
            run = await engine.start(reactor(), id="1")
            await run.outcome()
        yield engine._host.store


def lookout(store, *known, near=None):
    """Of a process that knows these."""
    return Lookout(store, {name: cls for cls in known for name in (cls.__name__.lower(),)}, plan_of, near)


async def test_what_is_not_there_is_not_seen(store):
    """Nor a batch that was never made."""
    assert await lookout(store, Shop).see("shop:2") is None
    assert await lookout(store, Shop).see("shop:1/some#7") is None


async def test_a_run_is_seen_without_its_keys(store):
    """Where its nodes stand, and what it waits for; values stay as they lie."""
    seen = await lookout(store, Shop).see("shop:1")
    root, index = seen.state.root, seen.state.root.plan.index
    assert seen.name == "shop:1"
    assert (root.marks[index["secret"]], root.marks[index["some"]]) == (DONE, OPEN)
    assert isinstance(root.values[index["secret"]], bytes)
    assert b"4242" not in root.values[index["secret"]]
    assert sorted(one.correlation_id for one in waiting_in(seen.state, seen.name)) == ["a", "b"]


async def test_a_batch_is_seen_through_the_record_around_it(store):
    """Its elements have their places."""
    seen = await lookout(store, Shop).see("shop:1/some#1")
    [waited] = waiting_in(seen.state, seen.name)
    assert (waited.record, waited.address, waited.correlation_id) == ("shop:1/some#1", "some[1].approval", "b")


async def test_looking_changes_nothing(store):
    """Nor does it claim: whoever drives it goes on."""
    before = await store.load("shop:1")
    for name in ("shop:1", "shop:1/some#0"):
        await lookout(store, Shop).see(name)
    assert await store.load("shop:1") == before


async def test_a_reactor_that_nobody_here_knows_is_told(store):
    """And those that are known."""
    with pytest.raises(ReactorError, match="does not know the reactor `shop`") as raised:
        await lookout(store, Asks).see("shop:1")
    assert (raised.value.code, raised.value.known) == ("not-served", ("asks",))


async def test_one_that_is_near_and_its_subclasses_are_known(store):
    """Who asks by a class need not serve it."""
    for name in ("shop:1", "branch:1", "branch:1/some#0"):
        assert (await lookout(store, near=Shop).see(name)).state is not None
    with pytest.raises(ReactorError):
        await lookout(store, near=Branch).see("shop:1")


class Other(Reactor, name="shop"):
    """Other code of the same name: it lacks the map."""

    @step
    async def secret(self) -> int: ...

    @step(after=[secret])
    async def output(self) -> int: ...


async def test_what_other_code_wrote_is_there_and_unread(store):
    """Whoever has that code is to read it; what is in it cannot be looked at either."""
    other = Lookout(store, {"shop": Other}, plan_of)
    assert (await other.see("shop:1")).state is None
    with pytest.raises(Incompatible, match="does not fit the code at hand"):
        await other.see("shop:1/some#0")


async def test_what_was_refused_is_not_read(store):
    """It may not fit anybody's code."""
    await store.open_session("s", 60.0)
    claimed = await store.claim_run("s", "shop:1")
    await store.refuse("shop:1", claimed.token, "other code")
    seen = await lookout(store, Shop).see("shop:1")
    assert (seen.loaded.status, seen.state) == ("incompatible", None)


async def test_a_batch_without_the_record_around_it(store):
    """It cannot be read."""

    class Hole:
        def __getattr__(self, name):
            return getattr(store, name)

        async def load(self, run, *, after=None):
            return None if run == "shop:1" else await store.load(run, after=after)

    with pytest.raises(Incompatible, match="the record around shop:1/some#0 is not there"):
        await lookout(Hole(), Shop).see("shop:1/some#0")
