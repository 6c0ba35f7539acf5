"""The issuers that a service trusts, from settings to a verifier."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from watchword.clock import Clock
from watchword.fetch import Transport
from watchword.resource.jwks import JWKSClient
from watchword.resource.metadata import IssuerMetadata
from watchword.resource.verifier import AcceptedIssuer, TokenVerifier
from watchword.telemetry import Meter
from watchword.tokens.algorithms import PUBLIC_KEY_ALGORITHMS
from watchword.tokens.policy import ACCESS_TOKEN_TYPE, Names, VerificationPolicy
from watchword.tokens.shared_secret import SharedSecret


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """One trusted issuer: where its keys are, and what is demanded of its tokens.

    The defaults suit Watchword and any issuer of RFC 9068 tokens. Keycloak and Auth0 by default send
    `typ` `JWT`: say `token_types=("JWT",)`. Narrow `algorithms` to what the issuer really uses.
    """

    issuer: str
    """The exact `iss`, to the last slash."""
    jwks_uri: str | None = None
    """Pins the key set, on whatever origin; else it is found through the metadata, on the issuer's own."""
    token_endpoint: str | None = None
    """Pins the token endpoint likewise; only used of the issuer that tokens are exchanged at."""
    algorithms: Names = PUBLIC_KEY_ALGORITHMS
    """Every public-key algorithm by default. RSA keys without `alg` need either RS256 or PS256 named here."""
    token_types: Names = (ACCESS_TOKEN_TYPE,)
    token_kinds: Names = ("access_token",)
    """What a token may be, proven from its claims: Firebase sends ID tokens, so there say `("id_token",)`."""
    audience: str | Collection[str] | None = None
    """Names under which this issuer's tokens are meant for this service; `None`: the service's own."""
    scope_claim: str = "scope"
    required_claims: Names = ()
    missing_kid: Literal["refuse", "single_key"] = "refuse"
    requested_token_type: Literal["access_token", "jwt"] | None = None
    """Sent with an exchange where a server wants it said."""

    def policy(self, audience: str | Collection[str], *, leeway: float) -> VerificationPolicy:
        """Return what `verify` demands of this issuer's tokens."""
        return VerificationPolicy(
            self.issuer,
            self.audience or audience,
            self.algorithms,
            token_types=self.token_types,
            token_kinds=self.token_kinds,
            leeway=leeway,
            required_claims=self.required_claims,
            missing_kid=self.missing_kid,
            scope_claim=self.scope_claim,
        )

    def metadata(self, clock: Clock) -> IssuerMetadata:
        """Return what finds this issuer's key set and token endpoint."""
        return IssuerMetadata(
            self.issuer, jwks_uri=self.jwks_uri, token_endpoint=self.token_endpoint, clock=clock
        )


def verifier_by_keys(
    issuers: Iterable[tuple[IssuerSettings, IssuerMetadata]],
    audience: str | Collection[str],
    *,
    leeway: float,
    transport: Transport,
    jwks_max_age: float | None,
    clock: Clock,
    meter: Meter,
) -> TokenVerifier:
    """Return a verifier that fetches each issuer's keys by itself."""
    return TokenVerifier(
        [
            AcceptedIssuer(
                settings.policy(audience, leeway=leeway),
                JWKSClient(metadata, transport, max_age=jwks_max_age, clock=clock, meter=meter),
            )
            for settings, metadata in issuers
        ],
        clock=clock,
    )


def verifier_by_secret(
    issuer: IssuerSettings,
    audience: str | Collection[str],
    *,
    leeway: float,
    secret: bytes,
    clock: Clock,
) -> TokenVerifier:
    """Return a verifier for the one secret that issuer and service share; whoever has it can forge."""
    policy = VerificationPolicy(
        issuer.issuer,
        issuer.audience or audience,
        ("HS256",),
        token_types=issuer.token_types,
        token_kinds=issuer.token_kinds,
        leeway=leeway,
        required_claims=issuer.required_claims,
        scope_claim=issuer.scope_claim,
    )
    return TokenVerifier([AcceptedIssuer(policy, SharedSecret(secret))], clock=clock)
