"""Retry: arithmetic on tenacity's strategies, and no loop of theirs."""

import sys
from datetime import timedelta

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from reactor.define.outcomes import Fail
from reactor.define.retrying import Retry


def waits(retry, exception=None, upto=6, **kwargs):
    """The wait after each attempt."""
    return [retry.next_wait(attempt, exception or OSError(), **kwargs) for attempt in range(1, upto + 1)]


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [("exponential", [1, 2, 4, 8, 10, None]), ("linear", [1, 2, 3, 4, 5, None]), ("fixed", [1, 1, 1, 1, 1, None])],
)
def test_backoffs(backoff, expected):
    """Each backoff's waits in seconds, `max_wait` at most, and None when attempts are used up; the first call counts."""
    assert waits(Retry(6, backoff=backoff, max_wait=10, jitter=False)) == expected


def test_base_scales_and_takes_timedeltas():
    """`base` and `max_wait` are seconds or timedeltas."""
    retry = Retry(5, base=timedelta(milliseconds=500), max_wait=timedelta(seconds=3), jitter=False)
    assert waits(retry) == [0.5, 1.0, 2.0, 3.0, None, None]
    assert waits(Retry(3, backoff="fixed", base=5, max_wait=2, jitter=False)) == [2, 2, None, None, None, None]
    assert waits(Retry(2, base=0))[0] == 0


def test_one_attempt_never_tries_again():
    """`attempts=1` is the first call alone."""
    assert waits(Retry(1))[0] is None


@given(draw=st.floats(0, 1, exclude_max=True), attempt=st.integers(1, 20))
def test_jitter_takes_off_at_most_half(draw, attempt):
    """The draw moves the wait between its half and its whole; with no draw it is whole."""
    retry = Retry(99, max_wait=60)
    whole = retry.next_wait(attempt, OSError())
    assert whole is not None
    drawn = retry.next_wait(attempt, OSError(), jitter_draw=draw)
    assert drawn is not None
    assert whole / 2 <= drawn <= whole
    assert drawn == retry.next_wait(attempt, OSError(), jitter_draw=draw)


def test_on_decides_by_class():
    """A class that is not listed fails at once; subclasses are."""
    retry = Retry(3, on=(ConnectionError, TimeoutError), jitter=False)
    assert retry.next_wait(1, ConnectionResetError()) == 1
    assert retry.next_wait(1, KeyError()) is None
    assert Retry(3).next_wait(1, KeyboardInterrupt()) is None


def test_on_looks_into_groups():
    """A task group's failure is tried again for the sake of what is in it, at any depth."""
    retry = Retry(3, on=ConnectionError, jitter=False)
    assert retry.next_wait(1, ExceptionGroup("", [ValueError(), ExceptionGroup("", [ConnectionError()])])) == 1
    assert retry.next_wait(1, ExceptionGroup("", [ValueError()])) is None
    assert retry.next_wait(1, BaseExceptionGroup("", [ConnectionError(), KeyboardInterrupt()])) == 1


def test_fail_says_whether_to_try_again():
    """`Fail` is the author's own word: it wins over `on` and `when`, in groups too, but never over the attempts."""
    retry = Retry(3, on=ConnectionError, when=lambda _: False, jitter=False)
    assert Retry(3).next_wait(1, Fail("no")) is None
    assert retry.next_wait(1, Fail("busy", retryable=True)) == 1
    assert retry.next_wait(3, Fail("busy", retryable=True)) is None
    assert Retry(3).next_wait(1, ExceptionGroup("", [OSError(), Fail("no")])) is None
    assert Retry(3).next_wait(1, ExceptionGroup("", [Fail("no"), Fail("busy", retryable=True)])) is None


def test_tenacity_s_strategies_serve():
    """`wait`, `stop` and `when` are tenacity's own, combined as they are there; elapsed seconds come from the runner."""
    retry = Retry(
        wait=tenacity.wait_chain(tenacity.wait_fixed(3), tenacity.wait_fixed(7)),
        stop=tenacity.stop_after_delay(30) | tenacity.stop_after_attempt(9),
        when=tenacity.retry_if_exception_message(match="busy"),
    )
    assert waits(retry, OSError("busy"), jitter_draw=0.9) == [3, 7, 7, 7, 7, 7]
    assert retry.next_wait(2, OSError("busy"), elapsed_seconds=31) is None
    assert retry.next_wait(9, OSError("busy")) is None
    assert retry.next_wait(1, OSError("gone")) is None


def test_stop_before_delay_sees_the_coming_wait():
    """A stop that looks ahead is told the wait that would follow."""
    retry = Retry(stop=tenacity.stop_before_delay(10), wait=tenacity.wait_fixed(4))
    assert retry.next_wait(1, OSError(), elapsed_seconds=5.9) == 4
    assert retry.next_wait(1, OSError(), elapsed_seconds=6.1) is None


def test_a_plain_function_serves_as_a_strategy():
    """What a strategy is given is tenacity's RetryCallState."""
    retry = Retry(wait=lambda state: state.attempt_number * 10.0)
    assert waits(retry, upto=2) == [10, 20]


def test_asking_leaves_no_trace():
    """A policy is shared by all runs: the same question always has the same answer, and the exception is not kept."""
    retry, exception = Retry(3, jitter=False), OSError()
    before = sys.getrefcount(exception)
    assert waits(retry, exception, upto=3) == waits(retry, exception, upto=3) == [1, 2, None]
    assert sys.getrefcount(exception) == before


REFUSED = {
    "no attempts": ("bad-attempts", "it counts the first call", lambda: Retry(0)),
    "attempts of the wrong type": ("bad-attempts", "whole number", lambda: Retry("3")),
    "attempts that are a bool": ("bad-attempts", "whole number", lambda: Retry(True)),
    "a negative base": ("not-seconds", "from 0", lambda: Retry(base=-1)),
    "an infinite wait": ("not-seconds", "seconds", lambda: Retry(max_wait=float("inf"))),
    "on that is no exception": ("bad-on", "exception class", lambda: Retry(on="OSError")),
    "on that is empty": ("bad-on", "exception class", lambda: Retry(on=())),
    "a strategy's class": ("not-a-strategy", "wait_fixed(…)", lambda: Retry(wait=tenacity.wait_fixed)),
    "a strategy that is a number": ("not-a-strategy", "plain function", lambda: Retry(wait=3)),
    "both attempts and stop": ("attempts-and-stop", "stop_after_attempt(5)", lambda: Retry(5, stop=tenacity.stop_after_delay(1))),
    "an async strategy": ("async-strategy", "plain function", lambda: Retry(when=tenacity.asyncio.retry_if_exception(lambda _: True))),
    "an async function": ("async-strategy", "plain function", lambda: Retry(wait=pause)),
}


async def pause(_state):
    """Wait how long."""
    return 1.0


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_options_are_refused(refuses, case):
    """Each says which option, and what to give instead, at the author's line."""
    code, fix, make = REFUSED[case]
    with refuses(code=code, line="lambda: Retry(", fix=fix):
        make()


def test_a_misspelt_backoff_gets_its_nearest(refuses):
    """The known set and the nearest of it."""
    with refuses(code="bad-backoff", line="Retry(backoff", fix="tenacity", nearest="exponential", known="linear"):
        Retry(backoff="exponentiel")


def test_an_async_predicate_that_hides_is_found_when_asked(refuses):
    """An async function inside one of tenacity's plain predicates shows only by what it returns."""

    async def matches(_exception):
        return True

    with refuses(code="async-strategy", line="next_wait", fix="nothing is awaited"):
        Retry(when=tenacity.retry_if_exception(matches)).next_wait(1, OSError())


def test_equality_and_repr():
    """Two that say the same are equal; the text is what was said."""
    assert Retry(4) == Retry(4)
    assert Retry(4) != Retry(5)
    assert hash(Retry(4)) == hash(Retry(4))
    assert repr(Retry(4, on=(OSError, KeyError))) == "Retry(4, backoff='exponential', base=1, max_wait=60, on=(OSError, KeyError))"
