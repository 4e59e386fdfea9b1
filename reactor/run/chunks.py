"""Where a map's results are kept: one encoded chunk a batch, in memory up to a bound, then in a temporary file.

The file lives as long as whoever holds the results. Reading decodes one chunk at a time.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from reactor.define.foreign import decode_foreign
from reactor.define.results import ElementFailure, Results
from reactor.run.context import LOGGER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

T_co = TypeVar("T_co", covariant=True)
_RAWS = msgspec.msgpack.Decoder(list[msgspec.Raw])
SPILL = 8 << 20  # bytes kept in memory


class Chunk:
    """The settled elements of one batch; `failures` are words, `objects` what needs no encoding, `skipped` is never undone."""

    __slots__ = ("data", "failures", "first", "missing", "objects", "offset", "size", "skipped")

    def __init__(
        self, first: int, values: Sequence[Any], failures: dict[int, str], skipped: frozenset[int], missing: frozenset[int]
    ) -> None:
        """`values`, one an element: its bytes, or an object kept as it is; of a failed or missing one, anything."""
        self.first = first
        self.size = len(values)
        self.failures = failures
        self.skipped = skipped
        self.missing = missing
        kept = {first + at: value for at, value in enumerate(values) if first + at not in failures and first + at not in missing}
        self.objects = {index: value for index, value in kept.items() if type(value) is not bytes}
        encoded = [value for value in kept.values() if type(value) is bytes]
        self.data: bytes | None = b"\xdd" + len(encoded).to_bytes(4, "big") + b"".join(encoded)
        self.offset = 0

    @property
    def succeeded(self) -> int:
        """How many elements have a result."""
        return self.size - len(self.failures) - len(self.missing)


class Chunks:
    """The chunks of one map, by batch."""

    def __init__(self, element: Any) -> None:
        self._decoder = msgspec.msgpack.Decoder(list[element | None], dec_hook=decode_foreign)  # None: a Skip's, or a when's
        self._chunks: dict[int, Chunk] = {}
        self._held = 0
        self._file: Any = None
        self._lengths: dict[int, int] = {}

    def add(self, batch: int, chunk: Chunk) -> None:
        """Keep a chunk; past the bound its bytes go to the file."""
        self._chunks[batch] = chunk
        data = chunk.data or b""
        if self._held + len(data) <= SPILL:
            self._held += len(data)
            return
        try:
            self._spill(batch, chunk, data)
        except OSError:
            LOGGER.exception("a map's results cannot be written to a temporary file: they stay in memory")

    def _spill(self, batch: int, chunk: Chunk, data: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="reactor-")  # noqa: SIM115  # it lives as long as its results
            weakref.finalize(self, self._file.close)
        chunk.offset = self._file.seek(0, os.SEEK_END)
        self._file.write(data)
        self._file.flush()
        self._lengths[batch] = len(data)
        chunk.data = None

    def __getitem__(self, batch: int) -> Chunk:
        return self._chunks[batch]

    def values(self, batch: int) -> Iterator[tuple[int, Any]]:
        """Index and value, or failure, of the settled elements of one batch."""
        chunk = self._chunks[batch]
        encoded = iter(self._decoder.decode(self._bytes(batch, chunk)))
        for index in range(chunk.first, chunk.first + chunk.size):
            if index in chunk.failures:
                yield index, ElementFailure(index, chunk.failures[index])
            elif index in chunk.objects:
                yield index, chunk.objects[index]
            elif index not in chunk.missing:
                yield index, next(encoded)

    def encoded(self, batch: int) -> Iterator[tuple[int, Any]]:
        """Index and bytes (or what needs none) of the elements of one batch that have a result."""
        chunk = self._chunks[batch]
        raws = iter(_RAWS.decode(self._bytes(batch, chunk)))
        for index in range(chunk.first, chunk.first + chunk.size):
            if index in chunk.objects:
                yield index, chunk.objects[index]
            elif index not in chunk.failures and index not in chunk.missing:
                yield index, bytes(next(raws))

    def _bytes(self, batch: int, chunk: Chunk) -> bytes:
        if chunk.data is not None:
            return chunk.data
        return os.pread(self._file.fileno(), self._lengths[batch], chunk.offset)

    def results(self) -> Results[Any]:
        """What the map left."""
        chunks = self._chunks.values()
        return _Read(self, sum(chunk.succeeded for chunk in chunks), sum(len(chunk.failures) for chunk in chunks))

    def batches(self) -> list[int]:
        """The batches that settled, in order."""
        return sorted(self._chunks)


class _Read(Results[T_co]):
    """Reads the chunks."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: Chunks, succeeded: int, failed: int) -> None:
        super().__init__(succeeded, failed)
        self._chunks = chunks

    async def read(self, start: int = 0) -> AsyncIterator[tuple[int, T_co | ElementFailure]]:
        for batch in self._chunks.batches():
            chunk = self._chunks[batch]
            if chunk.first + chunk.size > start:
                for index, value in self._chunks.values(batch):
                    if index >= start:
                        yield index, value
