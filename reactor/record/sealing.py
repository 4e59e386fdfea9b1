"""Secrets in a record: sealed bytes that say of themselves that they are, and who seals and opens them.

A sealed value is a msgpack extension, so that it is never taken for the value itself. It is bound to its place (the run, the address and
what it is there), to the version of the reactor that wrote it and to its key: copied elsewhere, or changed by a bit, it does not open.
This room refuses to import a cipher: `reactor.record.aesgcm` has one, and only the engine, given keys, loads it.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from reactor.define.inputs import has_secret
from reactor.define.reactor import definition_of, inputs_of, record_of
from reactor.errors import ReactorError
from reactor.record.keeping import life_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reactor.define.definition import Definition

SEALED = 83  # the code of the msgpack extension
FORMAT = 1  # of what is in it
NONCE = 12  # bytes, drawn for each value
LENGTHS = (16, 24, 32)  # bytes of a key
_FIRST_BYTES = frozenset((0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8))  # of a msgpack extension


class CannotOpen(ReactorError):
    """A secret of a store cannot be read here: its key is not at hand, or these are not the bytes that were sealed for this place."""

    code = "seal-broken"


class Whose(NamedTuple):
    """What a sealed value belongs to: a record, an address in it, and what it is there (an input's name, "value", "elements", …)."""

    run: str
    address: str = ""
    part: str = "value"


class Cipher(Protocol):
    """One key's authenticated encryption."""

    def seal(self, nonce: bytes, data: bytes, bound_to: bytes) -> bytes:
        """The data, unreadable and unchangeable."""
        ...

    def open(self, nonce: bytes, data: bytes, bound_to: bytes) -> bytes | None:
        """What was sealed; None where these bytes were not, or not for this."""
        ...


class _Sealed(msgspec.Struct, array_like=True, frozen=True):
    """What the extension holds."""

    format: int
    key: bytes  # its id
    version: int  # of the reactor that wrote it
    nonce: bytes
    box: bytes


_EXTENSION = msgspec.msgpack.Decoder(msgspec.msgpack.Ext)
_SEALED = msgspec.msgpack.Decoder(_Sealed)
_EXTENSION = msgspec.msgpack.Decoder(msgspec.msgpack.Ext)


class Sealer:
    r"""Seals with the first key, opens with all. `plain`: what is not sealed is taken, too, and without keys nothing is sealed.

    >>> Sealer((), plain=True).open(b"\x07", Whose("shop:1")), Sealer((), plain=True).seals
    (b'\x07', False)

    Raises ReactorError (`bad-secret-key`) for keys that are none. `cipher` makes a key's cipher; it is needed where there are keys.
    """

    def __init__(self, keys: Sequence[bytes], plain: bool, cipher: Callable[[bytes], Cipher] | None = None) -> None:  # noqa: FBT001  # Engine's word
        checked = checked_keys(keys)
        if checked and cipher is None:
            raise ReactorError("keys were given without a cipher to use them with", code="bad-secret-key", fix="let the engine make it")
        self.plain = plain
        self.seals = bool(checked)
        self._ciphers = {key_id(key): cipher(key) for key in checked if cipher is not None}
        self._first = key_id(checked[0]) if checked else b""
        self._digests = tuple(hashlib.sha256(b"reactor digest\0" + key).digest() for key in checked)

    def __repr__(self) -> str:
        return f"Sealer({len(self._ciphers)} keys, plain={self.plain})"

    # ---- a value ----------------------------------------------------------------------------------------------

    def seal(self, data: bytes, whose: Whose, version: int = 1) -> bytes:
        """The encoded value as msgpack that nobody can read; without keys, as it is."""
        if not self.seals:
            return data
        nonce = os.urandom(NONCE)
        box = self._ciphers[self._first].seal(nonce, data, _bound_to(whose, version))
        inner = msgspec.msgpack.encode(_Sealed(FORMAT, self._first, version, nonce, box))
        return msgspec.msgpack.encode(msgspec.msgpack.Ext(SEALED, inner))

    def open(self, data: bytes, whose: Whose) -> bytes:
        """The encoded value. Raises CannotOpen."""
        inner = _inner(data)
        if inner is not None:
            return self._opened(inner, whose)
        if self.plain:
            return data
        if self.seals:
            raise CannotOpen(
                f"{_said(whose)} is not sealed, and this engine takes secrets only sealed",
                code="secret-not-sealed",
                fix="it was written without keys, or by a hand that is not yours; to read what was: `plain_secrets=True` beside `keys`",
            )
        raise _needs_keys(f"{_said(whose)} is a secret")

    def seal_as(self, declared: Any, data: bytes, whose: Whose, version: int = 1) -> bytes:
        """The bytes of a value of this type: sealed where the type holds a secret, else as they are."""
        return self.seal(data, whose, version) if self.seals and is_secret(declared) else data

    def open_as(self, declared: Any, data: bytes, whose: Whose) -> bytes:
        """The bytes of a value of this type, opened where the type holds a secret, or did when they were written. Raises CannotOpen."""
        return self.open(data, whose) if is_secret(declared) or is_sealed(data) else data

    def _opened(self, inner: bytes, whose: Whose) -> bytes:
        if not self.seals:
            raise CannotOpen(
                f"{_said(whose)} is sealed, and this engine has no key",
                code="no-key",
                fix="give the engine the keys that it was sealed with: `Engine(…, keys=[…])`, or `REACTOR_KEYS` to the command",
            )
        try:
            sealed = _SEALED.decode(inner)
        except (msgspec.MsgspecError, RecursionError):
            sealed = None
        if sealed is None or sealed.format != FORMAT:
            raise _broken(whose)
        cipher = self._ciphers.get(sealed.key)
        if cipher is None:
            raise CannotOpen(
                f"{_said(whose)} is sealed with the key {sealed.key.hex()}, which is none of this engine's",
                code="no-key",
                known=[one.hex() for one in self._ciphers],
                fix="keep a key in `keys` for as long as there are runs that it sealed: the first seals, all open",
            )
        data = cipher.open(sealed.nonce, sealed.box, _bound_to(whose, sealed.version))
        if data is None:
            raise _broken(whose)
        return data

    # ---- digests ----------------------------------------------------------------------------------------------

    def digest(self, data: bytes) -> bytes:
        """32 bytes by which equal data are known again, and, with keys, a guess cannot be tried."""
        return self._digest_by(self._digests[0], data) if self._digests else hashlib.sha256(data).digest()

    def is_digest(self, digest: bytes, data: bytes) -> bool:
        """Whether this is the digest of that, by whichever key."""
        if not self._digests:
            return hmac.compare_digest(digest, hashlib.sha256(data).digest())
        return any(hmac.compare_digest(digest, self._digest_by(key, data)) for key in self._digests)

    @staticmethod
    def _digest_by(key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, "sha256")

    # ---- what may be kept -------------------------------------------------------------------------------------

    def check(self, cls: type[Any]) -> None:
        """Raises ReactorError (`secrets-need-keys`) where the reactor declares a secret, and there are neither keys nor `plain`."""
        if self.seals or self.plain:
            return
        found = first_secret(cls)
        if found is not None:
            definition, what = found
            raise _needs_keys(f"{what} of {definition.name} is a secret", definition)


def is_sealed(data: bytes) -> bool:
    r"""Whether an encoded value says of itself that it is sealed.

    >>> is_sealed(msgspec.msgpack.encode(msgspec.msgpack.Ext(SEALED, b"box"))), is_sealed(b"\x07")
    (True, False)
    """
    return _inner(data) is not None


def _inner(data: bytes) -> bytes | None:
    if not data or data[0] not in _FIRST_BYTES:
        return None
    try:
        extension = _EXTENSION.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return bytes(extension.data) if extension.code == SEALED else None


def _bound_to(whose: Whose, version: int) -> bytes:
    """What a cipher binds a value to. A restart's next life goes on with the values of the one before: it is the same run here."""
    return msgspec.msgpack.encode(("reactor", FORMAT, life_of(whose.run)[0], whose.address, whose.part, version))


def _said(whose: Whose) -> str:
    where = f" at `{whose.address}`" if whose.address else ""
    what = "a value" if whose.part == "value" else f"`{whose.part}`"
    return f"{what} of {whose.run}{where}"


def _broken(whose: Whose) -> CannotOpen:
    return CannotOpen(
        f"{_said(whose)} does not open: these bytes were not sealed for this place, or were changed",
        fix="whoever wrote to the store meanwhile knows; cancel the run, or restore the store",
    )


def _needs_keys(what: str, definition: Definition | None = None) -> ReactorError:
    return ReactorError(
        f"{what}, and this engine would write it to its store as it is",
        code="secrets-need-keys",
        where=definition.span if definition is not None else None,
        fix="give the engine keys that seal it, `Engine(…, keys=[key])` (extra `reactor-saga[secrets]`), or say `plain_secrets=True`",
    )


# ---- keys -----------------------------------------------------------------------------------------------------


def key_id(key: bytes) -> bytes:
    """8 bytes by which a sealed value names its key, and from which nobody gets the key.

    >>> key_id(bytes(32)).hex()
    '23b4c72dbe2fc557'
    """
    return hashlib.sha256(b"reactor key\0" + key).digest()[:8]


def checked_keys(keys: Any) -> tuple[bytes, ...]:
    """Keys as a tuple. Raises ReactorError, with no key in it."""
    if isinstance(keys, str | bytes | bytearray):
        raise ReactorError("`keys` is one key, no list of keys", code="bad-secret-key", fix="say `keys=[key]`: the first seals, all open")
    checked = tuple(keys)
    for place, key in enumerate(checked, 1):
        if not isinstance(key, bytes):
            raise _bad_key(place, f"is of type {type(key).__name__}, and bytes are needed")
        if len(key) not in LENGTHS:
            raise _bad_key(place, f"has {len(key)} bytes, and 16, 24 or 32 are needed")
    return checked


def keys_from(text: str) -> tuple[bytes, ...]:
    """Keys as `REACTOR_KEYS` has them: base64, with commas between; the first seals, all open.

    >>> [len(key) for key in keys_from("q6urq6urq6urq6urq6urqw==, zc3Nzc3Nzc3Nzc3Nzc3NzQ==")]
    [16, 16]

    Raises ReactorError (`bad-secret-key`), with no key in it.
    """
    return checked_keys([_decoded(place, part.strip()) for place, part in enumerate(text.split(","), 1)] if text.strip() else [])


def _decoded(place: int, part: str) -> bytes:
    if not part:
        raise _bad_key(place, "is empty")
    padded = part.replace("-", "+").replace("_", "/").rstrip("=")
    with suppress(binascii.Error, ValueError):  # what is chained could tell a key
        return base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    raise _bad_key(place, "is no base64")


def _bad_key(place: int, why: str) -> ReactorError:
    return ReactorError(
        f"key {place} {why}",
        code="bad-secret-key",
        fix="make one: `python -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'`",
    )


# ---- what is secret -------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def _is_secret(declared: Any) -> bool:
    return has_secret(declared)


def is_secret(declared: Any) -> bool:
    """Whether values of this type are sealed whole: it is marked, or holds what is. Asked once a type.

    >>> from typing import Annotated
    >>> from reactor import Secret
    >>> is_secret(list[Annotated[str, Secret()]]), is_secret(list[str])
    (True, False)
    """
    try:
        return _is_secret(declared)
    except TypeError:  # a type that cannot be a key
        return has_secret(declared)


def first_secret(cls: type[Any]) -> tuple[Definition, str] | None:
    """The first secret that a reactor, or one that it may open, declares: where, and what it is. None: there is none."""
    seen: set[type[Any]] = set()
    open_classes = [cls]
    while open_classes:
        one = open_classes.pop()
        if one in seen or record_of(one).options.abstract:
            continue
        seen.add(one)
        definition = definition_of(one)
        what = next(_secrets_of(definition), None)
        if what is not None:
            return definition, what
        open_classes += [child for node in definition.nodes.values() for child in node.children]
    return None


def _secrets_of(definition: Definition) -> Iterator[str]:
    for name in sorted(inputs_of(definition.cls).secrets):
        yield f"the input `{name}`"
    for name, node in definition.nodes.items():
        if is_secret(node.returns):
            yield f"the result of `{name}`"
        if node.map is not None and is_secret(node.map.element):
            yield f"an element of `{name}`"
