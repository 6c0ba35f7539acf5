"""HS256, for those who come from a shared secret and are on their way out (RFC 7518 §3.2)."""

import re

from watchword.errors import KeyRejected
from watchword.tokens.algorithms import ALGORITHMS, MIN_SECRET_BYTES, Check

# Values from tutorials and libraries' READMEs; whoever uses one has published the key.
_SAMPLES = (
    "secret", "yoursecretkey", "your256bitsecret", "your512bitsecret", "mysecretkey", "supersecret",
    "changeme", "password", "jwtsecret", "secretkey", "topsecret", "example", "testsecret", "devsecret",
    "privatekey", "yoursecretkeyhere", "supersecretkey", "verysecretkey", "mysupersecretkey", "asecretkey",
    "thisisasecret",
)  # fmt: skip
_KEY_MARKS = (b"-----BEGIN", b"ssh-", b"ecdsa-sha2-", b'"kty"', b'"keys"')
_DER_PREFIXES = (b"\x30\x59\x30\x13", b"\x30\x82", b"\x30\x76\x30\x10", b"\x30\x2a\x30\x05", b"\x30\x81")
_MIN_DISTINCT = 12


class SharedSecret:
    """A secret that signs and verifies: whoever can verify can also forge.

    Unprintable and not picklable. At least 32 bytes, no known sample, no public key in disguise.

    Raises:
        KeyRejected: the value must not be used as a secret.
    """

    __slots__ = ("check", "sign")

    def __init__(self, secret: bytes) -> None:
        _refuse_weak(secret)
        row = ALGORITHMS["HS256"]
        self.check: Check = row.checker(secret)
        self.sign = row.signer(secret)

    def __repr__(self) -> str:
        return "SharedSecret(…)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a shared secret cannot be pickled")


def _refuse_weak(secret: bytes) -> None:
    if type(secret) is not bytes:
        raise TypeError(f"expected the secret as bytes, found {type(secret).__name__}")
    stripped = secret.removeprefix(b"\xef\xbb\xbf").strip()
    if any(mark in stripped for mark in _KEY_MARKS) or stripped.startswith(_DER_PREFIXES):
        raise KeyRejected("a public key, certificate or JWK is no secret (RFC 8725 §3.1)")
    if len(secret) < MIN_SECRET_BYTES:
        raise KeyRejected(f"expected at least {MIN_SECRET_BYTES} bytes, found {len(secret)}")
    plain = re.sub(r"[^a-z0-9]", "", secret.decode("latin-1").lower())
    for sample in _SAMPLES:
        if sample in plain and not plain.replace(sample, "").strip("0123456789"):
            raise KeyRejected(f"the secret is a well-known sample ({sample}); generate one")
    if len(set(secret)) < _MIN_DISTINCT:
        raise KeyRejected(f"expected a random secret, found only {len(set(secret))} different bytes")
