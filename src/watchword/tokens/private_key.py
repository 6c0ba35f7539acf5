"""A private key that signs under exactly one algorithm, and cannot be printed or pickled."""

from collections.abc import Mapping
from typing import Any, NoReturn, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from watchword.errors import KeyRejected
from watchword.tokens.algorithms import ALGORITHMS, PUBLIC_KEY_ALGORITHMS, Sign
from watchword.tokens.jwk import PublicKey

PrivateMaterial = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

DEFAULT_ALGORITHM = "ES256"
RSA_BITS = 2048


class PrivateKey:
    """A key that signs; its `kid` is the RFC 7638 thumbprint unless named otherwise.

    Raises:
        KeyRejected: weak material, or material that does not fit `alg`.
    """

    __slots__ = ("_material", "alg", "kid", "public", "sign")

    def __init__(self, material: PrivateMaterial, *, alg: str, kid: str | None = None) -> None:
        if alg not in PUBLIC_KEY_ALGORITHMS:
            raise KeyRejected(
                f"expected one of {', '.join(sorted(PUBLIC_KEY_ALGORITHMS))}, found {alg!a:.40}"
            )
        self._material = material
        self.public = PublicKey.from_material(material.public_key(), kid=kid, alg=alg)
        self.alg = alg
        self.kid: str = self.public.kid or ""
        self.sign: Sign = ALGORITHMS[alg].signer(material)
        """Signs bytes; the signature comes in its JOSE form."""

    @classmethod
    def generate(cls, alg: str = DEFAULT_ALGORITHM) -> Self:
        """Make a new key with the system's generator."""
        row = ALGORITHMS.get(alg)
        material: PrivateMaterial
        if row is None or alg not in PUBLIC_KEY_ALGORITHMS:
            raise KeyRejected(
                f"expected one of {', '.join(sorted(PUBLIC_KEY_ALGORITHMS))}, found {alg!a:.40}"
            )
        if row.kty == "RSA":
            material = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        elif row.kty == "EC":
            material = ec.generate_private_key(ec.SECP256R1() if row.crv == "P-256" else ec.SECP384R1())
        else:
            material = ed25519.Ed25519PrivateKey.generate()
        return cls(material, alg=alg)

    @classmethod
    def from_pem(cls, pem: bytes, *, alg: str | None = None, kid: str | None = None) -> Self:
        """Read an unencrypted private key in PEM; `alg` defaults to what fits (RS256, ES256, ES384, EdDSA).

        Raises:
            KeyRejected: no such key, an encrypted one, or one that must not be used.
        """
        try:
            material = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeyRejected(
                "expected an unencrypted private key in PEM (-----BEGIN PRIVATE KEY-----)"
            ) from None
        return cls(material, alg=alg or usual_algorithm(material), kid=kid)  # type: ignore[arg-type]

    @classmethod
    def from_der(cls, der: bytes, *, alg: str, kid: str | None = None) -> Self:
        """Read an unencrypted private key in PKCS#8 DER.

        Raises:
            KeyRejected: no such key, or one that must not be used.
        """
        try:
            material = serialization.load_der_private_key(der, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeyRejected("expected a private key in PKCS#8 DER") from None
        return cls(material, alg=alg, kid=kid)  # type: ignore[arg-type]  # checked inside

    def insecure_private_der(self) -> bytes:
        """Return the key in clear as PKCS#8 DER: for whoever seals it at once."""
        return self._material.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def insecure_private_pem(self) -> bytes:
        """Return the key in clear as PKCS#8 PEM: for the one file that only its owner can read."""
        return self._material.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def public_jwk(self) -> Mapping[str, Any]:
        """Return the public JWK with `kid`, `alg` and `use`."""
        return self.public.jwk

    def __repr__(self) -> str:
        return f"PrivateKey(kid={self.kid!r:.70}, alg={self.alg!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key cannot be pickled")


def usual_algorithm(material: object) -> str:
    """Return the algorithm that fits a private key where nobody says which.

    Raises:
        KeyRejected: none fits.
    """
    if isinstance(material, rsa.RSAPrivateKey):
        return "RS256"
    if isinstance(material, ed25519.Ed25519PrivateKey):
        return "EdDSA"
    if isinstance(material, ec.EllipticCurvePrivateKey):
        return "ES384" if material.curve.name == "secp384r1" else "ES256"
    raise KeyRejected(f"expected an RSA, EC or Ed25519 key, found {type(material).__name__}")
