"""The `Issuer`: turns claims into signed tokens. Sans-I/O inside, driven by a local key or any `Signer`."""

import math
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import ConfigurationError
from watchword.keys.keyring import Keyring
from watchword.keys.store import KeyStore, Signer
from watchword.tokens import base64url, strict_json
from watchword.tokens.claims import AccessTokenClaims, format_scope
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.jws import encode_header
from watchword.tokens.policy import ACCESS_TOKEN_TYPE
from watchword.tokens.private_key import DEFAULT_ALGORITHM, PrivateKey

DEFAULT_LIFETIME = 300
MAX_LIFETIME = 3600


def new_token_id() -> str:
    """Return a fresh `jti` or `txn`: 128 random bits, 22 characters."""
    return base64url.encode(secrets.token_bytes(16)).decode()


@dataclass(frozen=True, slots=True)
class SigningInput:
    """A token that only lacks its signature; `signing_input` is what a signer must sign."""

    signing_input: bytes
    kid: str
    alg: str

    def finish(self, signature: bytes) -> str:
        """Return the compact JWS."""
        return (self.signing_input + b"." + base64url.encode(signature)).decode("ascii")


class Issuer:
    """Signs access tokens of one issuer with the active key of a keyring.

    Args:
        issuer: the `iss`, exactly as verifiers know it: an https URL without trailing slash (http on loopback).
        keys: where the keys live. An empty store gets its first key here.
        algorithm: of the first key.
        clock: where `iat` comes from.

    Raises:
        KeyringError: the store cannot be read or written.
    """

    __slots__ = ("_clock", "_headers", "_keyring", "_store", "algorithm", "issuer")

    def __init__(
        self,
        issuer: str,
        keys: KeyStore,
        *,
        algorithm: str = DEFAULT_ALGORITHM,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not issuer or issuer.endswith("/"):
            raise ConfigurationError("issuer: expected the exact iss, a URL without trailing slash")
        self.issuer = issuer
        self.algorithm = algorithm
        self._store = keys
        self._clock = clock
        self._headers: dict[str, bytes] = {}
        keyring = keys.load()
        if not keyring.entries:
            key = PrivateKey.generate(algorithm)
            keyring = keys.save(keyring.prepare(key, clock.now()).activate(key.kid, clock.now()))
        self._keyring = keyring
