"""`reactor doctor`: how a store is, and what is wrong with it, each finding with one fix.

It asks the port, and what a store offers beyond it (`health`, `standing`); it changes nothing but a lease of its own, which it gives back.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from reactor.cli.listing import find
from reactor.cli.stores import file_of, shown
from reactor.cli.text import clean, duration, listed
from reactor.errors import StoreUnavailable
from reactor.stores import sqlite_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from reactor.errors import ReactorError
    from reactor.record.standing import Standing
    from reactor.record.store import Store
    from reactor.stores.redis_server import Health
    from reactor.stores.sqlite_standing import FileHealth

Level: TypeAlias = Literal["fine", "note", "wrong"]

TRIES = 20  # round trips that are measured
SLOW = 0.02  # seconds of one: a chain pays it at every step
WAITED = 30.0  # seconds that a due run may wait: the promise for a killed process's runs, at default settings
FULL = 0.8  # of the memory that a server may use
ROOM = 256 << 20  # bytes that a disk should have left
LOG = 256 << 20  # bytes of SQLite's log
NAMED = 5  # runs that a finding names


class Finding(NamedTuple):
    """One thing that was looked at."""

    level: Level
    what: str
    said: str
    fix: str = ""

    def as_object(self) -> dict[str, str]:
        """For programs."""
        return {"level": self.level, "what": self.what, "said": self.said, "fix": self.fix}


def refused(error: ReactorError) -> Finding:
    """A store that cannot be had."""
    what = "reachable" if isinstance(error, StoreUnavailable) else "fitness"
    return Finding("wrong", what, clean(error.what), clean(error.fix or ""))


async def examine(store: Store, url: str) -> list[Finding]:
    """All that can be said of a store that answers."""
    found = [await _answering(store, url)]
    health: Callable[[], Awaitable[Any]] | None = getattr(store, "health", None)
    if health is not None:
        said = await health()
        found += list(_file(said, url) if file_of(url) is not None else _server(said))
    found += await _runs(store)
    standing: Callable[[], Awaitable[Standing]] | None = getattr(store, "standing", None)
    if standing is not None:
        found += list(_work(await standing()))
    return found


# ---- the store ------------------------------------------------------------------------------------------------


async def _answering(store: Store, url: str) -> Finding:
    reads = [await _timed(store.now) for _ in range(TRIES)]
    session = f"doctor-{os.getpid()}"
    writes = [await _timed(lambda: store.open_session(session, 5.0)) for _ in range(TRIES)]
    await store.close_session(session)
    read, write = statistics.median(reads), statistics.median(writes)
    said = f"{clean(shown(url))} answers: a read in {_brief(read)}, a write in {_brief(write)}"
    if max(read, write) > SLOW:
        return Finding(
            "note", "reachable", said, "each step of a chain waits for one write: bring the store nearer, or give it a faster disk"
        )
    return Finding("fine", "reachable", said)


async def _timed(ask: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await ask()
    return time.perf_counter() - began


def _brief(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _file(health: FileHealth, url: str) -> Iterator[Finding]:
    name, durability = sqlite_url.split(url)
    path = Path(name)
    yield Finding("fine", "kind", f"SQLite {health.sqlite}, tables {health.tables}, {_size(health.size)}")
    lost = "a power cut may take the last commits with it" if durability == "normal" else "opened with this URL, a power cut too"
    yield Finding("fine", "persistence", f"what is acknowledged survives the end of the process; {lost}")
    if health.damage:
        yield Finding("wrong", "damage", f"the file is damaged: {clean(health.damage)}", "keep a copy of it, and bring back a backup")
    elif health.damage is None:
        yield Finding("note", "damage", "the file is too large to be looked through here", f"sqlite3 {path} 'PRAGMA integrity_check'")
    if health.wal > LOG:
        yield Finding("note", "log", f"the log beside it has grown to {_size(health.wal)}", "end the program that holds a transaction open")
    left = shutil.disk_usage(path.resolve().parent).free
    if left < ROOM:
        yield Finding("wrong", "disk", f"its disk has {_size(left)} left", "make room: a full disk stops every run")


def _server(health: Health) -> Iterator[Finding]:
    yield Finding("fine", "kind", f"{health.server} {health.version}, namespace {health.namespace}, {health.shards} shards")
    if health.role != "master":
        yield Finding("wrong", "role", f"this server is a {clean(health.role)}: it takes no writes", "name the primary in the URL")
    if health.policy != "noeviction":  # pragma: no cover - it would not have been opened
        yield Finding("wrong", "eviction", f"maxmemory-policy is {health.policy}: runs may be dropped", "set `maxmemory-policy noeviction`")
    else:
        yield Finding("fine", "eviction", "none: no record is dropped when memory is short")
    yield _memory(health)
    yield _persistence(health)
    if not health.aof_ok or not health.snapshot_ok:
        what = "append-only file" if not health.aof_ok else "snapshot"
        yield Finding("wrong", "disk", f"the last write of the {what} failed", "look at the server's log: its disk is full or read-only")


def _memory(health: Health) -> Finding:
    if not health.max_memory:
        return Finding(
            "note", "memory", f"{_size(health.used_memory)} used, no `maxmemory`", "set it below the machine's: the kernel kills a server"
        )
    said = f"{_size(health.used_memory)} of {_size(health.max_memory)} used"
    if health.used_memory > FULL * health.max_memory:
        return Finding("wrong", "memory", said, "raise `maxmemory`, or drop old runs sooner (`retention`): when it is full, runs wait")
    return Finding("fine", "memory", said)


def _persistence(health: Health) -> Finding:
    if not health.aof:
        said = "no append-only file: an end of the server loses what came since its last snapshot, which may be every run"
        return Finding("wrong", "persistence", said, "set `appendonly yes` and `appendfsync always` (or `everysec`)")
    if health.fsync is None:
        return Finding("note", "persistence", "append-only file; how often it reaches the disk is not told", "ask for `appendfsync`")
    if health.fsync == "always":
        return Finding("fine", "persistence", "append-only file, `appendfsync always`: nothing that is acknowledged is lost")
    lost = "its last second" if health.fsync == "everysec" else "what the kernel had not written"
    said = f"append-only file, `appendfsync {health.fsync}`: a crash of the machine may lose {lost}; runs go on from what is there"
    return Finding("note", "persistence", said, "`appendfsync always`, where a step must not be done twice for it")


# ---- the runs -------------------------------------------------------------------------------------------------


async def _runs(store: Store) -> list[Finding]:
    counts = await store.counts()
    said = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in sorted(counts.items())) or "none"
    found = [Finding("fine", "runs", said)]
    for status, fix in (
        ("stuck", "look at what was not undone: reactor runs get ID; then reactor runs retry-rollback ID --app …"),
        ("incompatible", "start a process with code that fits; or let go of it: reactor runs cancel ID --no-undo"),
    ):
        if counts.get(status):
            rows, total, _ = await find(store, {"status": status}, NAMED)
            names = listed([row.run for row in rows]) + (f" and {total - len(rows):,} more" if total > len(rows) else "")
            what = "could not be undone" if status == "stuck" else "fit no code that was asked"
            found.append(Finding("wrong", status, f"{total:,} run{'' if total == 1 else 's'} {what}: {names}", fix))
    return found


def _work(standing: Standing) -> Iterator[Finding]:
    """What nobody does."""
    for due in standing.due:
        waited = standing.now - due.since
        where = f"the queue {clean(due.place)}" if due.place else "any engine that serves it"
        verb = "is" if due.count == 1 else "are"
        said = f"{due.count:,} of {clean(due.reactor)} {verb} due for {where}, unowned since {duration(waited)}"
        fix = "start a process that serves this reactor: `Engine(…, reactors=[…])`; it claims them by itself"
        yield Finding("wrong" if waited > WAITED else "note", "due", said, fix)
    alive = [one for one in standing.sessions if one.until > standing.now]
    lapsed = [one for one in standing.sessions if one.until <= standing.now and one.holds]
    held = sum(one.holds for one in alive)
    yield Finding("fine", "processes", f"{len(alive)} with a lease, which drive {held:,} run{'' if held == 1 else 's'}")
    for one in lapsed:
        since = f" {duration(standing.now - one.until)} ago" if one.until else ""
        said = f"the lease of {clean(one.name)} ran out{since}, and {one.holds:,} of its runs nobody has taken over"
        yield Finding(
            "wrong" if standing.now - one.until > WAITED else "note",
            "expired",
            said,
            "start a process that serves them: it takes them over; if that one lives, its loop is blocked",
        )


def _size(size: float) -> str:
    """Bytes for people.

    >>> _size(2_500_000)
    '2.4 MiB'
    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":  # noqa: PLR2004 - a KiB
            break
        size /= 1024
    return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"


def lines(found: list[Finding], marks: dict[Level, str]) -> Iterator[str]:
    """Findings for people."""
    for one in found:
        yield f"{marks[one.level]} {one.what:<12} {one.said}"
        if one.fix and one.level != "fine":
            yield f"{'':15}fix: {one.fix}"
