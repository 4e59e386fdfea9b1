"""Places to be killed in. `REACTOR_CRASH=all` (`nox -s crash`) kills everywhere; without it, at a few places of each kind."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.crash.figures import FIGURES
from tests.crash.running import Place
from tests.stores.redis_server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server that says yes only to what is on disk."""
    server = Server(appendonly="yes", appendfsync="always")
    yield server
    server.remove()


@pytest.fixture
def own_server() -> Iterator[Server]:
    """The same, for one test that stops or kills it."""
    server = Server(appendonly="yes", appendfsync="always")
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "redis"])
def place(request, tmp_path) -> Place:
    """A store of each kind, and a ledger beside it."""
    return Place(f"crash{next(NUMBERS)}", tmp_path, None if request.param == "sqlite" else request.getfixturevalue("server"))


def pytest_sessionfinish(session) -> None:
    """Where tests run in several processes, each tells what it measured."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = FIGURES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    """One of them is done."""
    FIGURES.extend(getattr(node, "workeroutput", {}).get("figures", ()))


def pytest_terminal_summary(terminalreporter) -> None:
    """What was measured: the figures of docs/concepts/guarantees.md."""
    if FIGURES:
        terminalreporter.section("crashes")
        for line in FIGURES:
            terminalreporter.write_line(line)
