"""A thousandth part of the soak benchmark, in the ordinary tests: nothing is left behind by runs that end in any way."""

import pytest

from benchmarks import soak

pytestmark = pytest.mark.anyio


async def test_runs_leave_no_task_and_no_memory():
    """Of 4,000 runs some fail, are cancelled and time out: no task is left, and the objects that live are as many as before.

    One object that each cancelled run left would be 160 more. Resident bytes are the benchmark's to judge, in a process of its own:
    here they are what all other tests left.
    """
    points = await soak.soak(4000, points=5)
    assert [point.runs for point in points] == [800, 1600, 2400, 3200, 4000]
    assert [wrong for wrong in soak.leaks(points) if "bytes" not in wrong] == []


def test_a_leak_is_seen():
    """The judge of the points tells tasks, objects and bytes that grow, and lets noise pass."""
    start = soak.Point(4_000, 0, 50_000, 60_000_000)
    assert soak.leaks([start, soak.Point(20_000, 0, 50_040, 60_900_000)]) == []
    assert soak.leaks([start, soak.Point(20_000, 2, 50_000, 60_000_000)]) == ["2 tasks left after 20000 runs"]
    assert soak.leaks([start, soak.Point(20_000, 0, 66_000, 60_000_000)]) == ["16000 objects more after 16000 more runs"]
    assert soak.leaks([start, soak.Point(20_000, 0, 50_000, 76_000_000)]) == ["1000 bytes a run kept"]
