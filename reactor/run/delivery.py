"""What became of a signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from reactor.errors import Incompatible


@dataclass(frozen=True, slots=True)
class Delivery:
    """Taken by a run, kept for one that is not there yet, or known already; `run_id` where one has it.

    >>> Delivery("accepted", "checkout:o-1").status
    'accepted'
    """

    status: Literal["accepted", "early", "duplicate"]
    run_id: str | None


class Remembered(msgspec.Struct, array_like=True, frozen=True):
    """What is remembered of a delivery id; `by` tells who brought it."""

    status: str
    run_id: str | None
    by: str


_REMEMBERED = msgspec.msgpack.Decoder(Remembered)


def remembered_of(data: bytes, delivery_id: str | None) -> Remembered:
    """What is remembered, read. Raises Incompatible for what no release of ours wrote."""
    try:
        return _REMEMBERED.decode(data)
    except msgspec.MsgspecError as error:
        said = f"what became of the delivery {delivery_id!r:.80} cannot be read: {error}"
        raise Incompatible(said, code="unreadable-signal", fix="send it under another `delivery_id`") from error
