"""Options: each kind of node takes its own, and says so of any other."""

from datetime import timedelta

import pytest

from reactor.define.options import TAKES, read_options
from reactor.define.retrying import Retry


def test_the_table_is_the_design_s():
    """What each node takes, word for word."""
    assert {word: set(takes) for word, takes in TAKES.items()} == {
        "step": {"when", "after", "retry", "timeout", "offload"},
        "map_over": {"batch_size", "in_flight", "offload", "on_error", "after", "retry", "timeout"},
        "compose": {"when", "after"},
        "interrupt": {"timeout", "attempts", "after"},
        "source": {"key"},
        "undo": {"retry", "timeout"},
        "compensate": {"retry", "timeout"},
    }


@pytest.mark.parametrize("word", TAKES)
@pytest.mark.parametrize("option", sorted({option for takes in TAKES.values() for option in takes} | {"nonsense"}))
def test_what_is_not_taken_is_refused(refuses, word, option):
    """Any other option is named, with the ones that are taken."""
    takes = TAKES[word]
    if option in takes:
        return
    with refuses(code="option-not-taken", line="read_options", fix="", what=f"@{word} takes no `{option}`", known=takes[0]):
        read_options(word, {option: 1})


def test_a_misspelt_option_gets_its_nearest(refuses):
    """The fix is the option that was meant."""
    with refuses(code="option-not-taken", line="read_options", fix="say `timeout`", nearest="timeout", known="retry"):
        read_options("step", {"timout": 5})


@pytest.mark.parametrize(
    ("word", "option", "fix"),
    [
        ("compose", "retry", "the child's own steps"),
        ("compose", "timeout", "deadline"),
        ("compose", "offload", "the child's own steps"),
        ("map_over", "when", "give no elements"),
        ("interrupt", "when", "raise Skip"),
        ("interrupt", "offload", "holds nothing"),
    ],
)
def test_why_not_and_what_instead(refuses, word, option, fix):
    """Where a user of other tools would expect an option, the fix is the way here."""
    with refuses(code="option-not-taken", line="read_options", fix=fix):
        read_options(word, {option: 1})


def test_values_are_taken_in_seconds():
    """Durations come out in seconds; the rest as said."""
    options = read_options("step", {"timeout": timedelta(minutes=1), "retry": Retry(4), "offload": "slow"})
    assert (options.timeout, options.retry, options.offload) == (60.0, Retry(4), "slow")
    assert read_options("step", {"timeout": None, "retry": None}).timeout is None
    assert read_options("interrupt", {"attempts": None}).attempts is None


@pytest.mark.parametrize(
    ("word", "given", "code", "fix"),
    [
        ("step", {"retry": 3}, "bad-retry", "retry=Retry(3)"),
        ("step", {"retry": "often"}, "bad-retry", "Retry()"),
        ("step", {"timeout": 0}, "not-seconds", "above 0"),
        ("step", {"timeout": "5s"}, "not-seconds", "timedelta"),
        ("step", {"timeout": True}, "not-seconds", "timedelta"),
        ("step", {"offload": 3}, "bad-offload", "queue's name"),
        ("step", {"offload": ""}, "bad-offload", "queue's name"),
        ("map_over", {"batch_size": 0}, "bad-batch-size", "from 1"),
        ("map_over", {"in_flight": 2.5}, "bad-in-flight", "whole number"),
        ("map_over", {"in_flight": True}, "bad-in-flight", "whole number"),
        ("interrupt", {"attempts": 0}, "bad-attempts", "from 1"),
        ("source", {"key": "id"}, "bad-key", "lambda"),
        ("undo", {"retry": 5}, "bad-retry", "Retry(5)"),
    ],
)
def test_wrong_values_are_refused(refuses, word, given, code, fix):
    """Each option's own check, its value and its fix."""
    with refuses(code=code, line="read_options", fix=fix):
        read_options(word, given)


def test_on_error_has_two_values(refuses):
    """The nearest of them is offered."""
    with refuses(code="bad-on-error", line="read_options", fix="'collect'", nearest="collect"):
        read_options("map_over", {"on_error": "colect"})
