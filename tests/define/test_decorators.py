"""Decorators: what each makes, and what it refuses at the line where it stands."""

from collections.abc import AsyncIterator

import pytest

from reactor.define.decorators import compose, interrupt, map_over, source, step
from reactor.define.reactor import Reactor
from reactor.define.sources import Ref
from reactor.define.steps import Ask, Composed, Interrupt, Map, OptionalComposed, OptionalStep, Source, Step


class Child(Reactor):
    @step
    async def output(self) -> int:
        return 1


async def flag(self) -> bool:
    """Tell."""


async def code(self) -> int:
    """Count."""


async def element(self, n: int) -> int:
    """Count one."""


async def child(self) -> Child:
    """Hand over."""


async def question(self) -> Ask[int]:
    """Ask."""


FLAG = step(flag)


@pytest.mark.parametrize(
    ("made", "noun"),
    [
        (lambda: step(code), Step),
        (lambda: step()(code), Step),
        (lambda: step(timeout=5)(code), Step),
        (lambda: step(when=FLAG)(code), OptionalStep),
        (lambda: map_over([1, 2])(element), Map),
        (lambda: compose(child), Composed),
        (lambda: compose(after=[FLAG])(child), Composed),
        (lambda: compose(when=FLAG)(child), OptionalComposed),
        (lambda: interrupt(question), Interrupt),
        (lambda: interrupt(timeout=5, attempts=3)(question), Interrupt),
    ],
    ids=["bare", "parentheses", "options", "when", "map", "compose", "compose after", "compose when", "interrupt", "interrupt options"],
)
def test_each_makes_its_noun(made, noun):
    """Bare, with parentheses and with options."""
    assert type(made()) is noun


def test_a_plain_def_is_a_step():
    """It runs in a thread; only steps may be plain."""
    assert type(step(lambda_free)) is Step


def lambda_free(self) -> int:
    """Plain."""
    return 1


@pytest.mark.parametrize("given", [3, "price", object(), int, property(lambda_free)], ids=type)
def test_what_is_no_function_is_refused(refuses, given):
    """An option by position, a class, a property: the fix shows where the decorator goes."""
    with refuses(code="not-a-function", line="step(given)", fix="above an `async def`"):
        step(given)


def test_a_lambda_is_refused(refuses):
    """A node's name is its method's; a lambda has none."""
    with refuses(code="not-a-function", line="step(lambda", fix="write a method"):
        step(lambda _self: 1)


def test_two_decorators_are_refused(refuses):
    """A node is one kind."""
    with refuses(code="decorated-twice", line="async def code", fix="keep one"):
        compose(step(code))


def plain(self, n: int) -> int:
    """Plain."""
    return n


@pytest.mark.parametrize("decorate", [map_over([1]), compose, interrupt], ids=["map", "compose", "interrupt"])
def test_all_but_steps_are_async(refuses, decorate):
    """Their code is awaited on the loop: a plain `def` would block it."""
    with refuses(code="not-async", line="def plain", fix="async def plain"):
        decorate(plain)


async def yields(self) -> AsyncIterator[int]:
    """Yield."""
    yield 1


def yields_plainly(self):
    """Yield."""
    yield 1


@pytest.mark.parametrize(("fn", "line"), [(yields, "async def yields"), (yields_plainly, "def yields_plainly")])
@pytest.mark.parametrize("decorate", [step, compose, interrupt, map_over([1])], ids=["step", "compose", "interrupt", "map"])
def test_generators_are_refused(refuses, decorate, fn, line):
    """A node returns once; what yields is a source."""
    with refuses(code="generator-node", line=line, fix="@source"):
        decorate(fn)


def test_a_source_is_an_async_generator(refuses):
    """Anything else is refused with the shape it should have."""
    assert type(source(yields)) is Source
    assert source(key=str)(yields).options.key is str
    with refuses(code="source-not-generator", line="async def code", fix="-> AsyncIterator[E]:"):
        source(code)


@pytest.mark.parametrize("given", [Ref(FLAG), True, "flag", flag], ids=type)
def test_when_is_a_node(refuses, given):
    """Not its result, nor a bool: the step itself."""
    with refuses(code="when-not-a-node", line="step(when=given)", fix="name the step itself, `when="):
        step(when=given)


@pytest.mark.parametrize("given", [FLAG, Ref(FLAG), [Ref(FLAG)], [flag], "flag", ["flag"]], ids=range(6))
def test_after_is_a_list_of_nodes(refuses, given):
    """A bare node, a reference, a name: the fix is the list."""
    with refuses(code="after-not-a-node", line="step(after=given)", fix="after=["):
        step(after=given)


def test_a_name_said_twice_in_one_body_is_refused(refuses):
    """Python would drop the first without a word."""
    with refuses(code="named-twice", line="async def price(self) -> str", fix="two different names"):

        class Twice(Reactor):
            @step
            async def price(self) -> int: ...

            @step
            async def price(self) -> str: ...  # noqa: F811 - that is the point


def test_the_same_name_outside_a_class_body_is_fine():
    """A function that builds nodes in a loop uses one name again and again."""
    made = step(code)
    made = step(code)
    assert made.name == "code"


def test_wrong_options_are_refused_where_the_decorator_stands(refuses):
    """No TypeError of Python's leaks."""
    with refuses(code="option-not-taken", line="@map_over([1], when=FLAG)", fix="give no elements"):

        class Wrong(Reactor):
            @map_over([1], when=FLAG)
            async def output(self, n: int) -> int: ...
