"""The composition root: wires time, slots, resources, a store and secrets, and offers what callers ask of runs.

Importing it fills the one slot through which `await Checkout(…)` finds how to be performed.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from reactor.define import reactor as reactors
from reactor.define.reactor import Reactor, definition_of
from reactor.define.seconds import Seconds, as_seconds
from reactor.errors import NeedsEngine, ReactorError, WrongState
from reactor.plan.compile import plan_of
from reactor.record.keeping import without_password
from reactor.record.sealing import Sealer
from reactor.run import closing, signalling, starting
from reactor.run.awaiting import perform
from reactor.run.checking import checked_id, checked_observers, checked_status, checked_tags
from reactor.run.finding import Page, check_where, texts_of
from reactor.run.handle import Run
from reactor.run.hosting import Host
from reactor.run.session import FOREVER, Session
from reactor.run.shielding import shielded
from reactor.run.site import SETTLE, Site
from reactor.run.slots import Slots
from reactor.run.wiring import Wiring
from reactor.stores import sqlite_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from reactor.define.outcomes import Outcome, Status
    from reactor.define.steps import HasOutput, Interrupt
    from reactor.plan.plan import Plan
    from reactor.record.store import Store
    from reactor.run.delivery import Delivery
    from reactor.run.observe import Event

T = TypeVar("T")

LEASE = 15.0  # seconds
TOMBSTONES = 90 * 86_400.0  # seconds that the name of a run stays taken
STORES = {  # by scheme, and of what keys need: the module, and the class in it
    "memory": ("reactor.stores.memory", "MemoryStore"),
    "sqlite": ("reactor.stores.sqlite", "SqliteStore"),
    "redis": ("reactor.stores.redis", "RedisStore"),
    "rediss": ("reactor.stores.redis", "RedisStore"),
    "unix": ("reactor.stores.redis", "RedisStore"),
    "keys": ("reactor.record.aesgcm", "AesGcm"),
}

reactors.perform = perform


async def open_store(url: str) -> Store:
    """Open the store of a URL: `memory://`, `sqlite:///path?durability=full`, `redis://host:port/0?namespace=shop`.

    Raises ReactorError for a URL that no store answers to, StoreUnavailable where it cannot be reached.
    """
    scheme = known_scheme(url)
    store = _loaded(scheme)
    if scheme == "memory":
        return store()  # type: ignore[no-any-return]  # it is one
    if scheme == "sqlite":
        path, durability = sqlite_url.split(url)
        return await store.open(path, durability=durability)  # type: ignore[no-any-return]
    return await store.open(url)  # type: ignore[no-any-return]


def _loaded(name: str) -> Any:
    """A class of the table: its module is imported when it is first asked for."""
    module, of_it = STORES[name]
    try:
        return getattr(import_module(module), of_it)
    except ModuleNotFoundError as error:
        if name != "keys" or not (error.name or "").startswith("cryptography"):
            raise
    raise ReactorError("`keys` need the package `cryptography`", code="extra-missing", fix="`pip install 'reactor-saga[secrets]'`")


def known_scheme(url: str) -> str:
    """The scheme of a store's URL. Raises ReactorError where no store answers to it."""
    scheme, found, _ = url.partition("://")
    if found and scheme in STORES and scheme != "keys":
        return scheme
    raise ReactorError(
        f"no store answers to {without_password(url)!r}",
        code="unknown-store",
        known=("memory://", "sqlite:///runs.db", "redis://localhost:6379/0"),
        fix="say one of the known kinds",
    )


class Engine:
    """Wires a store and resources; drives, sweeps and recovers runs while it is open.

    `store` keeps the runs: `memory://` for as long as it is open, `sqlite:///runs.db` in a file (with `?durability=full` also through a
    power cut), `redis://host:6379/0?namespace=shop` for many machines. `reactors` are those that it drives, beside those that it is
    asked to run. `lease` (seconds) is how long this process may be silent before others take over its runs. `concurrency` bounds the
    calls in flight in this process, `settle` (seconds) the time that calls without a timeout have when their run is failing, `retention`
    how long an ended run is kept. `resources` replaces providers, as tests want it. `observers` get every recorded event.
    `sweep=False`: it drives only what it starts or is asked for. `keys` seal secrets, the first; all open them; `plain_secrets=True`
    keeps them as they are. `debug=True` warns of reactors awaited inside steps.

    >>> import asyncio
    >>> from reactor import Engine, Reactor, Succeeded, step
    >>> class Greet(Reactor):
    ...     name: str
    ...
    ...     @step
    ...     async def output(self) -> str:
    ...         return f"hello {self.name}"
    >>> async def main() -> None:
    ...     async with Engine() as engine:
    ...         print((await engine.run(Greet(name="ann"), id="g-1")).value)
    >>> asyncio.run(main())
    hello ann
    """

    def __init__(  # noqa: PLR0913  # the face's words, by keyword
        self,
        store: str = "memory://",
        *,
        reactors: Sequence[type[Reactor]] = (),
        resources: Mapping[Callable[..., Any], Callable[..., Any]] | None = None,
        observers: Sequence[Callable[[Event], None]] = (),
        concurrency: int = 1000,
        lease: Seconds = LEASE,
        settle: Seconds = SETTLE,
        retention: Seconds = timedelta(days=7),
        sweep: bool = True,
        keys: Sequence[bytes] = (),
        plain_secrets: bool = False,
        debug: bool = False,
    ) -> None:
        self._in_memory = known_scheme(store) == "memory"
        if concurrency < 1:
            raise ReactorError(f"`concurrency` is {concurrency}", code="bad-concurrency", fix="give a whole number from 1")
        self._url = store
        self._overrides = resources
        self._observers = checked_observers(observers)
        self._concurrency = concurrency
        self._lease = as_seconds(lease, "lease")
        self._settle = as_seconds(settle, "settle", zero=True)
        self._retention = as_seconds(retention, "retention", zero=True)
        self._sweeps = sweep and not self._in_memory
        self._sealer = Sealer(keys, plain=plain_secrets or self._in_memory, cipher=_loaded("keys") if keys else None)
        self._debug = debug
        self._host: Host | None = None
        self._opening = self._closing = False
        self._sweeping: asyncio.Task[None] | None = None
        self._unwatch: Callable[[], None] | None = None
        self._served: dict[str, type[Reactor]] = {}
        self._expires_at = 0.0  # when what is past retention is looked for again
        for reactor in reactors:
            self._serve(reactor)

    async def __aenter__(self) -> Self:
        """Open it, and its store. Once closed it can be opened again; runs in memory are forgotten then. Raises StoreUnavailable."""
        if self._host is not None or self._opening:
            raise WrongState("the engine is open already", code="engine-open", fix="open it once and share it")
        self._opening = True
        try:
            await self._open()
        finally:
            self._opening = False
        return self

    async def _open(self) -> None:
        site = Site(slots=Slots(self._concurrency), overrides=self._overrides, settle=self._settle, debug=self._debug)
        store = await self._open_store(site)
        session = Session(store, FOREVER if self._in_memory else self._lease, site.clock)
        session.heard = site.agree
        try:
            await session.open()
        except BaseException:
            await store.close()
            raise
        self._expires_at = site.clock()
        host = Host(site, store, session, self._sealer, observers=self._observers)
        host.plan_for = self._plan
        host.is_readable = self._in_memory
        host.served.update(self._served)
        self._host = host
        if not self._in_memory:
            self._unwatch = store.watch(host.hinted, besides=session.id)
        getattr(store, "when_other_server", lambda _tell: None)(host.other_server)
        host.claims_hinted = self._sweeps
        if self._sweeps:
            self._sweeping = site.loop.create_task(host.sweep(self._retention, TOMBSTONES), name="reactor sweep")
            host.spawn(host.claim_due())
        elif session.lease < FOREVER:
            self._sweeping = site.loop.create_task(host.look_after(), name="reactor: what is driven")

    async def _open_store(self, site: Site) -> Store:
        return _loaded("memory")(clock=site.now) if self._in_memory else await open_store(self._url)

    async def __aexit__(self, *exc: object) -> None:
        """Close it, when what is going on was let go of; then resources are closed.

        On a store that lasts, runs are given back: calls in flight are cut off and made again by whoever drives the run next, an undo
        or compensate ends first. A run in memory could not go on elsewhere, so it is cancelled and undone, also where it was parked. It
        waits for that, however often it is cancelled. Raises ReactorError where a resource did not close.
        """
        if self._host is not None and not self._closing:
            await shielded(self._close(self._host))

    async def _close(self, host: Host) -> None:
        self._closing = True
        try:
            await self._let_go(host)
            await host.site.close()
        except ExceptionGroup as failures:
            said = "; ".join(f"{type(one).__name__}: {one}" for one in failures.exceptions)
            raise ReactorError(f"the engine is closed, but not all that it had opened: {said}", code="not-closed") from failures
        finally:
            self._host, self._closing = None, False

    async def _let_go(self, host: Host) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])
            self._sweeping = None
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        if self._in_memory:
            await closing.cancel_all(host)
        await host.close()
        await host.session.close()
        await host.store.close()

    # ---- runs -------------------------------------------------------------------------------------------------

    async def run(
        self, reactor: HasOutput[T], /, *, id: str | None = None, deadline: Seconds | None = None, tags: Sequence[str] = ()
    ) -> Outcome[T]:
        """Start the run, or join it, and wait until it ends, or can only go on with a signal.

        Raises what `start` raises; never for a run that failed.
        """
        run = await self.start(reactor, id=id, deadline=deadline, tags=tags)
        return await run.outcome()

    async def start(
        self,
        reactor: HasOutput[T],
        /,
        *,
        id: str | None = None,
        offload: bool | str = False,
        deadline: Seconds | None = None,
        tags: Sequence[str] = (),
    ) -> Run[T]:
        """Persist the run and begin it, or join it where reactor and id are known, and return at once.

        `deadline`: seconds from now that bound the forward phase. Raises RunConflict where the id has other inputs, Expired where its
        run is past retention, NeedsEngine where a queue would be needed, StoreUnavailable where the store cannot be reached: the run
        may have begun then, and asking again with the same id joins it.
        """
        host = self._open_host()
        if not isinstance(reactor, Reactor):
            raise ReactorError(f"{reactor!r} is no reactor", code="not-a-reactor", fix="make an instance: `Checkout(order_id=…)`")
        if offload:
            raise NeedsEngine("this engine has no queue to offload to", code="no-queue", fix="leave `offload` out: the run is driven here")
        plan = self._plan(type(reactor))
        self._serve(type(reactor))
        await self._expire()
        seconds = None if deadline is None else as_seconds(deadline, "deadline", zero=True)
        name = await starting.name_of(host, plan.definition, checked_id(id))
        return await starting.start(host, reactor, name, seconds, checked_tags(tags))

    @overload
    async def get(self, run_id: str, /) -> Run[Any]: ...
    @overload
    async def get(self, reactor: type[HasOutput[T]], id: str, /) -> Run[T]: ...
    async def get(self, *args: Any) -> Any:
        """The run of a whole name, or of a reactor and an id; of a restarted one, the newest. Raises UnknownRun or Expired."""
        host = self._open_host()
        await self._expire()
        run_id = str(args[0])
        if len(args) > 1:
            self._serve(args[0])
            run_id = await starting.name_of(host, definition_of(args[0]), str(args[1]))
        name = await starting.newest(host, run_id)
        return Run(host, name, host.drivers.get(name))

    async def find(  # noqa: PLR0913  # the face's words, by keyword
        self,
        *,
        reactor: type[Reactor] | str | None = None,
        status: Status | None = None,
        tag: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        where: Mapping[str, object] | None = None,
        text: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Run[Any]]:
        """Newest first. `where`: indexed inputs; `text`: prefix of an id or of an indexed input; `total` counts all that match."""
        host = self._open_host()
        await self._expire()
        if limit < 1:
            raise ReactorError(f"`limit` is {limit}", code="bad-limit", fix="give a whole number from 1")
        if isinstance(reactor, type):
            self._serve(reactor)
        check_where(where or {}, set(self._served.values()))
        rows, following, total = await host.store.find(
            reactor=definition_of(reactor).name if isinstance(reactor, type) else reactor,
            status=checked_status(status),
            tag=tag,
            since=None if since is None else since.timestamp(),
            until=None if until is None else until.timestamp(),
            where=texts_of(where or {}),
            text=text,
            limit=limit,
            cursor=cursor,
        )
        return Page([Run(host, row.run, host.drivers.get(row.run)) for row in rows], following, total)

    async def signal(  # the face's words, by keyword
        self,
        interrupt: Interrupt[T],
        payload: T,
        /,
        *,
        run_id: str | None = None,
        correlation_id: str | None = None,
        delivery_id: str | None = None,
    ) -> Delivery:
        """Answer an interrupt, by the id of its run or by its correlation id; `delivery_id` is the sender's own, to tell repeats.

        Raises PayloadInvalid, RunConflict for a second and different answer, NotWaiting where it is too late, AmbiguousSignal,
        MailboxFull, UnknownRun, StoreUnavailable.
        """
        return await signalling.signal(
            self._open_host(), interrupt, payload, run_id=run_id, correlation_id=correlation_id, delivery_id=delivery_id
        )

    async def signal_json(
        self,
        interrupt: Interrupt[Any],
        body: bytes,
        /,
        *,
        run_id: str | None = None,
        correlation_id: str | None = None,
        delivery_id: str | None = None,
    ) -> Delivery:
        """The same for a raw body that nobody has checked yet. Raises what `signal` does."""
        return await signalling.signal_json(
            self._open_host(), interrupt, body, run_id=run_id, correlation_id=correlation_id, delivery_id=delivery_id
        )

    # ---- inside -----------------------------------------------------------------------------------------------

    @property
    def wiring(self) -> Wiring:
        """What it was made of, open or not: its store's URL, the reactors that it drives, who opens secrets."""
        return Wiring(self._url, tuple(dict.fromkeys(self._served.values())), self._sealer)

    def _open_host(self) -> Host:
        if self._host is None or self._closing:
            raise WrongState("the engine is not open", code="engine-closed", fix="use it as `async with Engine(…) as engine:`")
        return self._host

    async def _expire(self) -> None:
        """A store in memory has no sweep: it forgets what is past retention when it is asked for something, and not for every run."""
        host = self._open_host()
        if self._in_memory and host.site.clock() >= self._expires_at:
            self._expires_at = host.site.clock() + self._retention / 100
            await host.store.expire(self._retention, TOMBSTONES)

    def _plan(self, reactor: type[Reactor]) -> Plan:
        """Where a root's plan comes from: the harness puts its own in."""
        return plan_of(reactor)

    def _serve(self, reactor: type[Reactor]) -> None:
        definition = definition_of(reactor)
        if self._served.get(definition.name) is not reactor:
            self._sealer.check(reactor)
        for name in (definition.name, *definition.aliases):
            known = self._served.setdefault(name, reactor)
            if known is not reactor:
                raise ReactorError(
                    f"two reactors of this engine are called `{name}`: {known.__module__}.{known.__qualname__} and "
                    f"{reactor.__module__}.{reactor.__qualname__}",
                    code="name-taken",
                    where=definition.span,
                    fix='give one of them another name: `class Checkout(Reactor, name="…")`',
                )
            if self._host is not None:
                self._host.serve(name, reactor)
