"""The sealing key: 256 random bits under which everything else is sealed. Its text is base64url."""

import hashlib
import itertools
import secrets
from typing import NoReturn, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchword.errors import SealingKeyUnusable, TokenMalformed
from watchword.tokens import base64url

KEY_BYTES = 32
NONCE_BYTES = 12
ID_BYTES = 8
_TEXT_LENGTH = 43
_NO_KEY = (
    f"expected a sealing key of {_TEXT_LENGTH} base64url characters; `watchword keys new-seal` makes one"
)
_FEWEST_VALUES = 16
"""Of 32 random bytes fewer differ once in 10^14 times."""


class SealingKey:
    """One sealing key; it cannot be printed or pickled, and neither can what it sealed be opened by its `id`.

    Args:
        key: 32 bytes.

    Raises:
        SealingKeyUnusable: too short, too long, or nothing that chance has made.
    """

    __slots__ = ("_cipher", "id")

    def __init__(self, key: bytes) -> None:
        problem = _problem(key)
        self.id = b""
        """Tells keys apart without telling anything of them."""
        if problem is None:
            self._cipher = AESGCM(key)
            self.id = hashlib.sha256(b"watchword sealing key\0" + key).digest()[:ID_BYTES]
        del key  # a traceback that shows variables must not show it
        if problem is not None:
            raise SealingKeyUnusable(problem)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a key as `new_sealing_key` writes it; white space around it is forgiven."""
        key = _decode(text.strip())
        problem = _NO_KEY if key is None else _problem(key)
        if key is not None and problem is None:
            return cls(key)
        del text, key
        raise SealingKeyUnusable(problem)

    def encrypt(self, secret: bytes, aad: bytes) -> bytes:
        """Return nonce, ciphertext and tag."""
        return encrypt(self._cipher, secret, aad)

    def decrypt(self, sealed: bytes, aad: bytes) -> bytes | None:
        """Return what was encrypted; `None` if this is not what `encrypt` returned for this `aad`."""
        return decrypt(self._cipher, sealed, aad)

    @property
    def name(self) -> str:
        """The `id` in hex, for messages."""
        return self.id.hex()

    def __repr__(self) -> str:
        return f"SealingKey({self.name})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a sealing key cannot be pickled")


def encrypt(cipher: AESGCM, secret: bytes, aad: bytes) -> bytes:
    """Return a fresh random nonce, ciphertext and the whole tag."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, secret, aad)


def decrypt(cipher: AESGCM, sealed: bytes, aad: bytes) -> bytes | None:
    """Return what `encrypt` was given; `None` if this is not what it returned for this `aad`."""
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
    except (InvalidTag, ValueError):
        return None


def new_sealing_key() -> str:
    """Return the text of a new sealing key: 256 bits of the system's generator."""
    return base64url.encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")


def _decode(text: str) -> bytes | None:
    if len(text) != _TEXT_LENGTH or not text.isascii():
        return None
    try:
        return base64url.decode(text.encode("ascii"))
    except TokenMalformed:
        return None


def _problem(key: bytes) -> str | None:
    if len(key) != KEY_BYTES:
        return f"expected a sealing key of {KEY_BYTES} bytes, found {len(key)}"
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    if not any(key):
        words = "zeros only"
    elif len(set(key)) < _FEWEST_VALUES or len(steps) == 1:
        words = "a pattern"
    elif all(0x20 <= value < 0x7F for value in key):
        words = "readable text"
    else:
        return None
    return f"expected a sealing key of random bytes, found {words}; `watchword keys new-seal` makes one"
