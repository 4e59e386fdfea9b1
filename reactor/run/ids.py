"""Ids: a uuid7 where the author gives none."""

from __future__ import annotations

import os
import time
import uuid


def new_id() -> str:
    """A uuid7: ids sort by the time they were drawn."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    within = rest * 4096 // 1_000_000  # where in the millisecond: 12 bits, so that ids drawn within one sort too
    bits = (milliseconds << 80) | (0x7 << 76) | (within << 64) | (0x2 << 62)  # 7: the version, 2: the variant
    return str(uuid.UUID(int=bits | (int.from_bytes(os.urandom(8), "big") >> 2)))
