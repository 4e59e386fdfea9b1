"""What is wrong with a command line, told so that it can be mended: a code, what, where, the nearest name, the known set, one fix.

A `Problem` ends the command with exit code 2 before anything began. Failures of a run are not problems: see `card.py`.
"""

from __future__ import annotations

import sys
from typing import IO, Any

import click

from reactor.cli.text import clean, listed, nearest

USAGE = 2


class Problem(click.ClickException):
    """The command line, the author's file or the inputs cannot be used as they are.

    `details` are lines below the first; every line must already be safe to print (`clean`).
    """

    exit_code = USAGE

    def __init__(self, message: str, *details: str, code: str) -> None:
        super().__init__(message)
        self.code = code
        self.details = details

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it to stderr as the library's errors are printed: `[code] what`, then the details, indented."""
        out = file or sys.stderr
        lines = [f"[{self.code}] {self.message}", *(f"  {line}".rstrip() for line in self.details)]
        encoding = getattr(out, "encoding", None) or "utf-8"
        out.write("\n".join(lines).encode(encoding, "backslashreplace").decode(encoding) + "\n")


def teach(word: str, known: list[str], what: str = "known") -> list[str]:
    """The lines that name the nearest known word and the known set; none where nothing is known."""
    meant = nearest(word, known)
    lines = [f"did you mean `{clean(meant, 80)}`?"] if meant else []
    return [*lines, f"{what}: {listed(known)}"] if known else lines
