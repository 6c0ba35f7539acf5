"""Private keys from elsewhere: PEM or JWK, whatever tool has written them, and never a well-known one."""

from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from watchword.errors import KeyRejected, TokenMalformed
from watchword.keys.sample_keys import SAMPLE_KEYS
from watchword.tokens import base64url
from watchword.tokens.private_key import PrivateKey, PrivateMaterial, usual_algorithm

_CURVES: Mapping[str, type[ec.EllipticCurve]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1}
_OTHER_FORMS = {
    b"ENCRYPTED": "it has a passphrase; take it off: openssl pkey -in encrypted.pem -out private.pem",
    b"BEGIN OPENSSH": "it is in the form of OpenSSH; convert it: ssh-keygen -p -m PKCS8 -f key",
    b"BEGIN PUBLIC KEY": "it is a public key; expected the private one",
    b"BEGIN CERTIFICATE": "it is a certificate; expected the private key",
}


def read_private_key(content: bytes, *, alg: str | None = None, kid: str | None = None) -> PrivateKey:
    """Return the private key that a PEM or JWK text holds.

    Args:
        content: the text.
        alg: what it signs under; what a JWK says or what fits (RS256, ES256, ES384, EdDSA) by default.
        kid: its name; what a JWK says or the RFC 7638 thumbprint by default.

    Raises:
        KeyRejected: no such key, a weak one, or one that everybody has; the message says how to convert.
    """
    key = _read(content, alg, kid)
    del content  # a traceback that shows variables must not show a key
    if isinstance(key, str):
        raise KeyRejected(key)
    demand_no_sample(key)
    return key


def demand_no_sample(key: PrivateKey) -> None:
    """Return if this is not a key out of a book.

    Raises:
        KeyRejected: everybody has it; the message says whose it is.
    """
    name = SAMPLE_KEYS.get(key.public.thumbprint())
    if name is not None:
        raise KeyRejected(f"this is {name}: everybody has it, so everybody could sign")


def _read(content: bytes, alg: str | None, kid: str | None) -> PrivateKey | str:
    """Return the key or what is wrong: an exception would carry this frame, which holds the key in clear."""
    try:
        if content.lstrip().startswith(b"{"):
            return _from_jwk(content, alg, kid)
        for mark, words in _OTHER_FORMS.items():
            if mark in content:
                return words
        return PrivateKey.from_pem(content, alg=alg, kid=kid)
    except KeyRejected as error:
        return str(error)


def _from_jwk(content: bytes, alg: str | None, kid: str | None) -> PrivateKey:
    try:
        jwk = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise KeyRejected("expected a JWK or a PEM, found other JSON") from None
    if isinstance(jwk.get("keys"), list):
        raise KeyRejected("expected one JWK, found a set; write each key into a file of its own")
    try:
        material = _material(jwk)
    except (ValueError, TokenMalformed, UnsupportedAlgorithm):
        raise KeyRejected("the numbers of this JWK are no private key, or do not fit each other") from None
    named = {"alg": alg or jwk.get("alg"), "kid": kid or jwk.get("kid")}
    if any(value is not None and not isinstance(value, str) for value in named.values()):
        raise KeyRejected("expected alg and kid of the JWK to be text")
    return PrivateKey(material, alg=named["alg"] or usual_algorithm(material), kid=named["kid"])


def _material(jwk: Mapping[str, Any]) -> PrivateMaterial:
    if "d" not in jwk:
        raise KeyRejected("expected a private JWK, with member d; this one is public, or symmetric")
    match jwk.get("kty"), jwk.get("crv"):
        case "RSA", _:
            return _rsa(jwk)
        case "EC", "P-256" | "P-384" as name:
            curve = _CURVES[name]()
            public = ec.EllipticCurvePublicNumbers(_number(jwk, "x"), _number(jwk, "y"), curve)
            return ec.EllipticCurvePrivateNumbers(_number(jwk, "d"), public).private_key()
        case "OKP", "Ed25519":
            material = ed25519.Ed25519PrivateKey.from_private_bytes(_octets(jwk, "d"))
            if material.public_key().public_bytes_raw() != _octets(jwk, "x"):
                raise KeyRejected("x and d of this JWK do not belong together")
            return material
        case kty, crv:
            raise KeyRejected(
                f"expected RSA, EC with P-256 or P-384, or OKP with Ed25519, found {kty!a:.20} {crv!a:.20}"
            )


def _rsa(jwk: Mapping[str, Any]) -> rsa.RSAPrivateKey:
    if "oth" in jwk:
        raise KeyRejected("expected an RSA key of two primes, found more")
    n, e, d = (_number(jwk, name) for name in ("n", "e", "d"))
    if not 2_048 <= n.bit_length() <= 8_192 or e < 3 or e % 2 == 0:
        raise KeyRejected(
            f"expected an RSA key of 2048 to 8192 bits with an odd exponent of at least 3,"
            f" found {n.bit_length()} bits and exponent {e if e < 1 << 32 else 'too large'}"
        )
    if "p" in jwk and "q" in jwk:
        p, q = _number(jwk, "p"), _number(jwk, "q")
    else:
        p, q = rsa.rsa_recover_prime_factors(n, e, d)
    public = rsa.RSAPublicNumbers(e, n)
    private = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    )
    return private.private_key()


def _number(jwk: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_octets(jwk, name), "big")


def _octets(jwk: Mapping[str, Any], name: str) -> bytes:
    text = jwk.get(name)
    if not isinstance(text, str) or not text.isascii() or not 0 < len(text) <= 2_048:
        raise KeyRejected(f"expected member {name} to be base64url text")
    return base64url.decode(text.encode("ascii"))
