"""Ids: a uuid7 where the author gives none, and what an id may look like."""

from __future__ import annotations

import os
import re
import time
import uuid

ID = re.compile(r"[A-Za-z0-9_.:@-]{1,200}")


def new_id() -> str:
    """A uuid7: ids sort by the time they were drawn."""
    milliseconds = time.time_ns() // 1_000_000
    bits = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    bits = (bits & ~(0xF << 76)) | (0x7 << 76)  # the version
    bits = (bits & ~(0x3 << 62)) | (0x2 << 62)  # the variant
    return str(uuid.UUID(int=bits))
