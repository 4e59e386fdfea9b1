"""`reactor doctor`: each thing that can be wrong with a store is found and has a fix; exit 1 where something is wrong."""

import asyncio
import json

import pytest

from reactor.record.store import NewRecord
from reactor.stores.redis import RedisStore
from reactor.stores.sqlite import SqliteStore
from tests.cli.filling import SHOP
from tests.stores.redis_server import Server


def findings(folder, store):
    """The exit code, and what was found, by what it is about."""
    done = folder.reactor("doctor", "--json", "--store", store)
    said = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0 if said["ok"] else 1, "")
    assert all(one["fix"] for one in said["findings"] if one["level"] == "wrong")
    return done.returncode, {one["what"]: one for one in said["findings"]}


def levels(found):
    """The level of each finding."""
    return {what: one["level"] for what, one in found.items()}


def test_a_file_that_is_well(folder):
    """Latency, kind, what may be lost, runs by status, who drives; exit 0."""
    folder.write("shop.py", SHOP)
    folder.reactor("run", "shop:Buy", "order=1", "--id", "1")
    done = folder.reactor("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    for words in ("✓ reachable    sqlite:///.reactor/runs.db answers: a read in ", "✓ kind         SQLite ", "✓ runs         1 succeeded"):
        assert words in done.stdout
    assert "a power cut may take the last commits with it" in done.stdout


def test_stuck_and_incompatible_runs(folder):
    """Named, with the command that goes on."""
    folder.write("shop.py", SHOP)
    (folder.path / "closed").touch()
    folder.reactor("run", "shop:Buy", "order=1", "card=bad", "--id", "1", "--store", "sqlite:///runs.db")

    async def refuse() -> None:
        store = await SqliteStore.open(folder.path / "runs.db")
        await store.open_session("s", 30.0)
        await store.create(NewRecord(run="old:1", root="old:1", reactor="old", token="s:1"))
        await store.refuse("old:1", "s:1", "fingerprint")
        await store.close_session("s")
        await store.close()

    asyncio.run(refuse())
    code, found = findings(folder, "sqlite:///runs.db")
    assert (code, found["stuck"]["said"]) == (1, "1 run could not be undone: buy:1")
    assert "retry-rollback" in found["stuck"]["fix"]
    assert found["incompatible"]["said"] == "1 run fit no code that was asked: old:1"


@pytest.fixture(params=["file", "server"])
def kept(request, folder, server):
    """A store, and what opens it here."""
    if request.param == "file":
        return "sqlite:///runs.db", lambda: SqliteStore.open(folder.path / "runs.db")
    url = server(folder.path.name)
    return url, lambda: RedisStore.open(url)


def test_work_that_nobody_does(folder, kept):
    """Runs that are due and unowned, and those of a process whose lease ran out: how many, and since when."""
    url, opened = kept

    async def leave() -> None:
        store = await opened()
        for number in range(3):
            await store.create(NewRecord(run=f"buy:{number}", root=f"buy:{number}", reactor="buy", due=0.0))
        await store.open_session("dead", 0.01)
        await store.create(NewRecord(run="buy:9", root="buy:9", reactor="buy", token="dead:1"))
        while await store.renew("nobody") or (await store.standing()).sessions[0].until > await store.now():
            pass
        await store.close()

    asyncio.run(leave())
    code, found = findings(folder, url)
    assert code == 1  # due since the epoch
    assert found["due"]["said"].startswith("3 of buy are due for any engine that serves it, unowned since ")
    assert found["expired"]["said"].startswith("the lease of dead ran out ")
    assert "1 of its runs nobody has taken over" in found["expired"]["said"]
    assert found["processes"]["said"].startswith("0 with a lease")


def test_how_safely_a_file_keeps(folder):
    """What a power cut takes is said of the URL that processes open it with."""
    folder.write("app.py", SHOP)
    folder.reactor("run", "app:Buy", "order=1", "--plain-secrets", "--store", "sqlite:///runs.db")
    lost = [findings(folder, f"sqlite:///runs.db{said}")[1]["persistence"]["said"] for said in ("", "?durability=full")]
    assert "a power cut may take the last commits" in lost[0]
    assert lost[1].endswith("opened with this URL, a power cut too")


SERVERS = {
    "no persistence": ({}, {"persistence": "wrong", "eviction": "fine", "memory": "note"}),
    "every second": ({"appendonly": "yes", "maxmemory": "100mb"}, {"persistence": "note", "memory": "fine", "kind": "fine"}),
    "always": ({"appendonly": "yes", "appendfsync": "always", "maxmemory": "100mb"}, {"persistence": "fine"}),
    "evicting": ({"maxmemory_policy": "allkeys-lru", "maxmemory": "100mb"}, {"fitness": "wrong"}),
    "full": ({"appendonly": "yes", "maxmemory": "1000kb"}, {"reachable": "wrong"}),
}


@pytest.mark.parametrize("case", SERVERS)
def test_servers(folder, case):
    """What a server may lose, and when it is full, is told by its settings."""
    settings, expected = SERVERS[case]
    running = Server(**settings)
    try:
        _, found = findings(folder, f"{running.address}?namespace=shop")
    finally:
        running.remove()
    assert levels(found) | expected == levels(found), found


def test_a_server_that_is_away(folder):
    """A finding like the others, not an error: exit 1."""
    code, found = findings(folder, "redis://localhost:1/0")
    assert (code, levels(found)) == (1, {"reachable": "wrong"})


def test_a_file_that_is_damaged(folder):
    """Told, with what to do; nothing is made better or worse."""
    folder.write("shop.py", SHOP)
    folder.reactor("run", "shop:Buy", "order=1", "--id", "1", "--store", "sqlite:///runs.db")
    file = folder.path / "runs.db"
    data = bytearray(file.read_bytes())
    data[8192:40960] = b"\xff" * 32768
    file.write_bytes(data)
    code, found = findings(folder, "sqlite:///runs.db")
    assert (code, "wrong" in levels(found).values()) == (1, True)
