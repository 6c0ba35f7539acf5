"""Tokens that this server issued itself, held against the world as it is now."""

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import ClaimInvalid, KeyUnknown
from watchword.keys.issuer import Issuer
from watchword.resource.verified_cache import VerifiedCache, digest_of
from watchword.tokens.jwk_set import JWKSet, printable
from watchword.tokens.policy import ACCESS_TOKEN_TYPE, VerificationPolicy
from watchword.tokens.verified import VerifiedToken
from watchword.tokens.verify import verify
from watchword.trust.model import SERVICE_SPACE, SubjectKind, TrustDocument

LOCAL = "local"
"""The name space of people with an account here."""


class OwnTokens:
    """Verifies our own access tokens with our own keyring: no network, no look at a key that is revoked.

    The same text is not verified twice: later its times, its audience and all that it names are looked at.
    Whatever changes in the published keys forgets everything.

    Args:
        issuer: whose tokens.
        leeway: seconds by which `nbf` and `iat` may lie ahead.
        clock: what a token that was verified before is held against.
    """

    __slots__ = ("_issuer", "_keys", "_leeway", "_policies", "_seen")

    def __init__(self, issuer: Issuer, *, leeway: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._issuer = issuer
        self._leeway = leeway
        self._keys = JWKSet(())
        self._policies: dict[str, VerificationPolicy] = {}
        self._seen = VerifiedCache(clock)

    @property
    def issuer(self) -> str:
        """Our issuer identifier."""
        return self._issuer.issuer

    def verify(self, token: str, audience: str, document: TrustDocument, now: float) -> VerifiedToken:
        """Return what one of our tokens says, if it is meant for `audience` and all it names still stand.

        Raises:
            TokenError: the first check that failed.
        """
        keys = self._issuer.jwk_set()
        if keys is not self._keys:
            self._keys, self._policies = keys, {}
            self._seen.clear()
        if not keys.keys:
            raise KeyUnknown("the keyring has no key that verifies")
        digest = digest_of(token)
        verified = None if digest is None else self._seen.find(digest)
        if verified is None or audience not in verified.audience:
            policy = self._policy(audience)
            verified = verify(token, keys, policy, now)
            if digest is not None:
                self._seen.keep(
                    digest, verified, length=len(token), source=keys, keys=keys, leeway=policy.leeway
                )
        kind_of_subject(verified.subject.id, document)
        for name in (verified.client_id, *(actor.removeprefix(SERVICE_SPACE) for actor in verified.actors)):
            service = document.services.get(name or "")
            if service is None or service.disabled:
                state = "not registered" if service is None else "disabled"
                raise ClaimInvalid(f"client {printable(name or '')} of the token is {state} now")
        return verified

    def has_seen(self, token: str) -> bool:
        """Tell whether this very text is a token of ours that was good a moment ago."""
        digest = digest_of(token)
        return digest is not None and self._seen.find(digest) is not None

    def _policy(self, audience: str) -> VerificationPolicy:
        policy = self._policies.get(audience)
        if policy is None:
            policy = self._policies[audience] = VerificationPolicy(
                self.issuer,
                audience,
                frozenset[str]().union(*(key.algorithms for key in self._keys.keys)),
                token_types=(ACCESS_TOKEN_TYPE,),
                leeway=self._leeway,
                required_claims=("txn",),
            )
        return policy


def kind_of_subject(sub: str, document: TrustDocument) -> SubjectKind:
    """Return what kind of subject a `sub` of ours is, by its name space.

    Raises:
        ClaimInvalid: a service or an issuer that is not in the document (any more), a disabled service, or no
            name space.
    """
    space, bar, name = sub.partition("|")
    service = document.services.get(name) if bar and space == "service" else None
    if service is not None:
        if service.disabled:
            raise ClaimInvalid(f"sub is the service {printable(name)}, which is disabled now")
        return "service"
    if bar and space == LOCAL:
        return "person"
    trusted = document.issuers.get(space) if bar else None
    if trusted is None:
        raise ClaimInvalid(f"sub is of {printable(space)}, which is not registered now")
    return "person" if trusted.asserts == "people" else "service"
