"""A value ↔ bytes, by its declared type: what goes in comes back the same, or is refused at once.

Typed msgpack only: no class path is ever read from data. This room refuses to know where the bytes are kept.
"""

from __future__ import annotations

from typing import Any

import msgspec

from reactor.define.foreign import decode_foreign, encode_foreign
from reactor.define.kinds import name_of
from reactor.errors import ResultNotStorable

LIMIT = 1 << 20  # bytes a result may take


class Codec:
    """Encodes and decodes the values of one declared type.

    >>> codec = Codec(list[int])
    >>> codec.decode(codec.encode([1, 2]))
    [1, 2]
    """

    __slots__ = ("_decoder", "_encoder", "limit", "type")

    def __init__(self, declared: Any, *, limit: int = LIMIT) -> None:
        self.type = declared
        self.limit = limit
        self._encoder = msgspec.msgpack.Encoder(enc_hook=encode_foreign)
        self._decoder = msgspec.msgpack.Decoder(Any if declared is None else declared, dec_hook=decode_foreign)

    def encode(self, value: Any) -> bytes:
        """The bytes of a value. Raises ResultNotStorable where it has none, or more than `limit`."""
        try:
            data = self._encoder.encode(value)
        except Exception as error:  # an author's `__eq__`, validator or hook may raise anything
            raise self._refusal(value, str(error)) from error
        if len(data) > self.limit:
            said = f"it takes {len(data):,} bytes and at most {self.limit:,} are kept"
            raise self._refusal(value, said, "store it elsewhere and return its key")
        return data

    def decode(self, data: bytes) -> Any:
        """The value of the bytes. Raises ResultNotStorable where they do not fit the type."""
        try:
            return self._decoder.decode(data)
        except Exception as error:  # an author's `__eq__`, validator or hook may raise anything
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
        except Exception as error:  # an author's `__eq__`, validator or hook may raise anything
            raise self._refusal(value, str(error)) from error
        if not self._is_same(again, value):  # where the type leaves it open, a tuple would come back as a list, a date as text
            raise self._refusal(value, f"it would come back as {again!r:.100}", "annotate the type that it has")
        return again

    def _is_same(self, again: Any, value: Any) -> bool:
        try:
            return same(again, value)
        except Exception as error:  # as above
            raise self._refusal(value, f"it cannot be compared: {type(error).__name__}: {error}") from error

    def _refusal(self, value: Any, why: str, fix: str = "") -> ResultNotStorable:
        declared = name_of(self.type)
        return ResultNotStorable(
            f"a value of type {type(value).__name__} does not survive as {declared}: {why}",
            code="result-not-storable",
            fix=fix or f"return what the annotation says ({declared}), made of plain data: Structs, lists, dicts, numbers, text",
        )


def same(again: Any, value: Any) -> bool:
    """Whether a value came back as it was. NaN is itself, and objects that compare by identity are taken at their type's word."""
    if again == value:
        return True
    if isinstance(value, float):
        return value != value and again != again  # noqa: PLR0124  # NaN
    if type(again) is not type(value):
        return False
    if getattr(type(value), "__eq__", None) is object.__eq__:
        return True
    if isinstance(value, dict):
        return again.keys() == value.keys() and all(same(again[key], value[key]) for key in value)
    if isinstance(value, list | tuple):
        return len(again) == len(value) and all(map(same, again, value))
    names = _fields_of(type(value))
    return bool(names) and all(same(getattr(again, name), getattr(value, name)) for name in names)


def _fields_of(record: type[Any]) -> tuple[str, ...]:
    """The fields of a Struct, dataclass, attrs class or pydantic model."""
    for mark in ("__struct_fields__", "__dataclass_fields__", "__pydantic_fields__"):
        if hasattr(record, mark):
            return tuple(getattr(record, mark))
    return tuple(field.name for field in getattr(record, "__attrs_attrs__", ()))
