"""AES-GCM, for secrets: the one room that knows `cryptography` (extra `reactor-saga[secrets]`). Only the engine's table loads it."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class AesGcm:
    """One key of 16, 24 or 32 bytes.

    >>> one, other = AesGcm(bytes(32)), AesGcm(bytes(16))
    >>> box = one.seal(bytes(12), b"t0p", b"here")
    >>> one.open(bytes(12), box, b"here"), one.open(bytes(12), box, b"there"), other.open(bytes(12), box, b"here")
    (b't0p', None, None)
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, nonce: bytes, data: bytes, bound_to: bytes) -> bytes:
        """The data, unreadable and unchangeable."""
        return self._cipher.encrypt(nonce, data, bound_to)

    def open(self, nonce: bytes, data: bytes, bound_to: bytes) -> bytes | None:
        """What was sealed; None where these bytes were not, or not for this."""
        try:
            return self._cipher.decrypt(nonce, data, bound_to)
        except (InvalidTag, ValueError):  # a nonce of another length is one of no value of ours
            return None
