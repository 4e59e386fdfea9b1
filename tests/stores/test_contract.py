"""Every store keeps the law."""

import pytest

pytestmark = pytest.mark.anyio


async def test_contract(module, check, tmp_path):
    """What the check's own docstring says."""
    provider = await module.provider(tmp_path)
    try:
        await check(provider)
    finally:
        await provider.close()
