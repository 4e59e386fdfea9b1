"""What cannot be driven is given back with its own error: nothing is called, nothing is changed, and other runs go on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reactor import Engine, Incompatible, Parked, Reactor, ReactorError, Run, step
from reactor.engine import open_store
from reactor.machine import events
from reactor.plan.compile import plan_of
from reactor.record import facts
from reactor.record.store import Loaded, Message, NewRecord
from reactor.run.refusing import LATER
from tests.plan.shop import Checkout

pytestmark = pytest.mark.anyio
calls: list[str] = []


@pytest.fixture
def anyio_backend() -> str:
    """The wall's time: a file and its writer's thread have no other."""
    return "asyncio"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store in a file."""
    calls.clear()
    return f"sqlite:///{tmp_path}/runs.db"


class Small(Reactor, name="small"):
    """One step."""

    n: int = 1

    @step
    async def output(self) -> int:
        calls.append("output")
        return self.n


STARTED = facts.encode(events.RunStarted(1.0, "", "small:bad", "small"))
BEGUN = facts.encode(events.CallStarted(1.0, "output"))
DAMAGED = {
    "no msgpack": b"\xc1",
    "cut": facts.encode(events.CallSucceeded(1.0, "output"), b"\x07")[:-9],
    "of an unknown tag": msgspec.msgpack.encode(["output_blessed", 1.0, "output"]),
    "of other types": msgspec.msgpack.encode(["call_started", "now", 7]),
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07os.path\x94.",
}


async def planted(url: str, *data: bytes, **other: Any) -> None:
    """A record that somebody else wrote."""
    store = await open_store(url)
    plan = plan_of(Small)
    given = {"version": 1, "fingerprint": plan.fingerprint, "inputs": b"\x80", "status": "running", **other}
    await store.create(NewRecord(run="small:bad", root="small:bad", reactor="small", events=data, due=0.0, **given))
    await store.close()


async def now_in(url: str) -> Loaded:
    """The record as it lies there."""
    store = await open_store(url)
    loaded = await store.load("small:bad")
    await store.close()
    assert loaded is not None
    return loaded


async def outcome_of(run: Run[Any]) -> ReactorError:
    """The error that whoever waits for it gets."""
    with pytest.raises(ReactorError) as caught:
        await run.outcome(timeout=20)
    return caught.value


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
async def test_an_event_that_nobody_can_read_is_left_alone(url, damaged):
    """Whoever waits gets the error at once; the record stays byte for byte, also its status; other runs go on."""
    await planted(url, STARTED, BEGUN, damaged)
    before = await now_in(url)
    async with Engine(url, reactors=[Small], lease=1.0) as engine:
        error = await outcome_of(await engine.get("small:bad"))
        assert isinstance(error, Incompatible)
        assert error.code == "unreadable-event"
        assert error.fix
        assert await (await engine.start(Small(n=7), id="good")).result(timeout=20) == 7
    after = await now_in(url)
    assert (after.events, after.inputs, after.status, after.version) == (before.events, before.inputs, before.status, before.version)
    assert after.token is None
    assert calls == ["output"]


async def test_what_nobody_can_read_is_not_looked_at_all_the_time(url):
    """It is put off: a sweep does not come back to it at once."""
    await planted(url, STARTED, b"\xc1")
    async with Engine(url, reactors=[Small], lease=1.0) as engine:
        await outcome_of(await engine.get("small:bad"))
    after = await now_in(url)
    assert after.due is not None
    assert after.due > after.created_at + LATER / 2


async def test_inputs_that_do_not_read_are_the_codes(url):
    """Other code may read them: the run is `incompatible`, with the input's name."""
    await planted(url, STARTED, inputs=msgspec.msgpack.encode({"n": "seven"}))
    async with Engine(url, reactors=[Small], lease=1.0) as engine:
        run = await engine.get("small:bad")
        error = await outcome_of(run)
        assert isinstance(error, Incompatible)
        assert (error.code, error.rule) == ("unfit-value", "value")
        assert "`n`" in str(error)
        assert await run.status() == "incompatible"
    assert calls == []


async def test_a_fingerprint_that_the_store_does_not_know_is_no_guess(url):
    """What had an undo cannot be told: nothing goes on."""
    await planted(url, STARTED, BEGUN, fingerprint="0" * 32)
    async with Engine(url, reactors=[Small], lease=1.0) as engine:
        run = await engine.get("small:bad")
        assert (await outcome_of(run)).code == "definition-gone"
        assert await run.status() == "incompatible"
    assert calls == []


async def test_a_definition_that_nobody_can_read_is_told(url):
    """With an error of its own."""
    store = await open_store(url)
    await store.put_definition("1" * 32, b"\xc1")
    await store.close()
    await planted(url, STARTED, BEGUN, fingerprint="1" * 32)
    async with Engine(url, reactors=[Small], lease=1.0) as engine:
        assert (await outcome_of(await engine.get("small:bad"))).code == "unreadable-definition"
    assert (await now_in(url)).status == "running"
    assert calls == []


async def test_a_version_from_the_future_is_neither_driven_nor_marked(url):
    """Asked for by hand, too."""
    await planted(url, STARTED, version=9)
    before = await now_in(url)
    async with Engine(url, reactors=[Small], lease=1.0) as engine:
        run = await engine.get("small:bad")
        with pytest.raises(TimeoutError):
            await run.outcome(timeout=0.6)
        assert await run.status() == "running"
    assert await now_in(url) == before
    assert calls == []


async def test_a_reactor_that_is_not_served_is_left_to_others(url):
    """An engine without its code says so, and touches nothing."""
    await planted(url, STARTED)
    before = await now_in(url)
    async with Engine(url, reactors=[Checkout], lease=1.0, plain_secrets=True) as engine:
        run = await engine.get("small:bad")
        assert await run.status() == "running"
        with pytest.raises(TimeoutError):
            await run.outcome(timeout=0.4)
    assert await now_in(url) == before


async def test_a_message_that_nobody_can_read_is_left_aside(url):
    """It stops no run."""
    await planted(url, STARTED)
    store = await open_store(url)
    await store.deliver("small:bad", Message("cancel", b"\xc1"), moves=True, operation="x")
    await store.close()
    async with Engine(url, reactors=[Small], lease=1.0) as engine:
        assert await (await engine.get("small:bad")).result(timeout=20) == 1


async def test_a_run_names_its_definition(url):
    """Stored once, before the run: whoever has no code can draw it."""
    async with Engine(url, reactors=[Checkout], plain_secrets=True) as engine:
        assert isinstance(await engine.run(Checkout(order_id="1"), id="1"), Parked)
    store = await open_store(url)
    loaded = await store.load("checkout:1")
    assert loaded is not None
    assert await store.definition(loaded.fingerprint) is not None
    await store.close()


@pytest.mark.parametrize("mail", [(), (b"", b"", b""), (b"\xc1",)], ids=["nothing else", "undos", "what nobody can read"])
async def test_a_cancel_of_what_nobody_can_read_ends_it(url, mail):
    """Without undo nothing has to be called, so no code is needed; whatever else lies in its mail."""
    await planted(url, STARTED, BEGUN, b"\xc1")
    store = await open_store(url)
    for number, body in enumerate(mail):
        await store.deliver("small:bad", Message("cancel" if body else "undo", body), moves=True, operation=str(number))
    await store.close()
    async with Engine(url, reactors=[Small], lease=1.0) as engine:
        run = await engine.get("small:bad")
        await outcome_of(run)
        await run.cancel("damaged", undo=False)
        async with asyncio.timeout(20):
            while await run.status() != "cancelled":  # noqa: ASYNC110  # a file has no event
                await asyncio.sleep(0.01)
    assert (await now_in(url)).events[:3] == (STARTED, BEGUN, b"\xc1")
    assert calls == []
