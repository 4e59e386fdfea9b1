"""Batches of a map that nobody drives any more: whoever drives their run sees to them, also where it looks for no other work."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from reactor import Engine, Succeeded

pytestmark = pytest.mark.anyio
LEASE = 0.6  # seconds

MAPPED = """
import asyncio, os, signal, sys
from reactor import Engine, Reactor, Results, map_over, step, step_context

class Mapped(Reactor):
    ends: str = "by itself"

    @map_over([1, 2, 3, 4], batch_size=1, in_flight=2)
    async def doubled(self, n: int) -> int:
        if n == 3 and os.environ.get("ENDS"):
            await end()
        return 2 * n

    @step
    async def output(self, doubled: Results[int] = doubled.result) -> list[int]:
        return await doubled.all()

async def end():
    if os.environ["ENDS"] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    told.set()
    await asyncio.sleep(60)

told = asyncio.Event()

async def main(url):
    async with Engine(url, lease=0.6) as engine:
        await engine.start(Mapped(), id="1")
        await told.wait()

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def anyio_backend() -> str:
    """Real time: a lease runs out."""
    return "asyncio"


def left(folder: Path, url: str, how: str) -> None:
    """A process begins it, and ends in the middle of its third element."""
    (folder / "mapped.py").write_text(MAPPED, encoding="utf-8")
    subprocess.run([sys.executable, "mapped.py", url], cwd=folder, env={"ENDS": how, "PYTHONPATH": str(Path.cwd())}, check=False)


@pytest.mark.parametrize("how", ["killed", "closed"])
@pytest.mark.parametrize("sweep", [True, False])
async def test_whoever_drives_the_run_takes_up_its_batches(tmp_path, monkeypatch, how, sweep):
    """After the process that had them was killed, or gave them back: every result is there, and no element is forgotten."""
    url = f"sqlite:///{tmp_path}/runs.db"
    left(tmp_path, url, how)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mapped", raising=False)
    from mapped import Mapped  # the fixture's

    async with Engine(url, lease=LEASE, reactors=[Mapped], sweep=sweep) as engine, asyncio.timeout(20):
        run = await engine.get(Mapped, "1")
        assert await run.outcome() == Succeeded([2, 4, 6, 8], "Mapped:1")


async def test_it_looks_again_where_another_still_has_them(tmp_path, monkeypatch):
    """The other one's lease runs out later: who drives the run claims the batch then, though it was told nothing."""
    url = f"sqlite:///{tmp_path}/runs.db"
    left(tmp_path, url, "closed")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mapped", raising=False)
    from mapped import Mapped

    async with Engine(url, lease=LEASE, reactors=[Mapped], sweep=False) as engine, asyncio.timeout(20):
        store = engine._host.store
        await store.open_session("other", 2 * LEASE)
        assert await store.claim_run("other", "Mapped:1/doubled#2") is not None
        run = await engine.get(Mapped, "1")
        assert await run.outcome() == Succeeded([2, 4, 6, 8], "Mapped:1")
