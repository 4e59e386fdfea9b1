"""Scenario 4: diamonds and wide graphs: independent branches at once, a fast one runs ahead, undo respects what depends on what."""

import pytest

from reactor import Failed, Reactor, Succeeded, step
from tests.scenarios.world import Boom, act, is_before, now, once_each, undo, world

pytestmark = pytest.mark.anyio


class Diamond(Reactor):
    @step
    async def root(self) -> str:
        return await act("root")

    @root.undo
    async def undo_root(self, value: str) -> None:
        await undo("root")

    @step
    async def fast1(self, root: str = root.result) -> str:
        return await act("fast1")

    @fast1.undo
    async def undo_fast1(self, value: str) -> None:
        await undo("fast1")

    @step
    async def fast2(self, fast1: str = fast1.result) -> str:
        return await act("fast2")

    @fast2.undo
    async def undo_fast2(self, value: str) -> None:
        await undo("fast2")

    @step
    async def fast3(self, fast2: str = fast2.result) -> str:
        return await act("fast3")

    @fast3.undo
    async def undo_fast3(self, value: str) -> None:
        await undo("fast3")

    @step
    async def slow(self, root: str = root.result) -> str:
        return await act("slow")

    @slow.undo
    async def undo_slow(self, value: str) -> None:
        await undo("slow")

    @step
    async def output(self, fast: str = fast3.result, slow: str = slow.result) -> str:
        return await act("output", f"{fast}+{slow}")

    @output.undo
    async def undo_output(self, value: str) -> None:
        await undo("output")


async def test_a_fast_branch_runs_ahead(mode):
    """The fast branch's third step begins before the slow sibling's first ends: there are no levels."""
    world.takes("slow", 10)
    for name in ("fast1", "fast2", "fast3"):
        world.takes(name, 1)
    outcome = await mode(Diamond())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == "fast3+slow"
    assert world.when("began", "fast3") < world.when("ended", "slow")
    assert now() == pytest.approx(10)


async def test_undo_respects_dependencies(mode):
    """Each is undone after all that depended on it, and independent ones at once."""
    for name in ("slow", "fast3", "fast2", "fast1", "root"):
        world.takes(f"undo {name}", 1)
    world.takes("undo slow", 3)
    world.fails("output", Boom("late"))
    outcome = await mode(Diamond())
    assert isinstance(outcome, Failed)
    assert sorted(world.undone) == ["fast1", "fast2", "fast3", "root", "slow"]
    assert is_before(world.undone, "fast3", "fast2")
    assert is_before(world.undone, "fast2", "fast1")
    assert world.undone[-1] == "root"
    assert world.when("began", "undo slow") == world.when("began", "undo fast3")
    assert now() == pytest.approx(4)


async def test_a_late_success_is_undone(mode):
    """What is in flight when a failure stands settles, and is then undone; what was not begun never begins."""
    world.takes("slow", 5)
    world.takes("fast1", 1)
    world.fails("fast2", Boom("early"))
    outcome = await mode(Diamond())
    assert outcome.step == "fast2"
    assert "fast3" not in world.began
    assert world.when("ended", "slow") == pytest.approx(5)
    assert sorted(world.undone) == ["fast1", "root", "slow"]
    assert world.undone[-1] == "root"


class Wide(Reactor):
    """Fifty branches at once, by class body: what an author would write by hand."""

    @step
    async def root(self) -> str:
        return await act("root")

    @root.undo
    async def undo_root(self, value: str) -> None:
        await undo("root")

    @step
    async def w0(self, root: str = root.result) -> str:
        return await act("w0")

    @w0.undo
    async def undo_w0(self, value: str) -> None:
        await undo("w0")

    @step
    async def w1(self, root: str = root.result) -> str:
        return await act("w1")

    @w1.undo
    async def undo_w1(self, value: str) -> None:
        await undo("w1")

    @step
    async def w2(self, root: str = root.result) -> str:
        return await act("w2")

    @w2.undo
    async def undo_w2(self, value: str) -> None:
        await undo("w2")

    @step
    async def w3(self, root: str = root.result) -> str:
        return await act("w3")

    @w3.undo
    async def undo_w3(self, value: str) -> None:
        await undo("w3")

    @step
    async def output(self, all_of_them: list[str] = [w0.result, w1.result, w2.result, w3.result]) -> list[str]:  # noqa: B006  references
        return await act("output", all_of_them)


async def test_wide_branches_run_at_once(mode):
    """Independent steps are in flight together, and a list of references is a list of their results in that order."""
    for n in range(4):
        world.takes(f"w{n}", 4 - n)
    outcome = await mode(Wide())
    assert isinstance(outcome, Succeeded)
    assert outcome.value == ["w0", "w1", "w2", "w3"]
    assert world.most_running == 4
    assert now() == pytest.approx(4)


@pytest.mark.parametrize("failing", ["w0", "w1", "w2", "w3"])
async def test_one_of_many_fails(mode, failing):
    """The others settle and are undone once each, the root last."""
    for n in range(4):
        world.takes(f"w{n}", n + 1)
    world.fails(failing, Boom("no"))
    outcome = await mode(Wide())
    assert outcome.step == failing
    assert once_each(world.undone)
    assert set(world.undone) == {"root", "w0", "w1", "w2", "w3"} - {failing}
    assert world.undone[-1] == "root"
    assert "output" not in world.began


async def test_two_fail_the_first_is_named(mode):
    """`Failed.step` is the first failure by seq; the second is compensated like it and adds no undo."""
    world.takes("w1", 1)
    world.takes("w2", 2)
    world.fails("w2", Boom("second"))
    world.fails("w1", Boom("first"))
    world.takes("w3", 9)
    outcome = await mode(Wide())
    assert outcome.step == "w1"
    assert outcome.error.message == "first"
    assert sorted(world.undone) == ["root", "w0", "w3"]
