"""A secret is sealed for its place: nobody reads it in the store; elsewhere, with another key, or once touched, it does not open."""

import base64
import os
import pickle
import traceback
from typing import Annotated

import msgspec
import pytest

from reactor import Ask, Reactor, ReactorError, Secret, compose, interrupt, map_over, step
from reactor.record.aesgcm import AesGcm
from reactor.record.sealing import LENGTHS, SEALED, CannotOpen, Sealer, Whose, checked_keys, first_secret, is_sealed, key_id, keys_from

CANARY = b"s3cr3t-canary"
OLD, NEW = bytes(range(32)), bytes(range(16))
HERE = Whose("shop:1", "pay", "token")


class Token(msgspec.Struct):
    text: Annotated[str, Secret()]


def sealer(*keys: bytes, plain: bool = False) -> Sealer:
    """Who seals with the first of these keys."""
    return Sealer(keys, plain, AesGcm)


def refusal(of: Sealer, data: bytes, whose: Whose = HERE) -> CannotOpen:
    """Why it does not open, with nothing secret in it."""
    with pytest.raises(CannotOpen) as caught:
        of.open(data, whose)
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY.decode() not in shown
    assert caught.value.fix
    return caught.value


# ---- sealing and opening --------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_sealed_opens(length):
    """With each length of key: nothing of it is readable, and it comes back."""
    one = sealer(os.urandom(length))
    box = one.seal(CANARY, HERE, 3)
    assert is_sealed(box)
    assert CANARY not in box
    assert one.open(box, HERE) == CANARY


def test_a_sealed_value_says_so():
    """It is one msgpack extension: no type of an author's takes it for the value, and a reader without code sees what it is."""
    box = sealer(OLD).seal(CANARY, HERE)
    found = msgspec.msgpack.decode(box)
    assert isinstance(found, msgspec.msgpack.Ext)
    assert found.code == SEALED
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(box, type=str)


def test_the_same_value_is_sealed_differently_each_time():
    """Nobody sees in the store that two secrets are the same."""
    one = sealer(OLD)
    assert len({one.seal(CANARY, HERE) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "elsewhere",
    [HERE._replace(run="shop:2"), HERE._replace(run="shop"), HERE._replace(address="ship"), HERE._replace(part="value"), Whose("shop:1")],
    ids=str,
)
def test_a_sealed_value_opens_in_its_place_only(elsewhere):
    """Copied to another run, address or input it is refused: whoever can write to the store cannot hand one customer another's token."""
    one = sealer(OLD)
    assert refusal(one, one.seal(CANARY, HERE), elsewhere).code == "seal-broken"


def test_a_restarts_next_life_opens_what_its_run_sealed():
    """`shop:1~2` goes on with the values of `shop:1`, and so do the records of its children."""
    one = sealer(OLD)
    box = one.seal(CANARY, HERE)
    assert one.open(box, HERE._replace(run="shop:1~2")) == CANARY
    assert one.open(box, HERE._replace(run="shop:1~2/ship#3")) == CANARY


def test_a_flipped_bit_is_found():
    """Wherever it is: what was sealed comes back as it was, or not at all."""
    one = sealer(OLD)
    box = one.seal(CANARY, HERE, 7)
    for at in range(len(box)):
        for bit in (1, 128):
            touched = bytearray(box)
            touched[at] ^= bit
            try:
                opened = one.open(bytes(touched), HERE)
            except CannotOpen:
                continue
            raise AssertionError((at, bit, opened))


def test_the_version_that_wrote_it_is_bound_too():
    """It is said beside the box, so that newer code opens it, and cannot be changed there."""
    one = sealer(OLD)
    inner = msgspec.msgpack.decode(msgspec.msgpack.decode(one.seal(CANARY, HERE, 1)).data)
    inner[2] = 2
    again = msgspec.msgpack.encode(msgspec.msgpack.Ext(SEALED, msgspec.msgpack.encode(inner)))
    assert refusal(one, again).code == "seal-broken"


@pytest.mark.parametrize("inner", [b"", b"\xc1", b"\x93", msgspec.msgpack.encode([9, b"", 1, b"", b""]), pickle.dumps({"a": 1})], ids=repr)
def test_what_is_no_box_is_refused(inner):
    """Damaged, planted or of a later format: one error, and nothing is done with it."""
    planted = msgspec.msgpack.encode(msgspec.msgpack.Ext(SEALED, inner))
    assert refusal(sealer(OLD), planted).code == "seal-broken"


def test_a_box_cut_short_is_refused():
    """A nonce or a box of any length is no reason for another error."""
    one = sealer(OLD)
    for nonce, box in ((b"", b""), (bytes(12), b""), (bytes(7), bytes(40)), (bytes(200), bytes(40))):
        inner = msgspec.msgpack.encode([1, key_id(OLD), 1, nonce, box])
        assert refusal(one, msgspec.msgpack.encode(msgspec.msgpack.Ext(SEALED, inner))).code == "seal-broken"


# ---- keys -----------------------------------------------------------------------------------------------------


def test_the_first_key_seals_and_all_open():
    """Rotation: a new key goes first, and what the old one sealed is read for as long as it stands behind."""
    before, rotated, after = sealer(OLD), sealer(NEW, OLD), sealer(NEW)
    box = before.seal(CANARY, HERE)
    assert rotated.open(box, HERE) == CANARY
    assert after.open(rotated.seal(CANARY, HERE), HERE) == CANARY
    assert refusal(after, box).code == "no-key"
    assert refusal(before, rotated.seal(CANARY, HERE)).code == "no-key"


def test_an_unknown_key_is_named_by_its_id():
    """The error says which key is missed and which are there, and nothing of them."""
    error = refusal(sealer(NEW), sealer(OLD).seal(CANARY, HERE))
    assert key_id(OLD).hex() in str(error)
    assert key_id(NEW).hex() in str(error)
    assert OLD.hex() not in str(error)


@pytest.mark.parametrize("plain", [False, True])
def test_sealed_without_a_key_is_an_error_of_its_own(plain):
    """No key at all: said as that, with or without `plain_secrets`."""
    assert refusal(Sealer((), plain), sealer(OLD).seal(CANARY, HERE)).code == "no-key"


def test_once_sealed_plaintext_is_refused():
    """An engine with keys takes no secret that is not sealed, unless it was told to read what was written before."""
    plaintext = msgspec.msgpack.encode(CANARY.decode())
    assert refusal(sealer(OLD), plaintext).code == "secret-not-sealed"
    moving = sealer(OLD, plain=True)
    assert moving.open(plaintext, HERE) == plaintext
    assert is_sealed(moving.seal(plaintext, HERE))


def test_without_keys_and_plain_nothing_is_taken():
    """An engine that was told neither reads no secret from a store, nor takes a reactor that declares one."""
    with pytest.raises(ReactorError) as caught:
        Sealer((), plain=False).open(b"\x07", HERE)
    assert caught.value.code == "secrets-need-keys"


def test_plain_seals_nothing():
    """`plain_secrets=True` without keys: bytes go in and out as they are."""
    plain = Sealer((), plain=True)
    assert plain.seal(b"\x07", HERE) == b"\x07"
    assert plain.open(b"\x07", HERE) == b"\x07"
    assert not plain.seals


def test_a_value_is_sealed_by_its_type():
    """What holds a secret is sealed whole, all else is left alone; what was sealed opens after its type lost the mark."""
    one = sealer(OLD)
    assert one.seal_as(int, b"\x07", HERE) == b"\x07"
    assert one.open_as(int, b"\x07", HERE) == b"\x07"
    for secret in (Token, list[Token], Token | None, Annotated[int, Secret()]):
        box = one.seal_as(secret, b"\x07", HERE)
        assert is_sealed(box)
        assert one.open_as(secret, box, HERE) == one.open_as(int, box, HERE) == b"\x07"
        with pytest.raises(CannotOpen):
            one.open_as(secret, b"\x07", HERE)


def test_a_type_that_cannot_be_a_key_is_asked_each_time():
    """Metadata without a hash is an author's right."""
    one = sealer(OLD)
    assert is_sealed(one.seal_as(Annotated[int, Secret(), []], b"\x07", HERE))
    assert one.seal_as(Annotated[int, []], b"\x07", HERE) == b"\x07"


def test_keys_are_checked():
    """Their number, kind and length, with a command that makes one and never a key in the message."""
    for wrong in ([b"short"], [OLD, b""], ["s3cr3t-canary-123"], b"s3cr3t-canary-12", "s3cr3t-canary-12", [OLD + b"x"]):
        with pytest.raises(ReactorError) as caught:
            checked_keys(wrong)
        assert caught.value.code == "bad-secret-key"
        assert CANARY.decode() not in str(caught.value)
    with pytest.raises(ReactorError, match="bad-secret-key"):
        Sealer([OLD], plain=False)


def test_keys_come_from_text():
    """Base64 of either alphabet, with or without its padding, blanks around commas; an empty text is no key."""
    plus = b"\xfb\xef\xbe" * 8
    for text in (base64.b64encode(plus).decode(), base64.urlsafe_b64encode(plus).decode(), base64.b64encode(plus).decode().rstrip("=")):
        assert keys_from(f" {text} , {base64.b64encode(OLD).decode()}\n") == (plus, OLD)
    assert keys_from("") == keys_from("  ") == ()


@pytest.mark.parametrize("text", ["s3cr3t-canary!", "q6urq6urq6urq6urq6urqw==,", ",", "c2hvcnQ=", "é"])
def test_what_is_no_key_is_said_by_its_place(text):
    """Never by what it is: it may be one, mistyped."""
    with pytest.raises(ReactorError) as caught:
        keys_from(text)
    shown = "".join(traceback.format_exception(caught.value))
    assert caught.value.code == "bad-secret-key"
    assert "canary" not in shown
    assert text not in str(caught.value) or text == ","


def test_no_repr_shows_a_key():
    """A sealer may stand in a log or a traceback's locals."""
    assert repr(sealer(OLD, NEW)) == "Sealer(2 keys, plain=False)"


# ---- digests --------------------------------------------------------------------------------------------------


def test_digests_are_keyed():
    """Who reads the store cannot try guesses against a digest; a rotated key still knows its own."""
    before, rotated, none = sealer(OLD), sealer(NEW, OLD), Sealer((), plain=True)
    assert len({one.digest(CANARY) for one in (before, rotated, none)}) == 3
    assert rotated.is_digest(before.digest(CANARY), CANARY)
    assert not rotated.is_digest(before.digest(CANARY), b"other")
    assert none.is_digest(none.digest(CANARY), CANARY)
    assert not none.is_digest(before.digest(CANARY), CANARY)


# ---- which reactors declare secrets ---------------------------------------------------------------------------


class Plain(Reactor):
    name: str

    @step
    async def output(self) -> str:
        return self.name


class Login(Reactor):
    token: Annotated[str, Secret()]

    @step
    async def output(self) -> int:
        return 1


class Made(Reactor):
    @step
    async def issue(self) -> list[Token]:
        return []

    @map_over(issue.result)
    async def used(self, token: Token) -> int:
        return 1

    @step(after=[used])
    async def output(self) -> int:
        return 1


class Asking(Reactor):
    @interrupt
    async def code(self) -> Ask[Token]:
        return Ask("code")

    @step(after=[code])
    async def output(self) -> int:
        return 1


class Child(Reactor):
    @compose
    async def pay(self) -> Plain | Login:
        return Login(token="t")

    @step
    async def output(self, paid: str | int = pay.result) -> int:
        return 1


def test_the_first_secret_is_named():
    """In an input, a result, a payload, or a reactor that may be opened; none where there is none."""
    assert first_secret(Plain) is None
    for cls, of, what in (
        (Login, "Login", "the input `token`"),
        (Made, "Made", "`issue`"),
        (Asking, "Asking", "`code`"),
        (Child, "Login", "`token`"),
    ):
        found = first_secret(cls)
        assert found is not None
        assert found[0].name == of
        assert what in found[1]


def test_a_durable_store_takes_secrets_with_keys_or_on_purpose():
    """Refused when the reactor is handed over, with its line and the two ways out; reactors without secrets need neither."""
    neither = Sealer((), plain=False)
    neither.check(Plain)
    for fine in (sealer(OLD), Sealer((), plain=True)):
        fine.check(Login)
    with pytest.raises(ReactorError) as caught:
        neither.check(Child)
    assert caught.value.code == "secrets-need-keys"
    assert caught.value.where is not None
    assert caught.value.where.file == __file__
    assert "plain_secrets=True" in (caught.value.fix or "")
