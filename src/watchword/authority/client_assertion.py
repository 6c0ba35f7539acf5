"""Clients that authenticate with a key of their own: `private_key_jwt` (RFC 7523 §2.2, RFC 10070)."""

from functools import lru_cache
from hashlib import sha256

from watchword.authority.key_source import KeySource
from watchword.authority.unverified import unverified_names
from watchword.errors import InvalidClient, KeyUnusable, SignatureInvalid, TokenError
from watchword.grants.stores import Consumption
from watchword.tokens import strict_json
from watchword.tokens.jwk import PublicKey
from watchword.tokens.jwk_set import JWKSet, printable
from watchword.tokens.kind import TokenKind
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.private_key import PrivateKey
from watchword.tokens.verified import VerifiedToken
from watchword.tokens.verify import verify
from watchword.trust.model import Service, TrustDocument

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_TOKEN_TYPES = ("client-authentication+jwt", "JWT")
_KIND: TokenKind = "client_assertion"
MAX_AHEAD = 300
"""Seconds that `exp` of an assertion may lie ahead."""
_KEPT_LONGER = 60  # seconds that a used `jti` outlives its assertion, for clocks that differ


class AssertionVerifier:
    """Verifies client assertions; the same signature path as for any token, under a policy of their own.

    Args:
        issuer: our issuer identifier, the one `aud` that is accepted.
        keys: for clients that publish their keys at a `jwks_uri`.
        leeway: seconds by which the client's clock may be ahead.
    """

    __slots__ = ("_decoy", "_issuer", "_keys", "_leeway")

    def __init__(self, issuer: str, keys: KeySource, *, leeway: float) -> None:
        self._issuer = issuer
        self._keys = keys
        self._leeway = leeway
        self._decoy = PrivateKey.generate("ES256").public.check("ES256")

    async def verify(
        self, assertion: str, document: TrustDocument, now: float
    ) -> tuple[Service, Consumption]:
        """Return the client that made this assertion, and the single use that must now be consumed.

        Raises:
            InvalidClient: whatever is wrong with it.
            KeysUnavailable: the client's `jwks_uri` cannot be read.
        """
        try:
            names = unverified_names(assertion)
            service = document.services.get(names.issuer)
            if service is None:
                self._work_in_vain(assertion)
                raise InvalidClient(f"no client is called {printable(names.issuer)}")
            keys = await self._keys_of(service, names.kid)
            key = self._named(keys, names.kid, assertion)
            if not service.valid(str(names.kid), now):
                raise KeyUnusable("the key has ended: it was replaced")
            policy = _policy(
                service.client_id, self._issuer, algorithms=_algorithms(key), leeway=self._leeway
            )
            token = verify(assertion, keys, policy, now)
        except TokenError as error:
            raise InvalidClient(f"client_assertion: {error}") from error
        return service, self._single_use(token, service, now)

    async def _keys_of(self, service: Service, kid: str | None) -> JWKSet:
        if service.jwks is not None:
            return service.jwks
        if service.jwks_uri is None:
            raise InvalidClient(f"client {service.client_id} is registered for a secret, not for a key")
        return await self._keys.keys(service.jwks_uri, kid)

    def _named(self, keys: JWKSet, kid: str | None, assertion: str) -> PublicKey:
        if kid is None:
            raise KeyUnusable("expected a kid that names the registered key")
        try:
            return keys.named(kid)
        except TokenError:
            self._work_in_vain(assertion)
            raise

    def _single_use(self, token: VerifiedToken, service: Service, now: float) -> Consumption:
        claims = token.claims
        if claims["sub"] != service.client_id:
            raise InvalidClient("client_assertion: expected sub and iss to be the client_id (RFC 7523 §3)")
        if type(claims["aud"]) is not str:  # a list could name another server too (RFC 10070)
            raise InvalidClient("client_assertion: expected aud to be the issuer identifier as one text")
        if token.expires_at > now + MAX_AHEAD + self._leeway:
            raise InvalidClient(f"client_assertion: expected exp at most {MAX_AHEAD} s ahead")
        # a list of two texts in JSON: no choice of names makes two pairs look alike
        pair = strict_json.encode([service.client_id, claims["jti"]])
        return Consumption("client_assertion", sha256(pair).hexdigest(), token.expires_at + _KEPT_LONGER)

    def _work_in_vain(self, assertion: str) -> None:
        """Check a signature that cannot hold, so that an unknown client costs what a known one does."""
        try:
            self._decoy(b"\x01" * 64, assertion.encode())
        except SignatureInvalid:
            return


def _algorithms(key: PublicKey) -> frozenset[str]:
    """Return what the registered key is for; an RSA key that does not say is for RS256 (RFC 7518 §3.1)."""
    return frozenset({"RS256"}) if {"RS256", "PS256"} <= key.algorithms else key.algorithms


@lru_cache(maxsize=4_096)
def _policy(
    client_id: str, audience: str, *, algorithms: frozenset[str], leeway: float
) -> VerificationPolicy:
    return VerificationPolicy(
        client_id,
        audience,
        algorithms,
        token_types=ASSERTION_TOKEN_TYPES,
        token_kinds=(_KIND,),
        leeway=leeway,
        required_claims=("jti",),
        max_actors=0,
    )
