"""The one table of signature algorithms (RFC 7518, RFC 8037, RFC 9864).

What is not a row here does not exist: there is no `none`, and nothing is looked up by a part of a name.
A row binds a name to exactly one kind of key, one curve, one hash and one size of signature.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256, sha384
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from watchword.errors import SignatureInvalid

MIN_RSA_BITS = 2048  # RFC 7518 §3.3
MAX_RSA_BITS = 8192  # beyond it one verification is a denial of service
MIN_SECRET_BYTES = 32  # RFC 7518 §3.2

Check = Callable[[bytes, bytes], None]
"""Takes signature and signing input; returns, or raises `SignatureInvalid`."""

Sign = Callable[[bytes], bytes]
"""Takes the signing input; returns the signature in its JOSE form."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One row: a JOSE `alg`, the key it fits, and how to check and make its signatures."""

    name: str
    kty: str
    crv: str | None
    checker: Callable[[Any], Check]
    signer: Callable[[Any], Sign]


def _refused() -> SignatureInvalid:
    return SignatureInvalid("the signature does not match the signing input under the named key")


def _der(r: bytes, s: bytes) -> bytes:
    """Return an ECDSA signature as OpenSSL wants it: two integers in DER, each in its one shortest form."""
    r, s = r.lstrip(b"\0") or b"\0", s.lstrip(b"\0") or b"\0"
    if r[0] & 0x80:
        r = b"\0" + r
    if s[0] & 0x80:
        s = b"\0" + s
    return b"0%c\2%c%b\2%c%b" % (len(r) + len(s) + 4, len(r), r, len(s), s)


def _ecdsa(
    hash_: hashes.HashAlgorithm, digest: Callable[[bytes], Any], half: int
) -> tuple[Callable[[Any], Check], Callable[[Any], Sign]]:
    """ECDSA with the fixed-length R || S of RFC 7518 §3.4; DER or padded halves never pass."""
    # hashlib hashes in less time than `cryptography` needs to begin
    scheme = ec.ECDSA(Prehashed(hash_))
    size = 2 * half

    def checker(key: ec.EllipticCurvePublicKey) -> Check:
        verify = key.verify

        def check(signature: bytes, signing_input: bytes) -> None:
            if len(signature) != size:
                raise SignatureInvalid(f"expected a signature of {size} bytes, found {len(signature)}")
            try:
                verify(_der(signature[:half], signature[half:]), digest(signing_input).digest(), scheme)
            except InvalidSignature:
                raise _refused() from None

        return check

    def signer(key: ec.EllipticCurvePrivateKey) -> Sign:
        sign = key.sign

        def make(signing_input: bytes) -> bytes:
            der = sign(digest(signing_input).digest(), scheme)
            # 30 n 02 n r 02 n s: two integers, each with a zero in front where its first bit is set
            middle = 4 + der[3]
            return der[4:middle][-half:].rjust(half, b"\0") + der[middle + 2 :][-half:].rjust(half, b"\0")

        return make

    return checker, signer


def _rsa(
    scheme: padding.AsymmetricPadding, hash_: hashes.HashAlgorithm
) -> tuple[Callable[[Any], Check], Callable[[Any], Sign]]:
    def checker(key: rsa.RSAPublicKey) -> Check:
        verify = key.verify

        def check(signature: bytes, signing_input: bytes) -> None:
            try:
                verify(signature, signing_input, scheme, hash_)
            except InvalidSignature:
                raise _refused() from None

        return check

    def signer(key: rsa.RSAPrivateKey) -> Sign:
        sign = key.sign
        return lambda signing_input: sign(signing_input, scheme, hash_)

    return checker, signer


def _eddsa_checker(key: ed25519.Ed25519PublicKey) -> Check:
    verify = key.verify

    def check(signature: bytes, signing_input: bytes) -> None:
        try:
            verify(signature, signing_input)
        except InvalidSignature:
            raise _refused() from None

    return check


def _eddsa_signer(key: ed25519.Ed25519PrivateKey) -> Sign:
    return key.sign


def _hmac_checker(secret: bytes) -> Check:
    def check(signature: bytes, signing_input: bytes) -> None:
        mac = hmac.HMAC(secret, hashes.SHA256())
        mac.update(signing_input)
        try:
            mac.verify(signature)  # constant time
        except InvalidSignature:
            raise _refused() from None

    return check


def _hmac_signer(secret: bytes) -> Sign:
    def make(signing_input: bytes) -> bytes:
        mac = hmac.HMAC(secret, hashes.SHA256())
        mac.update(signing_input)
        return mac.finalize()

    return make


_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)  # RFC 7518 §3.5: salt = hash size

ALGORITHMS: dict[str, Algorithm] = {
    row.name: row
    for row in (
        Algorithm("RS256", "RSA", None, *_rsa(padding.PKCS1v15(), hashes.SHA256())),
        Algorithm("PS256", "RSA", None, *_rsa(_PSS, hashes.SHA256())),
        Algorithm("ES256", "EC", "P-256", *_ecdsa(hashes.SHA256(), sha256, 32)),
        Algorithm("ES384", "EC", "P-384", *_ecdsa(hashes.SHA384(), sha384, 48)),
        Algorithm("EdDSA", "OKP", "Ed25519", _eddsa_checker, _eddsa_signer),  # deprecated by RFC 9864, in use
        Algorithm("Ed25519", "OKP", "Ed25519", _eddsa_checker, _eddsa_signer),
        Algorithm("HS256", "oct", None, _hmac_checker, _hmac_signer),
    )
}

PUBLIC_KEY_ALGORITHMS: frozenset[str] = frozenset(ALGORITHMS) - {"HS256"}


def fitting(kty: str, crv: str | None, alg: str | None) -> frozenset[str]:
    """Name the algorithms that a key of this kind may verify.

    `alg` is the JWK's own member (RFC 7517 §4.4). With it a key has one algorithm (RFC 8725 §3.1);
    `EdDSA` and `Ed25519` are two names of one (RFC 9864 §2.2). Empty: the key is of no use here.
    """
    names = frozenset(a.name for a in ALGORITHMS.values() if (a.kty, a.crv) == (kty, crv))
    if alg is None:
        return names
    if alg not in names:
        return frozenset()
    return names if crv == "Ed25519" else frozenset({alg})
