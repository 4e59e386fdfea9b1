"""A map over a store: each batch is a record of its own, made in the append that says so, driven by itself, settled by a message.

The elements are persisted before any of them begins, and folded into one chunk when the last has settled.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from reactor.errors import ReactorError, SourceChanged
from reactor.machine.commands import CloseSource, Command, Dispatch, StopBatch, UndoBatch
from reactor.machine.events import (
    BatchParked,
    BatchSettled,
    BatchStarted,
    BatchUndoStarted,
    BatchWoke,
    RunStarted,
    SourceEnded,
    StopRequested,
    UndoRequested,
)
from reactor.machine.marks import DONE, FORWARD, SKIPPED
from reactor.machine.parking import waiting_in
from reactor.machine.state import KEPT_BATCH
from reactor.record import facts
from reactor.record.sealing import Whose
from reactor.record.words import BATCH_LIMIT, Message, NewRecord
from reactor.run import mapping
from reactor.run.failures import failure_of
from reactor.run.mailing import AGAIN, letter
from reactor.run.mapping import MapRun
from reactor.run.outcome import in_doubt_in
from reactor.run.references import chunk_data, prefix_of
from reactor.run.sealed import open_elements, seal_chunk, seal_elements, seal_value
from reactor.run.values import codec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from reactor.machine.events import Event, Kept
    from reactor.machine.state import MapState, Scope
    from reactor.record.sealing import Sealer
    from reactor.run.driver import Driver
    from reactor.run.recorder import Keeper, Recorder

T = TypeVar("T")
_RAWS = msgspec.msgpack.Decoder(list[msgspec.Raw])
_ENCODER = msgspec.msgpack.Encoder()
ROOM = 256 << 10  # bytes of a settlement for what is stuck, and for what is in doubt


def record_of(driver: Keeper, scope: Scope, index: int, number: int) -> str:
    """The name of a batch's record."""
    return f"{prefix_of(driver.run_id, scope, index)}#{number}"


def going_in(driver: Keeper) -> list[str]:
    """The records of batches that are in flight, or being undone: the newest of a map first, as they are undone."""
    return [
        record_of(driver, scope, index, number)
        for scope in driver.machine.state.scopes()
        for index, elements in scope.maps.items()
        for number in sorted(elements.open | elements.undoing, reverse=True)
    ]


# ---- taking batches -------------------------------------------------------------------------------------------


def dispatch(driver: Driver, order: Dispatch) -> None:
    """Take the next batch: elements at hand at once, a source is asked aside."""
    map_run = driver.maps.get(order.address)
    if map_run is not None and map_run.sequence is not None:
        mapping.dispatch(driver, order)
    elif (order.address, order.batch) not in driver.pulls:
        driver.pulls.add((order.address, order.batch))
        driver.spawn(_pull(driver, order))


async def _pull(driver: Driver, order: Dispatch) -> None:
    try:
        map_run = await _opened(driver, order)
        if map_run is None:
            return
        map_run.scope, map_run.index = order.scope, order.index  # where it is now: memory may have been dropped meanwhile
        later = mapping.dispatch(driver, order)
        if later is not None:
            await later
    except Exception as error:  # noqa: BLE001  # opening again and skipping forward may raise anything
        await _close(driver.maps.pop(order.address, None))
        if not driver.released and driver.machine.is_due(order):
            driver.originals[order.address] = error
            driver.note(SourceEnded(driver.site.now(), order.address, failure_of(error, 1, secrets=driver.secrets)))
    finally:
        driver.pulls.discard((order.address, order.batch))


async def _opened(driver: Driver, order: Dispatch) -> MapRun | None:
    """The map, opened; again, after a takeover, and gone on to where it was. None: it stopped meanwhile, and nothing is open."""
    found = driver.maps.get(order.address)
    if found is None or (found.sequence is None and found.puller is None):
        scope, index = order.scope, order.index
        node, elements = scope.plan.nodes[index], scope.maps[index]
        source = node.map.source
        await driver.site.resources.open((*node.providers, *source.providers))
        if not _is_wanted(driver, order):
            return None
        keyed = source.key is not None and elements.first > 0
        found = driver.maps[order.address] = MapRun(driver, scope, index, after=_plain(elements.key) if keyed else None)
        if found.puller is not None and elements.first and not keyed:
            try:
                await _skip_forward(found, elements)
            except asyncio.CancelledError:  # its map stops, and has closed it; or its driver lets go of it
                await _close(found)
            if not _is_wanted(driver, order):
                return None
    return found


def _is_wanted(driver: Driver, order: Dispatch) -> bool:
    return not driver.released and not driver.held and driver.machine.is_due(order)


async def _close(map_run: MapRun | None) -> None:
    if map_run is not None and map_run.puller is not None:
        await map_run.puller.close()


async def _skip_forward(map_run: MapRun, elements: MapState) -> None:
    """What a source gave before is asked for again, and must be the same. Raises SourceChanged."""
    digest, left = b"", elements.first
    while left and map_run.puller is not None:
        items = await map_run.puller.take(min(left, map_run.batch_size))
        if not items:
            break
        left -= len(items)
        digest = digest_of(digest, [codec_of(map_run.node.map.element).encode(item) for item in items])  # type: ignore[union-attr]  # it is a map
    if left or digest != elements.digest:
        said = f"{elements.first - left} elements" if left else "other ones"
        raise SourceChanged(
            f"the source of `{map_run.address}` gave {elements.first} elements before, and now {said}",
            code="source-changed",
            where=map_run.node.definition.span,
            fix="give it a key, `@source(key=…)`: then it goes on from the last one, or read from what does not change",
        )


def digest_of(digest: bytes, raws: Iterable[bytes]) -> bytes:
    """The digest of all elements so far, of whatever size their batches were."""
    for raw in raws:
        digest = blake2b(digest + raw, digest_size=8).digest()
    return digest


def close_source(driver: Driver, order: CloseSource) -> None:
    """Take nothing more."""
    if order.address in driver.maps:
        driver.spawn(mapping.close_source(driver, order))
    else:
        driver.note(SourceEnded(driver.site.now(), order.address))


def start(map_run: MapRun, number: int, first: int, items: Sequence[Any]) -> None:
    """Hand on a batch: its record is made with the fact that says so, and it is driven when that is written."""
    driver: Any = map_run.runner
    scope, index = driver.machine.state.place(map_run.address)
    node, elements = map_run.node, scope.maps[index]
    try:
        codec = codec_of(node.map.element)  # type: ignore[union-attr]  # it is a map
        raws = [codec.checked(item) for item in items]
        blob = msgspec.msgpack.encode([msgspec.Raw(raw) for raw in raws])
        blob = seal_elements(driver.host.sealer, record_of(driver, map_run.scope, map_run.index, number), node, blob)
        if len(blob) > BATCH_LIMIT:
            raise _too_large(map_run, len(blob))
    except ReactorError as error:
        driver.originals[map_run.address] = error
        driver.note(SourceEnded(driver.site.now(), map_run.address, failure_of(error, 1, secrets=driver.secrets)))
        return
    now = driver.site.now()
    kept = driver.machine.state.kept.get(map_run.address, {})
    done = [kept[index] for index in range(first, first + len(items)) if index in kept] if kept else []
    key = b"" if map_run.puller is None or map_run.puller.last is None else codec_of(Any).encode(map_run.puller.last)
    digest = b"" if map_run.puller is None else digest_of(elements.digest, raws)
    driver.note(BatchStarted(now, map_run.address, number, first, len(items), digest, key))
    _make(map_run, number, first, len(items), blob, done)


def _too_large(map_run: MapRun, size: int) -> ReactorError:
    return ReactorError(
        f"a batch of `{map_run.address}` takes {size:,} bytes and at most {BATCH_LIMIT:,} are kept",
        code="too-large",
        where=map_run.node.definition.span,
        fix="take smaller batches: `batch_size=`",
    )


def _make(map_run: MapRun, number: int, first: int, size: int, blob: bytes, done: Sequence[Event]) -> None:
    driver: Any = map_run.runner
    host = driver.host
    now, settle = driver.site.now(), driver.machine.state.settle
    started: list[Event] = [RunStarted(now, map_run.address, settle=settle, first=first, size=size), *done]
    plan = host.root_plan(driver)
    name = record_of(driver, map_run.scope, map_run.index, number)
    record = NewRecord(
        run=name,
        root=driver.run_id,
        parent=driver.record_name,
        reactor=plan.name,
        version=plan.definition.version,
        fingerprint=plan.fingerprint,
        status="running",
        token=host.session.token(),
        elements=blob,
        events=tuple(facts.encode(fact, _raw(driver, map_run.node, fact)) for fact in started),
    )
    driver.writer.children.append(record)
    driver.batches_at_work = True
    driver.after(lambda: host.open_batch(map_run, number, record))


def _raw(driver: Any, node: Any, fact: Event) -> bytes:
    value = getattr(fact, "value", b"")
    sealer: Sealer = driver.host.sealer
    if not isinstance(value, bytes) or not sealer.seals:
        return value if isinstance(value, bytes) else b""
    return seal_value(sealer, Whose(driver.run_id, fact.address), node, value)


def elements_of(map_run: MapRun, record: str, blob: bytes, size: int) -> list[Any]:
    """The elements as the batch's calls get them. Raises CannotOpen where they are sealed."""
    runner: Any = map_run.runner
    node: Any = map_run.node
    blob = open_elements(runner.host.sealer, record, node, blob)
    if not blob:
        return [None] * size  # folded into its chunk: only undos are called
    codec = codec_of(node.map.element)
    return [codec.decode(bytes(raw)) for raw in _RAWS.decode(blob)]


# ---- telling batches ------------------------------------------------------------------------------------------


def hush(driver: Keeper) -> None:
    """Batches that are about to be told to stop begin nothing more, where they are driven here: the word itself takes an append."""
    for order in driver.machine.state.orders:
        if isinstance(order, StopBatch):
            batch = driver.host.drivers.get(record_of(driver, order.scope, order.index, order.batch))
            if batch is not None:
                batch.hushed = True


def hush_around(driver: Recorder) -> None:
    """A call in a batch raised Halt: all else of its run that is driven here begins nothing more, before the word of it comes."""
    for other in driver.host.drivers.values():
        if other.run_id == driver.run_id and other is not driver and other.machine.state.root.phase == FORWARD:
            other.hushed = True


def stop_batch(driver: Driver, order: StopBatch) -> None:
    """Tell a batch in flight to stop."""
    fact = StopRequested(driver.site.now(), "", order.mode, driver.machine.state.reason)
    _tell(driver, record_of(driver, order.scope, order.index, order.batch), letter("cancel", fact))


def undo_batch(driver: Driver, order: UndoBatch) -> None:
    """Undo a batch's elements, or only what was stuck."""
    driver.note(BatchUndoStarted(driver.site.now(), order.address, order.batch))
    if order.batch == KEPT_BATCH and not order.again:
        _undo_kept(driver, order)
    else:
        _tell(driver, record_of(driver, order.scope, order.index, order.batch), letter("undo", body=AGAIN if order.again else b""))


def _undo_kept(driver: Driver, order: UndoBatch) -> None:
    """The elements that a restart kept and whose batch was never made, as a batch of their own that is undone at once."""
    kept: dict[int, Kept] = driver.machine.state.kept[order.address]
    first, size = min(kept), max(kept) - min(kept) + 1
    map_run = driver.maps.get(order.address) or MapRun(driver, order.scope, order.index, opened=False)
    driver.maps[order.address] = map_run
    _make(map_run, KEPT_BATCH, first, size, b"", [*kept.values(), UndoRequested(driver.site.now(), "")])


def _tell(driver: Driver, record: str, message: Message) -> None:
    driver.writer.messages.append((record, message))
    driver.after(lambda: driver.host.wake(record))


# ---- what a batch tells its map -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settlement:
    """What goes with a batch's last fact."""

    message: tuple[str, Message]
    chunk: bytes | None


def settlement(driver: Recorder, status: str) -> Settlement:
    """How a batch ended, for its map, and its elements folded."""
    map_run, number = _of(driver)
    state = driver.machine.state
    root = state.root
    folded = mapping.fold(root)
    failure = root.failures.get(root.failed) if root.failed >= 0 else None
    original = driver.originals.get(root.failed_at) or driver.originals.get(root.names[root.failed])
    if failure is not None and original is not None:
        map_run.runner.originals.setdefault(root.failed_at, original)
    told = BatchSettled(
        driver.site.now(),
        map_run.address,
        number,
        folded.succeeded,
        len(folded.failures),
        mapping.undoable_in(root),
        failure,
        root.failed_at,
        _as_many_as_fit([one.what for one in state.stuck]),
        state.halted if status == "halted" and state.halted is not None else None,
        _as_many_as_fit(in_doubt_in(state)),
        mapping.began_in(root),
    )
    driver.after(lambda: driver.host.wake(driver.parent_name))
    return Settlement((driver.parent_name, letter("settled", told)), None if state.undoing else _chunk(driver, root, folded))


def _as_many_as_fit(found: Sequence[T], room: int = ROOM) -> tuple[T, ...]:
    """The first of them: what a batch tells is a fact of its map's run, and no fact may take more. The batch itself knows all."""
    for number, one in enumerate(found):
        room -= len(_ENCODER.encode(one))
        if room < 0:
            return tuple(found[:number])
    return tuple(found)


def _chunk(driver: Recorder, root: Scope, folded: Any) -> bytes | None:
    first = root.plan.first
    values = {first + at: root.values[at] for at, mark in enumerate(root.marks) if mark in (DONE, SKIPPED)}
    data = seal_chunk(driver.host.sealer, driver.record_name, root.plan.map_node, msgspec.msgpack.encode(chunk_data(folded, values)))
    return data if len(data) <= BATCH_LIMIT else None  # else it is read from the facts


def parked_letter(driver: Recorder) -> tuple[str, Message]:
    """Nothing in this batch goes on without a signal: what its map is told."""
    map_run, number = _of(driver)
    waiting = _as_many_as_fit(waiting_in(driver.machine.state, driver.record_name), 2 * ROOM)
    return driver.parent_name, letter("settled", BatchParked(driver.site.now(), map_run.address, number, waiting))


def tell_woken(driver: Driver) -> None:
    """It goes on."""
    map_run, number = _of(driver)
    _tell_map(driver, BatchWoke(driver.site.now(), map_run.address, number))


def _tell_map(driver: Driver, fact: Event) -> None:
    driver.tell_parent(letter("settled", fact))


def _of(driver: Recorder) -> tuple[MapRun, int]:
    if driver.batch is None:
        raise AssertionError(f"{driver.record_name} is no batch")
    return driver.batch.map_run, driver.batch.number


def _plain(raw: bytes) -> Any:
    return codec_of(Any).decode(raw)


PERFORM: dict[type[Command], Callable[[Any, Any], None]] = {
    Dispatch: dispatch,
    CloseSource: close_source,
    StopBatch: stop_batch,
    UndoBatch: undo_batch,
}
