"""A reactor's inputs go to bytes and come back by the types that its class declares; secret ones are sealed there."""

import dataclasses
import traceback
from datetime import UTC, date, datetime
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

from reactor import Incompatible, InputInvalid, Reactor, Secret
from reactor.record.aesgcm import AesGcm
from reactor.record.inputs import decode_inputs, encode_inputs, exchanged_inputs
from reactor.record.sealing import CannotOpen, Sealer, is_sealed

CANARY = "s3cr3t-canary"
PLAIN = Sealer((), plain=True)
KEYED = Sealer([bytes(32)], False, AesGcm)
RUN = "order:1"


class Size(Enum):
    SMALL = "small"


class Line(msgspec.Struct):
    sku: str
    count: int = 1


@dataclasses.dataclass
class Point:
    x: int


class Model(pydantic.BaseModel):
    name: str


class Account(msgspec.Struct):
    name: str
    password: Annotated[str, Secret()]


class Order(Reactor, abstract=True):
    lines: list[Line]
    at: datetime
    day: date
    where: Point
    model: Model
    path: Path
    pairs: dict[int, tuple[str, ...]] = {}
    size: Size = Size.SMALL
    raw: bytes = b"\x00\xff"


class Login(Reactor, abstract=True, version=3):
    user: str
    token: Annotated[str, Secret()]
    accounts: list[Account] = []
    pin: Annotated[int | None, Secret()] = None


class Counted(Reactor, abstract=True):
    count: int = 0

    def __post_init__(self) -> None:
        CALLS.append(self.count)


CALLS: list[int] = []
ORDER = Order(
    lines=[Line("a", 2)],
    at=datetime(2026, 1, 2, tzinfo=UTC),
    day=date(2026, 1, 2),
    where=Point(1),
    model=Model(name="m"),
    path=Path("some/file"),
    pairs={1: ("a", "b")},
)
LOGIN = Login(user="ann", token=CANARY, accounts=[Account("bank", CANARY)], pin=1234)


def stored(reactor: Reactor, sealer: Sealer = PLAIN, run: str = RUN, address: str = "") -> dict[str, Any]:
    """The map that a store would hold."""
    return msgspec.msgpack.decode(encode_inputs(reactor, sealer, run, address), type=dict[str, msgspec.Raw])


def packed(**fields: Any) -> bytes:
    """A map that a store may hold."""
    return msgspec.msgpack.encode(fields)


# ---- without secrets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sealer", [PLAIN, KEYED], ids=["plain", "keyed"])
def test_inputs_come_back_as_their_types(sealer):
    """Structs, dataclasses, models, paths, dates, enums: the same reactor, made of its own values, with or without keys."""
    again, data = exchanged_inputs(ORDER, sealer, RUN)
    assert again == ORDER
    assert again is not ORDER
    assert again.lines is not ORDER.lines
    assert decode_inputs(Order, data, sealer, RUN) == ORDER


def test_the_record_holds_a_map_by_name():
    """No class is named in it: any language reads what a run was given."""
    assert msgspec.msgpack.decode(encode_inputs(Counted(count=7), PLAIN, RUN)) == {"count": 7}


def test_a_reactor_without_inputs_has_an_empty_map():
    """Nothing is a value too."""

    class Bare(Reactor, abstract=True):
        pass

    assert exchanged_inputs(Bare(), PLAIN, RUN) == (Bare(), b"\x80")


def test_rules_are_not_asked_again():
    """`__post_init__` judged the inputs when they were given: a rule that became stricter does not stop a run on its way."""
    data = encode_inputs(Counted(count=7), PLAIN, RUN)
    CALLS.clear()
    assert decode_inputs(Counted, data, PLAIN, RUN).count == 7
    assert CALLS == []


def test_what_is_set_beside_the_inputs_is_not_stored():
    """Only what the class declares."""
    made = Counted(count=1)
    made.__dict__["other"] = 2
    assert stored(made).keys() == {"count"}


def test_an_input_that_has_gone_is_passed_over_and_a_new_one_has_its_default():
    """A deploy may drop an input and add one with a default, fresh for each run."""
    data = packed(lines=[{"sku": "a"}], gone=1, at=ORDER.at, day="2026-01-02", where={"x": 1}, model={"name": "m"}, path="p")
    first, second = (decode_inputs(Order, data, PLAIN, RUN) for _ in range(2))
    assert first.lines == [Line("a", 1)]
    assert first.pairs == {}
    assert first.pairs is not second.pairs


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (packed(count="x"), "`count` expected `int`, got 'x'"),
        (packed(count=None), "`count` expected `int`"),
        (packed(count=2**63), None),
        (b"\xc1", "cannot be read"),
        (b"", "cannot be read"),
        (b"\x90", "cannot be read"),
        (packed(count=1)[:-1], "cannot be read"),
    ],
    ids=repr,
)
def test_what_does_not_fit_is_named(data, said):
    """One error for all, with the run, the class and the input."""
    if said is None:
        assert decode_inputs(Counted, data, PLAIN, RUN).count == 2**63
        return
    with pytest.raises(Incompatible) as caught:
        decode_inputs(Counted, data, PLAIN, RUN)
    assert caught.value.code == "input-incompatible"
    assert said in str(caught.value)
    assert RUN in str(caught.value)
    assert "Counted" in str(caught.value)


def test_a_missing_input_is_named():
    """One that has no default, and was not given to the runs of then."""
    with pytest.raises(Incompatible, match="`user` is missing"):
        decode_inputs(Login, packed(token="t"), PLAIN, RUN)


def test_a_deep_path_is_named():
    """As far down as what does not fit."""
    data = packed(lines=[{"sku": "a"}, {"sku": 7}], at=ORDER.at, day="2026-01-02", where={"x": 1}, model={"name": "m"}, path="p")
    with pytest.raises(Incompatible, match=r"`lines\[1\]\.sku` expected `str`, got 7"):
        decode_inputs(Order, data, PLAIN, RUN)


# ---- what cannot be stored ------------------------------------------------------------------------------------


class Loose(Reactor, abstract=True):
    value: Any = None
    number: int = 0
    key: Annotated[Any, Secret()] = None


class Odd:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"value": Odd("x")}, "`value` cannot be stored: it has no bytes as"),
        ({"value": "\ud800"}, "`value`"),
        ({"value": (1, 2)}, "`value` cannot be stored: it would come back as another value"),
        ({"value": Fraction(1, 2)}, "`value`"),
        ({"number": 2**70}, "`number`"),
        ({"value": "x" * (1 << 20)}, "1,048,576 are kept"),
    ],
    ids=lambda one: repr(one)[:30],
)
@pytest.mark.parametrize("sealer", [PLAIN, KEYED], ids=["plain", "keyed"])
def test_what_would_not_come_back_is_refused_at_once(given, said, sealer):
    """Before anything is persisted, by the input's name."""
    with pytest.raises(InputInvalid) as caught:
        exchanged_inputs(Loose(**given), sealer, RUN)
    assert caught.value.code == "input-not-storable"
    assert said in str(caught.value)


def test_a_secret_that_cannot_be_stored_is_not_told():
    """Only its name, whatever its repr says."""
    for key in (Odd(CANARY), CANARY + "\ud800", (CANARY,)):
        for sealer in (PLAIN, KEYED):
            with pytest.raises(InputInvalid) as caught:
                exchanged_inputs(Loose(key=key), sealer, RUN)
            assert "`key`" in str(caught.value)
            assert CANARY not in "".join(traceback.format_exception(caught.value))


# ---- with secrets ---------------------------------------------------------------------------------------------


def test_secret_fields_are_sealed_whole():
    """Each by itself, also where a secret is deep inside; what is none stays readable."""
    fields = stored(LOGIN, KEYED)
    assert {name for name, raw in fields.items() if is_sealed(bytes(raw))} == {"token", "accounts", "pin"}
    assert CANARY.encode() not in encode_inputs(LOGIN, KEYED, RUN)
    assert decode_inputs(Login, encode_inputs(LOGIN, KEYED, RUN), KEYED, RUN) == LOGIN


def test_secrets_are_equal_whatever_their_nonce():
    """A join compares what was decoded."""
    one, other = (encode_inputs(LOGIN, KEYED, RUN) for _ in range(2))
    assert one != other
    assert decode_inputs(Login, one, KEYED, RUN) == decode_inputs(Login, other, KEYED, RUN)


def test_plain_keeps_secrets_as_they_are():
    """`plain_secrets=True`, or a store that is memory only."""
    assert msgspec.msgpack.decode(encode_inputs(LOGIN, PLAIN, RUN))["token"] == CANARY


@pytest.mark.parametrize(("run", "address"), [("order:2", ""), (RUN, "pay"), ("login:1", "")])
def test_inputs_copied_elsewhere_are_refused(run, address):
    """To another run, or another child of the same."""
    data = encode_inputs(LOGIN, KEYED, RUN)
    with pytest.raises(CannotOpen, match="seal-broken"):
        decode_inputs(Login, data, KEYED, run, address)


def test_two_secrets_do_not_change_places():
    """A box is bound to its input's name."""
    fields = stored(Login(user="ann", token="a", pin=1), KEYED)
    fields["token"], fields["pin"] = fields["pin"], fields["token"]
    with pytest.raises(CannotOpen, match="seal-broken"):
        decode_inputs(Login, packed(**fields), KEYED, RUN)


def test_a_secret_that_is_not_sealed_is_refused():
    """Also where only one of several is."""
    fields = stored(LOGIN, KEYED) | {"pin": msgspec.Raw(b"\x07")}
    with pytest.raises(CannotOpen, match="secret-not-sealed"):
        decode_inputs(Login, packed(**fields), KEYED, RUN)


def test_sealed_inputs_need_their_key():
    """None, or another: said as that."""
    data = encode_inputs(LOGIN, KEYED, RUN)
    for without in (PLAIN, Sealer([bytes(16)], True, AesGcm)):
        with pytest.raises(CannotOpen, match="no-key"):
            decode_inputs(Login, data, without, RUN)


def test_newer_code_opens_what_older_sealed():
    """The version that wrote it is bound to it and read from it; an input that is a secret no more opens too."""

    class Older(Reactor, abstract=True, name="Login"):
        user: Annotated[str, Secret()]
        token: Annotated[str, Secret()]

    data = encode_inputs(Older(user="ann", token=CANARY), KEYED, RUN)
    assert decode_inputs(Login, data, KEYED, RUN) == Login(user="ann", token=CANARY)


def test_a_secret_that_does_not_fit_is_not_told():
    """The rule and the name; never the value, nor in what is chained."""

    class Older(Reactor, abstract=True, name="Login"):
        user: str = "ann"
        token: Annotated[str, Secret()] = ""
        pin: Annotated[str, Secret()] = CANARY

    for sealer in (PLAIN, KEYED):
        data = encode_inputs(Older(), sealer, RUN)
        with pytest.raises(Incompatible, match=r"`pin` expected `int \| null`, got \*+") as caught:
            decode_inputs(Login, data, sealer, RUN)
        assert CANARY not in "".join(traceback.format_exception(caught.value))
