"""Inputs: validated before anything begins, every problem told with its path, and no secret ever."""

import dataclasses
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from msgspec import Meta

from reactor.define.decorators import step
from reactor.define.definition import InputDefinition
from reactor.define.inputs import Index, Secret
from reactor.define.reactor import Reactor, definition_of, inputs_of, values_of
from reactor.define.steps import Step
from reactor.errors import InputInvalid

CANARY = "s3cr3t-canary"


class Line(msgspec.Struct):
    sku: str
    count: Annotated[int, Meta(ge=1)] = 1


class Cart(msgspec.Struct):
    lines: list[Line]


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Checkout(Reactor):
    limit: ClassVar[int] = 3
    order_id: Annotated[str, Meta(min_length=1), Index()]
    cart: Cart
    amount: Annotated[int, Meta(gt=0, le=100)] = 10
    size: Size = Size.SMALL
    tags: list[str] = []
    token: Annotated[str | None, Secret()] = None

    @step
    async def output(self) -> int:
        return 1


class Account(msgspec.Struct):
    name: str
    key: Annotated[str, Secret()]
    parent: "Account | None" = None


CART = Cart([Line("a")])


def refusal(cls=Checkout, **given) -> InputInvalid:
    """The error for these inputs."""
    with pytest.raises(InputInvalid) as caught:
        cls(**given)
    return caught.value


def test_fields_are_inputs():
    """With types, defaults and marks, in order; a ClassVar is none."""
    fields = definition_of(Checkout).inputs
    assert [f.name for f in fields] == ["order_id", "cart", "amount", "size", "tags", "token"]
    assert fields[0] == InputDefinition("order_id", Annotated[str, Meta(min_length=1), Index()], required=True, index=True)
    assert [(f.required, f.default, f.secret) for f in fields[2:]] == [
        (False, 10, False),
        (False, Size.SMALL, False),
        (False, [], False),
        (False, None, True),
    ]


def test_a_valid_instance_holds_its_inputs():
    """As attributes, with defaults; Structs are handed on as they are."""
    checkout = Checkout(order_id="o", cart=CART)
    assert (checkout.order_id, checkout.amount, checkout.size) == ("o", 10, Size.SMALL)
    assert checkout.cart is CART
    assert list(values_of(checkout)) == [f.name for f in definition_of(Checkout).inputs]


def test_mutable_defaults_are_each_run_s_own():
    """A list by default is copied, and so is one from a factory."""
    first, second = Checkout(order_id="a", cart=CART), Checkout(order_id="b", cart=CART)
    first.tags.append("x")
    assert second.tags == []

    class Factories(Reactor):
        a: list[int] = msgspec.field(default_factory=lambda: [1])
        b: dict[str, list[int]] = dataclasses.field(default_factory=dict)
        c: dict[str, list[int]] = {"x": [1]}
        d: int = dataclasses.field(default=4)
        e: int = msgspec.field(default=5)

        @step
        async def output(self) -> int: ...

    made = Factories()
    made.c["x"].append(2)
    assert values_of(Factories()) == {"a": [1], "b": {}, "c": {"x": [1]}, "d": 4, "e": 5}
    assert [f.required for f in definition_of(Factories).inputs] == [False] * 5


class Model(pydantic.BaseModel):
    n: int


@dataclasses.dataclass
class Plain:
    n: int


@attrs.define
class Attrs:
    n: int


class Typed(TypedDict):
    n: int


class Pair(NamedTuple):
    n: int


class Own:
    pass


@pytest.mark.parametrize("declared", [Model, Plain, Attrs, Typed, Pair])
def test_other_libraries_types_serve(declared):
    """As instances and as plain data; wrong data is told with its path, pydantic's too."""

    class Made(Reactor):
        value: declared

        @step
        async def output(self) -> int: ...

    instance = declared(n=1)
    assert Made(value=instance).value == instance
    if declared is not Pair:
        assert Made(value={"n": 1}).value == instance
        error = refusal(Made, value={"n": "x"})
        assert error.problems[0][0].startswith("value")
        assert "n" in str(error.problems)


def test_a_class_of_the_author_s_own_is_taken_by_instance():
    """In one process any object may be handed in; anything else is refused."""

    class Made(Reactor):
        own: Own
        anything: Any = None

        @step
        async def output(self) -> int: ...

    own = Own()
    assert Made(own=own, anything=object).own is own
    assert refusal(Made, own=3).problems == (("own", "expected `Own`, got 3"),)


def test_text_is_read_where_the_type_is_not_text():
    """A datetime may come as ISO text, as from JSON; a number as text may not."""

    class Made(Reactor):
        at: datetime

        @step
        async def output(self) -> int: ...

    assert Made(at="2026-01-02T03:04:05Z").at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_inputs_are_inherited_and_overridden():
    """As dataclass fields are; the type of the subclass holds."""

    class Base(Reactor, abstract=True):
        a: int
        b: str = "b"

    class Sub(Base):
        a: str = "x"
        c: int = 3

        @step
        async def output(self) -> int: ...

    assert values_of(Sub()) == {"a": "x", "b": "b", "c": 3}
    assert inputs_of(Base).names == ("a", "b")


def test_a_name_is_an_input_or_a_node(refuses):
    """Not both."""
    with refuses(code="input-and-node", line="price: int", fix="different names"):

        class Base(Reactor, abstract=True):
            price: int

        class Wrong(Base):
            @step
            async def price(self) -> int: ...

            @step
            async def output(self) -> int: ...


@pytest.mark.parametrize("default", ["reference", "node", "resource"])
def test_an_input_s_default_is_no_reference(refuses, default):
    """Only a node's parameter can be bound to a result or a resource."""
    from reactor.define.sources import use

    with refuses(code="input-default" if default != "node" else "two-names", line=None, fix=""):

        class Wrong(Reactor):
            @step
            async def price(self) -> int: ...

            if default == "reference":
                other: int = price.result
            elif default == "node":
                other: int = price
            else:
                other: Any = use(dict)

            @step
            async def output(self) -> int: ...


def test_a_default_is_of_its_type(refuses):
    """Found when the class is made, at the field's line, with the likely fix."""
    with refuses(code="input-default", line='amount: int = "x"', fix="give a default that is one", what="'x', no `int`"):

        class Wrong(Reactor):
            amount: int = "x"

            @step
            async def output(self) -> int: ...

    with refuses(code="input-default", line="amount: int = None", fix="amount: int | None = None"):

        class WrongToo(Reactor):
            amount: int = None

            @step
            async def output(self) -> int: ...


def test_an_input_s_type_can_be_validated(refuses):
    """Unions that cannot be told apart, and what msgspec does not know."""

    class Wire(msgspec.Struct):
        iban: str

    with refuses(code="untagged-union", line="pay: Line | Wire", fix="tag='wire'"):

        class Wrong(Reactor):
            pay: Line | Wire

            @step
            async def output(self) -> int: ...

    with refuses(code="type-not-storable", line="class WrongToo(Reactor)", fix="a type that msgspec knows"):

        class WrongToo(Reactor):
            pay: Own | Model

            @step
            async def output(self) -> int: ...


def test_names_that_cannot_be_inputs(refuses):
    """Python's own, and what an underscore calls private."""
    with refuses(code="input-name", line="__secret__: int", fix="with a letter"):

        class Wrong(Reactor):
            __secret__: int

            @step
            async def output(self) -> int: ...

    with refuses(code="input-name", line="_x: int", fix="with a letter"):

        class WrongToo(Reactor):
            _x: int = 3

            @step
            async def output(self) -> int: ...


def test_an_output_may_be_annotated():
    """Where checkers cannot infer its type, for the reactor contains itself: it is the output still, and no input."""

    class Made(Reactor):
        n: int

        @step
        async def total(self) -> int: ...

        output: Step[int] = total

    class Sub(Made):
        m: int = 1

    assert inputs_of(Sub).names == ("n", "m")
    assert definition_of(Sub).output == "total"


def test_a_type_that_msgspec_cannot_find_is_told(refuses):
    """A Struct among a test's locals that names itself: Python's NameError would not say what to do."""

    class Local(msgspec.Struct):
        parent: "Local | None" = None

    class Made(Reactor):
        local: Local

        @step
        async def output(self) -> int: ...

    with refuses(code="unresolved-annotation", line="Made(local=Local())", fix="in a module", what="`Local`"):
        Made(local=Local())


def test_no_inputs_are_fine():
    """And an unexpected one is still told."""

    class Empty(Reactor):
        @step
        async def output(self) -> int: ...

    assert repr(Empty()) == "Empty()"
    assert refusal(Empty, x=1).problems == (("x", "is no input"),)
