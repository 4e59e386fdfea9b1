"""A run that is asked for: made, or joined where its id is known and its inputs are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from reactor.define.reactor import values_of
from reactor.errors import Expired, RunConflict
from reactor.machine.events import RunStarted
from reactor.record.codec import same
from reactor.record.inputs import decode_inputs, encode_inputs
from reactor.record.words import NewRecord
from reactor.run import restarting
from reactor.run.checking import is_text
from reactor.run.handle import Run
from reactor.run.hosting import new_driver
from reactor.run.refusing import tell_definition
from reactor.run.view import HEAD, head_of, unknown

if TYPE_CHECKING:
    from reactor.define.definition import Definition
    from reactor.define.reactor import Reactor
    from reactor.plan.plan import Plan
    from reactor.record.words import Loaded
    from reactor.run.hosting import Host


async def start(host: Host, reactor: Reactor, run_id: str, deadline: float | None, tags: tuple[str, ...]) -> Run[Any]:
    """Persist and begin it, or join it. Raises RunConflict, Expired, StoreUnavailable."""
    plan = host.plan_for(type(reactor))
    record = _record(host, run_id, reactor, plan, tags)
    await tell_definition(host, plan)
    driver = new_driver(host, run_id, decode_inputs(type(reactor), record.inputs, host.sealer, run_id), plan)
    driver.note(_started(host, record, driver.reactor, plan, deadline))
    answer = await host.make(driver, replace(record, token=driver.writer.token))
    if answer is None:
        return Run(host, run_id, driver)
    if answer == "expired":
        answer = await _later_life(host, run_id)
    return await _join(host, answer, reactor)


def _record(host: Host, run_id: str, reactor: Reactor, plan: Plan, tags: tuple[str, ...]) -> NewRecord:
    return NewRecord(
        run=run_id,
        root=run_id,
        reactor=plan.name,
        version=plan.definition.version,
        fingerprint=plan.fingerprint,
        inputs=encode_inputs(reactor, host.sealer, run_id),
        tags=tags,
        index=host.index_of(reactor),
    )


def _started(host: Host, record: NewRecord, reactor: Any, plan: Plan, deadline: float | None) -> RunStarted:
    now, settle, definition = host.site.now(), host.site.settle, plan.definition
    until = None if deadline is None else now + deadline
    return RunStarted(now, "", record.run, definition.name, definition.version, plan.fingerprint, reactor, until, settle, record.tags)


async def _join(host: Host, loaded: Loaded, reactor: Reactor) -> Run[Any]:
    """The run that is there, if it is the same. Raises RunConflict."""
    known = decode_inputs(type(reactor), loaded.inputs, host.sealer, loaded.run)
    if not same(values_of(known), values_of(reactor)):
        raise RunConflict(
            f"{loaded.run} exists with other inputs", fix="use another id, or `get` the run that is there; the same id is the same run"
        )
    name = await restarting.latest_life(host, loaded.run)
    return Run(host, name, host.drivers.get(name))


async def _later_life(host: Host, run_id: str) -> Loaded:
    """What a restart made of a run whose own record is past retention. Raises Expired where that is, too."""
    name = await restarting.life_there(host, run_id)
    if name is None:
        raise expired(run_id)
    return await head_of(host, name)


async def name_of(host: Host, definition: Definition, run_id: str) -> str:
    """What a run of this id is called: by a name that its reactor had before, where it was begun under that one."""
    own = f"{definition.name}:{run_id}"
    if definition.aliases and is_text(own) and await host.store.load(own, after=HEAD) is None:
        for alias in definition.aliases:
            former = f"{alias}:{run_id}"
            if await host.store.load(former, after=HEAD) is not None or await host.is_expired(former):
                return former
    return own


async def newest(host: Host, run_id: str) -> str:
    """The name of the newest life of a run; of one that is named, its own. Raises UnknownRun, or Expired where only names are left."""
    if not is_text(run_id):
        raise unknown(run_id)
    named = "~" in run_id
    if run_id in host.drivers:
        return run_id if named else await restarting.latest_life(host, run_id)
    there = await restarting.life_there(host, run_id)
    if there == run_id and named:
        return run_id
    if there is not None and not named:
        return await restarting.latest_life(host, there)
    if await host.is_expired(run_id):
        raise expired(run_id)
    raise unknown(run_id)


def expired(run_id: str) -> Expired:
    """The refusal of a name whose run is past retention."""
    return Expired(f"{run_id} ended and is past retention", fix="its id stays taken: use another one")
