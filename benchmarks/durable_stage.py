"""A process for contestants that may not share one: DBOS is one a process, has threads of its own, and takes the loop's executor.

`python -m benchmarks.durable_stage NAME PLACES` opens a stage, says which acts it has, and plays one for each line it reads.
`Stage` is its other end. Only one stage plays at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import IO, Any, cast

from benchmarks.durable_limits import Act
from benchmarks.durable_places import Places

STAGES = {  # the module of each, whose `stage(places)` opens it
    "reactor": "benchmarks.durable_ours",
    "LangGraph": "benchmarks.peers.durable_langgraph",
    "DBOS": "benchmarks.peers.durable_dbos",
    "DBOS tuned": "benchmarks.peers.durable_dbos_tuned",
    "parked": "benchmarks.durable_parked",
}


class Stage:
    """One process and its acts, by part and contestant."""

    def __init__(self, name: str, places: Places) -> None:
        words = [sys.executable, "-m", "benchmarks.durable_stage", name, json.dumps([places.folder, places.servers])]
        self.name = name
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603  # ourselves
        self.asked, self.heard = cast("IO[str]", self.process.stdin), cast("IO[str]", self.process.stdout)
        self.acts: list[list[str]] = self._heard()

    def play(self, part: str, who: str) -> list[float]:
        """One turn of an act: what it measured. Raises RuntimeError where the process has ended: it said why on its stderr."""
        self.asked.write(json.dumps([part, who]) + "\n")
        self.asked.flush()
        measured: list[float] = self._heard()
        return measured

    def _heard(self) -> Any:
        line = self.heard.readline()
        if not line:
            raise RuntimeError(f"stage {self.name!r} has ended with {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """Let it end."""
        self.asked.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.heard.close()


@contextlib.contextmanager
def stages(names: list[str], places: Places) -> Iterator[dict[str, Stage]]:
    """All of these, open."""
    with contextlib.ExitStack() as stack:
        opened = {}
        for name in names:
            opened[name] = Stage(name, places)
            stack.callback(opened[name].close)
        yield opened


# ---- within -----------------------------------------------------------------------------------------------------


async def perform(name: str, places: Places) -> None:
    """Open the stage and play what is asked for until nobody asks any more."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what a contestant prints is no answer
    async with import_module(STAGES[name]).stage(places) as acts:
        say(answers, [list(key) for key in acts])
        gc.collect()
        gc.freeze()
        while asked := await asyncio.to_thread(sys.stdin.readline):
            say(answers, await played(acts, asked))


async def played(acts: Mapping[tuple[str, str], Act], asked: str) -> list[float]:
    """One turn, after what others left behind was collected."""
    part, who = json.loads(asked)
    gc.collect()
    return await acts[part, who]()


def say(answers: Any, what: object) -> None:
    """One line."""
    answers.write(json.dumps(what) + "\n")
    answers.flush()


if __name__ == "__main__":
    asyncio.run(perform(sys.argv[1], Places(*json.loads(sys.argv[2]))))
