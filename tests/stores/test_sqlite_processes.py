"""Several processes on one file, and what is left of one that is killed."""

import asyncio
import signal
import sqlite3
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reactor.record.store import Appended
from tests.stores.filling import append_of, driven, opened, outside

pytestmark = pytest.mark.anyio
APPENDING = Path(__file__).parent / "appending.py"
FOR_EVER = 10_000_000
KILLS = 6


@asynccontextmanager
async def appending(path, name, writers, appends):
    """A process that appends, killed at the end if it still lives."""
    given = [str(APPENDING), str(path), name, str(writers), str(appends)]
    process = await asyncio.create_subprocess_exec(sys.executable, *given, cwd=APPENDING.parents[2], stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def killed_after(process, lines) -> Counter:
    """Its ledger: how far each run was acknowledged when it was killed."""
    ledger = Counter()
    for _ in range(lines):
        run, seq = (await process.stdout.readline()).split()
        ledger[run.decode()] = int(seq)
    process.send_signal(signal.SIGKILL)
    for line in (await process.stdout.read()).splitlines():  # what it said before it died
        run, seq = line.split()
        ledger[run.decode()] = int(seq)
    await process.wait()
    return ledger


async def whole(store, name, ledger):
    """Nothing that was acknowledged is missing; nothing is there in part."""
    told = Counter(message.body.split()[0].decode() for message in await store.mail(f"shop:sum-{name}", 0))
    for run, acknowledged in ledger.items():
        loaded = await store.load(run)
        assert acknowledged <= loaded.seq <= acknowledged + 1  # at most the one in flight
        assert loaded.events == tuple(b"%d" % seq for seq in range(1, loaded.seq + 1))
        assert told[run] == loaded.seq  # what goes with an append is there if and only if it is


async def test_a_killed_process_leaves_all_that_it_acknowledged(tmp_path):
    """SIGKILL at any moment, again and again on one file, while another process writes and reads it."""
    path = tmp_path / "runs.db"
    async with opened(path) as store:
        ours = await driven(store, "shop:ours")
        for kill in range(KILLS):
            async with appending(path, f"k{kill}", 1 + 7 * (kill % 2), FOR_EVER) as process:
                dying = asyncio.ensure_future(killed_after(process, 1 + 37 * kill))
                while not dying.done():
                    seq = (await store.load("shop:ours")).seq
                    assert isinstance(await store.append(append_of(ours, seq, b"event")), Appended)
            await whole(store, f"k{kill}", await dying)
    with outside(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_file_that_nobody_has_open_is_whole_after_a_kill(tmp_path):
    """The first to open it again finds everything, whatever lies beside the file."""
    path = tmp_path / "runs.db"
    for kill in range(KILLS):
        async with appending(path, f"k{kill}", 4, FOR_EVER) as process:
            ledger = await killed_after(process, 1 + 53 * kill)
        async with opened(path) as store:
            await whole(store, f"k{kill}", ledger)


async def test_processes_write_side_by_side(tmp_path):
    """Three at once, none starves, and nothing of any is lost."""
    path = tmp_path / "runs.db"
    names = ("a", "b", "c")

    async def one(name):
        async with appending(path, name, 3, 200) as process:
            said = await process.stdout.read()
            assert await process.wait() == 0
            return Counter(line.split()[0].decode() for line in said.splitlines())

    ledgers = await asyncio.gather(*map(one, names))
    async with opened(path) as store:
        for name, ledger in zip(names, ledgers, strict=True):
            assert set(ledger.values()) == {200}
            await whole(store, name, ledger)


async def test_a_claim_outlives_its_killed_owner_by_its_lease_only(tmp_path):
    """What a killed process held is offered when its lease has run out, and its old token is fenced."""
    path = tmp_path / "runs.db"
    async with appending(path, "dying", 1, FOR_EVER) as process:
        await killed_after(process, 5)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE sessions SET until = 0")
    connection.close()
    async with opened(path) as store:
        await store.open_session("heir", 1000)
        old = (await store.load("shop:dying-0")).token
        claimed = await store.claim_run("heir", "shop:dying-0")
        seq = (await store.load("shop:dying-0")).seq
        assert type(await store.append(append_of(claimed, seq, b"event", token=old))).__name__ == "Fenced"
        assert isinstance(await store.append(append_of(claimed, seq, b"event")), Appended)
