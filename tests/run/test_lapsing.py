"""A process that was away for longer than its lease sees which records are still its own before it begins anything."""

from __future__ import annotations

import asyncio

import pytest

from reactor import Engine, Reactor, step
from reactor.engine import open_store
from reactor.run.lapsing import see_what_is_held

pytestmark = pytest.mark.anyio
LEASE = 0.2
began: list[str] = []


@pytest.fixture
def anyio_backend() -> str:
    """Real time: the lease runs out on the store's clock."""
    return "asyncio"


class Waits(Reactor):
    """Its step waits for ever."""

    @step
    async def output(self) -> str:
        began.append("output")
        await asyncio.get_running_loop().create_future()
        return ""


async def claimed_by_another(url: str, run: str) -> None:
    """When the lease has run out, somebody else has it."""
    store = await open_store(url)
    try:
        await store.open_session("another", 3600.0)
        async with asyncio.timeout(20):
            while await store.claim_run("another", run) is None:  # noqa: ASYNC110  the lease runs out on the store's clock
                await asyncio.sleep(0.01)
    finally:
        await store.close()


async def test_what_another_has_claimed_is_let_go_of_with_the_first_renewal(tmp_path):
    """No append is needed to learn it: the call in flight is cancelled."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url, lease=LEASE, sweep=False) as engine:
        run = await engine.start(Waits(), id="1")
        host = engine._host
        host.session._task.cancel()  # the loop does not come to it
        await claimed_by_another(url, run.id)
        assert not host.session.may_begin
        driver = host.drivers[run.id]
        await host.session._renew()
        assert driver.lost
        assert run.id not in host.drivers
        assert host.session.may_begin
        async with asyncio.timeout(20):
            while driver.flights:  # noqa: ASYNC110  its lane ends in a turn of the loop
                await asyncio.sleep(0)


async def test_what_nobody_has_claimed_is_kept(tmp_path):
    """A lease that ran out refuses nobody."""
    async with Engine(f"sqlite:///{tmp_path / 'runs.db'}", lease=LEASE, sweep=False) as engine:
        run = await engine.start(Waits(), id="1")
        host = engine._host
        await see_what_is_held(host)
        assert not host.drivers[run.id].lost
