"""Sketches with types: what each kind of node returns, and what goes with it."""

from collections.abc import Awaitable
from functools import wraps
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest

from reactor.define.decorators import compose, interrupt, map_over, source, step
from reactor.define.reactor import Reactor, definition_of
from reactor.define.results import Results
from reactor.define.retrying import Retry
from reactor.define.steps import Ask


class Card(msgspec.Struct):
    number: str


class Wire(msgspec.Struct):
    iban: str


class Order(msgspec.Struct):
    paid: list["Card | Wire"]


class TaggedCard(msgspec.Struct, tag="card"):
    number: str


class TaggedWire(msgspec.Struct, tag="wire"):
    iban: str


class Model(pydantic.BaseModel):
    n: int


class Own:
    pass


class Typed(TypedDict):
    n: int


class Child(Reactor):
    @step
    async def output(self) -> int: ...


class MappingChild(Reactor):
    @map_over([1])
    async def output(self, n: int) -> str: ...


class OptionalChild(Reactor):
    @step
    async def flag(self) -> bool: ...

    @step(when=flag)
    async def output(self) -> int: ...


def node_returning(annotation, decorate=step):
    """The definition of a node with this return annotation."""

    async def output(self) -> annotation: ...

    return definition_of(type("Made", (Reactor,), {"output": decorate(output)})).nodes["output"]


@pytest.mark.parametrize("decorate", [map_over([1]), interrupt, compose], ids=["map", "interrupt", "compose"])
def test_a_return_annotation_is_required(refuses, decorate):
    """Of every kind: it is the node's type."""
    with refuses(code="no-return-annotation", line="async def output", fix="-> "):

        class Wrong(Reactor):
            @decorate
            async def output(self, n=1): ...


def test_a_step_without_annotation_is_told_of_none(refuses):
    """A step that returns nothing says so."""
    with refuses(code="no-return-annotation", line="async def output", fix="`-> None` if nothing"):

        class Wrong(Reactor):
            @step
            async def output(self): ...


def test_an_element_needs_a_type(refuses):
    """It is decoded to it."""
    with refuses(code="element-untyped", line="n,", fix="n: T"):

        class Wrong(Reactor):
            @map_over([1])
            async def output(
                self,
                n,
            ) -> int: ...


def test_a_plain_def_is_no_coroutine():
    """Where it runs follows from that; a wrapper of an async function is awaited."""

    def logged(fn):
        @wraps(fn)
        def wrapper(*args, **kwargs):
            return fn(*args, **kwargs)

        return wrapper

    class Made(Reactor):
        @step
        def plain(self) -> int: ...

        @step
        def promised(self) -> Awaitable[int]: ...

        @step
        @logged
        async def wrapped(self) -> int: ...

        @step
        async def output(self) -> int: ...

    nodes = definition_of(Made).nodes
    assert {name: (node.is_async, node.returns) for name, node in nodes.items()} == {
        "plain": (False, int),
        "promised": (True, int),
        "wrapped": (True, int),
        "output": (True, int),
    }


def test_what_a_compose_gives():
    """The child's output: of a map its Results, of an optional step None too; of several children it is asked later."""
    assert node_returning(Child, compose).returns is int
    assert node_returning(MappingChild, compose).returns == Results[str]
    assert node_returning(OptionalChild, compose).returns == int | None
    both = node_returning(Child | MappingChild, compose)
    assert (both.children, both.returns) == ((Child, MappingChild), None)


@pytest.mark.parametrize("annotation", [int, Reactor, Child | int, Any, Child | None], ids=range(5))
def test_a_compose_returns_reactors(refuses, annotation):
    """Each named: the graph shows every branch."""
    with refuses(code="compose-return", line="async def output", fix="-> CardPayment | WirePayment"):
        node_returning(annotation, compose)


def test_a_map_over_reactors_knows_its_children():
    """And what one gives; a mixture of reactors and values is refused."""

    class Made(Reactor):
        @map_over([1])
        async def output(self, n: int) -> Child: ...

    node = definition_of(Made).nodes["output"]
    assert (node.kind, node.children, node.returns) == ("map", (Child,), int)


def test_a_map_mixes_no_reactors_and_values(refuses):
    """An element is one or the other."""
    with refuses(code="compose-return", line="async def output", fix="each reactor class"):

        class Wrong(Reactor):
            @map_over([1])
            async def output(self, n: int) -> Child | int: ...


def test_a_step_returns_neither_reactor_nor_ask(refuses):
    """The decorator for it is named."""
    with refuses(code="step-returns-reactor", line="async def output", fix="@compose"):
        node_returning(Child)
    with refuses(code="step-returns-ask", line="async def output", fix="@interrupt"):
        node_returning(Ask[int])


@pytest.mark.parametrize("annotation", [int, Ask, None], ids=range(3))
def test_an_interrupt_returns_an_ask(refuses, annotation):
    """Of a payload's type."""
    with refuses(code="interrupt-return", line="async def output", fix="Ask[T]"):
        node_returning(annotation, interrupt)


def test_an_interrupt_s_type_is_its_payload_s():
    """With the time to answer, and how many may be wrong."""
    node = node_returning(Ask[Card], interrupt(timeout=5, attempts=3))
    assert (node.kind, node.returns, node.timeout, node.attempts, node.retry) == ("interrupt", Card, 5.0, 3, None)


def test_a_source_returns_an_iterator(refuses):
    """Its element's type is the iterator's."""
    with refuses(code="source-return", line="async def rows", fix="AsyncIterator[E]", what="`list[int]`"):

        class Wrong(Reactor):
            @source
            async def rows(self) -> list[int]:
                yield 1

            @map_over(rows)
            async def output(self, n: int) -> int: ...


def test_a_reactor_s_retry_is_the_default_of_its_steps():
    """Of steps alone: a map's elements, a compose and an interrupt have none unless they say so. It is inherited."""

    class Base(Reactor, retry=Retry(4), abstract=True):
        @step
        async def a(self) -> int: ...

        @step(retry=Retry(1))
        async def b(self) -> int: ...

        @map_over([1])
        async def c(self, n: int) -> int: ...

    class Sub(Base):
        @step
        async def output(self) -> int: ...

    retries = {name: node.retry for name, node in definition_of(Sub).nodes.items()}
    assert retries == {"a": Retry(4), "b": Retry(1), "c": None, "output": Retry(4)}
