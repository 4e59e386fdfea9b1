"""The store contract, for whoever writes a store: it asks whether the law of `reactor.record.store` is kept.

    import pytest
    from reactor.testing.contract import Provider, checks


    @pytest.mark.anyio
    @pytest.mark.parametrize("check", checks({"days"}), ids=str)
    async def test_contract(check, tmp_path):
        provider = Provider(name="mine", open_store=…, advance=…, close=…)
        try:
            await check(provider)
        finally:
            await provider.close()

Each check gets a store that is empty, opens handles on it as processes would, and raises `Broken` where an answer is not the law's.
Its `law` says what must hold. This room refuses to know which store is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.testing import (
    contract_carrying,
    contract_claiming,
    contract_creating,
    contract_finding,
    contract_house,
    contract_mail,
    contract_owning,
    contract_registry,
    contract_settling,
    contract_surviving,
    contract_writing,
)
from reactor.testing.contract_ground import Broken, Check, Ground, Offer, Provider, chosen

if TYPE_CHECKING:
    from collections.abc import Iterable

PARTS = (
    contract_creating.laws,
    contract_writing.laws,
    contract_carrying.laws,
    contract_claiming.laws,
    contract_owning.laws,
    contract_mail.laws,
    contract_settling.laws,
    contract_registry.laws,
    contract_finding.laws,
    contract_house.laws,
    contract_surviving.laws,
)


def checks(offers: Iterable[Offer] = ()) -> list[Check]:
    """All checks that a store which offers this is asked (see `Provider`).

    >>> any(check.name == "one_of_a_hundred_creates_a_run" for check in checks())
    True
    """
    return chosen(PARTS, offers)


__all__ = ["Broken", "Check", "Ground", "Offer", "Provider", "checks"]
