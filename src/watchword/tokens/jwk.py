"""Public keys as JWK (RFC 7517, RFC 7518 §6, RFC 8037), their thumbprints (RFC 7638) and PEM."""

import hashlib
from collections.abc import Mapping
from typing import Any, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from watchword.errors import KeyRejected, TokenMalformed
from watchword.tokens import base64url, strict_json
from watchword.tokens.algorithms import ALGORITHMS, MAX_RSA_BITS, MIN_RSA_BITS, Check, fitting
from watchword.tokens.jws import MAX_KID_LENGTH

PublicMaterial = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_CURVES: dict[str, tuple[type[ec.EllipticCurve], int]] = {
    "P-256": (ec.SECP256R1, 32),
    "P-384": (ec.SECP384R1, 48),
}
_CURVE_NAMES = {curve().name: crv for crv, (curve, _) in _CURVES.items()}
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

# The y coordinates of the points of small order on edwards25519, canonical and not (RFC 7748 §6.1, RFC
# 8032 §8.9): under such a key one signature fits many messages.
_P25519 = 2**255 - 19
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _P25519 - 1,
        _P25519,
        _P25519 + 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)


class PublicKey:
    """One public key that may verify: its `kid`, its algorithms, its material.

    Made by `from_jwk`, `from_pem` or `from_material`; each refuses keys that must not be used.
    """

    __slots__ = ("_checks", "algorithms", "jwk", "kid", "material")

    def __init__(self, material: PublicMaterial, *, kid: str | None, alg: str | None) -> None:
        kty, crv, numbers = _public_members(material)
        if kid is not None and not 0 < len(kid) <= MAX_KID_LENGTH:
            raise KeyRejected(f"expected a kid of 1 to {MAX_KID_LENGTH} characters, found {len(kid)}")
        self.material = material
        self.algorithms: frozenset[str] = fitting(kty, crv, alg)
        """The names under which this key may verify; more than one RSA name only for a key without `alg`."""
        if not self.algorithms:
            raise KeyRejected(f"alg {alg!r:.40} does not fit a key of type {kty}{f' {crv}' if crv else ''}")
        jwk: dict[str, str] = {"kty": kty}
        if crv is not None:
            jwk["crv"] = crv
        jwk |= numbers
        self.kid: str | None = kid
        members = {"use": "sig"} | ({"kid": kid} if kid is not None else {}) | ({"alg": alg} if alg else {})
        self.jwk: Mapping[str, str] = jwk | members
        """The public members, built from public numbers only."""
        self._checks: dict[str, Check] = {}

    @classmethod
    def from_material(
        cls, material: PublicMaterial, *, kid: str | None = None, alg: str | None = None
    ) -> Self:
        """Return a key for `cryptography` material; without `kid` it gets its RFC 7638 thumbprint."""
        return cls(material, kid=thumbprint(material) if kid is None else kid, alg=alg)

    @classmethod
    def from_pem(cls, pem: bytes, *, kid: str | None = None, alg: str | None = None) -> Self:
        """Return the key of a SubjectPublicKeyInfo PEM.

        Raises:
            KeyRejected: no public key, or one that must not be used.
        """
        try:
            material = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise KeyRejected("expected a public key in PEM (-----BEGIN PUBLIC KEY-----)") from None
        return cls.from_material(material, kid=kid, alg=alg)  # type: ignore[arg-type]  # checked inside

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self:
        """Return the key that a JWK describes.

        Raises:
            KeyRejected: private members, `use` or `key_ops` for something else, a weak or malformed key.
        """
        private = sorted(PRIVATE_MEMBERS & jwk.keys())
        if private:
            raise KeyRejected(
                f"private key published: members {', '.join(private)} must never leave their owner"
            )
        if jwk.get("use", "sig") != "sig":
            raise KeyRejected("expected use sig")
        operations = jwk.get("key_ops", ["verify"])
        if not isinstance(operations, list) or "verify" not in operations:
            raise KeyRejected("expected key_ops with verify")
        kid, alg = jwk.get("kid"), jwk.get("alg")
        if "kid" in jwk and not isinstance(kid, str):
            raise KeyRejected("expected kid to be text")
        if "alg" in jwk and not isinstance(alg, str):
            raise KeyRejected("expected alg to be text")
        return cls(_material(jwk), kid=kid, alg=alg)

    def check(self, alg: str) -> Check:
        """Return the function that checks a signature of this key under `alg`, made once.

        Raises:
            KeyError: `alg` is not in `algorithms`; the caller has asked before.
        """
        made = self._checks.get(alg)
        if made is None:
            if alg not in self.algorithms:
                raise KeyError(alg)
            made = self._checks[alg] = ALGORITHMS[alg].checker(self.material)
        return made

    def pem(self) -> bytes:
        """Return the key as SubjectPublicKeyInfo PEM (RFC 7468 §13)."""
        return self.material.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def thumbprint(self) -> str:
        """Return the RFC 7638 thumbprint, SHA-256, base64url."""
        return thumbprint(self.material)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.jwk == other.jwk

    def __hash__(self) -> int:
        return hash((self.kid, self.thumbprint()))

    def __repr__(self) -> str:
        return (
            f"PublicKey(kid={self.kid!r:.70}, kty={self.jwk['kty']!r}, algorithms={sorted(self.algorithms)})"
        )


def thumbprint(material: PublicMaterial) -> str:
    """Return the SHA-256 thumbprint of a public key (RFC 7638 §3), base64url, 43 characters."""
    kty, crv, numbers = _public_members(material)
    required = numbers | {"kty": kty} | ({"crv": crv} if crv else {})
    canonical = strict_json.encode(dict(sorted(required.items())))
    return base64url.encode(hashlib.sha256(canonical).digest()).decode()


def _public_members(material: object) -> tuple[str, str | None, dict[str, str]]:
    """Return (`kty`, `crv`, coordinates) and refuse material that must not verify."""
    if isinstance(material, rsa.RSAPublicKey):
        public = material.public_numbers()
        if not MIN_RSA_BITS <= material.key_size <= MAX_RSA_BITS:
            raise KeyRejected(
                f"expected an RSA key of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, found {material.key_size}"
            )
        if public.n % 2 == 0 or public.e < 3 or public.e % 2 == 0:
            raise KeyRejected("expected an odd RSA modulus and an odd exponent of at least 3")
        return "RSA", None, {"n": _uint(public.n), "e": _uint(public.e)}
    if isinstance(material, ec.EllipticCurvePublicKey):
        crv = _CURVE_NAMES.get(material.curve.name)
        if crv is None:
            raise KeyRejected(f"expected curve P-256 or P-384, found {material.curve.name}")
        point = material.public_numbers()
        size = _CURVES[crv][1]
        return "EC", crv, {"x": _uint(point.x, size), "y": _uint(point.y, size)}
    if isinstance(material, ed25519.Ed25519PublicKey):
        raw = material.public_bytes_raw()
        if int.from_bytes(raw, "little") & (2**255 - 1) in _SMALL_ORDER_Y:
            raise KeyRejected("an Ed25519 point of small order is no key")
        return "OKP", "Ed25519", {"x": base64url.encode(raw).decode()}
    raise KeyRejected(f"expected an RSA, EC or Ed25519 public key, found {type(material).__name__}")


def _uint(number: int, size: int | None = None) -> str:
    length = (number.bit_length() + 7) // 8 if size is None else size
    return base64url.encode(number.to_bytes(length, "big")).decode()


def _material(jwk: Mapping[str, Any]) -> PublicMaterial:
    kty = jwk.get("kty")
    if kty == "RSA":
        modulus, exponent = _octets(jwk, "n", MAX_RSA_BITS // 8), _octets(jwk, "e", MAX_RSA_BITS // 8)
        n, e = int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")
        if not MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS:
            raise KeyRejected(
                f"expected an RSA key of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, found {n.bit_length()}"
            )
        try:
            return rsa.RSAPublicNumbers(e, n).public_key()
        except ValueError:
            raise KeyRejected("expected an odd RSA modulus and an odd exponent of at least 3") from None
    if kty == "EC":
        crv = jwk.get("crv")
        if not isinstance(crv, str) or crv not in _CURVES:
            raise KeyRejected("expected crv P-256 or P-384")
        curve, size = _CURVES[crv]
        x, y = _octets(jwk, "x", size), _octets(jwk, "y", size)
        if len(x) != size or len(y) != size:
            raise KeyRejected(f"expected coordinates of {size} bytes (RFC 7518 §6.2.1.2)")
        try:
            point = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve())
            return point.public_key()
        except ValueError:
            raise KeyRejected(f"the point does not lie on {crv}") from None
    if kty == "OKP":
        if jwk.get("crv") != "Ed25519":
            raise KeyRejected("expected crv Ed25519")
        raw = _octets(jwk, "x", 32)
        if len(raw) != 32:
            raise KeyRejected("expected an Ed25519 key of 32 bytes")
        return ed25519.Ed25519PublicKey.from_public_bytes(raw)
    raise KeyRejected("expected kty RSA, EC or OKP")


def _octets(jwk: Mapping[str, Any], name: str, limit: int) -> bytes:
    text = jwk.get(name)
    if not isinstance(text, str) or not text or not text.isascii():
        raise KeyRejected(f"expected member {name} to be base64url text")
    if len(text) > (limit + 1) * 4 // 3 + 4:
        raise KeyRejected(f"expected member {name} to be at most {limit} bytes")
    try:
        return base64url.decode(text.encode("ascii"))
    except TokenMalformed:
        raise KeyRejected(f"expected member {name} to be canonical base64url") from None
