"""The class statement's own options: each checked, none leaks Python's TypeError."""

import pytest

from reactor.define.decorators import step
from reactor.define.reactor import Reactor, definition_of
from reactor.define.retrying import Retry


def made(**options):
    """A reactor with these options."""

    class Checkout(Reactor, **options):
        @step
        async def output(self) -> int: ...

    return definition_of(Checkout)


def test_defaults():
    """The class's name, version 1, nothing else."""
    definition = made()
    assert (definition.name, definition.version, definition.aliases) == ("Checkout", 1, ())
    assert (definition.retry, definition.max_running, definition.output) == (None, None, "output")


def test_all_of_them():
    """As said."""
    definition = made(name="check-out.v2", version=3, aliases=["old", "older"], retry=Retry(4), max_running=5)
    assert (definition.name, definition.version, definition.aliases) == ("check-out.v2", 3, ("old", "older"))
    assert (definition.retry, definition.max_running) == (Retry(4), 5)


def test_what_is_inherited():
    """Retry and max_running; name, version and aliases are each class's own."""

    class Base(Reactor, name="base", version=7, aliases=["old"], retry=Retry(4), max_running=5, abstract=True):
        pass

    class Sub(Base):
        @step
        async def output(self) -> int: ...

    definition = definition_of(Sub)
    assert (definition.name, definition.version, definition.aliases) == ("Sub", 1, ())
    assert (definition.retry, definition.max_running) == (Retry(4), 5)


def test_a_misspelt_option_gets_its_nearest(refuses):
    """As the checkers refuse it too."""
    with refuses(code="option-not-taken", line="class Wrong(Reactor, verison=3)", fix="version=…", nearest="version", known="aliases"):

        class Wrong(Reactor, verison=3):
            @step
            async def output(self) -> int: ...


@pytest.mark.parametrize(
    ("options", "code", "fix"),
    [
        ({"name": "a b"}, "bad-name", "1 to 100"),
        ({"name": "a:b"}, "bad-name", "1 to 100"),
        ({"name": "a/b"}, "bad-name", "1 to 100"),
        ({"name": ""}, "bad-name", "1 to 100"),
        ({"name": "x" * 101}, "bad-name", "1 to 100"),
        ({"name": 3}, "bad-name", "1 to 100"),
        ({"version": 0}, "bad-version", "from 1"),
        ({"version": "3"}, "bad-version", "from 1"),
        ({"aliases": "old"}, "bad-aliases", "['old-name']"),
        ({"aliases": ["a b"]}, "bad-aliases", "['old-name']"),
        ({"retry": 3}, "bad-retry", "Retry(attempts)"),
        ({"max_running": 0}, "bad-max-running", "from 1"),
        ({"abstract": 1}, "bad-abstract", "True or False"),
    ],
    ids=range(13),
)
def test_values_out_of_range(refuses, options, code, fix):
    """A name is part of a run's id, a version is counted."""
    with refuses(code=code, line="class Checkout(Reactor, **options)", fix=fix):
        made(**options)


def test_a_class_name_that_cannot_be_one_needs_a_name(refuses):
    """Python allows more letters than a run's id."""
    with refuses(code="bad-name", line="class Käse(Reactor)", fix="give a `name=`"):

        class Käse(Reactor):  # noqa: PLC2401 - that is the point
            @step
            async def output(self) -> int: ...
