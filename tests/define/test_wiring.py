"""References against types: flags that are bools, paths that lead somewhere, maps over what has elements."""

from collections.abc import AsyncIterator

import msgspec

from reactor.define.decorators import map_over, source, step
from reactor.define.reactor import Reactor, definition_of
from reactor.define.results import Results
from reactor.define.wiring import value_type


class Line(msgspec.Struct):
    sku: str


class Quote(msgspec.Struct):
    lines: list[Line]
    total: int


class Base(Reactor, abstract=True):
    @step
    async def price(self) -> Quote: ...

    @step
    async def big(self, total: int = price.result.total) -> bool: ...

    @map_over(price.result.lines)
    async def parcels(self, line: Line) -> str: ...


price, parcels, big = Base.price, Base.parcels, Base.big


def test_a_flag_gives_a_bool(refuses):
    """Truth of anything else is a guess; the steps that give one are listed."""
    with refuses(code="when-not-bool", line="async def output", fix="-> bool", known="big", what="gives `Quote`"):

        class Wrong(Base):
            @step(when=price)
            async def output(self) -> int: ...


def test_a_map_is_no_flag(refuses):
    """Its value is a Results, whatever its elements give."""
    with refuses(code="when-not-bool", line="async def output", fix="-> bool", what="Results"):

        class Wrong(Base):
            @map_over([1])
            async def flags(self, n: int) -> bool: ...

            @step(when=flags)
            async def output(self) -> int: ...


def test_a_misspelt_path_is_refused(refuses):
    """At the parameter, with the nearest field."""
    with refuses(
        code="unknown-part",
        line="n: int = price.result.totall",
        fix="say `total`",
        nearest="total",
        known="lines",
        what="`Quote` has no `totall`",
    ):

        class Wrong(Base):
            @step
            async def output(self, n: int = price.result.totall) -> int: ...


def test_paths_of_handlers_and_sources_are_checked(refuses):
    """Wherever a reference stands."""
    with refuses(code="unknown-part", line="n: int = price.result.totl", fix="say `total`", nearest="total", what="`back`"):

        class Wrong(Base):
            @step
            async def output(self, q: Quote = price.result) -> int: ...

            @output.undo
            async def back(self, value: int, n: int = price.result.totl) -> None: ...

    with refuses(code="unknown-part", line="n: int = price.result.totl", fix="say `total`", nearest="total", what="`rows`"):

        class Wrong(Base):
            @source
            async def rows(self, n: int = price.result.totl) -> AsyncIterator[int]:
                yield n

            @map_over(rows)
            async def output(self, n: int) -> int: ...


def test_a_map_is_over_elements(refuses):
    """A number, a Struct, a misspelt path and another map's Results have none."""
    with refuses(code="not-elements", line="async def output", fix="a list, a tuple", what="is `int`, no sequence"):

        class Wrong(Base):
            @map_over(price.result.total)
            async def output(self, n: int) -> int: ...

    with refuses(code="unknown-part", line="async def output", fix="say `lines`", nearest="lines", what="the map `output`"):

        class Wrong(Base):
            @map_over(price.result.line)
            async def output(self, n: Line) -> int: ...

    with refuses(code="map-over-results", line="async def output", fix="a step between them"):

        class Wrong(Base):
            @map_over(parcels.result)
            async def output(self, n: str) -> int: ...


def test_the_type_of_a_node_s_value():
    """A map's is a Results of its elements' type."""

    class Made(Base):
        @step
        async def output(self) -> int: ...

    nodes = definition_of(Made).nodes
    assert value_type(nodes["parcels"]) == Results[str]
    assert value_type(nodes["price"]) is Quote
