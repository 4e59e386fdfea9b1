"""A value ↔ bytes, by its declared type: what goes in comes back the same, or is refused at once.

Typed msgpack only: no class path is ever read from data. This room refuses to know where the bytes are kept.
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from reactor.define.foreign import decode_foreign, encode_foreign
from reactor.errors import ResultNotStorable

LIMIT = 1 << 20  # bytes a result may take
NOT_STORABLE = (msgspec.MsgspecError, RecursionError, OverflowError, UnicodeEncodeError, TypeError, ValueError, NotImplementedError)


class Codec:
    """Encodes and decodes the values of one declared type.

    >>> codec = Codec(list[int])
    >>> codec.decode(codec.encode([1, 2]))
    [1, 2]
    """

    __slots__ = ("_decoder", "_encoder", "_loose", "limit", "type")

    def __init__(self, declared: Any, *, limit: int = LIMIT) -> None:
        self.type = declared
        self.limit = limit
        self._loose = says_nothing(declared)
        self._encoder = msgspec.msgpack.Encoder(enc_hook=encode_foreign)
        self._decoder = msgspec.msgpack.Decoder(Any if declared is None else declared, dec_hook=decode_foreign)

    def encode(self, value: Any) -> bytes:
        """The bytes of a value. Raises ResultNotStorable where it has none, or more than `limit`."""
        try:
            data = self._encoder.encode(value)
        except NOT_STORABLE as error:
            raise self._refusal(value, str(error)) from error
        if len(data) > self.limit:
            said = f"it takes {len(data):,} bytes and at most {self.limit:,} are kept"
            raise self._refusal(value, said, "store it elsewhere and return its key")
        return data

    def decode(self, data: bytes) -> Any:
        """The value of the bytes. Raises ResultNotStorable where they do not fit the type."""
        try:
            return self._decoder.decode(data)
        except NOT_STORABLE as error:
            raise self._refusal(data, str(error)) from error

    def checked(self, value: Any) -> bytes:
        """The bytes of a value that is known to come back as the declared type."""
        data = self.encode(value)
        self._come_back(value, data)
        return data

    def round_trip(self, value: Any) -> Any:
        """The value as it comes back."""
        return self._come_back(value, self.encode(value))

    def _come_back(self, value: Any, data: bytes) -> Any:
        try:
            again = self._decoder.decode(data)
        except NOT_STORABLE as error:
            raise self._refusal(value, str(error)) from error
        if self._loose and again != value:  # where the type says nothing, a tuple would come back as a list, a date as text
            raise self._refusal(value, f"it would come back as {again!r:.100}", "annotate the type that it has")
        return again

    def _refusal(self, value: Any, why: str, fix: str = "") -> ResultNotStorable:
        declared = getattr(self.type, "__name__", None) or repr(self.type)
        return ResultNotStorable(
            f"a value of type {type(value).__name__} does not survive as {declared}: {why}",
            code="result-not-storable",
            fix=fix or f"return what the annotation says ({declared}), made of plain data: Structs, lists, dicts, numbers, text",
        )


def says_nothing(declared: Any) -> bool:
    """Whether a type leaves open, somewhere, what a value is."""
    return declared is None or declared in (Any, object) or any(says_nothing(part) for part in get_args(declared) if part is not None)
