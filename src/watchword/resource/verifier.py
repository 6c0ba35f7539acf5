"""Verifies tokens of several issuers, each with its own keys and its own policy (RFC 8725 §3.8)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import (
    ConfigurationError,
    IssuerNotTrusted,
    KeyUnknown,
    SigningKeyRevoked,
    TokenError,
    TokenExpired,
)
from watchword.fetch import Waiting, run, run_async
from watchword.resource.jwks import JWKSClient
from watchword.resource.verified_cache import VerifiedCache, digest_of
from watchword.tokens import base64url, strict_json
from watchword.tokens.jwk_set import JWKSet, printable
from watchword.tokens.jws import split
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.shared_secret import SharedSecret
from watchword.tokens.verified import VerifiedToken
from watchword.tokens.verify import verify


@dataclass(frozen=True, slots=True)
class AcceptedIssuer:
    """An issuer whose tokens are accepted: what is demanded of them, and whose keys they are checked with."""

    policy: VerificationPolicy
    keys: JWKSClient | JWKSet | SharedSecret
    """Fetched keys, keys that stand in the configuration, or the one secret of an HS256 policy."""


class TokenVerifier:
    """Verifies access tokens; no network for a token whose key is known.

    A text that was verified before is not verified again until its times or its issuer's keys say otherwise:
    the answer is what verifying it again would be. Only refusals are worked out anew each time.

    Args:
        issuers: each `policy.issuer` once. Nothing is shared between them: a key of one never verifies
            a token of another.
        clock: what `exp`, `nbf` and `iat` are compared with.

    Raises:
        ConfigurationError: no issuer, one twice, or a secret beside public keys.
    """

    __slots__ = ("_cache", "_clock", "_issuers", "_only", "_verified")

    def __init__(self, issuers: Iterable[AcceptedIssuer], *, clock: Clock = SYSTEM_CLOCK) -> None:
        accepted = list(issuers)
        self._issuers = {issuer.policy.issuer: issuer for issuer in accepted}
        self._clock = clock
        self._cache = VerifiedCache(clock)
        self._verified = 0
        problems = []
        if not accepted:
            problems.append("issuers: expected at least one")
        if len(self._issuers) != len(accepted):
            problems.append("issuers: expected each issuer once")
        if len(accepted) > 1 and any(isinstance(issuer.keys, SharedSecret) for issuer in accepted):
            problems.append("issuers: a shared secret never stands beside public keys (RFC 8725 §3.1)")
        problems += [
            f"issuer {issuer.policy.issuer}: HS256 and a shared secret go together, and alone"
            for issuer in accepted
            if isinstance(issuer.keys, SharedSecret) != (issuer.policy.algorithms == {"HS256"})
        ]
        if problems:
            raise ConfigurationError(problems)
        self._only = accepted[0] if len(accepted) == 1 else None

    def verify(self, token: str) -> VerifiedToken:
        """Verify a token; waits only while its issuer's keys, or this one key, are not known yet.

        Raises:
            TokenError: the token must not be accepted; the leaf says which check refused it.
            KeysUnavailable: the issuer's keys cannot be had now.
        """
        digest = digest_of(token)
        seen = None if digest is None else self._cache.find(digest)
        return run(self._flow(token, digest)) if seen is None else seen

    async def averify(self, token: str) -> VerifiedToken:
        """Verify a token without ever blocking the event loop; as `verify`."""
        digest = digest_of(token)
        seen = None if digest is None else self._cache.find(digest)
        return await run_async(self._flow(token, digest)) if seen is None else seen

    @property
    def accepted(self) -> tuple[int, int]:
        """How many tokens were accepted: verified, and found among those verified before."""
        return self._verified, self._cache.hits

    @property
    def key_sets(self) -> Mapping[str, JWKSClient]:
        """The clients that fetch keys, by issuer."""
        return {
            name: issuer.keys for name, issuer in self._issuers.items() if isinstance(issuer.keys, JWKSClient)
        }

    def warm(self) -> None:
        """Begin to fetch the keys that are not there yet, without waiting for them."""
        for issuer in self._issuers.values():
            if isinstance(issuer.keys, JWKSClient):
                issuer.keys.warm()

    def close(self) -> None:
        """Forget what was verified, and let the threads that fetch keys end."""
        self._cache.clear()
        for issuer in self._issuers.values():
            if isinstance(issuer.keys, JWKSClient):
                issuer.keys.close()

    def _flow(self, token: str, digest: bytes | None) -> Waiting[VerifiedToken]:
        issuer = self._only or self._select(token)
        source = issuer.keys
        keys = (yield from source.flow()) if isinstance(source, JWKSClient) else source
        try:
            return self._judged(token, digest, issuer, keys)
        except KeyUnknown as unknown:
            if not isinstance(source, JWKSClient):
                raise
            kid = unknown.kid
        keys = yield from source.flow(kid)
        try:
            return self._judged(token, digest, issuer, keys)
        except KeyUnknown as unknown:
            self._tell_taken_back(token, issuer, source.gone, unknown)
            raise

    def _tell_taken_back(self, token: str, issuer: AcceptedIssuer, gone: JWKSet, unknown: KeyUnknown) -> None:
        """Raise what is wrong with a token whose key its issuer has taken back; never accept it.

        Only a token that this key really signed is told from one whose key nobody knows.
        """
        if unknown.kid is None or unknown.kid not in gone:
            return
        try:
            verify(token, gone, issuer.policy, self._clock.now())
        except TokenExpired as expired:
            raise expired from None  # it outlived its key by nothing: the ordinary end of both
        except TokenError:
            return
        raise SigningKeyRevoked(
            f"{issuer.policy.issuer} took back the key {printable(unknown.kid)} while its tokens were alive"
        ) from None

    def _judged(
        self, token: str, digest: bytes | None, issuer: AcceptedIssuer, keys: JWKSet | SharedSecret
    ) -> VerifiedToken:
        """Verify, and remember what was accepted."""
        policy = issuer.policy
        verified = verify(token, keys, policy, self._clock.now())
        self._verified += 1
        if digest is not None:
            self._cache.keep(
                digest, verified, length=len(token), source=issuer.keys, keys=keys, leeway=policy.leeway
            )
        return verified

    def _select(self, token: str) -> AcceptedIssuer:
        """Find the configured issuer that the token claims to be of; `verify` then holds it to that.

        Nothing else of the unverified payload is looked at, and the claim is only ever compared.
        """
        claimed = strict_json.decode_object(base64url.decode(split(token).payload)).get("iss")
        issuer = self._issuers.get(claimed) if isinstance(claimed, str) else None
        if issuer is None:
            raise IssuerNotTrusted(
                f"expected iss {' or '.join(sorted(self._issuers))}, found {printable(str(claimed))}"
            )
        return issuer
