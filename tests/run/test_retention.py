"""What is past retention is gone, with all that belongs to it; its name and the ids of deliveries are remembered."""

import pytest

from reactor import Ask, Cancelled, Expired, Failed, NotWaiting, Parked, Reactor, Results, Retry, Succeeded, interrupt, map_over, step
from tests.places import PLACES, place_of

pytestmark = pytest.mark.anyio
FOREVER = 1e9


class Shop(Reactor, name="shop"):
    """A batch for each element, then a question."""

    order: str

    @map_over([1, 2, 3], batch_size=1)
    async def some(self, one: int) -> int:
        return one

    @interrupt(after=[some])
    async def paid(self) -> Ask[bool]:
        return Ask(self.order)

    @step(after=[paid])
    async def output(self, some: Results[int] = some.result) -> int:
        return sum(await some.all())


@pytest.fixture(params=PLACES)
def place(request):
    """On each store."""
    with place_of(request.param) as made:
        yield made


async def test_what_is_past_retention_is_gone(place):
    """It leaves lists and counts, batches go with it, and its correlation id is free; what has not ended stays."""
    async with place.engine() as engine:
        store = engine._host.store
        gone = await engine.start(Shop(order="a"), id="gone", tags=["vip"])
        stays = await engine.start(Shop(order="b"), id="stays", tags=["vip"])
        await engine.signal(Shop.paid, True, correlation_id="a", delivery_id="d-1")
        assert await gone.outcome() == Succeeded(6, gone.id)
        assert isinstance(await stays.outcome(), Parked)
        assert await store.counts() == {"succeeded": 1, "parked": 1}

        assert await store.expire(0, FOREVER) == 1
        for query in ({}, {"reactor": Shop}, {"tag": "vip"}, {"status": "parked"}, {"text": "sta"}):
            page = await engine.find(**query)
            assert ([run.id for run in page.items], page.total) == (["shop:stays"], 1)
        assert (await engine.find(text="gone")).total == (await engine.find(status="succeeded")).total == 0
        assert await store.counts() == {"parked": 1}
        assert [await store.load(f"shop:gone/some#{number}") for number in range(3)] == [None] * 3
        assert await store.load("shop:stays/some#0") is not None
        assert await store.find_waiting("Shop.paid", "a") is None

        again = await engine.start(Shop(order="a"), id="again")
        assert isinstance(await again.outcome(), Parked)
        await engine.signal(Shop.paid, True, correlation_id="a")
        assert await again.result() == 6
        assert await store.expire(0, FOREVER) == 1, "only what has ended since"


async def test_its_name_is_remembered(place):
    """It begins no second life, whoever asks, and is not unknown: also in the next engine."""
    async with place.engine() as engine:
        store = engine._host.store
        run = await engine.start(Shop(order="a"), id="a")
        await engine.signal(Shop.paid, True, correlation_id="a", delivery_id="d-1")
        await run.result()
        await store.expire(0, FOREVER)
        for ask in (
            lambda: engine.start(Shop(order="a"), id="a"),
            lambda: engine.start(Shop(order="other"), id="a"),
            lambda: engine.get(Shop, "a"),
            lambda: engine.get("shop:a"),
        ):
            with pytest.raises(Expired):
                await ask()
    async with place.engine() as engine:
        with pytest.raises(Expired):
            await engine.start(Shop(order="a"), id="a")


async def test_a_delivery_is_remembered_longer_than_its_run(place):
    """The provider that sends it once more is told what it was told before."""
    async with place.engine() as engine:
        run = await engine.start(Shop(order="a"), id="a")
        await run.outcome()
        first = await engine.signal(Shop.paid, True, correlation_id="a", delivery_id="d-1")
        await run.result()
        await engine._host.store.expire(0, FOREVER)
        again = await engine.signal(Shop.paid, True, correlation_id="a", delivery_id="d-1")
        assert (first.status, again.status, again.run_id) == ("accepted", "duplicate", "shop:a")


async def test_an_answer_to_what_is_past_retention(place):
    """It comes too late: it is not kept for a run that nobody may start any more."""
    async with place.engine() as engine:
        run = await engine.start(Shop(order="a"), id="a")
        await run.cancel("enough")
        await run.outcome()
        await engine._host.store.expire(0, FOREVER)
        with pytest.raises((Expired, NotWaiting)):
            await engine.signal(Shop.paid, True, run_id="shop:a")


async def test_a_handle_tells_what_it_knew(place):
    """Who has waited for an outcome still has it."""
    async with place.engine() as engine:
        run = await engine.start(Shop(order="a"), id="a")
        await engine.signal(Shop.paid, True, correlation_id="a")
        first = await run.outcome()
        await engine._host.store.expire(0, FOREVER)
        assert await run.outcome() == first


class Stuck(Reactor, name="stuck"):
    """An undo that fails."""

    @step
    async def first(self) -> int:
        return 1

    @first.undo(retry=Retry(1))
    async def undo_first(self, value: int) -> None:
        raise OSError

    @step(after=[first])
    async def output(self) -> int:
        return 1


async def test_a_run_that_waits_for_one_that_is_gone(place):
    """The life before was stuck, and is past retention: the next one never begins, and says where it stands."""
    async with place.engine() as engine:
        store = engine._host.store
        run = await engine.start(Stuck(), id="s")
        await run.result()
        again = await run.restart(from_step="first")
        assert isinstance(await again.outcome(), Failed)
        assert await again.status() == "stuck"
        assert await store.expire(0, FOREVER) == 1
        assert await again.status() == "queued"
        await again.cancel("nobody could undo what was before")
        assert await again.outcome() == Cancelled("nobody could undo what was before", again.id)
