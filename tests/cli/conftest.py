"""The real command in a process of its own, on small files that the tests write."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.stores.redis_server import shared

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "reactor.cli"]
ON_A_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"  # ^C is SIGINT
KEYS = "q6urq6urq6urq6urq6urqw=="  # what seals secret inputs
PATIENCE = 30.0  # seconds until a test says what it saw instead

Finished = subprocess.CompletedProcess[str]


class Folder:
    """A working directory with an author's files, and the command run in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
        self.env |= {"REACTOR_KEYS": KEYS}

    def write(self, name: str, text: str) -> Path:
        """An author's file; the text may be indented."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return file

    def reactor(self, *args: str, stdin: str = "", **env: str) -> Finished:
        """Run it to its end."""
        return subprocess.run(
            [*COMMAND, *args], cwd=self.path, env={**self.env, **env}, input=stdin, capture_output=True, text=True, encoding="utf-8",
            check=False, timeout=PATIENCE,
        )  # fmt: skip

    def begin(self, *args: str, **env: str) -> subprocess.Popen[str]:
        """Start it, to be sent signals."""
        return subprocess.Popen(
            [*COMMAND, *args], cwd=self.path, env={**self.env, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            encoding="utf-8",
        )  # fmt: skip


class Terminal:
    """The command on a terminal of its own: what it drew so far, and keys for it."""

    def __init__(self, folder: Folder, *args: str, rows: int = 30, columns: int = 120, **env: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        own = {
            name: value for name, value in folder.env.items() if name not in {"LINES", "COLUMNS"}
        }  # what runs the tests may say another size
        every = {**own, "TERM": "xterm-256color", **env}
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, *COMMAND, *args], cwd=folder.path, env=every, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.raw = ""

    @property
    def text(self) -> str:
        """What was drawn, without the terminal's own sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw)

    def _read(self, wait: float) -> bool:
        if not select.select([self._master], [], [], wait)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self.raw += data.decode("utf-8", "replace")
        return bool(data)

    def expect(self, text: str, *, after: int = 0) -> int:
        """Read until the text was drawn; the place behind it."""
        end = time.monotonic() + PATIENCE
        while text not in self.text[after:]:
            assert time.monotonic() < end, f"never saw {text!r} in:\n{self.text}"
            if not self._read(0.1):
                break
        assert text in self.text[after:], f"ended without {text!r}:\n{self.text}"
        return self.text.index(text, after) + len(text)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def code(self) -> int:
        """Read to the end; the exit code."""
        end = time.monotonic() + PATIENCE
        while self._read(0.1):
            assert time.monotonic() < end, f"never ended:\n{self.text}"
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End what is still there."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._master)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty working directory."""
    return Folder(tmp_path)


@pytest.fixture(scope="session")
def server() -> Callable[[str], str]:
    """The URL of a namespace of its own on a real server."""
    address = shared().address
    return lambda name: f"{address}?namespace={name[-60:]}"


@pytest.fixture
def terminal(folder: Folder) -> Iterator[Callable[..., Terminal]]:
    """Starts the command on a terminal."""
    opened: list[Terminal] = []

    def begin(*args: str, **how: object) -> Terminal:
        opened.append(Terminal(folder, *args, **how))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()
