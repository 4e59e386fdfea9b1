"""Problems of inputs: each told with its path and what was given, all at once, and no secret ever."""

import json
import linecache
import traceback
from enum import Enum
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest
from msgspec import Meta

from reactor.define.decorators import step
from reactor.define.inputs import Index, Secret
from reactor.define.problems import leaves_of
from reactor.define.reactor import Reactor, definition_of
from reactor.errors import DefinitionError, InputInvalid

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


class Model(pydantic.BaseModel):
    n: int


@pytest.mark.parametrize(
    ("given", "path", "text"),
    [
        ({"order_id": 1}, "order_id", "expected `str`, got 1"),
        ({"order_id": ""}, "order_id", "expected `str` of length >= 1, got ''"),
        ({"amount": 0}, "amount", "expected `int` >= 1, got 0"),
        ({"amount": 101}, "amount", "expected `int` <= 100, got 101"),
        ({"amount": "7"}, "amount", "expected `int`, got '7'"),
        ({"size": "medium"}, "size", "expected one of 'small', 'large', got 'medium'"),
        ({"tags": ["a", 2]}, "tags[1]", "expected `str`, got 2"),
        ({"cart": {"lines": [{"sku": "a"}, {"sku": 5}]}}, "cart.lines[1].sku", "expected `str`, got 5"),
        ({"cart": {"lines": [{"sku": "a", "count": 0}]}}, "cart.lines[0].count", "expected `int` >= 1, got 0"),
        ({"cart": {"lines": [{}]}}, "cart.lines[0]", "object missing required field `sku`, got {}"),
        ({"cart": None}, "cart", "expected `object`, got None"),
    ],
    ids=range(11),
)
def test_a_wrong_value_is_told_with_its_path(given, path, text):
    """What was expected, what was given, and where."""
    error = refusal(**{"order_id": "o", "cart": CART, **given})
    assert error.problems == ((path, text),)
    assert f"Checkout: `{path}` {text}" in str(error)
    assert error.code == "input-invalid"
    assert error.where is not None
    assert error.where.file == __file__


def test_all_problems_are_told_at_once():
    """Missing, wrong and unknown in one error, with the nearest name."""
    error = refusal(cart=3, amont=5, amount=-1)
    assert [path for path, _ in error.problems] == ["order_id", "cart", "amount", "amont"]
    assert error.problems[0][1] == "is missing; it takes `str`"
    assert error.problems[3][1] == "is no input; did you mean `amount`?"
    assert (error.nearest, error.known[0]) == ("amount", "order_id")
    assert "4 inputs do not fit" in str(error)


def test_positional_inputs_are_refused():
    """They go by keyword, as checkers say."""
    with pytest.raises(InputInvalid, match="inputs go by keyword") as caught:
        Checkout(CANARY)
    assert CANARY not in str(caught.value)
    assert caught.value.fix == "say `Checkout(order_id=…, cart=…, amount=…, size=…, tags=…, token=…)`"


def test_nothing_secret_is_told():
    """Not in message, repr, chained exceptions, or a traceback of what was raised; wherever the secret is wrong."""

    class Login(Reactor):
        user: str
        token: Annotated[str, Meta(max_length=3), Secret()]
        pins: Annotated[dict[str, int], Secret()] = {}
        size: Annotated[Size, Secret()] = Size.SMALL

        @step
        async def output(self) -> int: ...

    for given in (
        {"token": CANARY},
        {"token": CANARY, "user": 3},
        {"token": "ok", "pins": {CANARY: CANARY}},
        {"token": "ok", "size": CANARY},
        {"token": [CANARY]},
    ):
        error = refusal(Login, **{"user": "ann", **given})
        told = "".join(traceback.format_exception(error)) + repr(error) + repr(error.problems) + str(error.args)
        assert CANARY not in told
        assert "********" in told
        assert (error.__cause__, error.__context__) == (None, None)
    assert repr(Login(user="ann", token="abc")) == "Login(user='ann', token=********, pins=********, size=********)"


def test_a_secret_inside_an_input_masks_the_whole():
    """A Struct with a secret field, in a list or not, is masked as one."""

    class Login(Reactor):
        accounts: list[Account]

        @step
        async def output(self) -> int: ...

    assert definition_of(Login).inputs[0].secret
    login = Login(accounts=[Account("ann", CANARY)])
    assert CANARY not in repr(login)
    assert CANARY not in str(refusal(Login, accounts=[{"name": 3, "key": CANARY}]))


def test_rules_across_inputs():
    """A ValueError of `__post_init__` is an InputInvalid at its own line; a valid instance passes."""

    class Span(Reactor):
        low: int
        high: int

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError(f"low {self.low} is above high {self.high}")  # the rule

        @step
        async def output(self) -> int: ...

    assert Span(low=1, high=2).high == 2
    error = refusal(Span, low=3, high=2)
    assert (error.code, error.what) == ("input-rule", "Span: low 3 is above high 2")
    assert error.where is not None
    assert "# the rule" in linecache.getline(error.where.file, error.where.line)
    assert (error.__cause__, error.__context__) == (None, None)


def test_a_rule_that_tells_a_secret_is_masked():
    """An author's own message is no leak either."""

    class Login(Reactor):
        token: Annotated[str, Secret()]
        pins: Annotated[list[int], Secret()]

        def __post_init__(self) -> None:
            raise ValueError(f"bad token {self.token} with {self.pins} and {self.pins[0]}")

        @step
        async def output(self) -> int: ...

    error = refusal(Login, token=CANARY, pins=[123456])
    assert CANARY not in str(error)
    assert "123456" not in str(error)
    assert error.what == "Login: bad token ******** with ******** and ********"


@pytest.mark.parametrize(
    "raised", [KeyError("x"), TypeError("no order"), RuntimeError(), ExceptionGroup("two", [ValueError("a")])], ids=range(4)
)
def test_any_error_of_a_rule_refuses_the_inputs(raised):
    """Nothing was begun, whatever `__post_init__` raised; its kind is told, and its line."""

    class Buggy(Reactor):
        def __post_init__(self) -> None:
            raise raised  # the line

        @step
        async def output(self) -> int: ...

    error = refusal(Buggy)
    assert error.code == "input-rule"
    assert error.what == f"Buggy: `__post_init__` raised {type(raised).__name__}" + (f": {raised}" if str(raised) else "")
    assert "# the line" in linecache.getline(error.where.file, error.where.line)


def test_the_rule_s_own_line_is_told():
    """Not that of a library which it calls."""

    class Buggy(Reactor):
        body: str

        def __post_init__(self) -> None:
            json.loads(self.body)  # the line

        @step
        async def output(self) -> int: ...

    error = refusal(Buggy, body="{")
    assert "# the line" in linecache.getline(error.where.file, error.where.line)


def test_an_error_of_ours_in_a_rule_says_enough():
    """It has a code and a fix of its own."""

    class Setting(Reactor):
        n: int

        def __post_init__(self) -> None:
            self.n = 3

        @step
        async def output(self) -> int: ...

    with pytest.raises(DefinitionError, match="reactor-frozen"):
        Setting(n=1)


def test_a_pydantic_problem_is_told_without_its_value():
    """Pydantic's own text repeats inputs and adds links; ours names path and cause."""

    class Made(Reactor):
        models: list[Model]

        @step
        async def output(self) -> int: ...

    ((path, text),) = refusal(Made, models=[{"n": 1}, {"n": CANARY}]).problems
    assert path == "models[1]"
    assert "valid integer" in text
    assert "(n)" in text
    assert "https" not in text


def test_what_a_path_cannot_show_is_left_out():
    """A key, a value of a dict whose key is not told, and nesting without end."""

    class Made(Reactor):
        by_id: dict[int, str] = {}
        deep: list[Any] = []

        @step
        async def output(self) -> int: ...

    assert refusal(Made, by_id={"x": "a"}).problems == (("by_id", "expected `int`, got `str`, in a key of {'x': 'a'}"),)
    assert refusal(Made, by_id={1: 2}).problems == (("by_id[...]", "expected `str`, got `int`"),)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert refusal(Made, by_id=3, deep=deep).problems[0][0] == "by_id"


@pytest.mark.parametrize(
    ("secret", "texts"),
    [
        ("abc", ["abc"]),
        ("", []),
        (None, ["None"]),
        ({"key": [1, True]}, ["{'key': [1, True]}"]),
        (Account("ann", "k3y"), ["Account(name='ann', key='k3y', parent=None)", "ann", "k3y"]),
    ],
    ids=range(5),
)
def test_the_texts_that_a_secret_shows_as(secret, texts):
    """Its own, and those of its parts; longest first, so that none is left half."""
    assert sorted(leaves_of(secret)) == sorted(texts)
    assert [len(text) for text in leaves_of(secret)] == sorted(map(len, texts), reverse=True)


class Counted(msgspec.Struct):
    """Its making checks nothing: msgspec's way."""

    sku: str
    count: Annotated[int, msgspec.Meta(gt=0)]


class Basket(Reactor):
    lines: list[Counted]
    key: Annotated[Counted | None, Secret()] = None

    @step
    async def output(self) -> int:
        return len(self.lines)


@pytest.mark.parametrize(
    ("line", "said"),
    [(Counted("lamp", 0), r"`lines\[0\].count` expected `int` >= 1, got 0"), (Counted(3, 1), r"`lines\[0\].sku` expected `str`")],  # type: ignore[arg-type]
)
def test_an_object_that_breaks_its_own_type_is_refused(line, said):
    """An instance is not taken at its word: a store would not give it back."""
    with pytest.raises(InputInvalid, match=said):
        Basket(lines=[line])
    assert Basket(lines=[Counted("lamp", 1)]).lines[0].count == 1


def test_a_secret_object_that_breaks_its_type_is_not_shown():
    """The problem is told, the value is masked."""
    with pytest.raises(InputInvalid) as caught:
        Basket(lines=[], key=Counted("hunter2", 0))
    assert "hunter2" not in str(caught.value)


class Point(NamedTuple):
    x: Annotated[int, Meta(gt=0)]
    lines: list[Counted] = []


class Typed(TypedDict):
    line: Counted


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"point": Point("x")}, r"`point\[0\]` expected `int`, got 'x'"),  # type: ignore[arg-type]
        ({"points": [Point(0)]}, r"`points\[0\]\[0\]` expected `int` >= 1, got 0"),
        ({"point": Point(1, [Counted("a", 0)])}, r"`point\[1\]\[0\].count` expected `int` >= 1, got 0"),
        ({"typed": {"line": Counted("a", 0)}}, r"`typed.line.count` expected `int` >= 1, got 0"),
    ],
    ids=range(4),
)
def test_what_is_inside_named_tuples_and_typed_dicts_is_looked_at(given, said):
    """Their making checks nothing either."""

    class Made(Reactor):
        point: Point = Point(1)
        points: list[Point] = []
        typed: Typed | None = None

        @step
        async def output(self) -> int: ...

    with pytest.raises(InputInvalid, match=said):
        Made(**given)
    assert Made(point=Point(2, [Counted("a", 1)])).point.x == 2
