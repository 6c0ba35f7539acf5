"""The trust document as values: what `trust.toml` says once it has been read without a mistake."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from watchword.tokens.jwk_set import JWKSet

SubjectKind = Literal["person", "service"]

SERVICE_SPACE = "service|"
"""The name space of services in `sub`; no person can be in it."""


def service_subject(client_id: str) -> str:
    """Return the `sub` of a service."""
    return SERVICE_SPACE + client_id


@dataclass(frozen=True, slots=True)
class Rule:
    """One `allow` entry of a callee: what one caller may get there."""

    name: str
    """Where it stands: `services.users.allow[0]`."""
    caller: str
    """`client_id` of the caller."""
    scopes: frozenset[str]
    on_behalf_of: Literal["person", "service", "any"]
    when_subject_has: frozenset[str] | None = None
    """What the subject token must hold (all of it) to derive `scopes`; `None`: strict intersection."""
    max_chain: int = 8
    """How many actors the new token may have, the current one counted."""
    lifetime: int = 120
    """Seconds."""
    act_as: Literal["actor", "subject"] = "actor"
    """`subject` is impersonation: the new token has no `act` for this caller."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service: what it is called, how it proves who it is, and whom it lets in."""

    client_id: str
    audience: str
    url: str | None
    scopes: frozenset[str]
    claims: frozenset[str] = frozenset()
    """Claims its tokens may carry beyond the always-list of the contracts."""
    jwks: JWKSet | None = None
    """Its public keys, from `jwks` or `jwks_file`: authenticates with `private_key_jwt`."""
    jwks_uri: str | None = None
    secret_sha256: tuple[str, ...] = ()
    """Hex SHA-256 of one or two client secrets: authenticates with `client_secret_basic` or `_post`."""
    allow: tuple[Rule, ...] = ()
    ends: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """When a registered key or secret ends, by `kid` or SHA-256; the document itself ends none."""
    disabled: bool = False
    """An operator disabled it: it proves itself in vain, and what names it in a token counts no more."""

    def valid(self, credential: str, now: float) -> bool:
        """Tell whether a registered key or secret has not ended."""
        end = self.ends.get(credential)
        return end is None or now < end


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer whose tokens may be exchanged here, and the most that they may bring."""

    alias: str
    issuer: str
    jwks_uri: str
    asserts: Literal["people", "services"]
    algorithms: frozenset[str]
    token_types: frozenset[str] = frozenset({"at+jwt"})
    subject_token_types: frozenset[str] = frozenset({"access_token", "jwt"})
    """Short names of RFC 8693 §3 types; `id_token` only where the document lists it."""
    scopes: frozenset[str] = frozenset()
    default_scopes: frozenset[str] = frozenset()
    scope_claim: str = "scope"
    roles: frozenset[str] = frozenset()
    audiences: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Foreign `aud` → `client_id` of the service that may exchange such a token."""
    claims: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Our claim name → dotted path in the foreign payload."""
    require: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Claim name → the value it must have."""


@dataclass(frozen=True, slots=True)
class TrustDocument:
    """Everything that is trusted; the empty one denies all.

    Every look-up costs the same with ten services and with ten thousand: the tables for it are made once,
    and nothing that the document was made from can change it afterwards.
    """

    services: Mapping[str, Service] = field(default_factory=dict)
    """By `client_id`; read-only."""
    issuers: Mapping[str, TrustedIssuer] = field(default_factory=dict)
    """By alias; read-only."""
    _audiences: Mapping[str, Service] = field(init=False, repr=False, compare=False)
    _resources: Mapping[str, Service] = field(init=False, repr=False, compare=False)
    _issuers: Mapping[str, TrustedIssuer] = field(init=False, repr=False, compare=False)
    _rules: Mapping[tuple[str, str], tuple[Rule, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        services, issuers = dict(self.services), dict(self.issuers)
        rules: dict[tuple[str, str], list[Rule]] = {}
        for callee, service in services.items():
            for rule in service.allow:
                rules.setdefault((callee, rule.caller), []).append(rule)
        for name, table in (
            ("services", MappingProxyType(services)),
            ("issuers", MappingProxyType(issuers)),
            ("_audiences", {s.audience: s for s in services.values()}),
            ("_resources", {resource_key(s.url): s for s in services.values() if s.url is not None}),
            ("_issuers", {i.issuer: i for i in issuers.values()}),
            ("_rules", {pair: tuple(found) for pair, found in rules.items()}),
        ):
            object.__setattr__(self, name, table)

    def by_audience(self, audience: str) -> Service | None:
        """Return the service with exactly this audience."""
        return self._audiences.get(audience)

    def by_resource(self, resource: str) -> Service | None:
        """Return the service whose `url` is this resource, one trailing slash forgiven (RFC 8707 §2)."""
        return self._resources.get(resource_key(resource))

    def by_issuer(self, issuer: str) -> TrustedIssuer | None:
        """Return the trusted issuer with exactly this `iss`."""
        return self._issuers.get(issuer)

    def rules(self, callee: str, caller: str) -> tuple[Rule, ...]:
        """Return the rules of `callee` for `caller` (both are `client_id`s), in the document's order."""
        return self._rules.get((callee, caller), ())


def resource_key(url: str) -> str:
    """Return what two spellings of one resource have in common: one trailing slash is forgiven."""
    return url.removesuffix("/")
