"""A run as its record tells it: read from anywhere, whoever drives it."""

import asyncio

import pytest

from reactor import Engine, Failed, Reactor, Succeeded, map_over, step
from reactor.errors import Incompatible, UnknownRun
from reactor.run.view import batch_of, class_of, head_of, view_of

pytestmark = pytest.mark.anyio


class Story(Reactor):
    """Elements, then a step that succeeds, fails or waits."""

    ending: str = ""

    @map_over([1, 2, 3], batch_size=2)
    async def some(self, one: int) -> int:
        return one * 10

    @some.undo
    async def undo_some(self, one: int) -> None: ...

    @step(after=[some])
    async def output(self) -> str:
        if self.ending == "fails":
            raise OSError("no")
        if self.ending == "waits":
            await asyncio.sleep(3600)
        return "done"


@pytest.fixture
async def engine():
    """Open."""
    async with Engine() as made:
        yield made


async def test_a_run_is_read_as_it_is_driven(engine):
    """The machine that follows from its record is the driver's."""
    run = await engine.start(Story(ending="waits"), id="s")
    await asyncio.sleep(1)
    view = await view_of(engine._host, run.id)
    live = engine._host.drivers[run.id].machine.snapshot()
    read = view.machine.snapshot()
    assert (read["ends"], read["waits"], read["due"]) == (live["ends"], live["waits"], live["due"])
    assert read["scopes"][""]["marks"] == live["scopes"][""]["marks"] == {"some": "done", "output": "running"}
    assert view.reactor.ending == "waits"
    assert view.outcome() is None


@pytest.mark.parametrize("ending", ["", "fails"])
async def test_what_it_ended_with_is_read_from_its_record(engine, ending):
    """As whoever waited for it was told."""
    run = await engine.start(Story(ending=ending), id="s")
    outcome = await run.outcome()
    read = (await view_of(engine._host, run.id)).outcome()
    if not ending:
        assert read == outcome == Succeeded("done", "Story:s")
    else:
        assert isinstance(read, Failed)
        assert (read.step, read.error.kind, read.error.message) == (outcome.step, outcome.error.kind, outcome.error.message)


async def test_a_superseded_run_is_read_as_it_was_before(engine):
    """The undo that made room for a restart is no part of what it ended with."""
    run = await engine.start(Story(), id="s")
    await run.outcome()
    await (await run.restart(from_step="some")).outcome()
    after = await view_of(engine._host, "Story:s")
    before = await view_of(engine._host, "Story:s", before_end=True)
    assert (after.machine.state.ended, before.machine.state.ended) == ("superseded", "succeeded")
    assert before.outcome() == Succeeded("done", "Story:s")


async def test_a_batch_is_read_by_its_own_record(engine):
    """With the map around it, as the run's record tells it, whoever drives that."""
    run = await engine.start(Story(), id="s")
    await run.outcome()
    machine, map_run = await batch_of(engine._host, "Story:s/some#1")
    assert machine.state.ended == "succeeded"
    assert list(machine.state.root.names) == ["some[2]"]
    assert (map_run.address, map_run.runner.run_id) == ("some", "Story:s")


async def test_a_run_that_is_not_there(engine):
    """Is told, with what to say instead; nothing is made."""
    for read in (head_of(engine._host, "Story:x"), view_of(engine._host, "Story:x")):
        with pytest.raises(UnknownRun, match="there is no run `Story:x`"):
            await read
    with pytest.raises(Incompatible, match="not there any more"):
        await batch_of(engine._host, "Story:x/some#0")
    assert await engine._host.store.counts() == {}


async def test_a_run_of_code_that_is_not_at_hand(engine):
    """Its head can be read, its values cannot; the error names what is served."""
    await engine.run(Story(), id="s")
    del engine._host.served["Story"]
    assert (await head_of(engine._host, "Story:s")).status == "succeeded"
    with pytest.raises(Incompatible, match="does not know") as raised:
        await view_of(engine._host, "Story:s")
    assert raised.value.code == "not-served"
    with pytest.raises(Incompatible):
        class_of(engine._host, "Story", "Story:s")
