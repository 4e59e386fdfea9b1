"""What a map left, in a store: each batch's chunk lies in its own record, and a result is a reference to them, a few bytes a batch.

Results that an author made (`Results.of`) have no records: their elements are in the reference itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from reactor.define.foreign import encode_foreign
from reactor.define.results import ElementFailure, Results
from reactor.define.steps import in_call
from reactor.errors import Incompatible, ResultNotStorable, StoreUnavailable
from reactor.machine.events import BatchSettled, CallFailed, CallSucceeded, Closed, Kept, RunStarted, Skipped
from reactor.record import facts
from reactor.record.codec import LIMIT, Codec
from reactor.record.keeping import root_of
from reactor.record.sealing import Whose, is_secret
from reactor.run.sealed import open_chunk, open_element
from reactor.run.values import inside

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

    from reactor.machine.state import Scope
    from reactor.record.sealing import Sealer
    from reactor.record.store import Store
    from reactor.record.words import Loaded
    from reactor.run.chunks import Chunk

T_co = TypeVar("T_co", covariant=True)
NIL = b"\xc0"
KEPT, MADE = 21, 22  # msgpack extensions
FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0  # seconds between two tries of a store that is away
ALL = 1 << 62  # past every event: a load without any
_EXT = msgspec.msgpack.Decoder(msgspec.msgpack.Ext)
_KEPT = msgspec.msgpack.Decoder(tuple[str, list[tuple[int, int, int]]])
_MADE = msgspec.msgpack.Decoder(list[tuple[bool, msgspec.Raw]])


def prefix_of(run_id: str, scope: Scope, index: int) -> str:
    """What the names of the records of a map's batches begin with: a map that is tried again has other ones."""
    address, occurrence = scope.names[index], scope.maps[index].occurrence
    return f"{run_id}/{address}~{occurrence}" if occurrence else f"{run_id}/{address}"


class Shelf(NamedTuple):
    """Where chunks lie, and who opens those that are sealed."""

    store: Store
    sealer: Sealer


class ChunkData(msgspec.Struct, array_like=True):
    """The settled elements of a batch as its record keeps them; `values` are those of the elements that have one, in order."""

    first: int
    size: int
    failures: dict[int, str]
    skipped: tuple[int, ...]
    missing: tuple[int, ...]
    values: list[msgspec.Raw]

    def raws(self) -> Iterator[tuple[int, bytes]]:
        """Index and bytes of the elements that have a value."""
        values, out = iter(self.values), {*self.failures, *self.missing}
        for index in range(self.first, self.first + self.size):
            if index not in out:
                yield index, bytes(next(values))


_CHUNK = msgspec.msgpack.Decoder(ChunkData)


def chunk_data(chunk: Chunk, encoded: Mapping[int, Any]) -> ChunkData:
    """A settled batch for its record."""
    values = [msgspec.Raw(raw if isinstance(raw, bytes) else raw.reference()) for raw in encoded.values()]
    return ChunkData(chunk.first, chunk.size, chunk.failures, tuple(sorted(chunk.skipped)), tuple(sorted(chunk.missing)), values)


def is_reference(raw: bytes) -> bool:
    """Whether the bytes of a value refer to what a map left."""
    return raw[:1] in (b"\xc7", b"\xc8", b"\xc9", b"\xd4", b"\xd5", b"\xd6", b"\xd7", b"\xd8") and _EXT.decode(raw).code in (KEPT, MADE)


def results_from(raw: bytes, shelf: Shelf, element: Any) -> Results[Any]:
    """The results that a reference stands for. Raises ResultNotStorable where they do not fit the element's type."""
    ext = _EXT.decode(raw)
    if ext.code == KEPT:
        prefix, batches = _KEPT.decode(ext.data)
        return KeptResults(shelf, prefix, batches, element)
    codec = Codec(element)
    pairs = enumerate(_MADE.decode(ext.data))
    return MadeResults(raw, [codec.decode(value) if fine else ElementFailure(at, codec_text(value)) for at, (fine, value) in pairs])


def renamed(record: str, run: str) -> str:
    """The name that a record, or a prefix of some, has in another life of its run.

    >>> renamed("shop:1/ship[2].label#0", "shop:1~2")
    'shop:1~2/ship[2].label#0'
    """
    return run + record[len(root_of(record)) :]


def in_life(raw: bytes, run: str) -> tuple[bytes, tuple[str, ...]]:
    """A value's bytes as a later life of its run keeps them, and the records of the former one that they refer to."""
    if not is_reference(raw):
        return raw, ()
    ext = _EXT.decode(raw)
    if ext.code != KEPT:
        return raw, ()
    prefix, batches = _KEPT.decode(ext.data)
    moved = msgspec.msgpack.encode(msgspec.msgpack.Ext(KEPT, msgspec.msgpack.encode((renamed(prefix, run), batches))))
    return moved, tuple(f"{prefix}#{one[0]}" for one in batches)


def codec_text(raw: msgspec.Raw) -> str:
    """A text out of its bytes."""
    return msgspec.msgpack.decode(raw, type=str)


def kept_results(value: Results[Any], shelf: Shelf, element: Any) -> tuple[Results[Any], bytes]:
    """Results as a store keeps them. Raises ResultNotStorable for what an author made of values that do not survive."""
    raw = value.reference()
    if not raw:
        values = getattr(value, "values", None)
        if values is None:
            raise ResultNotStorable("what a map of another run left cannot be kept", fix="read it: `await results.all()`, and return that")
        raw = _made(values, Codec(element))
    return results_from(raw, shelf, element), raw


def _made(values: Iterable[Any], codec: Codec) -> bytes:
    pairs = [(False, one.error) if isinstance(one, ElementFailure) else (True, msgspec.Raw(codec.checked(one))) for one in values]
    raw = msgspec.msgpack.encode(msgspec.msgpack.Ext(MADE, msgspec.msgpack.encode(pairs, enc_hook=encode_foreign)))
    if len(raw) > LIMIT:
        raise ResultNotStorable(f"the results take {len(raw):,} bytes and at most {LIMIT:,} are kept", fix="map over them instead")
    return raw


class MadeResults(Results[T_co]):
    """Results that an author made, as they came back."""

    __slots__ = ("_raw", "values")

    def __init__(self, raw: bytes, values: Sequence[Any]) -> None:
        self._raw = raw
        self.values = values
        failed = sum(isinstance(value, ElementFailure) for value in values)
        super().__init__(len(values) - failed, failed)

    def reference(self) -> bytes:
        """The bytes that they came from."""
        return self._raw

    async def read(self, start: int = 0) -> AsyncIterator[tuple[int, T_co | ElementFailure]]:
        """Index and value, or failure, of each element from `start` on."""
        for index in range(start, len(self.values)):
            yield index, self.values[index]


class KeptResults(Results[T_co]):
    """Reads the chunks of batches from their records, one at a time. `prefix` begins the records' names."""

    __slots__ = ("_batches", "_codec", "_secret", "_shelf", "prefix")

    def __init__(self, shelf: Shelf, prefix: str, batches: list[tuple[int, int, int]], element: Any) -> None:
        super().__init__(sum(one[1] for one in batches), sum(one[2] for one in batches))
        self._shelf = shelf
        self.prefix = prefix
        self._batches = batches
        self._codec = Codec(element)
        self._secret = is_secret(element)

    @classmethod
    def of_batches(cls, shelf: Shelf, prefix: str, settled: Mapping[int, BatchSettled], element: Any) -> KeptResults[Any]:
        """Of the batches of one map, by number."""
        found = ((number, one.succeeded, one.failed) for number, one in sorted(settled.items()) if number >= 0)
        return KeptResults(shelf, prefix, list(found), element)

    def reference(self) -> bytes:
        """Where the batches lie, and how they ended."""
        return msgspec.msgpack.encode(msgspec.msgpack.Ext(KEPT, msgspec.msgpack.encode((self.prefix, self._batches))))

    def in_life(self, run: str) -> KeptResults[T_co]:
        """The same batches, as the records of a later life of their run have them."""
        return KeptResults(self._shelf, renamed(self.prefix, run), self._batches, self._codec.type)

    async def read(self, start: int = 0) -> AsyncIterator[tuple[int, T_co | ElementFailure]]:
        """Index and value, or failure, of each element from `start` on."""
        first = 0
        for number, succeeded, failed in self._batches:
            first += succeeded + failed
            if first <= start:
                continue
            for index, value in self._values(await chunk_of(self._shelf, f"{self.prefix}#{number}", secret=self._secret)):
                if index >= start:
                    yield index, value

    def _values(self, chunk: ChunkData) -> Iterator[tuple[int, Any]]:
        values, missing = iter(chunk.values), frozenset(chunk.missing)
        for index in range(chunk.first, chunk.first + chunk.size):
            if index in chunk.failures:
                yield index, ElementFailure(index, chunk.failures[index])
            elif index not in missing:
                yield index, self._decoded(bytes(next(values)))

    def _decoded(self, raw: bytes) -> Any:
        if is_reference(raw):
            return results_from(raw, self._shelf, inside(self._codec.type))
        return None if raw == b"\xc0" else self._codec.decode(raw)


async def _loaded(shelf: Shelf, record: str, after: int | None = None) -> Loaded | None:
    """A record. A step that reads what a map left waits for a store that is away: it must not fail for it, nor be called again."""
    wait = FIRST_WAIT
    while True:
        try:
            return await shelf.store.load(record, after=after)
        except StoreUnavailable as error:
            if error.is_damage or in_call.get() is None:
                raise
        await asyncio.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


async def chunk_of(shelf: Shelf, record: str, *, secret: bool = False) -> ChunkData:
    """What a settled batch left. Raises Incompatible where its record is gone or cannot be read, CannotOpen where it is sealed."""
    loaded = await _loaded(shelf, record, after=ALL)
    if loaded is not None and loaded.chunk is not None:
        try:
            return _CHUNK.decode(open_chunk(shelf.sealer, record, loaded.chunk, secret=secret))
        except msgspec.MsgspecError as error:
            raise _unreadable(record, str(error)) from error
    whole = await _loaded(shelf, record)
    if whole is None:
        raise _unreadable(record, "it is not there any more")
    return _from_events(shelf, record, whole.events, secret=secret)


def _from_events(shelf: Shelf, record: str, events: Sequence[bytes], *, secret: bool) -> ChunkData:
    """A chunk that was too large to be folded is read from the facts themselves."""
    values: dict[int, bytes] = {}
    failures: dict[int, str] = {}
    skipped: list[int] = []
    first = size = 0
    for data in events:
        fact, raw = facts.decode(data)
        if isinstance(fact, RunStarted):
            first, size = fact.first, fact.size
        if not fact.address.endswith("]"):
            continue
        index = int(fact.address.rpartition("[")[2][:-1])
        if isinstance(fact, CallSucceeded | Closed | Kept | Skipped):
            values[index] = open_element(shelf.sealer, Whose(root_of(record), fact.address), raw or NIL, secret=secret)
            failures.pop(index, None)
            skipped += [index] if isinstance(fact, Skipped) or getattr(fact, "skipped", False) else []
        elif isinstance(fact, CallFailed) and fact.call == "do":
            failures[index] = f"{fact.failure.kind}: {fact.failure.message}"
    if not size:
        raise _unreadable(record, "it holds no batch")
    missing = tuple(index for index in range(first, first + size) if index not in values and index not in failures)
    return ChunkData(first, size, failures, tuple(skipped), missing, [msgspec.Raw(values[index]) for index in sorted(values)])


def _unreadable(record: str, why: str) -> Incompatible:
    return Incompatible(f"the results in {record} cannot be read: {why}", code="results-unreadable")
