"""A restarted run owns all that it keeps: maps in maps can be read when the life before is past retention and gone."""

import asyncio
import base64
from typing import Annotated

import pytest

from reactor import Engine, Expired, Halt, Reactor, Results, Secret, compose, map_over, step
from reactor.record.keeping import root_of
from reactor.run.references import KeptResults

pytestmark = pytest.mark.anyio
HALTS: set[str] = set()
BEGUN: list[str] = []
KEPT_FOR = 500  # seconds


@pytest.fixture(autouse=True)
def _fresh():
    HALTS.clear()
    BEGUN.clear()


def act(name):
    """A call: it halts while it is told to."""
    BEGUN.append(name)
    if name in HALTS:
        raise Halt(name)


class Inner(Reactor):
    """Gives what its map left."""

    base: int

    @map_over([1, 2, 3], batch_size=2)
    async def each(self, one: int) -> str:
        return f"{self.base}.{one}"

    output = each


class Deeper(Reactor):
    """A map whose elements give what their maps left."""

    base: int

    @map_over([1, 2], batch_size=1)
    async def middle(self, one: int) -> Inner:
        return Inner(base=10 * self.base + one)

    output = middle


class Outer(Reactor):
    """Maps in maps, as an element's result, in a child, and handed on by a step."""

    @map_over([1, 2, 3], batch_size=1, in_flight=1)
    async def some(self, one: int) -> Inner:
        act(f"some {one}")
        return Inner(base=one)

    @map_over([1, 2], after=[some], batch_size=1, in_flight=1)
    async def deep(self, one: int) -> Deeper:
        act(f"deep {one}")
        return Deeper(base=one)

    @compose
    async def child(self) -> Inner:
        return Inner(base=7)

    @step
    async def handed(self, given: Results[str] = child.result) -> Results[str]:
        return given

    @step(after=[some, deep, handed])
    async def last(self) -> int:
        act("last")
        return 1

    @step(after=[last])
    async def output(self) -> int:
        await asyncio.sleep(2 * KEPT_FOR)
        return 1


async def texts(results):
    """What is in results of results of …, flat."""
    found = []
    async for one in results:
        found += await texts(one) if isinstance(one, Results) else [one]
    return found


async def outlived(engine, run, from_step="output"):
    """The next life, when the one before is gone."""
    again = await run.restart(from_step=from_step)
    await again.result()
    store = engine._host.store
    await store.expire(KEPT_FOR, 1e9)
    assert await store.load(run.id) is None
    assert await engine._host.is_expired(run.id)
    return again


async def check(run):
    """All that its maps left can be read."""
    assert await texts(await run.value(Outer.some)) == [f"{base}.{one}" for base in (1, 2, 3) for one in (1, 2, 3)]
    assert await texts(await run.value(Outer.deep)) == [f"{base}.{one}" for base in (11, 12, 21, 22) for one in (1, 2, 3)]
    assert await texts(await run.value(Outer.child)) == ["7.1", "7.2", "7.3"]
    assert await texts(await run.value(Outer.handed)) == ["7.1", "7.2", "7.3"]


@pytest.mark.parametrize(("from_step", "begun"), [("output", []), ("last", ["last"]), ("deep", ["deep 1", "deep 2", "last"])])
async def test_what_a_run_that_ended_left_outlives_it(from_step, begun):
    """Whole maps, and those that are made again: in elements, in children, and handed on."""
    async with Engine(retention=1e9) as engine:
        run = await engine.start(Outer(), id="o")
        await run.result()
        BEGUN.clear()
        again = await outlived(engine, run, from_step)
        await check(again)
        assert begun == BEGUN
        await check(await outlived(engine, again))


@pytest.mark.parametrize("halt", ["some 2", "some 3", "deep 2"])
async def test_what_a_map_that_was_stopped_half_way_left_outlives_it(halt):
    """Elements that succeeded are kept with all that is in them; they are not made again."""
    async with Engine(retention=1e9) as engine:
        HALTS.add(halt)
        run = await engine.start(Outer(), id="o")
        await run.outcome()
        HALTS.clear()
        before = [one for one in BEGUN if one != halt]
        BEGUN.clear()
        again = await outlived(engine, run, None)
        await check(again)
        assert not set(before) & set(BEGUN)
        await check(await outlived(engine, again))


async def test_elements_that_were_kept_twice_outlive_both_lives():
    """A life that was stopped before it came to its map hands on what the life before it had left."""
    async with Engine(retention=1e9) as engine:
        HALTS.add("deep 2")
        run = await engine.start(Outer(), id="o")
        await run.outcome()
        second = await run.restart()
        await second.outcome()
        HALTS.clear()
        BEGUN.clear()
        third = await second.restart()
        await third.result()
        await engine._host.store.expire(KEPT_FOR, 1e9)
        assert await engine._host.store.load(second.id) is None
        await check(third)
        assert "deep 1" not in BEGUN


class Guarded(Reactor):
    """The same of secrets."""

    @map_over(["a", "b"], batch_size=1)
    async def each(self, one: Annotated[str, Secret()]) -> Annotated[str, Secret()]:
        return f"secret {one}"

    output = each


class Guards(Reactor):
    """Elements that give what maps of secrets left."""

    @map_over([1, 2], batch_size=1, in_flight=1)
    async def some(self, one: int) -> Guarded:
        act(f"some {one}")
        return Guarded()

    @step(after=[some])
    async def output(self) -> int:
        await asyncio.sleep(2 * KEPT_FOR)
        return 1


class Sealing(Engine):
    """In memory, and sealed."""

    def __init__(self):
        super().__init__(retention=1e9, keys=[base64.b64decode("q6urq6urq6urq6urq6urqw==")])


@pytest.mark.parametrize("halt", ["some 2", ""])
async def test_what_is_sealed_is_handed_on(halt):
    """It opens in the next life as in the one before."""
    async with Sealing() as engine:
        HALTS.add(halt)
        run = await engine.start(Guards(), id="g")
        await run.outcome()
        HALTS.clear()
        again = await outlived(engine, run, None if halt else "output")
        assert await texts(await again.value(Guards.some)) == ["secret a", "secret b"] * 2


async def test_no_reference_of_the_new_life_leads_to_the_old_one():
    """Wherever one lies."""
    async with Engine(retention=1e9) as engine:
        HALTS.add("deep 2")
        run = await engine.start(Outer(), id="o")
        await run.outcome()
        HALTS.clear()
        again = await outlived(engine, run, None)
        for node in (Outer.some, Outer.deep, Outer.child, Outer.handed):
            results = await again.value(node)
            assert isinstance(results, KeptResults)
            assert root_of(results.prefix) == again.id


async def test_a_name_whose_first_life_is_gone_leads_to_the_life_that_is_there():
    """Asked for by its first name, or started again under it."""
    async with Engine(retention=1e9) as engine:
        run = await engine.start(Outer(), id="o")
        await run.result()
        again = await outlived(engine, run)
        assert (await engine.get(Outer, "o")).id == again.id
        assert (await engine.get("Outer:o")).id == again.id
        assert (await engine.start(Outer(), id="o")).id == again.id
        third = await outlived(engine, again)
        assert (await engine.get(Outer, "o")).id == third.id
        await engine._host.store.expire(0, 1e9)
        with pytest.raises(Expired):
            await engine.get(Outer, "o")
        with pytest.raises(Expired):
            await engine.start(Outer(), id="o")
