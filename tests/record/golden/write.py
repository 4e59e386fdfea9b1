"""Writes what this release makes of facts and runs, for its successors to read: `python -m tests.record.golden.write`.

The set is that of the version in pyproject.toml. A set of a version that was released is never written again.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import tomllib
from pathlib import Path

from tests.record.golden import events, runs

ROOT = Path(__file__).parents[3]


def version() -> str:
    """The version that is being made."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: str = tomllib.load(file)["project"]["version"]
    return found


def main() -> None:
    """Write the set."""
    folder = events.FOLDER / version()
    folder.mkdir(exist_ok=True)
    (folder / "events.jsonl").write_text("\n".join(events.lines()) + "\n", encoding="utf-8")
    with tempfile.TemporaryDirectory() as store:
        written = asyncio.run(runs.written(Path(store)))
    (folder / "runs.jsonl").write_text("\n".join(written) + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {folder.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
