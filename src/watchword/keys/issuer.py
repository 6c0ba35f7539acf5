"""The `Issuer`: turns claims into signed tokens. Sans-I/O inside, driven by a local key or any `Signer`."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, NoReturn, Unpack

import msgspec

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import (
    ConfigurationError,
    KeyRejected,
    KeyringError,
    KeyUnknown,
    NoActiveKey,
    SignatureInvalid,
)
from watchword.keys.issuer_url import issuer_url
from watchword.keys.keyring import Keyring, KeyState
from watchword.keys.live_keyring import RELOAD_SECONDS, LiveKeyring
from watchword.keys.new_claims import (
    DEFAULT_LIFETIME,
    MAX_LIFETIME,
    ClaimOptions,
    demand_contract,
    new_claims,
    new_token_id,
)
from watchword.keys.rotation import NO_EVIDENCE, Evidence, RotationPolicy, Step
from watchword.keys.signing_input import SigningInput
from watchword.keys.store import KeyStore, Signer
from watchword.tokens import base64url, strict_json
from watchword.tokens.algorithms import Sign
from watchword.tokens.claims import AccessTokenClaims
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.jws import encode_header
from watchword.tokens.policy import ACCESS_TOKEN_TYPE
from watchword.tokens.private_key import DEFAULT_ALGORITHM, PrivateKey

__all__ = ["DEFAULT_LIFETIME", "MAX_LIFETIME", "RELOAD_SECONDS", "Issuer", "SigningInput", "new_token_id"]


class _Current(NamedTuple):
    """What follows from one keyring, worked out once."""

    keyring: Keyring
    published: JWKSet
    header: bytes
    """Header segment of the active key with its dot; empty when no key is active."""
    sign: Sign | None


class Issuer:
    """Signs access tokens of one issuer with the active key of a keyring; may be shared by threads.

    A key change by another process is seen within `RELOAD_SECONDS`, without a restart. If the store cannot
    be read then, the keys at hand go on working and `store_problem` says what is wrong.

    Args:
        issuer: the `iss` as verifiers know it: an https URL without trailing slash (http on loopback).
        keys: where the keys live. An empty store gets its first key here.
        algorithm: of the first key, and of those that `prepare_key` makes.
        clock: where `iat` comes from.

    Raises:
        ConfigurationError: `issuer` is not such a URL.
        KeyringError: the store cannot be read or written.
    """

    __slots__ = (
        "_clock",
        "_current",
        "_headers",
        "_keys",
        "algorithm",
        "issuer",
    )

    def __init__(
        self,
        issuer: str,
        keys: KeyStore,
        *,
        algorithm: str = DEFAULT_ALGORITHM,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        try:
            self.issuer = issuer_url(issuer)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"issuer: {error}") from None
        self.algorithm = algorithm
        self._clock = clock
        self._headers: dict[tuple[str, str], bytes] = {}
        self._keys = LiveKeyring(keys, algorithm=algorithm, clock=clock)
        self._current = self._work_out(self._keys.current)

    @property
    def store_problem(self) -> KeyringError | None:
        """Why the store could not be read when it was last looked at; `None` when it could."""
        return self._keys.problem

    @property
    def keyring(self) -> Keyring:
        """The keys, as they were at most `RELOAD_SECONDS` ago."""
        return self._now().keyring

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
            claims: further claims, from a short list: `auth_time`, `acr`, `amr`, `may_act`.

        Raises:
            ConfigurationError: a value that no verifier should see; it is named.
            NoActiveKey: the keyring has no key that may sign.
        """
        made = new_claims(
            self.issuer,
            self._clock.now(),
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
        return self._sign(made)

    async def aissue(
        self, subject: str, audience: str, *, signer: Signer, **options: Unpack[ClaimOptions]
    ) -> str:
        """Issue a token that `signer` signs; the other arguments are those of `issue`.

        Raises:
            ConfigurationError: a value that no verifier should see; it is named.
            KeyRejected: what came back is no signature of the key that the signer says it has.
        """
        kid = signer.public.kid
        if kid is None:
            raise KeyRejected("expected a signer whose key has a kid")
        prepared = self._prepare(self.new_claims(subject, audience, **options), kid, signer.alg)
        signature = await signer.asign(prepared.signing_input)
        try:
            signer.public.check(signer.alg)(signature, prepared.signing_input)
        except (KeyError, SignatureInvalid):
            raise KeyRejected("the signer's answer does not verify under its own public key") from None
        return prepared.finish(signature)

    def new_claims(self, subject: str, audience: str, **options: Unpack[ClaimOptions]) -> AccessTokenClaims:
        """Return the claims that `issue` would sign."""
        return new_claims(self.issuer, self._clock.now(), subject, audience, **options)

    def sign(self, claims: AccessTokenClaims) -> str:
        """Return the token for these claims, signed by the active key.

        Raises:
            ConfigurationError: the claims are not what an access token of this issuer must say.
            NoActiveKey: the keyring has no key that may sign.
        """
        demand_contract(claims, self.issuer)
        return self._sign(claims)

    def prepare(
        self,
        claims: AccessTokenClaims,
        *,
        kid: str | None = None,
        alg: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> SigningInput:
        """Return what must be signed: by default by the active key, else by the named one.

        `extra` are claims that `AccessTokenClaims` does not know; they never replace one that it knows.

        Raises:
            ConfigurationError: the claims are not what an access token of this issuer must say.
            NoActiveKey: the keyring has no key that may sign.
        """
        demand_contract(claims, self.issuer)
        if kid is None or alg is None:
            key = self.keyring.active.key
            kid, alg = key.kid, key.alg
        return self._prepare(claims, kid, alg, extra)

    def _prepare(
        self, claims: AccessTokenClaims, kid: str, alg: str, extra: Mapping[str, Any] | None = None
    ) -> SigningInput:
        return SigningInput(self._header(kid, alg) + base64url.encode(_payload(claims, extra)), kid, alg)

    def _sign(self, claims: AccessTokenClaims) -> str:
        _, _, header, sign = self._now()
        if sign is None:
            raise NoActiveKey("no key of the keyring is active")
        signing_input = header + base64url.encode(strict_json.encode(claims))
        return (signing_input + b"." + base64url.encode(sign(signing_input))).decode("ascii")

    def jwk_set(self) -> JWKSet:
        """Return the keys as verifiers may have them."""
        return self._now().published

    def public_pem(self, kid: str | None = None) -> bytes:
        """Return one published key as PEM; the active one by default.

        Raises:
            KeyUnknown: no published key has this `kid`.
            NoActiveKey: none was named and none is active.
        """
        entry = self.keyring.active if kid is None else self.keyring.named(kid)
        if entry.state is KeyState.REVOKED:
            raise KeyUnknown("the key with this kid is revoked and not published", kid=kid)
        return entry.key.public.pem()

    def metadata(self, members: Mapping[str, object] | None = None) -> dict[str, object]:
        """Return RFC 8414 metadata.

        Without `members` it says what is true of an issuer that has keys and no endpoints of its own; a
        server adds its endpoints. `issuer` and `jwks_uri` stay those of this issuer.
        """
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/.well-known/jwks.json",
            "response_types_supported": [],
            "grant_types_supported": [],
            **{name: value for name, value in (members or {}).items() if name not in {"issuer", "jwks_uri"}},
        }

    def prepare_key(self, algorithm: str | None = None, *, by: str | None = None) -> str:
        """Publish a new key that does not sign yet; return its `kid`.

        Activate it only when every verifier that caches the key set has fetched it again. `by` names, here
        and below, who wants it, for the audit; `None`: the issuer itself.

        Raises:
            KeyRejected: no such algorithm.
            KeyringError: the store cannot be written to; nothing changed.
        """
        key = PrivateKey.generate(algorithm or self.algorithm)
        self._keys.change(lambda keyring: keyring.prepare(key, self._clock.now()), by=by)
        return key.kid

    def activate_key(self, kid: str, *, by: str | None = None) -> None:
        """Let a prepared key sign from now on; the old one retires and goes on verifying.

        Raises:
            KeyUnknown: no such key.
            KeyringError: the key is not prepared, or the store cannot be written to; nothing changed.
        """
        self._keys.change(lambda keyring: keyring.activate(kid, self._clock.now()), by=by)

    def remove_key(self, kid: str, *, by: str | None = None) -> None:
        """Forget a retired or revoked key: tokens that it signed are refused from now on.

        Raises:
            KeyUnknown: no such key.
            KeyringError: the key is in use, or the store cannot be written to; nothing changed.
        """
        self._keys.change(lambda keyring: keyring.remove(kid), by=by)

    def revoke_key(self, kid: str, *, by: str | None = None) -> None:
        """Stop trusting a key, in whatever state it is: it neither signs nor is published from now on.

        If it was the active one, nobody signs until another is activated.

        Raises:
            KeyUnknown: no such key.
            KeyringError: the store cannot be written to; nothing changed.
        """
        self._keys.change(lambda keyring: keyring.revoke(kid, self._clock.now()), by=by)

    def change_keys(self, step: Callable[[Keyring], Keyring], *, by: str | None = None) -> None:
        """Save what `step` makes of the stored keyring; it is asked again if another process comes first.

        Raises:
            KeyringError: what `step` raises, or the store cannot be written to; nothing changed.
        """
        self._keys.change(step, by=by)

    def rotate(self, policy: RotationPolicy, evidence: Evidence = NO_EVIDENCE) -> Step:
        """Do the one step that is due in the life of the keys and return it; `Wait` if none is.

        Of two processes that rotate at once, one does the step and the other finds it done.

        Raises:
            KeyringError: the store cannot be read or written to; nothing changed.
        """
        return self._keys.rotate(policy, evidence)

    def look(self) -> None:
        """Read the keyring again; what cannot be read now changes nothing, and is the `store_problem`."""
        self._keys.look()

    def look_only_when_told(self) -> None:
        """Never read the store by itself from now on; whoever serves calls `look` beside its requests."""
        self._keys.look_only_when_told()

    def reload(self) -> None:
        """Read the keyring again now.

        Raises:
            KeyringError: the store cannot be read; the keys at hand are kept.
        """
        self._keys.reload()

    def _now(self) -> _Current:
        keyring = self._keys.current
        if keyring is not self._current.keyring:
            self._current = self._work_out(keyring)
        return self._current

    def _work_out(self, keyring: Keyring) -> _Current:
        try:
            key = keyring.active.key
        except NoActiveKey:
            return _Current(keyring, keyring.jwk_set(), b"", None)
        return _Current(keyring, keyring.jwk_set(), self._header(key.kid, key.alg), key.sign)

    def _header(self, kid: str, alg: str) -> bytes:
        made = self._headers.get((kid, alg))
        if made is None:
            made = self._headers[kid, alg] = encode_header(alg, kid, ACCESS_TOKEN_TYPE) + b"."
        return made

    def __repr__(self) -> str:
        return f"Issuer({self.issuer!r}, keys={len(self._keys.current.entries)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an issuer cannot be pickled: it holds keys")


def _payload(claims: AccessTokenClaims, extra: Mapping[str, Any] | None) -> bytes:
    if not extra:
        return strict_json.encode(claims)
    known = AccessTokenClaims.__struct_fields__
    further = {name: value for name, value in extra.items() if name not in known}
    return strict_json.encode(msgspec.to_builtins(claims) | further)
