"""The outside world: a file that only grows, one line for whatever touched it, by whichever process. It outlives everybody.

A line is written by one system call on a file that was opened to append, so lines of several processes never mix, and what a process
wrote is there when it is killed.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """`what` happened: a call's begin, end, fail or cut; a fact recorded; a client's ack; a claim; a kill; a refusal."""

    what: str
    key: str = ""  # of a call its idempotency key; of a fact the same, without the counts
    said: str = ""  # what the call does to the world
    attempt: int = 0
    fence: int = 0
    pid: int
    at: float  # the machine's monotonic clock, in seconds


class Ledger:
    """Writes and reads it."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    def write(self, what: str, key: str = "", **more) -> None:
        """One line."""
        line = Line(what=what, key=key, pid=os.getpid(), at=time.monotonic(), **more)
        os.write(self._file, msgspec.json.encode(line) + b"\n")

    def lines(self) -> list[Line]:
        """All of them, in the order in which they were written."""
        whole, _, _ = Path(self.path).read_bytes().rpartition(b"\n")  # one may be under way
        return [msgspec.json.decode(line, type=Line) for line in whole.splitlines()]

    def has(self, what: str, key: str = "") -> bool:
        """Whether there is such a line; `key` is the end of its key."""
        return any(line.what == what and line.key.endswith(key) for line in self.lines())

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
