"""What is Redis's own: forgetful servers, full ones, other ones, and connections that break."""

from __future__ import annotations

import asyncio
import pickle
from contextlib import asynccontextmanager

import pytest

from reactor.errors import ReactorError, StoreUnavailable
from reactor.record.store import Append, Appended, Behind, Claimed, Message, NewRecord, Served, Store
from reactor.stores.redis import RedisStore, StoreUnfit
from tests.stores.redis_server import Server, shared

pytestmark = pytest.mark.anyio

SHOP = Served("shop", 1, "fp")


@pytest.fixture
def server(request):
    """A server of this test's own, which it may stop, fill and kill."""
    alone = Server(**getattr(request, "param", {}))
    yield alone
    alone.remove()


@asynccontextmanager
async def opened(server, namespace="shop", **more):
    """A store with an open session `p`."""
    store = await RedisStore.open(f"{server.address}?namespace={namespace}", **more)
    try:
        await store.open_session("p", 60.0)
        yield store
    finally:
        await store.close()


def record(run="shop:1", **more) -> NewRecord:
    """A record that its maker drives."""
    return NewRecord(run=run, **{"root": run, "reactor": "shop", "fingerprint": "fp", "token": "p:t", "due": None, **more})


def step(seq, run="shop:1", **more) -> Append:
    """An append of one event."""
    given = {"events": (b"e%d" % seq,), "status": "running", **more}
    return Append(run=run, token="p:t", seq=seq, op=f"op{seq}", **given)


async def chain(store, run, length, first=0, **more) -> None:
    """So many appends, one after the other."""
    for seq in range(first, first + length):
        assert isinstance(await store.append(step(seq, run, **more)), Appended)


async def dead(server) -> None:
    """The server is killed, and started again on what it wrote."""
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)


def alone(behind) -> None:
    """Returns when the server has noticed that all others have gone."""
    while behind.info("clients")["connected_clients"] > 1:
        pass


# ---- what is opened -------------------------------------------------------------------------------------------


async def test_a_store_is_a_store():
    """It is what the port asks for, as a type too."""
    async with opened(shared(), "typed") as store:
        port: Store = store
        assert port is store


@pytest.mark.parametrize("server", [{"maxmemory_policy": "allkeys-lru", "maxmemory": "100mb"}], indirect=True)
async def test_a_server_that_evicts_is_refused(server):
    """The error says which setting, and which it must be."""
    before = asyncio.all_tasks()
    with pytest.raises(StoreUnfit) as caught:
        await RedisStore.open(server.address)
    assert caught.value.code == "store-evicts"
    assert "allkeys-lru" in caught.value.what
    assert "noeviction" in caught.value.fix
    assert asyncio.all_tasks() == before


async def test_the_number_of_shards_is_the_namespaces(server):
    """Another number later is refused, with the right one; another namespace has its own."""
    async with opened(server, shards=4):
        pass
    with pytest.raises(StoreUnfit) as caught:
        await RedisStore.open(f"{server.address}?namespace=shop", shards=8)
    assert caught.value.code == "store-shards"
    assert "shards=4" in caught.value.fix
    async with opened(server, "other", shards=8), opened(server, shards=4):
        pass


async def test_a_url_that_is_none_is_refused():
    """A namespace that could be taken for another's keys, and a scheme that redis-py does not know."""
    for url in ("redis://localhost?namespace=a:b", "redis://localhost?namespace=", "mailto:redis"):
        with pytest.raises(ReactorError) as caught:
            await RedisStore.open(url)
        assert caught.value.code == "bad-store-url"


async def test_a_server_that_is_not_there_is_unavailable(tmp_path):
    """Within the caller's patience, and with nothing left behind."""
    before = asyncio.all_tasks()
    with pytest.raises(StoreUnavailable):
        await RedisStore.open(f"unix://{tmp_path}/none", patience=0.2)
    assert asyncio.all_tasks() == before


async def test_two_namespaces_share_nothing(server):
    """The same name is two runs, and neither namespace finds or claims the other's."""
    async with opened(server, "one") as one, opened(server, "two") as two:
        await one.create(record(token=None, due=0.0))
        assert await two.load("shop:1") is None
        assert await two.claim("p", [SHOP]) == []
        await two.create(record(inputs=b"two"))
        assert (await one.counts(), await two.counts()) == ({"queued": 1}, {"queued": 1})
        assert (await one.load("shop:1")).inputs == b""


async def test_all_keys_of_a_run_lie_in_one_slot(server):
    """Each key has the literal tag of its shard, whatever the run's name holds; the registry's are apart."""
    async with opened(server) as store:
        await store.create(record("shop:{x}1"))
        await store.deliver("shop:{x}1", Message("signal", b"m"), moves=True, operation="o")
        await store.append(step(0, "shop:{x}1", children=(record("shop:{x}1/ship", root="shop:{x}1", parent="shop:{x}1"),)))
        await store.open_wait("scope", "cid", "shop:{x}1", "a")
        keys = [key.decode() for key in server.client().scan_iter("*")]
    of_runs = {key.split(":")[2] for key in keys if "{x}" in key and ":{c" not in key}
    assert len(of_runs) == 1
    assert all(key.startswith("rx:shop:{") for key in keys)
    assert [key for key in keys if "scopecid" in key and ":{c" in key]


async def test_health_says_what_an_operator_asks(server):
    """Policy, memory, persistence, namespace."""
    async with opened(server) as store:
        health = await store.health()
    assert (health.policy, health.fsync, health.namespace, health.shards, health.role) == ("noeviction", None, "shop", 16, "master")
    assert health.used_memory > 0
    assert health.run_id


# ---- scripts --------------------------------------------------------------------------------------------------


async def test_a_server_that_forgets_its_scripts_is_taught_again(server):
    """SCRIPT FLUSH between appends, and under a pipeline of many: each is done once, and each caller gets its own answer."""
    async with opened(server) as store:
        runs = [f"shop:{n}" for n in range(50)]
        await asyncio.gather(*[store.create(record(run)) for run in runs])
        behind = server.client()
        for _ in range(5):
            behind.script_flush()
            writing = [asyncio.ensure_future(chain(store, run, 3, (await store.load(run)).seq)) for run in runs]
            await asyncio.sleep(0)
            behind.script_flush()
            await asyncio.gather(*writing)
        for run in runs:
            assert (await store.load(run)).events == tuple(b"e%d" % seq for seq in range(15))


# ---- servers that stop, die, fill up and forget ---------------------------------------------------------------


@pytest.mark.parametrize("server", [{"appendonly": "yes", "appendfsync": "always"}], indirect=True)
async def test_a_killed_server_loses_nothing_that_was_acknowledged(server):
    """Writers go on through a kill and a restart; what each was told is there, once, and the store says that the server is another."""
    async with opened(server, patience=30.0) as store:
        told = asyncio.Event()
        store.when_other_server(told.set)
        runs = [f"shop:{n}" for n in range(20)]
        await asyncio.gather(*[store.create(record(run)) for run in runs])
        writing = [asyncio.ensure_future(chain(store, run, 300)) for run in runs]
        while not (await store.load("shop:0")).seq:
            pass
        await dead(server)
        await asyncio.gather(*writing)
        assert told.is_set()
        for run in runs:
            assert (await store.load(run)).events == tuple(b"e%d" % seq for seq in range(300))


async def test_a_stopped_server_is_waited_for(server):
    """A server that stands still costs time, not writes: an append goes through once it goes on, written once."""
    async with opened(server, timeout=0.2, patience=30.0) as store:
        await store.create(record())
        server.pause()
        writing = asyncio.ensure_future(chain(store, "shop:1", 5))
        done, _ = await asyncio.wait([writing], timeout=0.7)
        assert not done
        server.go_on()
        await writing
        assert (await store.load("shop:1")).seq == 5


async def test_a_server_that_stays_away_is_unavailable(server):
    """Each caller is told when its patience is over; when the server is back, the same call goes through, once."""
    async with opened(server, timeout=0.1, patience=0.3) as store:
        await store.create(record())
        server.pause()
        answers = await asyncio.gather(*[store.append(step(0)), store.now()], return_exceptions=True)
        assert all(isinstance(answer, StoreUnavailable) for answer in answers)
        server.go_on()
        assert isinstance(await store.append(step(0)), Appended)
        assert (await store.load("shop:1")).events == (b"e0",)


async def test_a_claim_whose_answer_nobody_got_is_given_back(server):
    """A claim that ends in StoreUnavailable, or is cancelled, leaves no record with a live session that nobody drives."""
    async with opened(server, timeout=0.1, patience=0.3) as store:
        await store.create(record(token=None, due=0.0))
        server.pause()
        with pytest.raises(StoreUnavailable):
            await store.claim_run("p", "shop:1")
        server.go_on()
        assert await store.held("p") == []
        claiming = asyncio.ensure_future(store.claim_run("p", "shop:1"))
        await asyncio.sleep(0)
        claiming.cancel()
        await asyncio.wait([claiming])
        assert await store.held("p") == []
        assert [claimed.run for claimed in await store.claim("p", [SHOP])] == ["shop:1"]


@pytest.mark.parametrize("server", [{"maxmemory": "4mb"}], indirect=True)
async def test_a_full_server_is_back_pressure(server):
    """Out of memory is StoreUnavailable, at once and whole: nothing is half written, and what is freed is written to again."""
    async with opened(server) as store:
        await store.create(record())
        with pytest.raises(StoreUnavailable) as caught:
            await chain(store, "shop:1", 100, events=(b"x" * 100_000,))
        assert "memory" in caught.value.what
        loaded = await store.load("shop:1")
        seq = loaded.seq
        assert 0 < seq == len(loaded.events)
        server.client().config_set("maxmemory", "100mb")
        assert (await store.append(step(seq))).seq == seq + 1


@pytest.mark.parametrize("server", [{"appendonly": "no"}], indirect=True)
async def test_a_server_that_went_back_in_time_says_so(server):
    """Killed after its last snapshot: the writer is told how many events there are, and goes on from there."""
    async with opened(server) as store:
        await store.create(record())
        await chain(store, "shop:1", 3)
        server.client().save()
        await chain(store, "shop:1", 4, 3)
        await dead(server)
        assert await store.append(step(7)) == Behind(3)
        await chain(store, "shop:1", 2, 3)
        assert (await store.load("shop:1")).seq == 5


async def test_a_fence_rises_though_the_server_lost_the_last_claims(server):
    """It goes by the server's time as well as by the record's last."""
    async with opened(server) as store:
        await store.create(record(token=None, due=0.0))
        server.client().save()
        first = await store.claim_run("p", "shop:1")
        await dead(server)
        again = await store.claim_run("p", "shop:1")
        assert isinstance(again, Claimed)
        assert again.fence > first.fence


class Bomb:
    """Goes off where it is unpickled."""

    def __init__(self, at) -> None:
        self.at = at

    def __reduce__(self):
        return self.at.touch, ()


async def asked(store) -> list[object]:
    """Every way in which a damaged record can be met."""
    calls = (
        *(store.load("shop:1"), store.mail("shop:1", 0), store.append(step(1)), store.create(record(token=None)), store.held("p")),
        *(store.deliver("shop:1", Message("signal", b"m"), moves=True, operation="o2"), store.find(), store.find(tag="a"), store.counts()),
        *(
            store.claim("p", [SHOP]),
            store.claim_run("p", "shop:1"),
            store.renew("p"),
            store.expire(0, 1),
            store.now(),
            store.definition("fp"),
        ),
        *(
            store.open_wait("s", "c", "shop:1", "a"),
            store.find_waiting("s", "c"),
            store.keep_early("s", "c", b"", None),
            store.once("d", b""),
        ),
    )
    return [(await asyncio.gather(call, return_exceptions=True))[0] for call in calls]


async def test_a_pickle_planted_in_every_key_is_bytes(server, tmp_path):
    """Whoever can write to Redis gets no code run: as any key's value, and as any field or entry, it is an answer or a refusal."""
    async with opened(server) as store:
        await store.create(record(inputs=b"i", elements=b"b", tags=("a",), index={"o": "1"}))
        await store.append(
            step(0, snapshot=(0, b"s"), chunk=b"k", children=(record("shop:1/x", root="shop:1", parent="shop:1", token=None),))
        )
        await store.deliver("shop:1", Message("signal", b"m"), moves=True, operation="o")
        await store.open_wait("s", "c", "shop:1", "a")
        await store.once("d", b"answer")
        await store.put_definition("fp", b"plan")
        behind, bomb, told = server.client(), pickle.dumps(Bomb(tmp_path / "gone-off")), []
        for key in [key for key in behind.scan_iter("rx:*") if not key.endswith(b":meta")]:
            was = behind.dump(key)
            planted = [{b"plain": bomb}, *({field: bomb} for field in (behind.hkeys(key) if behind.type(key) == b"hash" else ()))]
            for one in planted:
                if b"plain" in one:
                    behind.set(key, bomb)
                else:
                    behind.hset(key, mapping=one)
                told += await asked(store)
                behind.restore(key, 0, was, replace=True)
            if behind.type(key) == b"list":
                behind.lset(key, 0, bomb)
                told += await asked(store)
                behind.restore(key, 0, was, replace=True)
    assert not (tmp_path / "gone-off").exists()
    refused = [answer for answer in told if isinstance(answer, BaseException)]
    assert len(refused) > 10
    assert {type(answer) for answer in refused} == {StoreUnavailable}


# ---- connections ----------------------------------------------------------------------------------------------


async def test_a_connection_lost_in_the_middle_of_many_does_everything_once(server):
    """The server drops all connections again and again, while fifty write: each append is there once, in order."""
    async with opened(server, patience=30.0) as store:
        runs = [f"shop:{n}" for n in range(50)]
        await asyncio.gather(*[store.create(record(run)) for run in runs])
        writing = asyncio.gather(*[chain(store, run, 60) for run in runs])
        behind = server.client()
        drops = 0
        while not writing.done() and drops < 200:
            behind.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            drops += 1
            await store.now()
        await writing
        assert drops > 1
        for run in runs:
            assert (await store.load(run)).events == tuple(b"e%d" % seq for seq in range(60))


async def test_cancelled_callers_cost_others_no_answer(server):
    """Of two thousand calls half are cancelled, before, while and after they are on the wire: the others get their own answers."""
    async with opened(server) as store:
        await asyncio.gather(*[store.create(record(f"shop:{n}", inputs=b"%d" % n)) for n in range(100)])
        for pauses in range(4):
            asked = {n: asyncio.ensure_future(store.load(f"shop:{n % 100}")) for n in range(500)}
            for _ in range(pauses):
                await asyncio.sleep(0)
            for number, call in asked.items():
                if number % 2:
                    call.cancel()
            answers = await asyncio.gather(*asked.values(), return_exceptions=True)
            for number, answer in enumerate(answers):
                if number % 2 == 0:
                    assert answer.inputs == b"%d" % (number % 100)
        assert server.client().info("stats")["total_connections_received"] < 10


async def test_what_is_asked_at_once_is_sent_at_once(server):
    """A thousand appends of a thousand runs are two packets: the first, and all that were asked in the same turn of the loop."""
    async with opened(server) as store:
        runs = [f"shop:{n}" for n in range(1000)]
        await asyncio.gather(*[store.create(record(run)) for run in runs])
        assert await store.append(step(0, runs.pop()))  # the server knows the script
        line, packets = store._wire._line, []
        write = line.write
        line.write = lambda data, *, first: (packets.append(data), write(data, first=first))
        await asyncio.gather(*[store.append(step(0, run)) for run in runs])
        assert len(packets) == 2
        assert b"".join(packets).count(b"EVALSHA") == 999


async def test_nothing_is_left_after_close(server):
    """No task, and no connection, of a store that was watched and used; a call after that says that it is closed."""
    before = asyncio.all_tasks()
    store = await RedisStore.open(server.address)
    heard = asyncio.Event()
    store.watch(lambda run: heard.set())
    await store.create(record())
    await heard.wait()
    last = asyncio.ensure_future(store.load("shop:1"))
    await asyncio.sleep(0)
    await store.close()
    assert (await last).run == "shop:1"
    await store.close()
    assert asyncio.all_tasks() == before
    with pytest.raises(StoreUnavailable):
        await store.now()
    alone(server.client())


async def test_a_watcher_hears_other_processes_through_lost_connections(server):
    """One task and one connection hear all shards; where it breaks, it is made again, and goes on where it was."""
    async with opened(server) as store, opened(server) as other:
        heard: asyncio.Queue[str] = asyncio.Queue()
        end = store.watch(heard.put_nowait)
        await other.create(record("shop:1"))
        assert await heard.get() == "shop:1"
        server.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await other.create(record("shop:2"))
        assert await heard.get() == "shop:2"
        end()
        await other.create(record("shop:3"))
        await store.now()
        assert heard.empty()


# ---- cost -----------------------------------------------------------------------------------------------------


async def test_a_parked_run_takes_less_than_3_kb(server):
    """With inputs, an index, seven events of 150 bytes and a timer: all its keys, by the server's own measure."""
    async with opened(server) as store:
        name = "Checkout:0197a3f0-7c1e-7d4a-b0a1-000000000001"
        await store.create(record(name, inputs=b"i" * 200, index={"order": "o-1"}))
        for seq in range(6):
            await store.append(step(seq, name, events=(b"x" * 150,)))
        await store.append(step(6, name, events=(b"x" * 150,), status="parked", release=True, due=2e9))
        behind = server.client()
        apart = (b":ev", b":z", b":zs", b":meta")
        used = sum(behind.memory_usage(key, samples=0) for key in behind.scan_iter("rx:*") if not key.endswith(apart))
    assert used < 3000
