"""What steers a run and what it ends as: plain values that match, compare and print as users expect."""

from datetime import timedelta

import pytest

from reactor.define.failing import Failure, StepError
from reactor.define.outcomes import (
    Cancelled,
    Continue,
    Fail,
    Failed,
    Halt,
    Halted,
    Parked,
    RollbackFailure,
    Skip,
    Succeeded,
    TryAgain,
    Undone,
    Waiting,
)

ERROR = StepError(Failure("CardDeclined", "no funds"))


def test_skip_and_halt_pass_author_s_except_exception():
    """An author's `except Exception` swallows a Fail, never a Skip or a Halt."""
    assert not issubclass(Skip, Exception)
    assert not issubclass(Halt, Exception)
    assert issubclass(Fail, Exception)


@pytest.mark.parametrize("value", [None, 0, "", False, [], "v"])
def test_falsy_values_are_values(value):
    """Skip and Continue carry whatever they are given."""
    assert Skip(value).value == value
    assert Continue(value) == Continue(value=value)


def test_what_is_raised_says_why():
    """The reason is the text, and an attribute."""
    assert (str(Halt("enough")), Halt("enough").reason) == ("enough", "enough")
    assert (str(Fail("no")), Fail("no").retryable, Fail("no", retryable=True).retryable) == ("no", False, True)


def test_try_again_takes_seconds_or_a_timedelta(refuses):
    """The delay is in seconds, from 0."""
    assert TryAgain() == TryAgain(0)
    assert TryAgain(timedelta(minutes=1)).after == 60.0
    with refuses(code="not-seconds", line="TryAgain(-1)", fix="seconds from 0"):
        TryAgain(-1)


def test_outcomes_match_by_place():
    """`case Succeeded(value)` and its like, as in the face."""
    outcomes = [
        Succeeded(1, "r:1"),
        Failed(ERROR, "pay", "r:1"),
        Parked((Waiting("approval", "o-1", 5.0),), "r:1"),
        Halted("enough", "r:1"),
        Cancelled("stop", "r:1"),
        Undone("r:1"),
    ]
    seen = []
    for outcome in outcomes:
        match outcome:
            case Succeeded(value):
                seen.append(value)
            case Failed(error, step):
                seen.append((error.kind, step))
            case Parked(waiting):
                seen.append([w.step for w in waiting])
            case Halted(reason) | Cancelled(reason):
                seen.append(reason)
            case Undone():
                seen.append("undone")
    assert seen == [1, ("CardDeclined", "pay"), ["approval"], "enough", "stop", "undone"]


def test_outcomes_compare_and_print_by_value():
    """Two of the same are equal; text names the fields."""
    assert Succeeded(1, "r:1") == Succeeded(1, "r:1")
    assert Succeeded(1, "r:1") != Succeeded(2, "r:1")
    assert repr(Succeeded(1, "r:1")) == "Succeeded(value=1, run_id='r:1')"
    stuck = Failed(ERROR, "pay", "r:1", (RollbackFailure("reserve", "undo", ERROR),))
    assert stuck.rollback_failures[0].kind == "undo"
    assert "rollback_failures=(RollbackFailure(step='reserve'" in repr(stuck)


def test_outcomes_never_change():
    """What a run ended as is a fact."""
    with pytest.raises(AttributeError):
        Succeeded(1, "r:1").value = 2
