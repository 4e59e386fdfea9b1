"""Failures that no exception stands behind."""

from __future__ import annotations

from typing import Final

from reactor.define.failing import Failure, lineage_of
from reactor.errors import DeadlineExceeded, StepCancelled

CUT_OFF: Final = Failure(
    StepCancelled.__name__,
    "it was stopped before it was done, because the run around it is rolling back",
    lineage_of(StepCancelled),
    code="step-cancelled",
)
DEADLINE: Final = Failure(
    DeadlineExceeded.__name__, "the run's deadline has gone by", lineage_of(DeadlineExceeded), code="deadline-exceeded"
)
