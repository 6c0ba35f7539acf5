"""The peers: how each verifies the same token with the same checks.

Everybody holds the issuer's two keys, parsed once, and takes the one that the token's `kid` names, the way
its documentation does it; then signature, `typ`, `iss`, `aud`, `exp` and the claims that RFC 9068 demands.
PyJWT takes part twice: reading the header for its `kid` costs it a second parse, so the goal is measured
against the PyJWT that is handed the right key and only compares the `kid`.
"""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joserfc.jwk
import joserfc.jwt
import jwcrypto.jwk
import jwcrypto.jwt
import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from benchmarks.race import Batch
from watchword.tokens import base64url
from watchword.tokens.jwk import PublicKey
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.jws import split
from watchword.tokens.private_key import PrivateKey

with warnings.catch_warnings():
    import authlib.deprecate  # noqa: F401  # it makes its own warnings always show: only afterwards be quiet

    warnings.simplefilter("ignore")  # they say that joserfc follows it, which takes part too
    from authlib.jose import JsonWebKey, JsonWebToken

REQUIRED = ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]  # RFC 9068 §2.2
ISSUER = "https://issuer.example"
AUDIENCE = "posts"

Verify = Callable[[str], object]


def bare(token: str, key: PublicKey) -> Callable[[], object]:
    """`cryptography` alone: the signature in its native form over the right bytes, and nothing else."""
    parts = split(token)
    signature, data = base64url.decode(parts.signature), parts.signing_input
    material: Any = key.material
    if key.jwk["kty"] == "EC":
        half = len(signature) // 2
        r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        der, scheme = encode_dss_signature(r, s), ec.ECDSA(hashes.SHA256())
        return lambda: material.verify(der, data, scheme)
    if key.jwk["kty"] == "RSA":
        pkcs1, digest = padding.PKCS1v15(), hashes.SHA256()
        return lambda: material.verify(signature, data, pkcs1, digest)
    return lambda: material.verify(signature, data)


def bare_sign(key: PrivateKey, data: bytes) -> Callable[[], object]:
    """`cryptography` alone, signing bytes of the same length."""
    material: Any = key._material
    if key.alg == "ES256":
        scheme = ec.ECDSA(hashes.SHA256())
        return lambda: material.sign(data, scheme)
    if key.alg == "RS256":
        pkcs1, digest = padding.PKCS1v15(), hashes.SHA256()
        return lambda: material.sign(data, pkcs1, digest)
    return lambda: material.sign(data)


def pyjwt(keys: JWKSet, alg: str) -> Verify:
    key = keys.keys[0]
    material: Any = key.material

    def verify(token: str) -> object:
        found = jwt.decode_complete(
            token,
            material,
            algorithms=[alg],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": REQUIRED},
        )
        if found["header"]["typ"] != "at+jwt" or found["header"]["kid"] != key.kid:
            raise ValueError("typ or kid")
        return found

    return verify


def pyjwt_by_kid(keys: JWKSet, alg: str) -> Verify:
    materials: dict[str | None, Any] = {key.kid: key.material for key in keys.keys}

    def verify(token: str) -> object:
        header = jwt.get_unverified_header(token)
        if header["typ"] != "at+jwt":
            raise ValueError("typ")
        return jwt.decode(
            token,
            materials[header["kid"]],
            algorithms=[alg],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": REQUIRED},
        )

    return verify


def by_joserfc(keys: JWKSet, alg: str) -> Verify:
    theirs: Any = joserfc.jwk.KeySet.import_key_set(keys.to_dict())  # type: ignore[arg-type]
    claims = joserfc.jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        **{name: {"essential": True} for name in ("sub", "exp", "iat", "jti", "client_id")},
    )

    def verify(token: str) -> object:
        found = joserfc.jwt.decode(token, theirs, algorithms=[alg])
        if found.header["typ"] != "at+jwt":
            raise ValueError("typ")
        claims.validate(found.claims)
        return found

    return verify


def by_authlib(keys: JWKSet, alg: str) -> Verify:
    theirs, tokens = JsonWebKey.import_key_set(keys.to_dict()), JsonWebToken([alg])
    options = {
        "iss": {"essential": True, "value": ISSUER},
        "aud": {"essential": True, "value": AUDIENCE},
        **{name: {"essential": True} for name in ("sub", "exp", "iat", "jti", "client_id")},
    }

    def verify(token: str) -> object:
        found = tokens.decode(token, theirs, claims_options=options)
        if found.header["typ"] != "at+jwt":
            raise ValueError("typ")
        found.validate()
        return found

    return verify


def by_jwcrypto(keys: JWKSet, alg: str) -> Verify:
    theirs = jwcrypto.jwk.JWKSet.from_json(json.dumps(keys.to_dict()))
    wanted = {"iss": ISSUER, "aud": AUDIENCE, **dict.fromkeys(("sub", "exp", "iat", "jti", "client_id"))}

    def verify(token: str) -> object:
        found = jwcrypto.jwt.JWT(jwt=token, key=theirs, algs=[alg], check_claims=wanted, expected_type="JWS")
        if json.loads(found.header)["typ"] != "at+jwt":
            raise ValueError("typ")
        return json.loads(found.claims)

    return verify


PEERS: dict[str, Callable[[JWKSet, str], Verify]] = {
    "PyJWT": pyjwt,
    "PyJWT by kid": pyjwt_by_kid,
    "joserfc": by_joserfc,
    "Authlib": by_authlib,
    "jwcrypto": by_jwcrypto,
}


class NodeUnavailable(Exception):
    """Why npm `jose` does not take part."""


class Node:
    """A running Node with npm `jose`, told over a pipe what to verify and how often."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, **question: object) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            raise NodeUnavailable("node has no pipes")
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "node ended"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def batch(self, token: str, keys: JWKSet, alg: str) -> Batch:
        self.ask(name=alg, token=token, jwks=keys.to_dict(), alg=alg, issuer=ISSUER, audience=AUDIENCE)
        return lambda n: float(self.ask(run=alg, times=n)["seconds"])


@contextmanager
def node_jose() -> Iterator[Node]:
    """Start Node with npm `jose`.

    Raises:
        NodeUnavailable: no node, or no package.
    """
    here = Path(__file__).parent
    if not (here / "node_modules" / "jose").is_dir():
        raise NodeUnavailable("it is not installed: make bench-deps")
    try:
        process = subprocess.Popen(
            ["node", str(here / "node_jose.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            text=True,
        )
    except OSError as error:
        raise NodeUnavailable(type(error).__name__) from None
    with process:
        try:
            yield Node(process)
        finally:
            process.kill()
