"""Payloads: what fits is encoded, what does not is told by path, and never with a secret in it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
import pydantic
import pytest

from reactor import Ask, DefinitionError, PayloadInvalid, Reactor, Secret, interrupt, step
from reactor.run.payloads import LARGEST, encoded, encoded_json
from reactor.run.values import codec_of

NOON = datetime.fromisoformat("2026-01-02T12:00:00Z")


class Line(msgspec.Struct, forbid_unknown_fields=True):
    sku: str
    count: Annotated[int, msgspec.Meta(gt=0)]
    at: datetime | None = None


class Bill(msgspec.Struct):
    lines: list[Line]
    kind: Literal["card", "cash"] = "card"


class Model(pydantic.BaseModel):
    amount: int


class Login(msgspec.Struct):
    pin: Annotated[str, Secret(), msgspec.Meta(max_length=4)]


class Till(Reactor, abstract=True):
    """An abstract one: its interrupts can be signalled like any."""

    @interrupt
    async def bill(self) -> Ask[Bill]:
        return Ask()

    @interrupt
    async def line(self) -> Ask[Line]:
        return Ask()

    @interrupt
    async def model(self) -> Ask[Model]:
        return Ask()

    @interrupt
    async def login(self) -> Ask[Login]:
        return Ask()

    @interrupt
    async def text(self) -> Ask[str]:
        return Ask()

    @step
    async def other(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("of", "body", "value"),
    [
        (
            Till.line,
            b'{"sku": "a", "count": 2, "at": "2026-01-02T12:00:00Z"}',
            Line("a", 2, NOON),
        ),
        (Till.bill, b'{"lines": [{"sku": "a", "count": 2}], "kind": "cash", "more": 1}', Bill([Line("a", 2)], "cash")),
        (Till.model, b'{"amount": 3}', Model(amount=3)),
        (Till.text, b'"yes"', "yes"),
    ],
    ids=["struct", "nested", "pydantic", "text"],
)
def test_what_fits_comes_back(of, body, value):
    """By JSON, or as the value itself: the same bytes, which decode to the value."""
    raw = encoded_json(of, body)
    assert raw == encoded(of, value)
    assert codec_of(type(value)).decode(raw) == value


@pytest.mark.parametrize(
    ("of", "body", "paths"),
    [
        (Till.line, b'{"sku": 1, "count": 0, "extra": 2}', ["sku", "count", "extra"]),
        (Till.line, b"{}", ["sku", "count"]),
        (Till.bill, b'{"lines": [{"sku": "a", "count": 1}, {"sku": "b", "count": -1}], "kind": "gold"}', ["lines[1].count", "kind"]),
        (Till.line, b"[1, 2]", [""]),
        (Till.text, b"5", [""]),
        (Till.model, b'{"amount": "much"}', [""]),
    ],
    ids=["each field", "missing", "deep", "no object", "no text", "pydantic"],
)
def test_what_does_not_fit_is_told_by_path(of, body, paths):
    """Each field's own, in order."""
    with pytest.raises(PayloadInvalid) as caught:
        encoded_json(of, body)
    assert [path for path, _ in caught.value.problems] == paths
    assert caught.value.code == "payload-invalid"


def test_a_value_of_another_type_is_refused():
    """A dict is no Struct, though it would decode to one; a Struct that holds what it may not is found out."""
    for of, payload in ((Till.line, {"sku": "a", "count": 1}), (Till.line, Line("a", "many")), (Till.text, 5), (Till.text, "\ud800")):
        with pytest.raises(PayloadInvalid):
            encoded(of, payload)


def test_no_secret_is_told():
    """The rule is, and not what was sent."""
    for refuse in (lambda: encoded_json(Till.login, b'{"pin": "hunter2"}'), lambda: encoded(Till.login, Login("hunter2"))):
        with pytest.raises(PayloadInvalid) as caught:
            refuse()
        error = caught.value
        assert "hunter2" not in f"{error} {error.problems} {error.__cause__} {error.__context__}"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"nan", b"1 2", b"[" * 100_000], ids=["empty", "cut", "bytes", "nan", "two", "deep"]
)
def test_what_is_no_json_is_another_error(body):
    """Its sender's trouble, which is never counted."""
    with pytest.raises(PayloadInvalid) as caught:
        encoded_json(Till.text, body)
    assert caught.value.code == "payload-not-json"


def test_too_large_is_said():
    """With how much would do."""
    assert encoded(Till.text, "x" * (LARGEST - 8))
    with pytest.raises(PayloadInvalid) as caught:
        encoded(Till.text, "x" * LARGEST)
    assert caught.value.code == "payload-too-large"


def test_only_interrupts_are_signalled():
    """Not a step, nor its name."""
    for of in (Till.other, "approval", None):
        with pytest.raises(DefinitionError) as caught:
            encoded(of, 1)
        assert caught.value.code == "not-an-interrupt"
