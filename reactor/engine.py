"""The composition root: wires time, slots, resources and records, and holds the runs that it drives.

Importing it fills the one slot through which `await Checkout(…)` finds how to be performed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from reactor.define import reactor as reactors
from reactor.define.reactor import Reactor, definition_of, values_of
from reactor.define.seconds import Seconds, as_seconds
from reactor.errors import Expired, NeedsEngine, ReactorError, RunConflict, UnknownRun, WrongState
from reactor.machine.events import RunStarted, StopRequested, UndoRequested
from reactor.machine.machine import Machine
from reactor.plan.compile import plan_of
from reactor.record.codec import same
from reactor.run import restarting
from reactor.run.awaiting import cannot_park, perform
from reactor.run.checking import checked_id, checked_observers, checked_status, checked_tags
from reactor.run.context import LOGGER
from reactor.run.failures import secret_texts
from reactor.run.finding import Page, Wanted, check_where, page_of
from reactor.run.handle import Run
from reactor.run.live import Live, fresh
from reactor.run.observe import Event, Record
from reactor.run.runner import Runner
from reactor.run.shielding import shielded
from reactor.run.site import SETTLE, Site
from reactor.run.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from reactor.define.outcomes import Outcome, Status
    from reactor.define.steps import HasOutput, Interrupt
    from reactor.plan.plan import Plan
    from reactor.run.delivery import Delivery

T = TypeVar("T")

reactors.perform = perform


class Engine:
    """Wires a store and resources; drives runs while it is open.

    `concurrency` bounds the calls in flight in this process, `settle` (seconds) the time that calls without a timeout have when their
    run is failing, `retention` how long an ended run is kept. `resources` replaces providers, as tests want it. `observers` get every
    recorded event. `debug=True` passes every result through its bytes and warns of reactors awaited inside steps.

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
        settle: Seconds = SETTLE,
        retention: Seconds = timedelta(days=7),
        debug: bool = False,
    ) -> None:
        if store != "memory://":
            raise ReactorError(
                f"no store answers to {store!r}", code="unknown-store", known=("memory://",), fix="leave it out, or say `memory://`"
            )
        if concurrency < 1:
            raise ReactorError(f"`concurrency` is {concurrency}", code="bad-concurrency", fix="give a whole number from 1")
        self._overrides = resources
        self._observers = checked_observers(observers)
        self._concurrency = concurrency
        self._settle = as_seconds(settle, "settle", zero=True)
        self._retention = as_seconds(retention, "retention", zero=True)
        self._debug = debug
        self._site: Site | None = None
        self._closing = False
        self._served: dict[str, type[Reactor]] = {}
        self._runs: dict[str, Live] = {}  # by whole name, in the order of their creation
        self._latest: dict[str, Live] = {}  # by the name that restarts share
        self._ended: dict[str, Live] = {}  # oldest end first
        self._expired: dict[str, None] = {}
        self._driven: dict[str, int] = {}  # runs of a reactor that are driven
        self._waiting: dict[str, deque[Live]] = {}
        for reactor in reactors:
            self._serve(reactor)

    async def __aenter__(self) -> Self:
        """Open it. Once closed it can be opened again; its runs in memory are forgotten then."""
        if self._site is not None:
            raise WrongState("the engine is open already", code="engine-open", fix="open it once and share it")
        self._site = Site(slots=Slots(self._concurrency), overrides=self._overrides, settle=self._settle, debug=self._debug)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close it: a run in memory could not go on elsewhere, so what is going on is cancelled and undone; then resources are closed.

        It waits for that, however often it is cancelled. Raises ReactorError where a resource did not close.
        """
        if self._site is not None:
            await shielded(self._close(self._site))

    async def _close(self, site: Site) -> None:
        self._closing = True
        try:
            await self._stop_all(site)
            for live in self._runs.values():
                live.record.close()
            self._forget()
            await site.close()
        except ExceptionGroup as failures:
            said = "; ".join(f"{type(one).__name__}: {one}" for one in failures.exceptions)
            raise ReactorError(f"the engine is closed, but not all that it had opened: {said}", code="not-closed") from failures
        finally:
            self._site, self._closing = None, False

    async def _stop_all(self, site: Site) -> None:
        going = [live for live in self._runs.values() if live.is_driven]
        for live in going:
            live.runner.tell(StopRequested(site.now(), "", "cancel", "the engine closed"))
        left = {live.runner.end: live.run_id for live in going if live.is_driven}
        while left:
            _, waiting = await asyncio.wait(left, timeout=max(site.settle, 1.0))
            left = {end: left[end] for end in waiting}
            if left:
                LOGGER.warning("the engine is closing and waits for %d runs: %s", len(left), ", ".join(list(left.values())[:10]))
        lanes = {lane for live in self._runs.values() for lane in live.runner.tasks}
        if lanes:
            await asyncio.wait(lanes)

    def _forget(self) -> None:
        for held in (self._runs, self._latest, self._ended, self._driven, self._waiting):
            held.clear()

    # ---- runs -------------------------------------------------------------------------------------------------

    async def run(
        self, reactor: HasOutput[T], /, *, id: str | None = None, deadline: Seconds | None = None, tags: Sequence[str] = ()
    ) -> Outcome[T]:
        """Start the run, or join it, and wait until it ends. Raises what `start` raises; never for a run that failed."""
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
        """Begin the run, or join it where reactor and id are known, and return at once.

        `deadline`: seconds from now that bound the forward phase. Raises RunConflict where the id has other inputs, Expired where its
        run is past retention, NeedsEngine where an interrupt could park it or a queue would be needed.
        """
        site = self._open_site()
        if not isinstance(reactor, Reactor):
            raise ReactorError(f"{reactor!r} is no reactor", code="not-a-reactor", fix="make an instance: `Checkout(order_id=…)`")
        if offload:
            raise NeedsEngine("this engine has no queue to offload to", code="no-queue", fix="leave `offload` out: the run is driven here")
        plan = self._plan(type(reactor))
        if plan.may_park:
            raise cannot_park(plan)
        self._serve(type(reactor))
        self._expire(site.now())
        run_id = f"{plan.name}:{checked_id(id)}"
        known = self._latest.get(run_id)
        if known is not None:
            return Run(self._same(known, reactor), self._restart)
        if run_id in self._expired:
            raise _expired(run_id)
        live = self._make(run_id, reactor, plan, checked_tags(tags))
        seconds = None if deadline is None else as_seconds(deadline, "deadline", zero=True)
        live.runner.note(_started(live, site, seconds))
        self._begin(live)
        return Run(live, self._restart)

    @overload
    async def get(self, run_id: str, /) -> Run[Any]: ...
    @overload
    async def get(self, reactor: type[HasOutput[T]], id: str, /) -> Run[T]: ...
    async def get(self, *args: Any) -> Any:
        """The run of a whole name, or of a reactor and an id; of a restarted one, the newest. Raises UnknownRun or Expired."""
        site = self._open_site()
        self._expire(site.now())
        run_id = args[0] if len(args) == 1 else f"{definition_of(args[0]).name}:{args[1]}"
        live = self._latest.get(run_id) or self._runs.get(run_id)
        if live is not None:
            return Run(live, self._restart)
        if run_id in self._expired:
            raise _expired(run_id)
        raise UnknownRun(f"there is no run `{run_id}`", fix="say its whole name, `{reactor}:{id}`, or `get(TheReactor, id)`")

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
        self._expire(self._open_site().now())
        name = definition_of(reactor).name if isinstance(reactor, type) else reactor
        check_where(where or {}, set(self._served.values()))
        wanted = Wanted(name, checked_status(status), tag, since, until, dict(where or {}), text)
        page = page_of(self._runs, wanted, limit, cursor)
        return Page([Run(live, self._restart) for live in page.items], page.cursor, page.total)

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
        """Answer an interrupt. Raises NeedsEngine: no run of this store can be parked by one."""
        del payload, run_id, correlation_id, delivery_id
        raise NeedsEngine(
            f"nothing can wait for `{interrupt.name}`: this engine's store keeps no parked runs, and refuses reactors that could park",
            code="cannot-park",
        )

    # ---- what a handle asks for -------------------------------------------------------------------------------

    def _restart(self, live: Live, from_step: str | None) -> Run[Any]:
        """Make the run that supersedes this one; it begins when what it does not keep is undone."""
        live.may("restart")
        kept = restarting.kept_nodes(live, from_step)
        partial = restarting.partial_maps(live, kept, from_step)
        site = self._open_site()
        new = self._make(f"{live.base}~{int(live.run_id.partition('~')[2] or 1) + 1}", live.reactor, live.plan, live.tags)
        for fact in (_started(new, site, None), *restarting.kept_facts(live, kept, partial, site.now())):
            new.runner.note(fact)
        restarting.hand_over(live, kept, new.runner)
        new.runner.held = True
        live.successor, new.predecessor = new, live
        if live.is_undone:
            self._supersede(live)
        else:
            live.reopen(UndoRequested(site.now(), "", restarting.keep_addresses(live, kept, partial), "superseded"))
        return Run(new, self._restart)

    def _supersede(self, live: Live) -> None:
        if live.successor is not None and not self._closing:
            live.superseded = True
            live.successor.runner.held = False
            self._begin(live.successor)

    # ---- inside -----------------------------------------------------------------------------------------------

    def _open_site(self) -> Site:
        if self._site is None or self._closing:
            raise WrongState("the engine is not open", code="engine-closed", fix="use it as `async with Engine(…) as engine:`")
        return self._site

    def _plan(self, reactor: type[Reactor]) -> Plan:
        """Where a root's plan comes from: the harness puts its own in."""
        return plan_of(reactor)

    def _serve(self, reactor: type[Reactor]) -> None:
        definition = definition_of(reactor)
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

    def _same(self, live: Live, reactor: Reactor) -> Live:
        if type(live.reactor) is type(reactor) and same(values_of(live.reactor), values_of(reactor)):
            return live
        raise RunConflict(
            f"{live.run_id} exists with other inputs", fix="use another id, or `get` the run that is there; the same id is the same run"
        )

    def _make(self, run_id: str, reactor: Reactor, plan: Plan, tags: tuple[str, ...]) -> Live:
        site = self._open_site()
        record = Record(run_id, self._observers)
        runner = Runner(site, Machine(plan), run_id, slots=site.slots, record=record.append)
        runner.secrets = secret_texts(reactor)
        live = Live(run_id, fresh(reactor), plan, runner, record, tags)
        live.created_at = site.now()
        runner.progressed = record.progress
        runner.on_end = lambda _: self._over(live)
        runner.on_broken = lambda: self._make_room(live)
        self._runs[run_id] = self._latest[live.base] = live
        return live

    def _begin(self, live: Live) -> None:
        limit = live.plan.definition.max_running
        if limit is not None and self._driven.get(live.plan.name, 0) >= limit:
            self._waiting.setdefault(live.plan.name, deque()).append(live)
            live.runner.set_alarm()  # its deadline does not wait
        else:
            self._drive(live)

    def _drive(self, live: Live) -> None:
        live.begun = True
        self._driven[live.plan.name] = self._driven.get(live.plan.name, 0) + 1
        live.runner.pump()

    def _over(self, live: Live) -> None:
        first = live.outcome is None
        live.ended(live.now())
        if live.runner.machine.state.ended == "superseded":
            self._supersede(live)
        self._ended.pop(live.run_id, None)
        self._ended[live.run_id] = live
        if first:
            self._make_room(live)

    def _make_room(self, live: Live) -> None:
        """It is driven no more: the next of its reactor that waits may begin."""
        if live.begun:
            self._driven[live.plan.name] -= 1
            waiting = self._waiting.get(live.plan.name, ())
            while waiting:
                following = waiting.popleft()
                if following.runner.machine.state.ended is None:
                    self._drive(following)
                    break

    def _expire(self, now: float) -> None:
        """Forget runs that ended longer ago than `retention`; their ids stay taken."""
        while self._ended:
            live = next(iter(self._ended.values()))
            if live.ended_at + self._retention > now:
                break
            del self._ended[live.run_id]
            if live.runner.machine.state.ended is None:  # it is being undone, and will end again
                continue
            self._runs.pop(live.run_id, None)
            if self._latest.get(live.base) is live:
                del self._latest[live.base]
                self._expired[live.base] = None


def _started(live: Live, site: Site, deadline: float | None) -> RunStarted:
    definition = live.plan.definition
    return RunStarted(
        site.now(),
        "",
        live.run_id,
        definition.name,
        definition.version,
        live.plan.fingerprint,
        fresh(live.reactor),
        None if deadline is None else site.now() + deadline,
        site.settle,
        live.tags,
    )


def _expired(run_id: str) -> Expired:
    return Expired(f"{run_id} ended and is past retention", fix="its id stays taken: use another one")
