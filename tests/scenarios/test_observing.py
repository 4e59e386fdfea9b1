"""Observing: events as they are recorded and afterwards, finding runs, reading values, and where a run stands."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import pytest

from reactor import (
    Engine,
    Event,
    Halt,
    Index,
    Reactor,
    ReactorError,
    Results,
    RunFailed,
    RunStopped,
    WrongState,
    compose,
    map_over,
    step,
    step_context,
)
from tests.scenarios.world import Boom, Declined, act, engine, undo, until, world

pytestmark = pytest.mark.anyio


class Inner(Reactor):
    @step
    async def output(self) -> str:
        return await act("inner")


class Watched(Reactor, name="watched"):
    customer: Annotated[str, Index()] = "ada"
    count: int = 5

    @step
    async def first(self) -> str:
        step_context().progress(1, 2)
        return await act("first")

    @first.undo
    async def undo_first(self, value: str) -> None:
        await undo("first")

    @compose
    async def inner(self) -> Inner:
        return Inner()

    @map_over(list(range(5)), batch_size=2, in_flight=1)
    async def each(self, n: int) -> int:
        return await act(f"each {n}", n)

    @step
    async def output(self, first: str = first.result, inner: str = inner.result, each: Results[int] = each.result) -> str:
        return await act("output")


async def test_observers_get_every_event_as_it_is_recorded():
    """In order, with run, address, call and attempt; the same that `events()` gives afterwards; and each is ready for JSON."""
    seen: list[Event] = []
    async with Engine("memory://", observers=[seen.append]) as eng:
        run = await eng.start(Watched(), id="w")
        await run.result()
        told = [event async for event in run.events()]
    assert [(event.seq, event.kind, event.address, event.call, event.attempt) for event in seen if event.kind != "progress"] == [
        (event.seq, event.kind, event.address, event.call, event.attempt) for event in told
    ]
    kinds = "run_started call_started call_succeeded child_opened closed map_opened batch_started batch_settled run_ended"
    assert {event.kind for event in told} >= set(kinds.split())
    for event in told:
        json.dumps(event.detail)
    started = next(event for event in told if event.kind == "call_started" and event.address == "inner.output")
    assert (started.call, started.attempt) == ("do", 1)


async def test_a_map_shows_one_fact_a_batch():
    """Its elements are no events of the run."""
    async with engine() as eng:
        run = await eng.start(Watched(), id="w")
        await run.result()
        events = [event async for event in run.events()]
    of_map = [event for event in events if event.address == "each"]
    assert [event.kind for event in of_map].count("batch_started") == 3
    assert [event.kind for event in of_map].count("batch_settled") == 3
    assert next(event for event in of_map if event.kind == "map_opened").detail["total"] == 5
    assert [event.detail["succeeded"] for event in of_map if event.kind == "batch_settled"] == [2, 2, 1]
    assert not any((event.address or "").startswith("each[") for event in events)


async def test_a_failure_is_told_with_its_line():
    """Kind, message, and the author's file and line."""
    world.fails("inner", Declined("no"))
    async with engine() as eng:
        run = await eng.start(Watched(), id="w")
        await run.outcome()
        (failed,) = [event async for event in run.events() if event.kind == "call_failed"]
    assert failed.address == "inner.output"
    failure = failed.detail["failure"]
    assert (failure["kind"], failure["message"]) == ("Declined", "no")
    assert failure["file"].endswith(".py")
    assert failure["line"] > 0


async def test_an_observer_that_raises_is_ignored(caplog):
    """It is logged, and neither the run nor other observers feel it."""
    seen: list[str] = []

    def broken(event: Event) -> None:
        raise Boom("observer")

    async with Engine("memory://", observers=[broken, lambda event: seen.append(event.kind)]) as eng:
        assert await (await eng.start(Watched())).result() == "output"
    assert seen[-1] == "run_ended"
    assert "observer" in caplog.text


async def test_values_are_read_from_outside():
    """A step's result once it is there, a child's output, a map's results; `WrongState` before, and the run does not mind."""
    world.takes("first", 5)
    async with engine() as eng:
        run = await eng.start(Watched(), id="w")
        await until(lambda: "first" in world.began)
        with pytest.raises(WrongState):
            await run.value(Watched.first)
        await run.result()
        assert await run.value(Watched.first) == "first"
        assert await run.value(Watched.inner) == "inner"
        assert await (await run.value(Watched.each)).all() == [0, 1, 2, 3, 4]
        assert await run.value(Watched.output) == "output"


async def test_result_raises_what_outcome_says():
    """`RunFailed` for a failure, `RunStopped` for the rest, with the outcome on it; `outcome` never raises."""
    world.fails("first", Boom("no"), Halt("enough"))
    async with engine() as eng:
        failed = await eng.start(Watched(), id="failed")
        with pytest.raises(RunFailed) as caught:
            await failed.result()
        assert caught.value.outcome == await failed.outcome()
        halted = await eng.start(Watched(), id="halted")
        with pytest.raises(RunStopped):
            await halted.result()


async def test_find_pages_newest_first():
    """By cursor, with a total that counts all, each run once."""
    async with engine() as eng:
        for n in range(25):
            await (await eng.start(Watched(count=n), id=f"w{n:02}")).result()
            await asyncio.sleep(1)
        found: list[str] = []
        cursor = None
        while True:
            page = await eng.find(limit=10, cursor=cursor)
            assert page.total == 25
            found += [run.id for run in page.items]
            cursor = page.cursor
            if cursor is None:
                break
    assert found == [f"watched:w{n:02}" for n in reversed(range(25))]


async def test_find_by_what_runs_are():
    """Reactor, status, tag, indexed input, text and time, alone and together."""
    world.fails("first", Boom("no"))
    async with engine() as eng:
        began = datetime.now(UTC)
        await eng.run(Watched(customer="alan"), id="a", tags=["vip"])
        await asyncio.sleep(3600)
        await eng.run(Watched(customer="grace"), id="b")
        await eng.run(Inner(), id="c", tags=["vip", "eu"])

        async def ids(**wanted: object) -> list[str]:
            return sorted(run.id for run in (await eng.find(**wanted)).items)

        assert await ids(reactor=Watched) == await ids(reactor="watched") == ["watched:a", "watched:b"]
        assert await ids(status="failed") == ["watched:a"]
        assert await ids(status="succeeded") == ["Inner:c", "watched:b"]
        assert await ids(tag="vip") == ["Inner:c", "watched:a"]
        assert await ids(tag="vip", reactor=Watched) == ["watched:a"]
        assert await ids(where={"customer": "grace"}) == ["watched:b"]
        assert await ids(text="gra") == ["watched:b"]
        assert await ids(text="watched:") == ["watched:a", "watched:b"]
        assert await ids(since=began + timedelta(minutes=30)) == ["Inner:c", "watched:b"]
        assert await ids(until=began + timedelta(minutes=30)) == ["watched:a"]
        assert await ids(tag="nobody") == []
        with pytest.raises(ReactorError, match="customer"):
            await ids(where={"custmer": "ada"})


async def test_status_follows_the_run():
    """Running while it runs, then what it ended as."""
    world.takes("first", 5)
    async with engine() as eng:
        run = await eng.start(Watched(), id="w")
        await until(lambda: "first" in world.began)
        assert await run.status() == "running"
        await run.result()
        assert await run.status() == "succeeded"
        assert (run.id, run.reactor) == ("watched:w", "watched")


async def test_max_running_bounds_a_reactors_runs():
    """The others are queued, in the order in which they came, and can be cancelled there."""

    class One(Reactor, name="one", max_running=1):
        n: int

        @step
        async def output(self) -> int:
            return await act(f"one {self.n}", self.n)

    for n in range(4):
        world.takes(f"one {n}", 5)
    async with engine() as eng:
        runs = [await eng.start(One(n=n), id=f"{n}") for n in range(4)]
        await until(lambda: world.began == ["one 0"])
        assert [await run.status() for run in runs] == ["running", "queued", "queued", "queued"]
        await runs[1].cancel("changed my mind")
        await runs[1].outcome()
        assert [await run.result() for run in (runs[0], runs[2], runs[3])] == [0, 2, 3]
    assert world.began == ["one 0", "one 2", "one 3"]
    assert world.most_running == 1


async def test_two_reactors_of_one_name_are_an_error():
    """A name, or an alias, means one reactor in an engine."""

    class First(Reactor, name="same"):
        @step
        async def output(self) -> int:
            return 1

    class Second(Reactor, name="other", aliases=["same"]):
        @step
        async def output(self) -> int:
            return 2

    with pytest.raises(ReactorError, match="same"):
        Engine("memory://", reactors=[First, Second])
    async with engine() as eng:
        await eng.run(First())
        with pytest.raises(ReactorError, match="same"):
            await eng.run(Second())


async def test_progress_is_told_and_not_recorded():
    """A step's own word of how far it is reaches the observers, from a thread and from an element too; nothing follows from it."""

    class Long(Reactor):
        @step
        async def slow(self) -> int:
            step_context().progress(1, 3)
            return 1

        @step
        def threaded(self) -> int:
            step_context().progress(2)
            return 2

        @map_over([7])
        async def each(self, one: int) -> int:
            step_context().progress(one, 7)
            return one

        @step
        async def output(self, a: int = slow.result, b: int = threaded.result, c: Results[int] = each.result) -> int:
            return a + b

    seen = []
    async with Engine(observers=[seen.append]) as eng:
        run = await eng.start(Long(), id="p")
        await run.outcome()
        recorded = [event.kind async for event in run.events()]
    told = {event.address: (event.detail.get("done"), event.detail.get("total")) for event in seen if event.kind == "progress"}
    assert told == {"slow": (1, 3), "threaded": (2, None), "each[0]": (7, 7)}
    assert "progress" not in recorded
