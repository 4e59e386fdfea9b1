"""Types: what a node returns, by its kind, and what cannot be stored."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Hashable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import Annotated, Any, Protocol, TypedDict, Union

import attrs
import msgspec
import pydantic
import pytest

from reactor.define.decorators import interrupt, map_over, step
from reactor.define.kinds import element_of, members, name_of
from reactor.define.reactor import Reactor, definition_of
from reactor.define.results import Results
from reactor.define.steps import Ask
from reactor.plan.compile import plan_of


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


class Runnable(Protocol):
    def run(self) -> None: ...


@dataclass
class Plain:
    n: int


@attrs.define
class Attrs:
    n: int


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


PLAIN = [None, int, Any, object, bytes, datetime, list[Card], Annotated[int, msgspec.Meta(gt=0)]]
CLASSES = [Card, Plain, Attrs, Typed, Model, Own, dict[str, Own]]
UNIONS = [Card | None, TaggedCard | TaggedWire, Model | None, Own | int, Model | Own, Card | int | str]
FINE = [*PLAIN, *CLASSES, *UNIONS]


@pytest.mark.parametrize("annotation", FINE, ids=range(len(FINE)))
def test_what_a_step_may_return(annotation):
    """Whatever might be stored, and custom classes: in one process they are handed on as they are."""
    expected = type(None) if annotation is None else annotation
    assert node_returning(annotation).returns == expected


def test_an_untagged_union_shows_its_two_line_fix(refuses):
    """One line a Struct."""
    with refuses(code="untagged-union", line="async def output", fix="class Wire(msgspec.Struct, tag='wire'): …"):

        class Wrong(Reactor):
            @step
            async def output(self) -> Card | Wire: ...


@pytest.mark.parametrize("where", ["optional", "nested", "field", "typing.Union"])
def test_an_untagged_union_is_found_wherever_it_stands(refuses, where):
    """With None, in a list, in a field, spelled the old way."""
    annotation = {
        "optional": Card | Wire | None,
        "nested": list[Card | Wire],
        "field": Order,
        "typing.Union": Union[Card, Wire],  # noqa: UP007 - that is the point
    }[where]
    with refuses(code="untagged-union", line="async def output", fix="tag='card'"):
        node_returning(annotation)


@pytest.mark.parametrize("annotation", [datetime | str, list[int] | set[int], Card | dict[str, int], Card | Plain], ids=range(4))
def test_other_unions_that_cannot_be_told_apart(refuses, annotation):
    """Certainly not storable: refused, with msgspec's reason."""
    with refuses(code="type-not-storable", line="async def output", fix="Struct"):
        node_returning(annotation)


def test_elements_and_payloads_are_checked_too(refuses):
    """They are stored as results are."""
    with refuses(code="untagged-union", line="n: Card | Wire", fix="tag=", what="the element `n`"):

        class Wrong(Reactor):
            @map_over([1])
            async def output(self, n: Card | Wire) -> int: ...

    with refuses(code="untagged-union", line="async def output", fix="tag=", what="the payload"):

        class Wrong(Reactor):
            @interrupt
            async def output(self) -> Ask[Card | Wire]: ...


@pytest.mark.parametrize(
    ("annotation", "element"),
    [(AsyncIterator[int], int), (AsyncGenerator[str, None], str), (AsyncIterable[Card], Card), (AsyncIterator, None), (list[int], None)],
    ids=range(5),
)
def test_the_element_of_an_iterator(annotation, element):
    """Of any spelling."""
    assert element_of(annotation) is element


def test_unions_are_flat():
    """Annotated and nested ones too."""
    assert members(Annotated[int | str, "x"] | None) == (int, str, type(None))
    assert [name_of(t) for t in (None.__class__, int, list[int], Card)] == ["None", "int", "list[int]", "Card"]


class Holder(msgspec.Struct):
    own: Own


class Lenient(msgspec.Struct):
    own: Own | None = None


class Text(str):
    __slots__ = ()


NEVER = [Own, complex, Own | None, list[Own], dict[str, Own], tuple[int, Own], Holder, Own | int, Own | Model, Text, range]


def map_returning(annotation):
    """The definition of a map whose elements give this."""

    async def output(self, n: int) -> annotation: ...

    return definition_of(type("Made", (Reactor,), {"output": map_over([1])(output)})).nodes["output"]


@pytest.mark.parametrize("annotation", NEVER, ids=range(len(NEVER)))
def test_a_maps_results_have_bytes(refuses, annotation):
    """They are kept as encoded chunks in one process too: a type that has none would fail every element."""
    with refuses(code="type-not-storable", line="async def output", fix="pydantic models or paths", what="kept as bytes"):
        map_returning(annotation)


MAPPED = [*PLAIN, Card, Plain, Attrs, Typed, Model, Model | None, Path, list[PurePath], Lenient, Hashable, Runnable, Results[int]]


@pytest.mark.parametrize("annotation", MAPPED, ids=range(len(MAPPED)))
def test_what_a_map_may_return(annotation):
    """All that is, or may be, storable: what is not certain shows when it runs."""
    assert map_returning(annotation).kind == "map"


def test_the_outputs_of_mapped_reactors_have_bytes(refuses):
    """Known when the map is planned."""

    class Child(Reactor):
        @step
        async def output(self) -> Own: ...

    class Parent(Reactor):
        @map_over([1])
        async def output(self, n: int) -> Child: ...

    with refuses(code="type-not-storable", line="@map_over([1])", fix="Structs", what="output of Child"):
        plan_of(Parent)
