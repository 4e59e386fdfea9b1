"""Every scenario runs in virtual time, in each mode, against a world that was reset."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from reactor import Outcome, Reactor
from reactor.testing import virtual_backend
from tests.scenarios.world import MODES, reset, world


@pytest.fixture(params=[None, 1], ids=["in turn", "permuted"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Asyncio on a loop whose clock jumps; once with ready tasks in turn, once in another order: nothing may depend on it."""
    return virtual_backend(seed=request.param)


@pytest.fixture(autouse=True)
def _fresh_world() -> Iterator[None]:
    reset()
    yield
    assert world.still_running() == [], "a call was left running"


@pytest.fixture(params=MODES, ids=lambda mode: mode.__name__)
def mode(request: pytest.FixtureRequest) -> Callable[[Reactor], Awaitable[Outcome[Any]]]:
    """A way to run a reactor to its end; the outcome. Outcomes, results and undo order must be the same in each."""
    way: Callable[[Reactor], Awaitable[Outcome[Any]]] = request.param
    return way
