"""The `Issuer`: turns claims into signed tokens. Sans-I/O inside, driven by a local key or any `Signer`."""

import math
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import ClaimInvalid, ConfigurationError
from watchword.keys.keyring import Keyring
from watchword.keys.store import KeyStore, Signer
from watchword.tokens import base64url, strict_json
from watchword.tokens.claims import AccessTokenClaims, format_scope, typed
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
        issuer: the `iss` as verifiers know it: an https URL without trailing slash (http on loopback).
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

    @property
    def keyring(self) -> Keyring:
        """The keys as they are now."""
        return self._keyring

    def issue(
        self,
        subject: str,
        audience: str,
        *,
        client_id: str | None = None,
        scope: Collection[str] = (),
        lifetime: int = DEFAULT_LIFETIME,
        roles: Collection[str] | None = None,
        session_id: str | None = None,
        story_id: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        """Issue an access token for one audience and return it.

        Args:
            subject: `sub`, as this issuer knows the person or service.
            audience: the one service that the token is meant for.
            client_id: the client that asked for it; this issuer itself if nobody else did.
            scope: scope tokens.
            lifetime: seconds, 1 to 3600.
            roles: roles of the subject (RFC 9068 §2.2.3.1).
            session_id: `sid`, the sign-in.
            story_id: `txn`; a new one by default.
            claims: further typed claims: `auth_time`, `acr`, `amr`, `may_act`.

        Raises:
            ConfigurationError: a value that no verifier would accept.
            NoActiveKey: the keyring has no key that may sign.
        """
        made = self.new_claims(
            subject,
            audience,
            client_id=client_id,
            scope=scope,
            lifetime=lifetime,
            roles=roles,
            session_id=session_id,
            story_id=story_id,
            claims=claims,
        )
        return self.sign(made)

    async def aissue(self, subject: str, audience: str, *, signer: Signer, **arguments: Any) -> str:
        """Issue a token that a remote key signs; the arguments are those of `issue`."""
        prepared = self.prepare(
            self.new_claims(subject, audience, **arguments), kid=signer.public.kid, alg=signer.alg
        )
        return prepared.finish(await signer.asign(prepared.signing_input))

    def new_claims(
        self,
        subject: str,
        audience: str,
        *,
        client_id: str | None = None,
        scope: Collection[str] = (),
        lifetime: int = DEFAULT_LIFETIME,
        roles: Collection[str] | None = None,
        session_id: str | None = None,
        story_id: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> AccessTokenClaims:
        """Return the claims of a new token; see `issue`."""
        if not 0 < lifetime <= MAX_LIFETIME:
            raise ConfigurationError(f"lifetime: expected 1 to {MAX_LIFETIME} seconds, found {lifetime}")
        if isinstance(scope, str):
            raise ConfigurationError("scope: expected a collection of scope tokens, found one text")
        now = math.floor(self._clock.now())
        members = {
            **(claims or {}),
            "iss": self.issuer,
            "sub": subject,
            "aud": audience,
            "exp": now + lifetime,
            "iat": now,
            "jti": new_token_id(),
            "client_id": client_id or self.issuer,
            "scope": format_scope(frozenset(scope)),
            "txn": story_id or new_token_id(),
        }
        if roles is not None:
            members["roles"] = sorted(roles)
        if session_id is not None:
            members["sid"] = session_id
        try:
            return typed(members)
        except ClaimInvalid as error:
            raise ConfigurationError(str(error)) from None

    def sign(self, claims: AccessTokenClaims) -> str:
        """Return the token for these claims, signed by the active key.

        Raises:
            NoActiveKey: the keyring has no key that may sign.
        """
        key = self._keyring.active.key
        prepared = self.prepare(claims, kid=key.kid, alg=key.alg)
        return prepared.finish(key.sign(prepared.signing_input))

    def prepare(
        self,
        claims: AccessTokenClaims,
        *,
        kid: str | None = None,
        alg: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> SigningInput:
        """Return what a signer must sign; by default for the active key.

        `extra` are claims that `AccessTokenClaims` does not know; they never replace one of `claims`.
        """
        if kid is None or alg is None:
            key = self._keyring.active.key
            kid, alg = key.kid, key.alg
        header = self._headers.get(kid)
        if header is None:
            header = self._headers[kid] = encode_header(alg, kid, ACCESS_TOKEN_TYPE)
        payload = claims if not extra else {**extra, **msgspec.to_builtins(claims)}
        return SigningInput(header + b"." + base64url.encode(strict_json.encode(payload)), kid, alg)

    def jwk_set(self) -> JWKSet:
        """Return the keys as verifiers may have them."""
        return self._keyring.jwk_set()

    def public_pem(self, kid: str | None = None) -> bytes:
        """Return one published key as PEM; the active one by default.

        Raises:
            KeyUnknown: no published key has this `kid`.
            NoActiveKey: none was named and none is active.
        """
        if kid is None:
            return self._keyring.active.key.public.pem()
        return self._keyring.jwk_set().named(kid).pem()

    def metadata(self) -> dict[str, Any]:
        """Return RFC 8414 metadata, as far as it is true of an issuer without endpoints of its own."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/.well-known/jwks.json",
            "response_types_supported": [],
        }

    def prepare_key(self, algorithm: str | None = None) -> str:
        """Publish a new key that does not sign yet; return its `kid`.

        Activate it only when every verifier that caches the key set has fetched it again.

        Raises:
            KeyringConflict: another process changed the keyring; nothing was changed here.
        """
        key = PrivateKey.generate(algorithm or self.algorithm)
        self._keyring = self._store.save(self._keyring.prepare(key, self._clock.now()))
        return key.kid

    def activate_key(self, kid: str) -> None:
        """Let a prepared key sign from now on; the old one goes on verifying.

        Raises:
            KeyringError: the key is unknown or not prepared, or another process changed the keyring.
        """
        self._keyring = self._store.save(self._keyring.activate(kid, self._clock.now()))

    def remove_key(self, kid: str) -> None:
        """Forget a retired key: tokens that it signed are refused from now on.

        Raises:
            KeyringError: the key is unknown or still in use, or another process changed the keyring.
        """
        self._keyring = self._store.save(self._keyring.remove(kid))

    def reload(self) -> None:
        """Read the keyring again, after another process changed it."""
        self._keyring = self._store.load()

    def __repr__(self) -> str:
        return f"Issuer({self.issuer!r}, keys={len(self._keyring.entries)})"
