"""Parameters: a default is a dependency; nothing is matched by name."""

from enum import Enum

import msgspec
import pytest

from reactor.define.binding import references
from reactor.define.decorators import compose, map_over, source, step
from reactor.define.definition import FromNode, FromResource, Items, Key, Literally, Param
from reactor.define.reactor import Reactor, definition_of
from reactor.define.sources import use


class Colour(Enum):
    RED = "red"


class Quote(msgspec.Struct):
    total: int
    lines: list[dict[str, int]]


class Base(Reactor, abstract=True):
    @step
    async def price(self) -> Quote: ...

    @step
    async def count(self) -> int: ...

    @step
    async def flag(self) -> bool: ...

    @step(when=flag)
    async def gift(self) -> Quote: ...


price, count, gift = Base.price, Base.count, Base.gift
both = [price.result.total, (count.result, 3)]
named = {"a": count.result, "b": use(dict), 3: None}


def binding(default):
    """What a parameter with this default is bound to."""

    class Made(Base):
        @step
        async def output(self, x: object = default) -> int: ...

    (param,) = definition_of(Made).nodes["output"].params
    return param.binding


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        (count.result, FromNode("count")),
        (price.result.lines[0]["sku"], FromNode("price", ("lines", 0, Key("sku")))),
        (gift.result, FromNode("gift")),
        (use(dict), FromResource(dict)),
        (both, Items("list", (FromNode("price", ("total",)), Items("tuple", (FromNode("count"), Literally(3)))))),
        (named, Items("dict", (FromNode("count"), FromResource(dict), Literally(None)), ("a", "b", 3))),
        (None, Literally(None)),
        (0, Literally(0)),
        ("", Literally("")),
        ([], Literally([])),
        ({"a": [1]}, Literally({"a": [1]})),
        (Colour.RED, Literally(Colour.RED)),
        (Quote(1, []), Literally(Quote(1, []))),
    ],
    ids=range(13),
)
def test_what_a_default_binds_to(default, expected):
    """References, resources, containers of them, and constants."""
    assert binding(default) == expected


def test_references_are_found_at_any_depth():
    """What a node waits for."""
    assert [r.node for r in references(binding(both))] == ["price", "count"]


def test_names_orders_and_kinds_of_parameters():
    """Positional or by keyword, keyword-only, and with a type each."""

    class Made(Base):
        @step
        async def output(self, a: int = count.result, /, b: str = "x", *, c: Quote = price.result, d=3) -> int: ...

    assert definition_of(Made).nodes["output"].params == (
        Param("a", int, FromNode("count")),
        Param("b", str, Literally("x")),
        Param("c", Quote, FromNode("price"), keyword_only=True),
        Param("d", definition_of(Made).nodes["output"].params[3].type, Literally(3), keyword_only=True),
    )


def test_an_unbound_parameter_is_refused(refuses):
    """At its own line, with the node that its name is like."""
    with refuses(
        code="unbound-parameter", line="pric: Quote,", fix="pric: T = price.result", nearest="price", known="count", what="`pric`"
    ):

        class Wrong(Base):
            @step
            async def output(
                self,
                n: int = count.result,
                *,
                pric: Quote,
            ) -> int: ...


def test_a_parameter_named_as_a_node_is_not_matched(refuses):
    """There is no matching by name; the fix is the reference."""
    with refuses(code="unbound-parameter", line="async def output(self, count", fix="count: T = count.result", nearest="count"):

        class Wrong(Base):
            @step
            async def output(self, count: int) -> int: ...


@pytest.mark.parametrize("star", ["*", "**"])
def test_variadic_parameters_are_refused(refuses, star):
    """Nothing can be bound to them; a list can be taken instead."""
    if star == "*":
        with refuses(code="variadic-parameter", line="*xs: int", fix="xs: list[T] = ["):

            class Wrong(Base):
                @step
                async def output(self, *xs: int) -> int: ...
    else:
        with refuses(code="variadic-parameter", line="**xs: int", fix="xs: list[T] = ["):

            class Wrong(Base):
                @step
                async def output(self, **xs: int) -> int: ...


def test_a_node_itself_is_refused(refuses):
    """`.result` was forgotten, alone or in a list."""
    with refuses(code="node-as-default", line="x: Quote = price)", fix="`price.result`"):

        class Wrong(Base):
            @step
            async def output(self, x: Quote = price) -> int: ...

    with refuses(code="node-as-default", line="x: list[int] = [count])", fix="`count.result`"):

        class Wrong(Base):
            @step
            async def output(self, x: list[int] = [count]) -> int: ...  # noqa: B006 - how an author lists references


def test_a_source_as_default_is_refused(refuses):
    """A source is for a map."""
    with refuses(code="node-as-default", line="x: object = rows)", fix="@map_over(rows)"):

        class Wrong(Base):
            @source
            async def rows(self):
                yield 1

            @step
            async def output(self, x: object = rows) -> int: ...


@pytest.mark.parametrize("default", [object(), len, int, {1: object()}, 2**70, "\ud800", lambda: 1, Base], ids=range(8))
def test_a_constant_is_plain_data(refuses, default):
    """It is part of the fingerprint, and nothing is pickled: anything else is a resource."""
    with refuses(code="literal-not-plain", line="x: object = default", fix="x: T = use(provider)"):

        class Wrong(Base):
            @step
            async def output(self, x: object = default) -> int: ...


def test_a_path_through_an_optional_result_is_refused(refuses):
    """Where it is skipped the result is None: the whole may be taken, a part not."""
    with refuses(code="path-through-optional", line="x: int = gift.result.total", fix="x: T | None = gift.result", what="`gift`"):

        class Wrong(Base):
            @step
            async def output(self, x: int = gift.result.total) -> int: ...


def test_a_map_over_an_optional_result_is_refused(refuses):
    """None has no elements."""
    with refuses(code="path-through-optional", line="async def output", fix="T | None", what="the map `output`"):

        class Wrong(Base):
            @map_over(gift.result.lines)
            async def output(self, line: dict[str, int]) -> int: ...


@pytest.mark.parametrize("case", ["step", "map", "static"])
def test_too_few_parameters_are_refused(refuses, case):
    """self, and a map's element: by position."""
    if case == "step":
        with refuses(code="too-few-parameters", line="async def output()", fix="async def output(self, …)"):

            class Wrong(Base):
                @step
                async def output() -> int: ...
    elif case == "map":
        with refuses(code="too-few-parameters", line="async def output(self)", fix="async def output(self, element, …)"):

            class Wrong(Base):
                @map_over([1])
                async def output(self) -> int: ...
    else:
        with refuses(code="too-few-parameters", line="async def output(*, self", fix="async def output(self, …)"):

            class Wrong(Base):
                @compose
                async def output(*, self: int) -> Base: ...


def test_an_element_is_not_bound(refuses):
    """The element is handed: what is bound comes after it."""
    with refuses(code="handed-parameter-bound", line="async def output", fix="before `x`"):

        class Wrong(Base):
            @map_over([1])
            async def output(self, x: int = count.result) -> int: ...
