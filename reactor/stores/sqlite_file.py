"""The file: its tables, its version, how it is opened, and what SQLite's complaints mean to a caller.

It refuses to know what is written, and on which thread.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from random import random
from typing import Literal, NamedTuple, TypeAlias

from reactor.errors import StoreUnavailable

Durability: TypeAlias = Literal["normal", "full"]

APPLICATION = 0x52584F52  # "RXOR", in the header of every file of ours
VERSION = 1  # of the tables; one that is higher than this was written by newer code
OLDEST = (3, 35)  # RETURNING
CACHE = 32 << 10  # KiB of pages that a connection keeps
SYNCHRONOUS: dict[Durability, str] = {"normal": "NORMAL", "full": "FULL"}
CHECKPOINT = 4_000  # pages in the write-ahead log before they are folded into the file: 16 MB
LOG = 64 << 20  # bytes that the log keeps on disk when it is empty

# A record's head is what changes with every append, and narrow; what is written once lies in `bodies`, small columns first, so that a
# list reads no big one. `due` and `token` exclude each other. An `events` row is one append: its last seq, and its events as msgpack.
# `commits` is one row for each that changed something: the store's clock, and what other processes look for.
TABLES = """
CREATE TABLE heads (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL UNIQUE, root TEXT NOT NULL, parent TEXT, reactor TEXT NOT NULL, version INTEGER NOT NULL,
    fingerprint TEXT NOT NULL, place TEXT NOT NULL, status TEXT NOT NULL, due REAL, token TEXT, session TEXT,
    fence INTEGER NOT NULL, seq INTEGER NOT NULL, op TEXT, at REAL NOT NULL,
    mail INTEGER NOT NULL DEFAULT 0, read INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL, ended_at REAL
);
CREATE INDEX heads_due ON heads (place, reactor, due) WHERE due IS NOT NULL;
CREATE INDEX heads_owned ON heads (session, place, reactor) WHERE session IS NOT NULL;
CREATE INDEX heads_children ON heads (root) WHERE parent IS NOT NULL;
CREATE INDEX heads_ended ON heads (ended_at) WHERE parent IS NULL AND ended_at IS NOT NULL;
CREATE INDEX heads_time ON heads (created_at) WHERE parent IS NULL;
CREATE INDEX heads_reactor ON heads (reactor, created_at) WHERE parent IS NULL;
CREATE INDEX heads_status ON heads (status, created_at) WHERE parent IS NULL;
CREATE INDEX heads_both ON heads (reactor, status, created_at) WHERE parent IS NULL;
CREATE TABLE bodies (
    record INTEGER PRIMARY KEY, tags BLOB NOT NULL, indexed BLOB NOT NULL, inputs BLOB NOT NULL, elements BLOB NOT NULL, chunk BLOB
);
CREATE TABLE snapshots (record INTEGER PRIMARY KEY, seq INTEGER NOT NULL, state BLOB NOT NULL);
CREATE TABLE events (record INTEGER, seq INTEGER, events BLOB NOT NULL, PRIMARY KEY (record, seq)) WITHOUT ROWID;
CREATE TABLE mail (record INTEGER, number INTEGER, kind TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (record, number)) WITHOUT ROWID;
CREATE TABLE deliveries (
    record INTEGER, operation TEXT, number INTEGER NOT NULL, moved INTEGER NOT NULL, PRIMARY KEY (record, operation)
) WITHOUT ROWID;
CREATE TABLE refusals (record INTEGER, fingerprint TEXT, PRIMARY KEY (record, fingerprint)) WITHOUT ROWID;
CREATE TABLE tags (tag TEXT, record INTEGER, PRIMARY KEY (tag, record)) WITHOUT ROWID;
CREATE TABLE found (name TEXT, value TEXT, record INTEGER, PRIMARY KEY (name, value, record)) WITHOUT ROWID;
CREATE INDEX found_value ON found (value);
CREATE TABLE sessions (name TEXT PRIMARY KEY, until REAL NOT NULL, lease REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE tombstones (run TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX tombstones_until ON tombstones (until);
CREATE TABLE definitions (fingerprint TEXT PRIMARY KEY, definition BLOB NOT NULL);
CREATE TABLE waits (
    scope TEXT, correlation TEXT, root TEXT NOT NULL, run TEXT NOT NULL, address TEXT NOT NULL, open INTEGER NOT NULL, early BLOB NOT NULL,
    PRIMARY KEY (scope, correlation)
) WITHOUT ROWID;
CREATE INDEX waits_root ON waits (root);
CREATE TABLE early (
    scope TEXT, correlation TEXT, number INTEGER, until REAL NOT NULL, delivery TEXT, body BLOB NOT NULL,
    PRIMARY KEY (scope, correlation, number)
) WITHOUT ROWID;
CREATE INDEX early_until ON early (until);
CREATE TABLE answers (delivery TEXT PRIMARY KEY, until REAL NOT NULL, answer BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX answers_until ON answers (until);
CREATE TABLE commits (number INTEGER PRIMARY KEY, at REAL NOT NULL, runs BLOB NOT NULL);
"""


def connect(path: str, durability: Durability, patience: float) -> sqlite3.Connection:
    """A connection that writes, to a file that has our tables: they are made where there is nothing. Raises StoreUnavailable.

    Waiting for other processes is its owner's business, once it is there.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        said = f"SQLite {sqlite3.sqlite_version} is older than {'.'.join(map(str, OLDEST))}"
        raise StoreUnavailable(said, code="store-old-sqlite", fix="use a Python that was built with a newer SQLite")
    folder = Path(path).parent
    if not folder.is_dir():
        raise StoreUnavailable(f"{path}: the folder {folder} is not there", code="store-no-folder", fix=f"make it: mkdir -p {folder}")
    if not _writable(folder) or (os.path.exists(path) and not _writable(path)):  # noqa: PTH110  # a name, not yet a file
        meaning = MEANINGS[sqlite3.SQLITE_READONLY]
        raise StoreUnavailable(f"{path}: {meaning.what}", code=meaning.code, fix=meaning.fix)
    until = time.monotonic() + patience
    while True:  # SQLite itself does not wait where a file changes its mode, or its last user leaves
        try:
            return _writing(path, durability, patience)
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() >= until:
                raise
        time.sleep(about(0.005))


def _writing(path: str, durability: Durability, patience: float) -> sqlite3.Connection:
    connection = _connected(path, patience)
    try:
        _take_over(connection, path)
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
        connection.execute(f"PRAGMA journal_size_limit = {LOG}")
        connection.execute("PRAGMA busy_timeout = 0")
    except BaseException:
        connection.close()
        raise
    return connection


def _writable(path: str | Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def connect_reading(path: str, patience: float) -> sqlite3.Connection:
    """A connection that only reads, to a file that `connect` has made."""
    return _connected(path, patience, read_only=True)


def _connected(path: str, patience: float, *, read_only: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, cached_statements=256)
    try:
        connection.execute(f"PRAGMA cache_size = -{CACHE}")
        connection.execute("PRAGMA temp_store = MEMORY")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _take_over(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables, or see that they are ours and not newer than this code."""
    there = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if there and _of(connection, "application_id") != APPLICATION:
        raise _foreign(path)
    if not there:
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            said = f"{path}: there can be no write-ahead log beside it"
            raise StoreUnavailable(said, code="store-no-log", fix="name a file on a disk of this machine")
        connection.execute("BEGIN IMMEDIATE")
        if not _of(connection, "user_version"):  # else another process made them meanwhile
            for statement in TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    found = _of(connection, "user_version")
    if found > VERSION:
        said = f"{path} was written by a newer release (tables {found}; this one knows {VERSION})"
        raise StoreUnavailable(said, code="store-newer", fix="install that release here, or use another file")


def _of(connection: sqlite3.Connection, pragma: str) -> int:
    found: int = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    return found


def _foreign(path: str) -> StoreUnavailable:
    return StoreUnavailable(f"{path} is no store of runs", code="store-foreign", fix="name a file that is not there yet")


def about(seconds: float) -> float:
    """Somewhat less or more, so that processes that wait do not wait in step."""
    return seconds * (0.7 + 0.6 * random())  # noqa: S311  # no secret


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process was in the way."""
    return primary(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def primary(error: sqlite3.Error) -> int:
    """SQLite's code, without what extends it; 0 where the driver itself complains."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


class Meaning(NamedTuple):
    """What a code of SQLite's says to a caller."""

    what: str
    code: str
    fix: str


MEANINGS = {
    sqlite3.SQLITE_BUSY: Meaning(
        "another process has been writing all the while", code="store-busy", fix="end the program that holds a transaction open"
    ),
    sqlite3.SQLITE_READONLY: Meaning("it cannot be written", code="store-read-only", fix="let this user write the file and its folder"),
    sqlite3.SQLITE_FULL: Meaning("the disk is full", code="store-full", fix="make room: what was not written is tried again"),
    sqlite3.SQLITE_CORRUPT: Meaning("the file is damaged", code="store-corrupt", fix="keep a copy of it, and bring back a backup"),
    sqlite3.SQLITE_CANTOPEN: Meaning("it cannot be opened", code="store-unavailable", fix="name a file that this user may write"),
}
MEANINGS[sqlite3.SQLITE_LOCKED] = MEANINGS[sqlite3.SQLITE_BUSY]
FAILED = Meaning("SQLite failed", code="store-unavailable", fix="try again: nothing of this was written")


def unavailable(path: str, error: BaseException) -> BaseException:
    """What a caller is told of an error: StoreUnavailable where SQLite failed, else the error itself."""
    if not isinstance(error, sqlite3.Error) or not primary(error):
        return error
    if primary(error) == sqlite3.SQLITE_NOTADB:
        told = _foreign(path)
    else:
        meaning = MEANINGS.get(primary(error), FAILED)
        told = StoreUnavailable(f"{path}: {meaning.what} ({error})", code=meaning.code, fix=meaning.fix)
    told.__cause__ = error
    return told
