"""A restart: which results a new run keeps, what of the old one is undone first, and how the kept ones are handed over."""

import asyncio

import pytest

from reactor import Engine, Failed, Halt, Reactor, Results, Retry, Skip, Succeeded, WrongState, compose, map_over, step
from reactor.run.restarting import keep_addresses, kept_facts, kept_nodes, partial_maps

pytestmark = pytest.mark.anyio
LOG: list[str] = []
FAILS: set[str] = set()


@pytest.fixture(autouse=True)
def _fresh():
    LOG.clear()
    FAILS.clear()


async def act(name):
    """A call: it fails or halts while it is told to."""
    LOG.append(name)
    if name in FAILS:
        raise OSError(name)
    if f"halt {name}" in FAILS:
        raise Halt(name)
    return 1


class Child(Reactor):
    @step
    async def output(self) -> int:
        return await act("child")

    @output.undo
    async def undo_output(self, value: int) -> None:
        await act("undo child")


class Tree(Reactor):
    """a → b → output; a → child → output; skipped beside them; a map of three."""

    @step
    async def a(self) -> int:
        return await act("a")

    @a.undo(retry=Retry(1))
    async def undo_a(self, value: int) -> None:
        await act("undo a")

    @step
    async def b(self, a: int = a.result) -> int:
        return await act("b")

    @b.undo(retry=Retry(1))
    async def undo_b(self, value: int) -> None:
        await act("undo b")

    @compose(after=[a])
    async def child(self) -> Child:
        return Child()

    @step
    async def skipped(self) -> int:
        LOG.append("skipped")
        raise Skip(5)

    @map_over([1, 2, 3], batch_size=1, in_flight=1)
    async def some(self, one: int) -> int:
        return await act(f"some {one}")

    @some.undo
    async def undo_some(self, one: int) -> None:
        await act("undo some")

    @step
    async def output(self, b: int = b.result, c: int = child.result, s: int = skipped.result, m: Results[int] = some.result) -> int:
        await act("output")
        return s


@pytest.fixture
async def engine():
    """Open."""
    async with Engine() as made:
        yield made


async def run_of(engine, *fails):
    """A run that has ended, with this going wrong in it; the diary is empty then."""
    FAILS.update(fails)
    run = await engine.start(Tree(), id="t")
    await run.outcome()
    FAILS.clear()
    return run


def names(run, nodes):
    """Nodes by name."""
    return sorted(run._live.plan.names[index] for index in nodes)


# ---- what is kept ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("from_step", "kept"),
    [
        (None, ["a", "b", "child", "output", "skipped", "some"]),
        ("output", ["a", "b", "child", "skipped", "some"]),
        ("b", ["a", "child", "skipped", "some"]),
        ("a", ["skipped", "some"]),
        ("some", ["a", "b", "child", "skipped"]),
    ],
)
async def test_what_succeeded_and_does_not_depend_on_it_is_kept(engine, from_step, kept):
    """And whose ancestors are all kept; by default, all of that."""
    run = await run_of(engine)
    assert names(run, kept_nodes(run._live, from_step)) == kept


async def test_an_unknown_step_is_a_clear_error(engine):
    """It names those that there are; nothing has happened."""
    run = await run_of(engine)
    with pytest.raises(WrongState, match="no node `pay` to restart from") as raised:
        await run.restart(from_step="pay")
    assert raised.value.code == "unknown-node"
    assert "output" in raised.value.known
    assert await run.status() == "succeeded"


async def test_a_failed_run_keeps_what_was_not_undone(engine):
    """It undid all that had an undo: what has none, or was skipped, is kept, if its ancestors are."""
    run = await run_of(engine, "output")
    assert names(run, kept_nodes(run._live, None)) == ["skipped"]


async def test_a_halted_run_keeps_elements(engine):
    """A map that was stopped half-way whose ancestors are kept: its elements are not called again."""
    run = await run_of(engine, "halt some 2")
    live = run._live
    kept = kept_nodes(live, None)
    [partial] = partial_maps(live, kept, None)
    assert live.plan.names[partial] == "some"
    assert partial_maps(live, kept, "some") == [], "it is to be done again"
    assert "some" in keep_addresses(live, kept, [partial])
    facts = list(kept_facts(live, kept, [partial], 0.0))
    assert [fact.address for fact in facts if fact.address.startswith("some[")] == ["some[0]"]


# ---- what happens --------------------------------------------------------------------------------------------------------


async def test_only_what_is_not_kept_is_called_again(engine):
    """What succeeded and is not kept is undone first, in rollback order; then the new run begins."""
    run = await run_of(engine)
    LOG.clear()
    again = await run.restart(from_step="a")
    assert again.id == "Tree:t~2"
    assert await again.result() == 5
    assert sorted(LOG[:2]) == ["undo b", "undo child"]
    assert LOG[2] == "undo a"
    assert sorted(LOG[3:]) == ["a", "b", "child", "output"]


async def test_the_new_run_is_queued_until_the_old_one_is_undone(engine):
    """The old one is rolling back, then superseded; its own outcome stays."""

    class Slow(Reactor):
        @step
        async def output(self) -> int:
            return await act("output")

        @output.undo
        async def undo_output(self, value: int) -> None:
            await asyncio.sleep(10)
            await act("undo output")

    run = await engine.start(Slow())
    first = await run.outcome()
    again = await run.restart(from_step="output")
    await asyncio.sleep(5)
    assert (await run.status(), await again.status()) == ("rolling_back", "queued")
    assert await again.result() == 1
    assert LOG == ["output", "undo output", "output"]
    assert await run.status() == "superseded"
    assert await run.outcome() == first


async def test_a_restart_of_a_run_that_is_undone_begins_at_once(engine):
    """Nothing is left to undo."""
    run = await run_of(engine, "b")
    LOG.clear()
    again = await run.restart()
    assert await run.status() == "superseded"
    assert await again.result() == 5
    assert "skipped" not in LOG


async def test_a_restart_whose_undo_is_stuck_waits_for_a_person(engine):
    """The new run is stuck too, and has the old one's outcome; a retry of either goes on."""
    run = await run_of(engine)
    FAILS.add("undo b")
    again = await run.restart(from_step="b")
    outcome = await again.outcome()
    assert isinstance(outcome, Failed)
    assert [one.step for one in outcome.rollback_failures] == ["b"]
    assert (await run.status(), await again.status()) == ("stuck", "stuck")
    with pytest.raises(WrongState):
        await again.cancel("enough")
    FAILS.clear()
    LOG.clear()
    await again.retry_rollback()
    assert await again.result() == 5
    assert LOG == ["undo b", "b", "output"]
    assert await run.status() == "superseded"


async def test_the_right_to_undo_moves(engine):
    """The new run undoes what it kept; the old one may be asked nothing any more."""
    run = await run_of(engine)
    again = await run.restart(from_step="output")
    await again.outcome()
    LOG.clear()
    for asked in (run.undo(), run.cancel("x"), run.restart(), run.retry_rollback()):
        with pytest.raises(WrongState, match="superseded"):
            await asked
    await again.undo()
    await again.outcome()
    assert sorted(LOG) == ["undo a", "undo b", "undo child", "undo some", "undo some", "undo some"]


async def test_restarts_are_numbered(engine):
    """And `get` shows the newest, by the first one's name."""
    run = await run_of(engine)
    for number in (2, 3, 4):
        run = await run.restart(from_step="output")
        assert run.id == f"Tree:t~{number}"
        assert await run.result() == 5
    assert (await engine.get("Tree:t")).id == (await engine.get(Tree, "t")).id == "Tree:t~4"
    assert (await (await engine.get("Tree:t~2")).status()) == "superseded"
    assert isinstance(await (await engine.start(Tree(), id="t")).outcome(), Succeeded)


async def test_elements_that_were_kept_are_undone_by_the_new_run(engine):
    """A map that was halted half-way, then finished, then undone: each element once."""
    run = await run_of(engine, "halt some 2")
    LOG.clear()
    again = await run.restart()
    await again.result()
    assert [one for one in LOG if one.startswith("some")] == ["some 2", "some 3"]
    LOG.clear()
    await again.undo()
    await again.outcome()
    assert LOG.count("undo some") == 3


class Late(Reactor):
    """A map behind a step that may fail."""

    @step
    async def first(self) -> int:
        return await act("first")

    @map_over([1, 2, 3], batch_size=1, in_flight=1)
    async def some(self, one: int) -> int:
        await act(f"some {one}")
        return one

    @some.undo
    async def undo_some(self, one: int) -> None:
        await act(f"undo some {one}")

    @step(after=[first, some])
    async def output(self) -> int:
        return await act("output")


@pytest.mark.parametrize("later", ["undone", "kept again"])
async def test_elements_that_were_kept_and_not_reached_again(engine, later):
    """The restarted run is stopped before it comes to their map: they are undone, once, or kept by the next restart."""
    FAILS.add("halt some 3")
    run = await engine.start(Late())
    await run.outcome()
    FAILS.clear()
    FAILS.add("halt first")
    again = await run.restart(from_step="first")
    await again.outcome()
    assert await again.status() == "halted"
    FAILS.clear()
    LOG.clear()
    if later == "undone":
        plan = await again.undo_plan()
        await again.undo()
        await again.outcome()
        assert sorted(plan) == ["some[0]", "some[1]"]
        assert sorted(LOG) == ["undo some 1", "undo some 2"]
        return
    third = await again.restart()
    await third.result()
    assert sorted(LOG) == ["first", "output", "some 3"]
    LOG.clear()
    await third.undo()
    await third.outcome()
    assert sorted(LOG) == ["undo some 1", "undo some 2", "undo some 3"]


async def test_a_kept_value_is_the_value(engine):
    """Of a skipped node too."""
    run = await run_of(engine)
    again = await run.restart(from_step="output")
    await again.outcome()
    assert (await again.value(Tree.skipped), await again.value(Tree.a)) == (5, 1)
    assert await (await again.value(Tree.some)).all() == [1, 1, 1]


@pytest.mark.parametrize("status", ["running", "rolling_back", "queued"])
async def test_a_run_that_has_not_ended_is_not_restarted(engine, status):
    """Its status says what is allowed."""

    class Slow(Reactor, max_running=1):
        @step
        async def output(self) -> int:
            await asyncio.sleep(10)
            return 1

        @output.undo
        async def undo_output(self, value: int) -> None:
            await asyncio.sleep(10)

    run = await engine.start(Slow())
    if status == "queued":
        run = await engine.start(Slow())
    if status == "rolling_back":
        await run.outcome()
        await run.undo()
    await asyncio.sleep(1)
    assert await run.status() == status
    with pytest.raises(WrongState, match="cannot be asked to restart"):
        await run.restart()
