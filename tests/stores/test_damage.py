"""Runs that others have written to, or a bad disk: each is told of, none keeps the others of its store from going on."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import msgspec
import pytest

from reactor import Ask, Engine, Reactor, ReactorError, StoreUnavailable, Succeeded, interrupt, step
from reactor.errors import Incompatible
from reactor.run.writer import Writer
from tests.stores.redis_server import shared

pytestmark = pytest.mark.anyio
NAMESPACES = count(1)
BAD = b"\x80\x04\x95 no release wrote this"
LEASE = 3.0  # seconds


@pytest.fixture
def anyio_backend() -> str:
    """The stores' own time."""
    return "asyncio"


class Shop(Reactor):
    """approve (an interrupt) → output."""

    @interrupt
    async def approve(self) -> Ask[int]:
        return Ask()

    @step
    async def output(self, approve: int = approve.result) -> int:
        return approve + 1


class File:
    """A store in a file, and a hand on it."""

    kind = "sqlite"

    def __init__(self, path: Any) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def write(self, sql: str, *values: object) -> None:
        """Write to it behind the store's back."""
        with contextlib.closing(sqlite3.connect(self.path)) as file, file:
            file.execute(sql, values)

    def spoil_events(self, run: str) -> None:
        """Its first events are no events any more."""
        self.write("UPDATE events SET events = ? WHERE record = (SELECT id FROM heads WHERE run = ?) AND seq < 3", BAD, run)

    def spoil_status(self, run: str) -> None:
        """It is none of those that a run can have."""
        self.write("UPDATE heads SET status = ? WHERE run = ?", BAD, run)

    def spoil_tags(self, run: str) -> None:
        """They are no list of texts."""
        self.write("UPDATE bodies SET tags = ? WHERE record = (SELECT id FROM heads WHERE run = ?)", BAD, run)

    def spoil_head(self, run: str) -> None:
        """Nobody knows how long it is."""
        self.write("UPDATE heads SET seq = ? WHERE run = ?", BAD, run)


class Server:
    """A namespace of a server, and a hand on it."""

    kind = "redis"

    def __init__(self) -> None:
        self.namespace = f"damage{next(NAMESPACES)}"
        self.url = f"{shared().address}?namespace={self.namespace}"
        self.client = shared().client()

    def key(self, family: str, run: str) -> bytes:
        """The one key of a family and a run."""
        [key] = [key for key in self.client.scan_iter(f"rx:{self.namespace}:*") if key.endswith(f"}}:{family}:{run}".encode())]
        return key

    def spoil_events(self, run: str) -> None:
        """Its first event is no event any more."""
        self.client.ltrim(self.key("e", run), 1, -1)

    def spoil_status(self, run: str) -> None:
        """It is none of those that a run can have."""
        self.client.hset(self.key("r", run), "s", BAD)

    def spoil_tags(self, run: str) -> None:
        """They are no list of texts."""
        self.client.set(f"{self.key('r', run).decode().partition('}:')[0]}}}:j:{run}", BAD)

    def spoil_head(self, run: str) -> None:
        """Nobody knows how long it is."""
        self.client.hset(self.key("r", run), "o", BAD)


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Any]:
    """A store of each kind that others can write to."""
    made = File(tmp_path / "runs.db") if request.param == "sqlite" else Server()
    yield made
    if isinstance(made, Server):
        made.client.close()


async def parked(place: Any, *names: str) -> None:
    """So many runs that wait for an answer, and nobody drives."""
    async with Engine(place.url, reactors=[Shop]) as engine:
        for name in names:
            await engine.run(Shop(), id=name)


async def told(ask: Callable[[], Any]) -> ReactorError:
    """The error of something that must fail, and soon."""
    async with asyncio.timeout(10):
        with pytest.raises(ReactorError) as caught:
            await ask()
    return caught.value


@pytest.mark.parametrize("spoil", ["spoil_events", "spoil_head"])
async def test_a_damaged_run_keeps_no_other_from_being_driven(place, spoil):
    """Answers lie in the mail of ten, one of which is damaged: the process that claims them drives nine, and says what the tenth has."""
    names = [str(number) for number in range(10)]
    await parked(place, *names)
    async with Engine(place.url, reactors=[Shop], sweep=False, lease=LEASE) as engine:
        engine._host.is_closing = True  # it drives nothing that it is told of
        for name in names:
            await engine.signal(Shop.approve, int(name), run_id=f"Shop:{name}")
        engine._host.is_closing = False
    getattr(place, spoil)("Shop:4")
    async with Engine(place.url, reactors=[Shop], lease=LEASE) as engine:
        for name in names[:4] + names[5:]:
            async with asyncio.timeout(10):
                assert await (await engine.get(Shop, name)).outcome() == Succeeded(int(name) + 1, f"Shop:{name}")
        error = await told(lambda: outcome_of(engine, "4"))
        assert isinstance(error, StoreUnavailable)
        assert error.is_damage
        assert error.fix
        async with asyncio.timeout(10):
            assert await (await engine.start(Shop(), id="11")).status()


async def outcome_of(engine: Engine, name: str) -> Any:
    """What a run ends as."""
    return await (await engine.get(Shop, name)).outcome()


async def test_a_run_whose_events_are_damaged_can_be_ended(place):
    """`cancel` with `undo=False` reads nothing of it."""
    await parked(place, "1")
    place.spoil_events("Shop:1")
    async with Engine(place.url, reactors=[Shop], lease=LEASE) as engine:
        assert (await told(lambda: outcome_of(engine, "1"))).code == "store-corrupt"
        run = await engine.get(Shop, "1")
        await run.cancel("it cannot be read", undo=False)
        async with asyncio.timeout(10):
            while await run.status() != "cancelled":  # noqa: ASYNC110  # a condition of the store
                await asyncio.sleep(0.01)


async def test_a_record_that_is_damaged_while_it_is_driven_is_told_of(place, monkeypatch):
    """Nobody waits for ever for an append that can never be; the run is told of, and other runs go on."""
    await parked(place, "1", "2")
    async with Engine(place.url, reactors=[Shop], lease=LEASE) as engine:
        append = Writer.append

        async def damaged(writer: Writer, *args: Any, **more: Any) -> Any:
            if writer.name == "Shop:1":
                writer.store = Damaged()
            return await append(writer, *args, **more)

        monkeypatch.setattr(Writer, "append", damaged)
        with contextlib.suppress(StoreUnavailable):
            await engine.signal(Shop.approve, 1, run_id="Shop:1")
        assert (await told(lambda: outcome_of(engine, "1"))).code == "store-corrupt"
        run = await engine.get(Shop, "1")
        assert (await told(lambda: run.cancel("enough"))).code == "store-corrupt"
        await engine.signal(Shop.approve, 1, run_id="Shop:2")
        assert await outcome_of(engine, "2") == Succeeded(2, "Shop:2")


class Damaged:
    """A store whose every append meets damage."""

    async def append(self, append: Any) -> Any:
        """As told."""
        raise StoreUnavailable(f"a record is damaged: {append.run}", code="store-corrupt", fix="bring back a backup")


@pytest.mark.parametrize("spoil", ["spoil_status", "spoil_tags"])
async def test_a_damaged_run_hides_no_other_from_a_list(place, spoil):
    """`find` and `runs ls` show them all; the damaged one is shown as such, and says why when it is asked."""
    await parked(place, "1", "2", "3")
    getattr(place, spoil)("Shop:2")
    async with Engine(place.url, reactors=[Shop]) as engine:
        for asked in ({}, {"reactor": Shop}, {"text": "Shop:"}):
            page = await engine.find(**asked)
            assert [run.id for run in page.items] == ["Shop:3", "Shop:2", "Shop:1"]
            assert page.total == 3
        one, two = await engine.find(limit=1), await engine.find(limit=2)
        rest = await engine.find(limit=5, cursor=one.cursor)
        assert [run.id for run in (*one.items, *rest.items)] == ["Shop:3", "Shop:2", "Shop:1"]
        assert [run.id for run in (await engine.find(cursor=two.cursor)).items] == ["Shop:1"]
        assert (await told(page.items[1].status)).code == "store-corrupt"
        assert [await run.status() for run in (page.items[0], page.items[2])] == ["parked", "parked"]
    asked = [sys.executable, "-m", "reactor.cli", "runs", "ls", "--store", place.url, "--json"]
    listed = await asyncio.to_thread(subprocess.run, asked, capture_output=True, text=True, check=True, timeout=30)
    rows = [msgspec.json.decode(line) for line in listed.stdout.splitlines()]
    assert [(row["run_id"], row["status"]) for row in rows] == [("Shop:3", "parked"), ("Shop:2", "damaged"), ("Shop:1", "parked")]


async def test_a_script_that_stumbles_says_that_the_record_is_damaged():
    """Our scripts fail on nothing that they wrote: whoever asks is told, and the process goes on."""
    place = Server()
    await parked(place, "1")
    async with Engine(place.url, reactors=[Shop], lease=LEASE) as engine:
        place.client.hset(place.key("r", "Shop:1"), "m", BAD)
        error = await told(lambda: engine.signal(Shop.approve, 1, run_id="Shop:1"))
        assert (error.code, isinstance(error, Incompatible)) == ("store-corrupt", False)
        async with asyncio.timeout(10):
            assert (await (await engine.start(Shop(), id="2")).outcome()).waiting
    place.client.close()
