"""Every column of a file, written to by others: who asks for what is there is told, nothing is changed, and other runs go on."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reactor.errors import StoreUnavailable
from reactor.record.store import Append, Appended, Created, Delivered, Message
from reactor.stores.sqlite import SqliteStore
from tests.stores.filling import LONG, SHOP, append_of, driven, opened, outside, record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


pytestmark = pytest.mark.anyio
RECORD = "record = 1"
WHOSE = {  # which rows are those of the run that is damaged
    "heads": "id = 1",
    "waits": "correlation = 'c-1'",
    "early": "correlation = 'e-1'",
    "answers": "delivery = 'd-1'",
    "tombstones": "run = 'shop:gone'",
    "definitions": "fingerprint = 'fp-1'",
    "sessions": "name = 'session of shop:1'",
    "commits": "1",
}


async def fill(store: SqliteStore) -> None:
    """A run that has everything, two that are well, one that is due and one that is gone."""
    for run in ("shop:1", "shop:2"):
        claimed = await driven(store, run, tags=("red",), index={"order": run}, inputs=b"inputs", elements=b"elements")
        child = record(f"{run}/ship#0", root=run, parent=run)
        await store.append(append_of(claimed, 0, b"one", b"two", children=(child,), snapshot=(1, b"state"), chunk=b"chunk"))
        await store.deliver(run, Message("signal", b"hello"), moves=True, operation="1")
    await store.create(record("shop:due", due=1.0))
    refused = await store.claim_run("session of shop:2", "shop:1/ship#0")
    await store.refuse(refused.run, refused.token, "old")
    gone = await driven(store, "shop:gone")
    await store.append(append_of(gone, 0, ended=True, status="succeeded"))
    await store.expire(-1.0, LONG)
    for number in ("1", "2"):
        await store.open_wait("shop.approve", f"c-{number}", f"shop:{number}", "approve")
        await store.keep_early("shop.approve", f"e-{number}", b"yes", "d")
        await store.once(f"d-{number}", b"accepted")
        await store.put_definition(f"fp-{number}", b"definition")


def places(path: Path) -> Iterator[tuple[str, str, str]]:
    """Every column of every table: table, column, declared type."""
    with outside(path) as file:
        for (table,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for _, name, kind, *_, key in file.execute(f"PRAGMA table_info({table})").fetchall():
                if kind != "INTEGER" or not key or table not in ("heads", "bodies", "snapshots", "commits"):  # a row's own number
                    yield table, name, kind


def content(path: Path) -> dict[str, list[Any]]:
    """All that a file holds."""
    with outside(path) as file:
        file.text_factory = bytes
        tables = [name.decode() for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
        return {table: sorted(file.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in tables}


def asked(store: SqliteStore) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Each way to meet what belongs to the damaged run."""
    session = "session of shop:1"
    return {
        "load": lambda: store.load("shop:1"),
        "load after": lambda: store.load("shop:1", after=1),
        "child": lambda: store.load("shop:1/ship#0"),
        "mail": lambda: store.mail("shop:1", 0),
        "create": lambda: store.create(record("shop:1")),
        "create gone": lambda: store.create(record("shop:gone")),
        "append": lambda: store.append(Append(run="shop:1", token="none:1", seq=2, op="x", status="running")),
        "deliver": lambda: store.deliver("shop:1", Message("signal", b"m"), moves=True, operation="2"),
        "deliver again": lambda: store.deliver("shop:1", Message("signal", b"m"), moves=True, operation="1"),
        "claim_run": lambda: store.claim_run("session of shop:2", "shop:1"),
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
        "close_session": lambda: store.close_session(session),
        "expire": lambda: store.expire(0.0, LONG),
    }


async def of_the_damaged(store: SqliteStore, path: Path, where: Any) -> int:
    """Ask it everything: an answer, or one error, after which all is as it was. How many errors."""
    errors = 0
    for what, ask in asked(store).items():
        before = content(path)
        [answer] = await asyncio.gather(ask(), return_exceptions=True)
        if isinstance(answer, BaseException):
            assert (type(answer), getattr(answer, "code", "")) == (StoreUnavailable, "store-corrupt"), (where, what, answer)
            assert str(path) in answer.what or "shop:1" in answer.what, (where, what)
            assert answer.fix, (where, what)
            assert content(path) == before, (where, what)
            errors += 1
    return errors


async def of_the_others(store: SqliteStore, where: Any) -> None:
    """What is theirs is found, claimed, read and written."""
    rows, _, total = await store.find()
    assert "shop:2" in [row.run for row in rows], where
    assert total >= 2, where
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
    ended = await driven(store, "shop:ended")
    await store.append(append_of(ended, 0, ended=True, status="succeeded"))
    assert await store.expire(-1.0, LONG) >= 1, where
    assert await store.load("shop:ended") is None, where


PLANTED = {
    "TEXT": ("x'80049520'", "CAST(x'fffe' AS TEXT)"),
    "BLOB": ("'no release wrote this'",),
    "INTEGER": ("x'80049520'", "'no release wrote this'", str(1 << 62)),
    "REAL": ("x'80049520'", "'no release wrote this'", "-9e999"),
}
EVERYBODYS = ("commits",)  # where these are damaged nobody knows what time it is


async def test_every_column_that_others_wrote_to(tmp_path):
    """Bytes for text, text for bytes, text that is none and numbers that cannot be: the run has errors, the others have none."""
    whole = tmp_path / "whole.db"
    async with opened(whole) as store:
        await fill(store)
    told: dict[Any, int] = {}
    for table, column, kind in places(whole):
        for planted in PLANTED[kind]:
            where = (table, column, planted)
            path = tmp_path / f"{len(told)}.db"
            shutil.copy(whole, path)
            with outside(path) as file:
                file.execute(f"UPDATE OR IGNORE {table} SET {column} = {planted} WHERE {WHOSE.get(table, RECORD)}")
            try:
                async with opened(path) as store:
                    told[where] = await of_the_damaged(store, path, where)
                    await of_the_others(store, where)
            except StoreUnavailable as error:
                if table not in EVERYBODYS or error.code != "store-corrupt":
                    raise AssertionError(where) from error
                told[where] = 1
    for needed in (("heads", "seq"), ("heads", "status"), ("bodies", "inputs"), ("events", "events"), ("mail", "body"), ("waits", "run")):
        assert any(errors for (*place, _), errors in told.items() if tuple(place) == needed), needed
    assert len(told) > 100
