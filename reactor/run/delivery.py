"""What became of a signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Delivery:
    """Taken by a run, kept for one that is not there yet, or known already; `run_id` where one has it.

    >>> Delivery("accepted", "checkout:o-1").status
    'accepted'
    """

    status: Literal["accepted", "early", "duplicate"]
    run_id: str | None
