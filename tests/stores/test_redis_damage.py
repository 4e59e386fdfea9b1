"""Every key of a run, written to by others: who asks for it is told, nothing is changed, and the other runs of its shard go on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from reactor.errors import StoreUnavailable
from reactor.record.store import Append, Appended, Created, Delivered, Message
from reactor.stores.redis import RedisStore
from tests.stores.filling import LONG, SHOP, append_of, driven, record
from tests.stores.redis_server import Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

pytestmark = pytest.mark.anyio
TWO_SLOTS = ("open_wait", "open early")  # the run notes the id while the id is opened elsewhere: asked again, that answers the same
BAD = b"\x80\x04\x95 no release wrote this"


@pytest.fixture
def anyio_backend() -> str:
    """The server's own time."""
    return "asyncio"


@pytest.fixture
def server() -> Iterator[Server]:
    """One of its own."""
    made = Server()
    yield made
    made.remove()


async def fill(store: RedisStore) -> None:
    """A run that has everything, one that is well, two that are due."""
    for run in ("shop:1", "shop:2"):
        claimed = await driven(store, run, tags=("red",), index={"order": run}, inputs=b"inputs", elements=b"elements")
        child = record(f"{run}/ship#0", root=run, parent=run)
        await store.append(append_of(claimed, 0, b"one", b"two", children=(child,), snapshot=(1, b"state"), chunk=b"chunk"))
        await store.deliver(run, Message("signal", b"hello"), moves=True, operation="1")
    await store.create(record("shop:1/due", root="shop:1", parent="shop:1", due=1.0))
    await store.create(record("shop:due", due=2.0))
    for number in ("1", "2"):
        await store.open_wait("shop.approve", f"c-{number}", f"shop:{number}", "approve")
        await store.keep_early("shop.approve", f"e-{number}", b"yes", "d")
        await store.once(f"d-{number}", b"accepted")
        await store.put_definition(f"fp-{number}", b"definition")


async def append_again(store: RedisStore) -> Any:
    """As its driver does, and with all that an append can hold."""
    token = next((one.token for one in await store.held("session of shop:1") if one.run == "shop:1"), "session of shop:1:lost")
    told = (("shop:1/ship#0", Message("settled", b"done")),)
    return await store.append(
        Append(run="shop:1", token=token, seq=2, op="9", status="parked", events=(b"three",), messages=told, read_up_to=1)
    )


def asked(store: RedisStore) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Each way to meet what belongs to the damaged run."""
    session = "session of shop:1"
    return {
        "load": lambda: store.load("shop:1"),
        "load after": lambda: store.load("shop:1", after=1),
        "due": lambda: store.load("shop:1/due"),
        "mail": lambda: store.mail("shop:1", 0),
        "create": lambda: store.create(record("shop:1")),
        "append to it": lambda: append_again(store),
        "append": lambda: store.append(Append(run="shop:1", token="none:1", seq=2, op="x", status="running")),
        "deliver": lambda: store.deliver("shop:1", Message("signal", b"m"), moves=True, operation="2"),
        "deliver again": lambda: store.deliver("shop:1", Message("signal", b"m"), moves=True, operation="1"),
        "claim_run": lambda: store.claim_run("session of shop:2", "shop:1"),
        "claim_run due": lambda: store.claim_run("session of shop:2", "shop:1/due"),
        "refuse": lambda: store.refuse("shop:1", "none:1", "fp"),
        "held": lambda: store.held(session),
        "renew": lambda: store.renew(session),
        "open_wait": lambda: store.open_wait("shop.approve", "c-1", "shop:1", "approve"),
        "find_waiting": lambda: store.find_waiting("shop.approve", "c-1"),
        "keep_early": lambda: store.keep_early("shop.approve", "e-1", b"no", "d"),
        "open early": lambda: store.open_wait("shop.approve", "e-1", "shop:1", "again"),
        "once": lambda: store.once("d-1", b"other"),
        "definition": lambda: store.definition("fp-1"),
        "find": store.find,
        "find tag": lambda: store.find(tag="red"),
        "find text": lambda: store.find(text="shop"),
        "counts": store.counts,
        "standing": store.standing,
    }


def plants(client: Any, key: bytes) -> Iterator[tuple[str, Callable[[], Any]]]:
    """All that can be written into a key of the damaged run, or instead of it."""
    kind = client.type(key)
    if kind == b"hash":
        for field in client.hkeys(key):
            yield f"{field!r}", lambda field=field: client.hset(key, field, BAD)
            yield f"no {field!r}", lambda field=field: client.hdel(key, field)
    elif kind == b"list":
        yield "first", lambda: client.lset(key, 0, BAD)
        yield "more", lambda: client.rpush(key, BAD)
        yield "less", lambda: client.lpop(key)
    elif kind == b"string":
        yield "value", lambda: client.set(key, BAD)
    elif kind == b"set":
        yield "more", lambda: client.sadd(key, BAD)
    yield "another kind", lambda: (client.delete(key), client.zadd(key, {BAD: 1.0}) if kind != b"zset" else client.set(key, BAD))


def content(client: Any) -> dict[bytes, Any]:
    """All that the server holds, but how long it is to be kept."""
    return {key: client.dump(key) for key in client.scan_iter(count=1000)}


async def of_the_damaged(store: RedisStore, client: Any, where: Any) -> int:
    """Ask it everything: an answer, or one error. How many errors."""
    errors = 0
    for what, ask in asked(store).items():
        before = content(client)
        [answer] = await asyncio.gather(ask(), return_exceptions=True)
        if isinstance(answer, BaseException):
            assert (type(answer), getattr(answer, "code", "")) == (StoreUnavailable, "store-corrupt"), (where, what, answer)
            assert answer.fix, (where, what)
            changed = [key for key, data in content(client).items() if before.get(key) != data]
            assert not changed or what in TWO_SLOTS, (where, what, changed)
            errors += 1
    return errors


async def of_the_others(store: RedisStore, where: Any) -> None:
    """What is theirs is found, claimed, read and written."""
    rows, _, total = await store.find()
    assert {"shop:2", "shop:due"} <= {row.run for row in rows}, where
    assert total >= 2, where
    assert "shop:2" in [row.run for row in (await store.find(tag="red"))[0]], where
    loaded = await store.load("shop:2")
    assert (loaded.inputs, loaded.seq, [message.body for message in loaded.mail]) == (b"inputs", 2, [b"hello"]), where
    order = Append(run="shop:2", token=loaded.token, seq=2, op="3", status="running", events=(b"three",))
    assert isinstance(await store.append(order), Appended), where
    assert isinstance(await store.deliver("shop:2", Message("signal", b"m"), moves=True, operation="2"), Delivered), where
    await store.open_session("mine", LONG)
    assert "shop:due" in [claimed.run for claimed in await store.claim("mine", [SHOP])], where
    assert "shop:2" in [claimed.run for claimed in await store.held("session of shop:2")], where
    assert isinstance(await store.create(record("shop:new")), Created), where
    assert await store.find_waiting("shop.approve", "c-2") == ("shop:2", "approve", True), where
    assert await store.close_session("session of shop:2") >= 1, where


async def test_a_damaged_run_is_dropped_like_others(server):
    """Whatever of it cannot be read: nothing of it is left, nobody waits for ever, and the others go with it."""
    client = server.client()
    store = await RedisStore.open(f"{server.address}?namespace=d", shards=1)
    try:
        await fill(store)
        for run in ("shop:1", "shop:2"):
            [token] = [one.token for one in await store.held(f"session of {run}") if one.run == run]
            await store.append(Append(run=run, token=token, seq=2, op="end", status="succeeded", ended=True, read_up_to=1))
        whole = content(client)
        for key in [key for key in sorted(whole) if key.endswith(b":shop:1")]:
            for what, plant in list(plants(client, key)):
                plant()
                async with asyncio.timeout(5):
                    assert await store.expire(-1.0, LONG) == 2, (key, what)
                left = [one for one in client.scan_iter(count=1000) if one.endswith(b":shop:1") and b":x:" not in one]
                assert not left, (key, what, left)
                client.flushall()
                for restored, data in whole.items():
                    client.restore(restored, 0, data)
    finally:
        await store.close()
        client.close()


async def test_every_key_of_a_run_that_others_wrote_to(server):
    """Other bytes in each field, none, too many, another kind of value: the run has errors, the others have none."""
    url = f"{server.address}?namespace=d"
    client = server.client()
    store = await RedisStore.open(url, shards=1)
    try:
        await fill(store)
        whole = content(client)
        mine = [key for key in sorted(whole) if b"shop:1" in key or key.endswith((b"c-1", b"e-1", b"d-1", b"fp-1"))]
        told: dict[Any, int] = {}
        for key in mine:
            for what, plant in list(plants(client, key)):
                where = (key.rpartition(b"}:")[2].decode("utf-8", "replace"), what)
                plant()
                told[where] = await of_the_damaged(store, client, where)
                await of_the_others(store, where)
                client.flushall()
                for restored, data in whole.items():
                    client.restore(restored, 0, data)
    finally:
        await store.close()
        client.close()
    assert len(told) > 60
    for needed in ("b'o'", "b's'", "b'l'", "b'v'", "b'x'", "b'c'"):
        assert told["r:shop:1", needed], needed
