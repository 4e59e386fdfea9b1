"""What any release wrote, this one reads: facts of every kind, whole runs, definitions, inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reactor import Cancelled, Engine, Failed, Parked, Succeeded, Undone
from reactor.engine import open_store
from reactor.record import facts
from reactor.record.definitions import read_definition
from tests.record.golden import events, runs
from tests.record.golden.reactors import SERVED, Order, Word, gate
from tests.record.golden.samples import SAMPLES


@pytest.mark.parametrize("release", events.releases())
def test_every_fact_of_a_release_reads_as_it_did(release):
    """Every kind that it knew, its fields as they were and those that came since at their defaults, its value byte for byte."""
    for line in events.read(release):
        fact, value = facts.decode(bytes.fromhex(line["bytes"]))
        assert type(fact).__name__ == line["kind"]
        assert events.has_grown_from(events.plain(fact), line["fields"]), line["kind"]
        assert value.hex() == line["value"]


def test_the_latest_set_is_what_is_written_now():
    """A change of form shows here: an appended field needs a new set; one that moved, went or changed its type breaks old records."""
    path = events.FOLDER / events.releases()[-1] / "events.jsonl"
    assert path.read_text(encoding="utf-8").splitlines() == events.lines(), (
        "facts are written in another form: `python -m tests.record.golden.write`, and see CONTRIBUTING.md"
    )


def test_the_latest_set_knows_every_kind():
    """So that a new kind cannot be forgotten."""
    assert {line["kind"] for line in events.read(events.releases()[-1])} == {kind.__name__ for kind in facts.KNOWN.values()}
    assert {type(sample) for sample in SAMPLES} == set(facts.KNOWN.values())


# ---- whole runs -------------------------------------------------------------------------------------------------

LABELS = ["by hand", "box of a", "box of b", "box of c", "LABEL A", "LABEL B", "LABEL C", "LABEL NONE"]


@pytest.fixture
def anyio_backend() -> str:
    """The wall's time: a file and its writer's thread have no other."""
    return "asyncio"


@pytest.fixture(params=events.releases())
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """An engine of today on a store that holds the runs of a release."""
    url = f"sqlite:///{tmp_path}/runs.db"
    store = await open_store(url)
    await runs.lay_into(store, runs.read(request.param))
    await store.close()
    gate.set()
    async with Engine(url, reactors=SERVED, plain_secrets=True, lease=2.0) as opened:
        yield opened


@pytest.mark.anyio
async def test_a_run_that_ended_says_what_it_said(engine):
    """Its outcome, its results, and what an undo of it would call; it can be undone."""
    run = await engine.get("golden-order:done")
    outcome = await run.outcome(timeout=20)
    assert isinstance(outcome, Succeeded)
    assert outcome.value == ["quick", *LABELS]
    assert await run.value(Order.price) == {"a": 1.5, "b": 3.0, "c": 4.5}
    assert {"receipt.label", "pack[2]", "ship[0].label"} <= set(await run.undo_plan())
    await run.undo()
    assert isinstance(await run.outcome(timeout=20), Undone)


@pytest.mark.anyio
async def test_a_run_that_waited_goes_on(engine):
    """With an answer, or not at all."""
    run = await engine.get("golden-order:parked")
    parked = await run.outcome(timeout=20)
    assert isinstance(parked, Parked)
    assert [one.step for one in parked.waiting] == ["approval"]
    await engine.signal(Order.approval, Word(fine=True, note="late"), run_id=run.id)
    assert await run.result(timeout=20) == ["late", *LABELS]


@pytest.mark.anyio
async def test_a_run_that_waited_can_be_cancelled(engine):
    """And is undone."""
    run = await engine.get("golden-order:parked")
    await run.cancel("too old")
    assert isinstance(await run.outcome(timeout=20), Cancelled)


@pytest.mark.anyio
async def test_a_run_that_failed_says_why(engine):
    """The failure as it was recorded."""
    outcome = await (await engine.get("golden-doomed:failed")).outcome(timeout=20)
    assert isinstance(outcome, Failed)
    assert (outcome.step, outcome.error.kind, outcome.error.message) == ("output", "ValueError", "not 7")
    assert outcome.error.is_a(ValueError)


@pytest.mark.anyio
async def test_a_run_that_was_let_go_of_is_taken_up(engine):
    """The call that was cut off is made again."""
    assert await (await engine.get("golden-slow:cut")).result(timeout=20) == 2


@pytest.mark.parametrize("release", events.releases())
def test_every_definition_of_a_release_reads(release):
    """With every reactor that it can reach."""
    lines = [line for line in runs.read(release) if line["definition"]]
    for line in lines:
        definition = read_definition(bytes.fromhex(line["definition"]))
        assert (definition.name, definition.version, definition.fingerprint) == (line["reactor"], line["version"], line["fingerprint"])
    order = read_definition(bytes.fromhex(lines[0]["definition"]))
    assert {node.kind for node in order.root.nodes} == {"step", "map", "compose", "interrupt"}
    assert [*order.reactors] == ["golden-order", "golden-carrier"]
