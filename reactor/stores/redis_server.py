"""Which server and which namespace a URL names, and whether that server may keep runs. It refuses to know what a run is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from zlib import crc32

import msgspec
from redis.asyncio.connection import ConnectionPool, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from reactor.errors import ReactorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.connection import AbstractConnection

FLOORS = {"redis": (6, 2), "valkey": (7, 2)}
SECTIONS = ("server", "memory", "persistence", "replication")


class StoreUnfit(ReactorError):
    """A server, or a namespace, that cannot keep runs: what must be changed is not in the program."""

    code = "store-unfit"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How a server is, for `doctor`. Sizes in bytes; 0 for `max_memory` is none. `fsync`: "always", "everysec", "no"; None: no AOF."""

    server: str
    version: str
    run_id: str
    role: str
    policy: str
    used_memory: int
    max_memory: int
    fsync: str | None
    aof_ok: bool
    snapshots: bool
    snapshot_ok: bool
    namespace: str
    shards: int


class Namespace:
    """The keys of one namespace: `rx:{namespace}:{<shard>}:…`. All of a root's records lie on one shard.

    >>> Namespace("shop", 16).of("Checkout:42") == Namespace("shop", 16).of("Checkout:42/ship#3")
    True
    """

    __slots__ = ("name", "registry", "shards")

    def __init__(self, name: str, shards: int) -> None:
        self.name = name
        self.shards = tuple(f"rx:{name}:{{{number}}}:" for number in range(shards))
        self.registry = tuple(f"rx:{name}:{{c{number}}}:" for number in range(shards))

    def of(self, run: str) -> str:
        """The prefix of the shard of a record: its root's name decides."""
        return self.shards[crc32(run.partition("/")[0].encode()) % len(self.shards)]

    def registering(self, name: bytes) -> str:
        """The prefix of the slot where a correlation id, a delivery id or a definition lies."""
        return self.registry[crc32(name) % len(self.registry)]

    @property
    def meta(self) -> str:
        """The prefix of what is said of the whole namespace."""
        return f"rx:{self.name}:{{meta}}:"


def split(url: str) -> tuple[str, str]:
    """The URL for redis-py, and the namespace. Raises ReactorError where it names none that can be.

    >>> split("redis://host:6379/0?namespace=shop&ssl_cert_reqs=none")
    ('redis://host:6379/0?ssl_cert_reqs=none', 'shop')
    """
    parts = urlsplit(url)
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    namespace = asked.pop("namespace", "default")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", namespace):
        said = f"{namespace!r:.80} is no namespace: 1 to 64 of letters, digits, `_`, `.` and `-`"
        raise ReactorError(said, code="bad-store-url", fix="say `?namespace=shop`")
    return urlunsplit(parts._replace(query=urlencode(asked))), namespace


def connections(url: str, *, timeout: float) -> Callable[[], AbstractConnection]:
    """What makes a new connection. Each setting is said, so that all versions of redis-py do alike.

    No socket timeout: the wire has one deadline for a whole round trip, and a reader waits for long. No retry: the wire does that.
    """
    given: dict[str, Any] = {
        "protocol": 2,
        "decode_responses": False,
        "socket_timeout": None,
        "socket_connect_timeout": timeout,
        "health_check_interval": 0,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "client_name": "reactor",
    }
    try:
        pool = ConnectionPool.from_url(url, **given)
    except ValueError as error:
        said = f"{without_password(url)!r} is no URL of a Redis"
        raise ReactorError(said, code="bad-store-url", fix="say `redis://host:6379/0?namespace=shop`") from error
    if not issubclass(pool.connection_class, UnixDomainSocketConnection):
        pool.connection_kwargs["socket_keepalive"] = True
    return pool.make_connection


def without_password(url: str) -> str:
    """A URL as a message may show it.

    >>> without_password("redis://:hunter2@host:6379/0?password=hunter2")
    'redis://…@host:6379/0'
    """
    return re.sub(r"//[^/]*@", "//…@", url.partition("?")[0])


def facts_of(info: object) -> dict[str, str]:
    """What INFO says.

    >>> facts_of(b"# Memory" + bytes([13, 10]) + b"maxmemory_policy:noeviction")
    {'maxmemory_policy': 'noeviction'}
    """
    lines = (info.decode("utf-8", "replace") if isinstance(info, bytes) else str(info)).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def check(facts: dict[str, str]) -> None:
    """Raises StoreUnfit where the server is too old, or may drop data of its own accord."""
    name, version = spoken(facts)
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < FLOORS[name]:
        floor = ".".join(map(str, FLOORS[name]))
        raise StoreUnfit(f"{name} {version} is too old to keep runs", code="store-too-old", fix=f"use {name} {floor} or newer")
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        said = f"this server drops keys when it is full (`maxmemory-policy {policy}`): a run could lose its record"
        raise StoreUnfit(
            said, code="store-evicts", fix="set `maxmemory-policy noeviction`, in its configuration too; caches need a server of their own"
        )


def spoken(facts: dict[str, str]) -> tuple[str, str]:
    """Which server it is, and its version.

    >>> spoken({"redis_version": "7.2.4", "valkey_version": "9.1.2"})
    ('valkey', '9.1.2')
    """
    if "valkey_version" in facts:
        return "valkey", facts["valkey_version"]
    return "redis", facts.get("redis_version", "0")


def health_of(facts: dict[str, str], fsync: str | None, keys: Namespace) -> Health:
    """What `doctor` shows."""
    name, version = spoken(facts)
    return Health(
        server=name,
        version=version,
        run_id=facts.get("run_id", ""),
        role=facts.get("role", "master"),
        policy=facts.get("maxmemory_policy", ""),
        used_memory=int(facts.get("used_memory", 0)),
        max_memory=int(facts.get("maxmemory", 0)),
        fsync=fsync if facts.get("aof_enabled") == "1" else None,
        aof_ok=facts.get("aof_last_write_status", "ok") == "ok",
        snapshots=facts.get("rdb_last_save_time", "0") != "0",
        snapshot_ok=facts.get("rdb_last_bgsave_status", "ok") == "ok",
        namespace=keys.name,
        shards=len(keys.shards),
    )
