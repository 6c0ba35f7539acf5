"""How the parts of a service's identity are, for a health route; looked at, never asked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from watchword.client.authentication import KeyAuthentication, SecretAuthentication
from watchword.client.token_source import TokenSource
from watchword.resource.jwks import JWKSClient
from watchword.service.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class KeySetHealth:
    """The keys of one issuer."""

    state: Literal["ready", "stale", "waiting", "failing"]
    """`stale`: old keys serve while no newer ones can be had. `waiting`: the first fetch is not over.
    `failing`: there are no keys that may be used, so no token of this issuer is accepted."""
    keys: int
    age_seconds: float | None
    problem: str | None
    """Why the last fetch failed."""


@dataclass(frozen=True, slots=True)
class TokenEndpointHealth:
    """The way to tokens for calls to others."""

    client_id: str
    authentication: Literal["private_key_jwt", "client_secret", "other", "none"]
    """`none`: this service only verifies."""
    last_outcome: str | None
    """Of the last request to the token endpoint, as `TokenRequested` has it; `None`: there was none yet."""
    problem: str | None
    """What was wrong with it."""


@dataclass(frozen=True, slots=True)
class Health:
    """How the parts were at one moment. For operators: URLs and reasons stand in it, never a secret."""

    ok: bool
    """Tokens of the main issuer can be verified now."""
    issuers: Mapping[str, KeySetHealth]
    """By issuer; empty where a shared secret verifies."""
    token_endpoint: TokenEndpointHealth
    callees: Mapping[str, str]
    """Base URL by callee, as `WATCHWORD_URL_<CALLEE>` spells it, in lower case."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def look(settings: ServiceSettings, key_sets: Mapping[str, JWKSClient], source: TokenSource | None) -> Health:
    """Look at every part without waiting; key sets that are due are fetched in the background meanwhile."""
    issuers = {issuer: _key_set(client) for issuer, client in key_sets.items()}
    main = issuers.get(settings.issuer.issuer)
    last = None if source is None else source.last
    return Health(
        ok=main is None or main.state in ("ready", "stale"),
        issuers=issuers,
        token_endpoint=TokenEndpointHealth(
            client_id=settings.client_id,
            authentication=_authentication(settings),
            last_outcome=None if last is None else last[0],
            problem=None if last is None else last[1],
        ),
        callees={name.lower(): url for name, url in settings.urls.items()},
    )


def _key_set(client: JWKSClient) -> KeySetHealth:
    if client.held() is None:
        client.warm()
    found, problem = client.metrics(), client.problem
    state: Literal["ready", "stale", "waiting", "failing"]
    if found.keys:
        state = "ready" if problem is None else "stale"
    else:
        state = "waiting" if problem is None and found.age_seconds is None else "failing"
    return KeySetHealth(state, found.keys, found.age_seconds, problem)


def _authentication(
    settings: ServiceSettings,
) -> Literal["private_key_jwt", "client_secret", "other", "none"]:
    if settings.client is None:
        return "none"
    if isinstance(settings.client, KeyAuthentication):
        return "private_key_jwt"
    return "client_secret" if isinstance(settings.client, SecretAuthentication) else "other"
