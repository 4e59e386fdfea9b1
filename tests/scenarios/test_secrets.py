"""Secrets: a canary in every place where one may be, and nowhere in what is stored or told; keys that are missing, wrong, or replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from reactor import (
    Ask,
    Engine,
    Failed,
    Index,
    InputInvalid,
    Parked,
    PayloadInvalid,
    Reactor,
    ReactorError,
    Results,
    Retry,
    RunConflict,
    RunFailed,
    Secret,
    Succeeded,
    Undone,
    compose,
    interrupt,
    map_over,
    source,
    step,
)
from reactor.engine import open_store
from tests.stores.redis_server import Server

pytestmark = pytest.mark.anyio

CANARY = "c4n4ry"  # in no line near the steps below: a failure shows those
OLD, NEW = bytes(range(32)), os.urandom(32)
QUICK = Retry(attempts=2, base=0.001, jitter=False)


@pytest.fixture
def anyio_backend() -> str:
    """The stores' own time."""
    return "asyncio"


def secret(what: str) -> str:
    """A secret that tells where it leaked from."""
    return f"{CANARY}-{what}"


class Key(msgspec.Struct):
    name: str
    text: Annotated[str, Secret()]


FAILED: set[str] = set()  # what has failed once
UNDONE: list[str] = []


def once(what: str, told: str) -> None:
    """Fail the first time, and tell a secret."""
    if what not in FAILED:
        FAILED.add(what)
        raise ValueError(f"{what} with {told!r}")


class Inner(Reactor):
    token: Annotated[str, Secret()]
    key: Key

    @step(retry=QUICK)
    async def opened(self) -> Key:
        once("opened", self.token + self.key.text)
        return Key("opened", secret("opened"))

    @opened.undo(retry=QUICK)
    async def close(self, key: Key) -> None:
        once("close", key.text)
        UNDONE.append("opened")

    @step
    async def output(self, key: Key = opened.result) -> Key:
        return Key(key.name, secret("inner") + self.token[-2:])


class Each(Reactor):
    key: Key

    @step
    async def output(self) -> Key:
        return Key("each", self.key.text.upper())

    @output.undo
    async def back(self, key: Key) -> None:
        UNDONE.append("each")


class Whole(Reactor):
    who: Annotated[str, Index()]
    password: Annotated[str, Secret()]
    keys: list[Key]
    fails: bool = False

    @step(retry=QUICK)
    async def issue(self) -> list[Key]:
        once(f"issue for {self.who}", self.password + self.keys[0].text)
        return [Key(f"k{at}", secret(f"result-{at}")) for at in range(5)]

    @issue.undo(retry=QUICK)
    async def revoke(self, keys: list[Key]) -> None:
        once("revoke", keys[-1].text)
        UNDONE.append("issue")

    @source
    async def stream(self, keys: list[Key] = issue.result) -> AsyncIterator[Key]:
        for key in keys:
            yield key

    @map_over(stream, batch_size=2, on_error="collect")
    async def used(self, key: Key) -> Key:
        if key.name == "k3":
            raise ValueError(f"{key.text} is worn")
        return Key(key.name, secret("used") + key.text[-2:])

    @used.undo
    async def unused(self, key: Key) -> None:
        UNDONE.append("used")

    @map_over(issue.result, batch_size=2)
    async def inside(self, key: Key) -> Each:
        return Each(key=key)

    @compose
    async def inner(self, keys: list[Key] = issue.result) -> Inner:
        return Inner(token=self.password, key=keys[0])

    @interrupt(after=[inner])
    async def code(self) -> Ask[Key]:
        return Ask(f"code-{self.who}")

    @interrupt(after=[inner])
    async def pin(self) -> Ask[Annotated[int, Secret()]]:
        return Ask()

    @step
    async def output(
        self,
        used: Results[Key] = used.result,
        inside: Results[Key] = inside.result,
        inner: Key = inner.result,
        code: Key = code.result,
        pin: int = pin.result,
    ) -> list[str]:
        texts = [key.text async for key in used] + [key.text async for key in inside] + [inner.text, code.text]
        if self.fails:
            raise ValueError(f"{inner.text} {code.text} {pin}")
        return [text.rpartition("-")[2] for text in texts] + [str(pin % 10)]


VALUES = ["used-0", "used-1", "used-2", "used-4", "result-0", "result-1"]
EXPECTED = ["0", "1", "2", "4", "0", "1", "2", "3", "4", "innerrd", "code", "7"]
PIN = 774_411_337


def whole(who: str, *, fails: bool = False) -> Whole:
    """A run full of secrets."""
    return Whole(who=who, password=secret("password"), keys=[Key("k", secret("input"))], fails=fails)


# ---- the stores, and all that is in them ------------------------------------------------------------------------


class Sqlite:
    """A file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder}/runs.db"

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """Each file that belongs to it."""
        for path in self.folder.iterdir():
            yield path.name, path.read_bytes()


class Redis:
    """A server that writes down every command."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = f"{server.address}?namespace=secrets"

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """What it wrote down, and what is in each key now."""
        for path in self.server.folder.rglob("*"):
            if path.is_file():
                yield path.name, path.read_bytes()
        client = self.server.client()
        for key in client.scan_iter(count=1000):
            yield key.decode(), repr(content(client, key)).encode()
        client.close()


def content(client: Any, key: bytes) -> Any:
    """What a key holds."""
    read = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
    }
    return read[client.type(key)](key)


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sqlite | Redis]:
    """A durable store of its own."""
    FAILED.clear()
    UNDONE.clear()
    if request.param == "sqlite":
        yield Sqlite(tmp_path)
        return
    server = Server(appendonly="yes", appendfsync="always")
    yield Redis(server)
    server.remove()


def leaks(place: Sqlite | Redis, *texts: str) -> list[str]:
    """Where in a store a secret can be read."""
    found = []
    for name, data in place.everything():
        for text in (CANARY, CANARY.upper(), str(PIN), *texts):
            at = data.find(text.encode())
            if at >= 0:
                found.append(f"{name}: {data[max(0, at - 200) : at + 40]!r}")
    return found


async def told_of(run: Any) -> list[str]:
    """All that a run's record tells in public."""
    return [repr((event.kind, event.address, event.detail)) async for event in run.events()]


# ---- nowhere -------------------------------------------------------------------------------------------------------


async def test_a_secret_is_nowhere(place, caplog):
    """Inputs, results, elements, payloads, children: used as what they are, undone, failed, restarted elsewhere; readable nowhere."""
    caplog.set_level(logging.DEBUG)
    told: list[Any] = []
    settings: dict[str, Any] = {"reactors": [Whole], "observers": [lambda event: told.append(repr((event, event.detail)))]}
    async with Engine(place.url, keys=[OLD], **settings) as engine:
        assert (await engine.signal(Whole.code, Key("c", secret("code")), correlation_id="code-ann")).status == "early"
        told.append(repr(whole("ann")))
        parked = await engine.run(whole("ann"), id="1")
        assert isinstance(parked, Parked), parked
        assert [one.step for one in parked.waiting] == ["pin"]
    async with Engine(place.url, keys=[NEW, OLD], **settings) as engine:
        assert (await engine.signal(Whole.pin, PIN, run_id="Whole:1")).status == "accepted"
        run = await engine.get(Whole, "1")
        assert await run.outcome() == Succeeded(EXPECTED, "Whole:1")
        assert (await engine.signal(Whole.pin, PIN, run_id="Whole:1")).status == "duplicate"
        assert (await engine.signal(Whole.code, Key("c", secret("code")), correlation_id="code-ann")).status == "duplicate"
        with pytest.raises(RunConflict):
            await engine.signal(Whole.code, Key("c", secret("other")), correlation_id="code-ann")
        again = await run.restart(from_step="output")
        assert await again.outcome() == Succeeded(EXPECTED, "Whole:1~2")
        told += await told_of(again)
        await again.undo()
        assert isinstance(await again.outcome(), Undone)
        assert sorted(UNDONE) == ["each"] * 5 + ["issue", "opened"] + ["used"] * 4
        told += await told_of(again)
    assert leaks(place) == []
    assert not [line for line in [*told, caplog.text] if CANARY in line.lower() or str(PIN) in line]


async def test_a_failure_tells_no_secret(place, caplog):
    """Of the run, of its events, of what `result()` raises; after a reload too, and nothing in the store."""
    caplog.set_level(logging.DEBUG)
    told: list[Any] = []
    async with Engine(place.url, keys=[OLD]) as engine:
        run = await engine.start(whole("bob", fails=True), id="1")
        assert isinstance(await run.outcome(), Parked)
        await engine.signal(Whole.pin, PIN, run_id="Whole:1")
        await engine.signal(Whole.code, Key("c", secret("code")), run_id="Whole:1")
        outcome = await run.outcome()
        assert isinstance(outcome, Failed)
        assert outcome.step == "output"
        with pytest.raises(RunFailed) as caught:
            await run.result()
        told += [str(caught.value), repr(outcome), outcome.error.message, *await told_of(run)]
    async with Engine(place.url, keys=[OLD], reactors=[Whole]) as engine:
        run = await engine.get(Whole, "1")
        reread = await run.outcome()
        assert isinstance(reread, Failed)
        assert reread.error.message == outcome.error.message
        told += [repr(reread), *await told_of(run), repr(await engine.find(where={"who": "bob"}))]
    assert leaks(place) == []
    assert not [line for line in [*told, caplog.text] if CANARY in line.lower() or str(PIN) in line]


async def test_refusals_tell_no_secret(place):
    """Wrong inputs, other inputs for the same id, payloads that do not validate."""
    async with Engine(place.url, keys=[OLD]) as engine:
        await engine.start(whole("ann"), id="1")
        attempts = [
            (RunConflict, lambda: engine.start(Whole(who="ann", password=secret("other"), keys=[]), id="1")),
            (PayloadInvalid, lambda: engine.signal(Whole.code, secret("wrong"), run_id="Whole:1")),
            (PayloadInvalid, lambda: engine.signal_json(Whole.pin, b'"%s"' % secret("json").encode(), run_id="Whole:1")),
            (PayloadInvalid, lambda: engine.signal_json(Whole.code, b'{"name": 1, "text": "%s"}' % CANARY.encode(), run_id="Whole:1")),
        ]
        for expected, attempt in attempts:
            with pytest.raises(expected) as caught:
                await attempt()
            assert CANARY not in "".join(traceback.format_exception(caught.value))
        with pytest.raises(InputInvalid) as refused:
            Whole(who="ann", password=[secret("list")], keys=secret("text"))
        assert CANARY not in str(refused.value)
        await (await engine.get(Whole, "1")).cancel("enough")
    assert leaks(place) == []


# ---- keys ------------------------------------------------------------------------------------------------------------


class Login(Reactor):
    user: str
    password: Annotated[str, Secret()]

    @step
    async def opened(self) -> Key:
        return Key(self.user, secret("login"))

    @interrupt(after=[opened])
    async def second(self) -> Ask[int]:
        return Ask()

    @step
    async def output(self, key: Key = opened.result, second: int = second.result) -> str:
        return f"{self.user} {len(key.text)} {len(self.password)} {second}"


LOGIN = Login(user="ann", password=secret("pw"))


async def parked(place: Sqlite | Redis, *keys: bytes, plain: bool = False) -> None:
    """A run that waits, written by these keys."""
    async with Engine(place.url, keys=keys, plain_secrets=plain) as engine:
        assert isinstance(await engine.run(LOGIN, id="1"), Parked)


async def test_the_same_run_under_another_nonce(place):
    """Joining compares what the inputs are, not how they lie there; other secrets are other inputs."""
    await parked(place, OLD)
    async with Engine(place.url, keys=[NEW, OLD]) as engine:
        assert isinstance(await engine.run(LOGIN, id="1"), Parked)
        with pytest.raises(RunConflict):
            await engine.run(Login(user="ann", password=secret("no")), id="1")


async def test_a_durable_store_asks_what_becomes_of_secrets(place):
    """Keys or `plain_secrets=True`: else the reactor is refused when it is listed, and when it is started; memory needs neither."""
    with pytest.raises(ReactorError, match="secrets-need-keys"):
        Engine(place.url, reactors=[Login])
    async with Engine(place.url) as engine:
        with pytest.raises(ReactorError, match="secrets-need-keys"):
            await engine.start(LOGIN, id="1")
    async with Engine() as engine:
        assert isinstance(await engine.run(LOGIN, id="1"), Parked)
    assert leaks(place) == []


async def test_plain_secrets_are_plain(place):
    """On purpose: they lie there as they are; moving on to keys, both are said until what was written before is gone."""
    await parked(place, plain=True)
    assert leaks(place) != []
    async with Engine(place.url, keys=[NEW], reactors=[Login], plain_secrets=True) as engine:
        await engine.signal(Login.second, 2, run_id="Login:1")
        run = await engine.get(Login, "1")
        assert await run.outcome() == Succeeded("ann 12 9 2", "Login:1")


@pytest.mark.parametrize(
    ("wrote", "reads", "code"),
    [
        ({"keys": [OLD]}, {"keys": [NEW]}, "no-key"),
        ({"keys": [OLD]}, {"plain_secrets": True}, "no-key"),
        ({"plain_secrets": True}, {"keys": [OLD]}, "secret-not-sealed"),
    ],
    ids=["wrong key", "no key", "once sealed, plaintext is refused"],
)
async def test_a_run_whose_secrets_cannot_be_read_waits(place, wrote, reads, code):
    """Whoever asks is told which key is missing; the run stays as it is, and goes on where the key is."""
    async with Engine(place.url, **wrote) as engine:
        assert isinstance(await engine.run(LOGIN, id="1"), Parked)
    async with Engine(place.url, reactors=[Login], **reads) as engine:
        for attempt in (lambda: engine.start(LOGIN, id="1"), lambda: ask(engine)):
            with pytest.raises(ReactorError) as caught:
                await attempt()
            assert caught.value.code == code
            assert CANARY not in "".join(traceback.format_exception(caught.value))
        assert await (await engine.get(Login, "1")).status() == "parked"
    async with Engine(place.url, reactors=[Login], **wrote) as engine:
        await engine.signal(Login.second, 2, run_id="Login:1")
        assert await (await engine.get(Login, "1")).outcome() == Succeeded("ann 12 9 2", "Login:1")


async def ask(engine: Engine) -> Any:
    """What a run left, or waits for: to tell, its record has to be read."""
    return await (await engine.get(Login, "1")).value(Login.opened)


async def test_a_signal_waits_for_the_key(place):
    """Sent by an engine that cannot read the run, it lies in its mail; the engine that has the key goes on with it."""
    await parked(place, OLD)
    async with Engine(place.url, keys=[NEW], reactors=[Login]) as engine:
        await engine.signal(Login.second, 5, run_id="Login:1")
        run = await engine.get(Login, "1")
        with pytest.raises(ReactorError, match="no-key"):
            await run.outcome(timeout=10)
    async with Engine(place.url, keys=[OLD], reactors=[Login]) as engine:
        assert await (await engine.get(Login, "1")).outcome(timeout=10) == Succeeded("ann 12 9 5", "Login:1")


# ---- a hand that writes to the store ----------------------------------------------------------------------------------


async def swap_inputs(place: Sqlite | Redis, run: str, by: str) -> None:
    """Give a run the inputs of another, wherever its own lie."""
    store = await open_store(place.url)
    old, new = [(await store.load(name)).inputs for name in (run, by)]
    await store.close()
    assert len(old) == len(new)
    if isinstance(place, Sqlite):
        with contextlib.closing(sqlite3.connect(place.folder / "runs.db")) as file, file:
            assert file.execute("UPDATE bodies SET inputs = ? WHERE inputs = ?", (new, old)).rowcount == 1
        return
    client = place.server.client()
    for key in list(client.scan_iter(count=1000)):
        if client.type(key) == b"hash":
            client.hset(key, mapping={field: value.replace(old, new) for field, value in client.hgetall(key).items()})
        elif client.type(key) == b"string":
            client.set(key, client.get(key).replace(old, new), keepttl=True)
    client.close()


async def test_a_sealed_value_of_another_run_is_refused(place):
    """Whoever can write to the store cannot let one customer's run use another's secret."""
    async with Engine(place.url, keys=[OLD]) as engine:
        await engine.run(LOGIN, id="1")
        await engine.run(Login(user="ann", password=secret("hi")), id="2")
    await swap_inputs(place, "Login:1", "Login:2")
    async with Engine(place.url, keys=[OLD], reactors=[Login]) as engine:
        with pytest.raises(ReactorError) as caught:
            await ask(engine)
        assert caught.value.code == "seal-broken"
        assert await (await engine.get(Login, "2")).value(Login.opened) == Key("ann", secret("login"))


# ---- the extra --------------------------------------------------------------------------------------------------------


def test_without_the_package_keys_are_refused():
    """Nothing else needs it: an engine without keys does not look for it, and one with keys says what to install."""
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from reactor import Engine, ReactorError\n"
        "Engine('sqlite:///runs.db')\n"
        "try: Engine('sqlite:///runs.db', keys=[bytes(32)])\n"
        "except ReactorError as error: print(error.code, error.fix)\n"
    )
    end = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert end.stdout.strip() == "extra-missing `pip install 'reactor-saga[secrets]'`"


@pytest.mark.parametrize("keys", [[b"short"], b"0123456789abcdef", ["0123456789abcdef"]])
def test_what_is_no_key_is_refused_at_once(keys):
    """When the engine is made, before its store is touched."""
    with pytest.raises(ReactorError, match="bad-secret-key"):
        Engine("sqlite:///runs.db", keys=keys)


async def test_concurrent_runs_keep_their_secrets_apart(place):
    """Many at once on one engine: each gets its own back."""
    async with Engine(place.url, keys=[OLD]) as engine:
        logins = [Login(user=f"u{at}", password="p" * at) for at in range(20)]
        await asyncio.gather(*[engine.run(login, id=str(at)) for at, login in enumerate(logins)])
        await asyncio.gather(*[engine.signal(Login.second, at, run_id=f"Login:{at}") for at in range(20)])
        runs = [await engine.get(Login, str(at)) for at in range(20)]
        assert [await run.result(timeout=20) for run in runs] == [f"u{at} 12 {at} {at}" for at in range(20)]
