"""Which codec a value of a node goes through, one for each declared type."""

from __future__ import annotations

from typing import Any, Optional

from reactor.define.results import Results
from reactor.record.codec import Codec

_codecs: dict[Any, Codec] = {}


def codec_of(declared: Any, *, optional: bool = False) -> Codec:
    """The codec of a type; types that cannot be a key get one each time."""
    if optional and declared is not None:
        declared = Optional[declared]  # noqa: UP045  # a type that does not know `|` too
    try:
        found = _codecs.get(declared)
        if found is None:
            found = _codecs[declared] = Codec(declared)
    except TypeError:  # an Annotated with metadata that has no hash
        return Codec(declared)
    return found


def storable(declared: Any, value: Any, *, optional: bool = False) -> Any:
    """The bytes of an element's result. What a map left is kept as it is: it is a handle on bytes already."""
    return value if isinstance(value, Results) else codec_of(declared, optional=optional).checked(value)


def round_trip(declared: Any, value: Any, *, optional: bool = False) -> Any:
    """The value as a store would give it back."""
    return value if isinstance(value, Results) else codec_of(declared, optional=optional).round_trip(value)
