"""A Redis that cannot be used: each reason has words of its own and one fix, and what surely cannot be is said at once."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import pytest

from reactor import Engine
from reactor.errors import ReactorError, StoreUnavailable
from reactor.record.keeping import without_password
from reactor.stores.redis import RedisStore
from reactor.stores.redis_trouble import met, refusal, trouble_of, unreachable
from tests.stores.filling import driven, record
from tests.stores.redis_server import Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

pytestmark = pytest.mark.anyio
SECRET = "hunter2"
AT_ONCE = 2.0  # seconds: less than a try that waits, and far less than the patience of an engine


@pytest.fixture
def anyio_backend() -> str:
    """The server's own time."""
    return "asyncio"


@pytest.fixture
def port() -> int:
    """One that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
    return found


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One of this test's own, with these settings."""
    made = Server(**getattr(request, "param", {}))
    yield made
    made.remove()


async def told(open_it: Callable[[], Awaitable[Any]]) -> ReactorError:
    """The error of opening, which comes at once, leaves nothing behind and shows no password."""
    before, began = asyncio.all_tasks(), time.monotonic()
    with pytest.raises(ReactorError) as caught:
        await open_it()
    assert time.monotonic() - began < AT_ONCE
    assert asyncio.all_tasks() == before
    assert caught.value.fix
    assert SECRET not in f"{caught.value} {caught.value.__cause__}"
    return caught.value


async def engine_on(url: str) -> None:
    """Open an engine, as an author does."""
    async with Engine(url):
        pass


# ---- what surely cannot be ----------------------------------------------------------------------------------------


async def test_a_server_that_refuses_connections(port):
    """It is not there: an engine says so at once, and which server was meant."""
    error = await told(lambda: engine_on(f"redis://:{SECRET}@127.0.0.1:{port}/0?namespace=shop"))
    assert (type(error), error.code) == (StoreUnavailable, "store-unavailable")
    assert f"127.0.0.1:{port}" in error.what
    assert "refused" in error.what


async def test_a_socket_that_is_not_there(tmp_path):
    """The path is in the message."""
    error = await told(lambda: engine_on(f"unix://{tmp_path}/none?namespace=shop"))
    assert (error.code, f"{tmp_path}/none" in error.what, "no socket" in error.what) == ("store-unavailable", True, True)


@pytest.mark.parametrize("server", [{"requirepass": SECRET}], indirect=True)
@pytest.mark.parametrize("says", ["", "password=wrong&", "username=ann&password=wrong&"])
async def test_credentials_that_are_refused(server, says):
    """None, a wrong one, an unknown user: one code, and where to say them."""
    error = await told(lambda: engine_on(f"{server.address}?{says}namespace=shop"))
    assert (type(error), error.code) == (StoreUnavailable, "store-login")
    assert "password" in error.fix


async def test_a_user_who_may_not_do_what_a_store_does(server):
    """The command that the server forbids is in the message."""
    behind = server.client()
    behind.execute_command("ACL", "SETUSER", "ann", "on", f">{SECRET}", "~rx:*", "+info", "+select", "+client", "+ping")
    error = await told(lambda: engine_on(f"{server.address}?username=ann&password={SECRET}&namespace=shop"))
    assert error.code == "store-login"
    assert "evalsha" in error.what.lower()
    behind.close()


@pytest.mark.parametrize("server", [{"databases": "2"}], indirect=True)
async def test_a_database_that_the_server_has_not(server):
    """It is named by the server's own words."""
    error = await told(lambda: engine_on(f"{server.address}?db=7&namespace=shop"))
    assert (type(error), error.code) == (StoreUnavailable, "store-no-database")


@pytest.mark.parametrize("server", [{"maxmemory_policy": "allkeys-lru", "maxmemory": "100mb"}], indirect=True)
async def test_an_engine_refuses_a_server_that_evicts(server):
    """The setting and the one that it must be are in the message."""
    error = await told(lambda: engine_on(f"{server.address}?namespace=shop"))
    assert (error.code, "allkeys-lru" in error.what, "noeviction" in error.fix) == ("store-evicts", True, True)


async def test_something_else_that_answers():
    """A web server is no Redis."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as other:
        where = other.sockets[0].getsockname()[1]
        error = await told(lambda: RedisStore.open(f"redis://127.0.0.1:{where}/0"))
    assert (error.code, "no Redis" in error.what) == ("store-unavailable", True)


# ---- URLs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://host:x/0", "port"),
        ("redis://host:99999/0", "port"),
        ("redis://host:6379/shop", "shop"),
        ("redis://host:6379/0?namspace=shop", "namspace"),
        ("redis://host:6379/0?namespace=shop&pasword=1", "pasword"),
        ("redis://host:6379/0?db=first", "db"),
        ("redis://host:6379/0?namespace=a:b", "a:b"),
        ("rediss://host:6379/0?ssl_cert_reqs=maybe", "maybe"),
    ],
)
async def test_a_url_that_is_misspelt(url, said):
    """What is wrong with it is in the message; nobody is asked."""
    error = await told(lambda: engine_on(url.replace("//host", f"//:{SECRET}@host")))
    assert error.code == "bad-store-url"
    assert said in error.what


async def test_a_misspelt_namespace_has_a_neighbour():
    """Runs that were put into the default namespace would be lost to those who look for them."""
    assert (await told(lambda: engine_on("redis://host/0?namspace=shop"))).nearest == "namespace"


async def test_a_scheme_that_is_misspelt_shows_no_password():
    """The URL is in the message, its password is not."""
    for url in (f"reddis://:{SECRET}@host/0", f"redis:/:{SECRET}@host", f"reddis://host?password={SECRET}"):
        error = await told(lambda url=url: engine_on(url))
        assert error.code == "unknown-store"
    assert without_password(f"redis://ann:{SECRET}/@{SECRET}@host:1/2?namespace=shop") == "redis://…@host:1/2"


async def test_what_a_url_says_of_the_protocol_changes_nothing(server):
    """The wire speaks one, whatever redis-py could do."""
    store = await RedisStore.open(f"{server.address}?namespace=shop&protocol=3&decode_responses=true&socket_timeout=0.0001")
    try:
        await driven(store, "shop:1", inputs=b"\xff")
        assert (await store.load("shop:1")).inputs == b"\xff"
    finally:
        await store.close()


# ---- what may pass --------------------------------------------------------------------------------------------------


async def test_the_cause_outlives_the_patience(server):
    """A server that went away is asked again and again; what the caller is told is why, not that time ran out."""
    store = await RedisStore.open(f"{server.address}?namespace=shop", patience=0.4)
    try:
        await asyncio.to_thread(server.kill)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable) as caught:
            await store.now()
        assert time.monotonic() - began > 0.3
        assert "refused" in caught.value.what
        assert "TimeoutError" not in caught.value.what
        await asyncio.to_thread(server.start)
        assert await store.now() > 0
    finally:
        await store.close()


async def test_silence_is_told_in_seconds(server):
    """A server that does not answer at all."""
    server.pause()
    try:
        with pytest.raises(StoreUnavailable) as caught:
            await RedisStore.open(f"{server.address}?namespace=shop", timeout=0.1, patience=0.3)
        assert "no answer in 0.1 s" in caught.value.what
    finally:
        server.go_on()


async def test_a_replica_is_told_of(server):
    """It takes no writes: the fix names the primary."""
    store = await RedisStore.open(f"{server.address}?namespace=shop", patience=0.5)
    behind = server.client()
    try:
        behind.replicaof("127.0.0.1", "1")
        with pytest.raises(StoreUnavailable) as caught:
            await store.create(record("shop:1"))
        assert ("replica" in caught.value.what, "primary" in caught.value.fix) == (True, True)
        behind.replicaof("NO", "ONE")
        await store.create(record("shop:1"))
    finally:
        await store.close()
        behind.close()


# ---- words ----------------------------------------------------------------------------------------------------------


def chained(outer: BaseException, inner: BaseException) -> BaseException:
    """As redis-py raises its own from the machine's."""
    outer.__cause__ = inner
    return outer


def test_what_the_machine_says_has_words():
    """Each kind, also where it lies behind redis-py's own."""
    unknown, later = socket.gaierror(socket.EAI_NONAME, "Name or service not known"), socket.gaierror(socket.EAI_AGAIN, "Try again")
    both = OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] Connect call failed ('127.0.0.1', 1)")
    assert ("not known" in trouble_of(unknown).what, trouble_of(unknown).lasts, trouble_of(later).lasts) == (True, True, False)
    assert ("refused" in trouble_of(both).what, trouble_of(both).lasts) == (True, True)
    assert "TLS" in trouble_of(chained(ConnectionError("x"), ssl.SSLCertVerificationError("self-signed"))).what
    assert "may not open" in trouble_of(chained(ConnectionError("x"), PermissionError(13, "denied"))).what
    assert trouble_of(chained(ConnectionError(), ConnectionResetError(104, "reset by peer"))) == (
        *("[Errno 104] reset by peer", trouble_of(EOFError()).fix, "store-unavailable", False),
    )
    assert "TLS" in unreachable("rediss://host", TimeoutError("no answer in 5 s")).fix


def test_what_the_server_says_has_words():
    """Full, forbidden, damaged, and what nobody knows."""
    old = "ERR Error running script (call to f_5f): @user_script:7: @user_script: 7: -READONLY You can't write"
    assert met(old).startswith("READONLY")
    assert refusal("here", met("OOM command not allowed when used memory > 'maxmemory'.")).code == "store-full"
    assert refusal("here", "NOPERM this user has no permissions").code == "store-login"
    assert refusal("here", "ERR user_script:3: attempt to compare nil with number script: 5f, on @user_script:3.").is_damage
    assert (refusal("here", "ERR unknown command").code, "here" in refusal("here", "ERR unknown command").what) == (
        "store-unavailable",
        True,
    )
    for word in ("LOADING", "MISCONF", "READONLY", "MASTERDOWN"):
        assert (trouble_of(ConnectionResetError(f"{word} said so")).lasts, word in trouble_of(ConnectionResetError(f"{word} x")).what) == (
            False,
            True,
        )
