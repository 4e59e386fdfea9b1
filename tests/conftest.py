"""What every test shares: the loop, and how hard Hypothesis looks."""

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None, print_blob=True)  # a busy machine is no failure
settings.load_profile("house")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The engine is asyncio's: arq and redis-py are, too."""
    return "asyncio"
