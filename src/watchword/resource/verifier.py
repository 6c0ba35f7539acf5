"""Verifies tokens of several issuers, each with its own keys and its own policy (RFC 8725 §3.8)."""

from collections.abc import Iterable
from dataclasses import dataclass

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import ConfigurationError, IssuerNotTrusted, KeyUnknown
from watchword.fetch import Waiting, run, run_async
from watchword.resource.jwks import JWKSClient
from watchword.tokens import base64url, strict_json
from watchword.tokens.jwk_set import JWKSet
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

    Args:
        issuers: each `policy.issuer` once. Nothing is shared between them: a key of one never verifies
            a token of another.
        clock: what `exp`, `nbf` and `iat` are compared with.

    Raises:
        ConfigurationError: no issuer, one twice, or a secret beside public keys.
    """

    __slots__ = ("_clock", "_issuers", "_only")

    def __init__(self, issuers: Iterable[AcceptedIssuer], *, clock: Clock = SYSTEM_CLOCK) -> None:
        accepted = list(issuers)
        self._issuers = {issuer.policy.issuer: issuer for issuer in accepted}
        self._clock = clock
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
        return run(self._flow(token))

    async def averify(self, token: str) -> VerifiedToken:
        """Verify a token without ever blocking the event loop; as `verify`."""
        return await run_async(self._flow(token))

    def warm(self) -> None:
        """Begin to fetch the keys that are not there yet, without waiting for them."""
        for issuer in self._issuers.values():
            if isinstance(issuer.keys, JWKSClient):
                issuer.keys.warm()

    def close(self) -> None:
        """Let the threads that fetch keys end."""
        for issuer in self._issuers.values():
            if isinstance(issuer.keys, JWKSClient):
                issuer.keys.close()

    def _flow(self, token: str) -> Waiting[VerifiedToken]:
        issuer = self._only or self._select(token)
        keys = issuer.keys
        if not isinstance(keys, JWKSClient):
            return verify(token, keys, issuer.policy, self._clock.now())
        try:
            return verify(token, (yield from keys.flow()), issuer.policy, self._clock.now())
        except KeyUnknown as unknown:
            kid = unknown.kid
        return verify(token, (yield from keys.flow(kid)), issuer.policy, self._clock.now())

    def _select(self, token: str) -> AcceptedIssuer:
        """Find the configured issuer that the token claims to be of; `verify` then holds it to that.

        Nothing else of the unverified payload is looked at, and the claim is only ever compared.
        """
        claimed = strict_json.decode_object(base64url.decode(split(token).payload)).get("iss")
        issuer = self._issuers.get(claimed) if isinstance(claimed, str) else None
        if issuer is None:
            raise IssuerNotTrusted("iss is none of the configured issuers, compared as exact text")
        return issuer
