"""Failures that no exception stands behind read like those of one that was raised."""

import pytest

from reactor import DeadlineExceeded, StepCancelled
from reactor.define.failing import StepError
from reactor.machine.constants import CUT_OFF, DEADLINE


@pytest.mark.parametrize(("failure", "error"), [(CUT_OFF, StepCancelled), (DEADLINE, DeadlineExceeded)], ids=["cut off", "deadline"])
def test_a_made_failure_is_told_by_its_kind(failure, error):
    """`compensate` asks `is_a` of it as of any other; it has the code that the error index knows, and says why."""
    assert StepError(failure).is_a(error)
    assert failure.kind == error.__name__
    assert failure.code == error.code
    assert failure.message


def test_a_deadline_is_a_timeout():
    """Who handles TimeoutError handles the run's deadline too."""
    assert StepError(DEADLINE).is_a(TimeoutError)
    assert not StepError(CUT_OFF).is_a(TimeoutError)
