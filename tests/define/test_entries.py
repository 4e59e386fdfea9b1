"""Inputs as text: a JSON document, or a string for each."""

from datetime import date
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

from reactor.define.decorators import step
from reactor.define.entries import inputs_from_json, inputs_from_strings
from reactor.define.inputs import Secret
from reactor.define.reactor import Reactor
from reactor.errors import InputInvalid


class Line(msgspec.Struct):
    sku: str
    count: int = 1


class Model(pydantic.BaseModel):
    n: int


class Checkout(Reactor):
    order_id: str
    lines: list[Line] = []
    day: date | None = None
    amount: int = 1
    ratio: float = 0.5
    rush: bool = False
    by_id: dict[int, str] = {}
    model: Model | None = None
    anything: Any = None
    token: Annotated[str, Secret()] = "t"

    @step
    async def output(self) -> int: ...


def test_json_is_read_by_type():
    """Dates from text, int keys from text, models from objects."""
    body = b'{"order_id": "o", "lines": [{"sku": "a"}], "day": "2026-01-02", "by_id": {"7": "x"}, "model": {"n": 1}, "ratio": 1}'
    made = inputs_from_json(Checkout, body)
    assert made == Checkout(order_id="o", lines=[Line("a")], day=date(2026, 1, 2), by_id={7: "x"}, model=Model(n=1), ratio=1.0)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[1]", "list"),
        (b"3", "int"),
        (b"null", "NoneType"),
        (b"\xff", "malformed"),
        (b"[" * 9999, ""),
    ],
    ids=range(7),
)
def test_what_is_no_json_object_is_refused(body, text):
    """Whatever else it is."""
    with pytest.raises(InputInvalid) as caught:
        inputs_from_json(Checkout, body)
    assert caught.value.code == "input-not-json"
    assert text in str(caught.value)
    assert caught.value.known[0] == "order_id"


def test_json_s_problems_are_told_together():
    """With paths, as for instances; nothing secret."""
    with pytest.raises(InputInvalid) as caught:
        inputs_from_json(Checkout, b'{"lines": [{"sku": 1}], "amont": 3, "token": 123456}')
    assert [path for path, _ in caught.value.problems] == ["order_id", "lines[0].sku", "token", "amont"]
    assert "123456" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("order_id", "7", "7"),
        ("order_id", '"quoted"', '"quoted"'),
        ("amount", "7", 7),
        ("ratio", "0.25", 0.25),
        ("rush", "true", True),
        ("rush", "1", True),
        ("day", "2026-01-02", date(2026, 1, 2)),
        ("day", "null", None),
        ("lines", '[{"sku": "a", "count": 2}]', [Line("a", 2)]),
        ("by_id", '{"7": "x"}', {7: "x"}),
        ("model", '{"n": 3}', Model(n=3)),
        ("anything", "text", "text"),
    ],
    ids=range(12),
)
def test_strings_are_read_by_type(name, text, value):
    """As it stands where the type takes it, else as JSON."""
    made = inputs_from_strings(Checkout, {"order_id": "o", name: text})
    assert getattr(made, name) == value


@pytest.mark.parametrize(
    ("given", "path", "text"),
    [
        ({"amount": "seven"}, "amount", "expected `int`, got 'seven'"),
        ({"lines": "a,b"}, "lines", "expected `array`, got 'a,b'"),
        ({"lines": '[{"sku": 1}]'}, "lines[0].sku", "expected `str`, got 1"),
        ({"amont": "1"}, "amont", "is no input; did you mean `amount`?"),
    ],
    ids=range(4),
)
def test_a_string_s_problem_is_told_with_what_was_given(given, path, text):
    """The path leads into the JSON where it is some."""
    with pytest.raises(InputInvalid) as caught:
        inputs_from_strings(Checkout, {"order_id": "o", **given})
    assert caught.value.problems == ((path, text),)


def test_rules_hold_for_text_too():
    """`__post_init__` is asked whatever the inputs come from."""

    class Ruled(Reactor):
        n: int

        def __post_init__(self) -> None:
            if self.n < 0:
                raise ValueError("n is below zero")

        @step
        async def output(self) -> int: ...

    assert inputs_from_strings(Ruled, {"n": "3"}).n == 3
    for make in (lambda: inputs_from_json(Ruled, '{"n": -1}'), lambda: inputs_from_strings(Ruled, {"n": "-1"})):
        with pytest.raises(InputInvalid, match="n is below zero"):
            make()
