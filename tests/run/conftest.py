"""Everything here runs in virtual time: what waits for an hour takes none."""

from typing import Any

import pytest

from reactor.testing import virtual_backend


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Asyncio on a loop whose clock jumps."""
    return virtual_backend()
