"""Finding runs: which ones match, newest first, a page at a time."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

import pytest

from reactor import Engine, Index, Reactor, ReactorError, step
from reactor.run.finding import Wanted, indexed_inputs, page_of

pytestmark = pytest.mark.anyio


class Order(Reactor):
    customer: Annotated[str, Index()]
    number: Annotated[int, Index()] = 0
    note: str = ""

    @step
    async def output(self) -> int:
        if self.note == "fails":
            raise ValueError
        if self.note == "waits":
            await asyncio.sleep(1000)
        return 1

    @output.undo
    async def undo_output(self, value: int) -> None: ...


class Other(Reactor, name="another"):
    @step
    async def output(self) -> int:
        return 1


@pytest.fixture
async def engine():
    """Five orders and another, a minute apart."""
    async with Engine(reactors=[Order, Other]) as made:
        for number, (customer, note, tags) in enumerate(
            [("ann", "", ["vip"]), ("bob", "fails", []), ("ann", "", []), ("bea", "waits", ["vip", "eu"])]
        ):
            await made.start(Order(customer=customer, number=number, note=note), id=f"o-{number}", tags=tags)
            await asyncio.sleep(60)
        await made.start(Other(), id="x-1")
        await asyncio.sleep(60)
        yield made


async def found(engine, **wanted):
    """The ids, without their reactor."""
    return [run.id.partition(":")[2] for run in (await engine.find(**wanted)).items]


# ---- what matches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, ["x-1", "o-3", "o-2", "o-1", "o-0"]),
        ({"reactor": Order}, ["o-3", "o-2", "o-1", "o-0"]),
        ({"reactor": "Order"}, ["o-3", "o-2", "o-1", "o-0"]),
        ({"reactor": Other}, ["x-1"]),
        ({"reactor": "another"}, ["x-1"]),
        ({"reactor": "nobody"}, []),
        ({"status": "failed"}, ["o-1"]),
        ({"status": "running"}, ["o-3"]),
        ({"tag": "vip"}, ["o-3", "o-0"]),
        ({"tag": "vi"}, []),
        ({"where": {"customer": "ann"}}, ["o-2", "o-0"]),
        ({"where": {"customer": "ann", "number": 2}}, ["o-2"]),
        ({"where": {"number": 0}}, ["o-0"]),
        ({"text": "o-"}, ["o-3", "o-2", "o-1", "o-0"]),
        ({"text": "Order:o-2"}, ["o-2"]),
        ({"text": "an"}, ["x-1", "o-2", "o-0"]),
        ({"text": "b"}, ["o-3", "o-1"]),
        ({"text": "1"}, ["o-1"]),
        ({"text": "nn"}, []),
        ({"text": ""}, ["x-1", "o-3", "o-2", "o-1", "o-0"]),
        ({"reactor": Order, "status": "succeeded", "tag": "vip", "where": {"customer": "ann"}, "text": "o"}, ["o-0"]),
    ],
    ids=str,
)
async def test_what_is_wanted(engine, wanted, ids):
    """All of it at once; newest first. `text` is a prefix of an id, a whole name or an indexed input."""
    assert await found(engine, **wanted) == ids


async def test_by_time(engine):
    """From `since` on, before `until`."""
    page = await engine.find()
    times = [datetime.fromtimestamp(run._live.created_at - 1, UTC) for run in page.items]
    assert await found(engine, since=times[2]) == ["x-1", "o-3", "o-2"]
    assert await found(engine, until=times[2]) == ["o-1", "o-0"]
    assert await found(engine, since=times[3], until=times[1]) == ["o-2", "o-1"]
    assert await found(engine, since=times[0] + timedelta(days=1)) == []


async def test_an_input_that_nothing_is_found_by(engine):
    """Or a misspelt one: the error names those that are, and says how to mark one."""
    for name in ("note", "custommer"):
        with pytest.raises(ReactorError, match=f"runs are not found by `{name}`") as raised:
            await engine.find(where={name: "x"})
        assert raised.value.code == "not-indexed"
        assert raised.value.known == ("customer", "number")
        assert "Index()" in raised.value.fix


async def test_indexed_inputs(engine):
    """What a run can be found by."""
    [run] = (await engine.find(text="o-2")).items
    assert indexed_inputs(run._live) == {"customer": "ann", "number": 2}


# ---- pages ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 50])
async def test_pages_are_the_whole(engine, limit):
    """Each run once, in order; every page counts all; the last one has no cursor."""
    seen, cursor, pages = [], None, 0
    while True:
        page = await engine.find(limit=limit, cursor=cursor)
        assert page.total == 5
        assert 0 < len(page.items) <= limit
        seen += [run.id for run in page.items]
        pages += 1
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == [run.id for run in (await engine.find()).items]
    assert pages == -(-5 // limit)


@pytest.mark.parametrize("limit", [0, -1, -100])
async def test_a_limit_is_from_one(engine, limit):
    """Nothing is silently left out."""
    with pytest.raises(ReactorError, match="limit") as raised:
        await engine.find(limit=limit)
    assert raised.value.code == "bad-limit"


async def test_what_changes_between_pages_is_on_one_page_only(engine):
    """A run that matches no longer, a new one: the next page goes on from the cursor's place."""
    page = await engine.find(reactor=Order, status="succeeded", limit=1)
    await page.items[0].undo()
    await page.items[0].outcome()
    await engine.run(Order(customer="new"), id="o-9")
    rest = await engine.find(reactor=Order, status="succeeded", limit=1, cursor=page.cursor)
    assert [run.id for run in (*page.items, *rest.items)] == ["Order:o-2", "Order:o-0"]
    assert rest.cursor is None


@pytest.mark.parametrize("cursor", ["", "nobody", "Order:o-77"])
async def test_a_cursor_of_another_kind(engine, cursor):
    """It is no page of this search."""
    with pytest.raises(ReactorError, match="is no cursor") as raised:
        await engine.find(cursor=cursor)
    assert raised.value.code == "bad-cursor"


async def test_an_empty_page(engine):
    """Nothing found is no error."""
    page = await engine.find(tag="nobody")
    assert (list(page.items), page.cursor, page.total) == ([], None, 0)
    assert page_of({}, Wanted(None, None, None, None, None, {}, None), 5, None).total == 0


async def test_both_of_a_restart_are_found(engine):
    """The one that was superseded too, as what it is."""
    run = await engine.get(Order, "o-0")
    again = await run.restart(from_step="output")
    await again.outcome()
    assert await found(engine, text="o-0") == ["o-0~2", "o-0"]
    assert await found(engine, status="superseded") == ["o-0"]
