"""What an issuer says about itself: RFC 8414 metadata, else OpenID Connect Discovery."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import ConfigurationError, DestinationRefused, FetchFailed, TokenMalformed
from watchword.fetch import Flow, Request, Response, origin_of
from watchword.tokens import strict_json

MAX_AGE = 3600.0


@dataclass(frozen=True, slots=True)
class Metadata:
    """The part of the metadata that the SDK uses, checked."""

    issuer: str
    jwks_uri: str | None
    token_endpoint: str | None


class IssuerMetadata:
    """The metadata of one configured issuer; the URL is never built from a token (CVE-2024-21643).

    Args:
        issuer: the exact `iss`; its metadata must say the same text (RFC 8414 §3.3).
        jwks_uri: pins the key set, on whatever origin; without it only the issuer's own origin will do.
        token_endpoint: pins the token endpoint likewise.
        clock: for the age of what is kept.
    """

    __slots__ = ("_clock", "_kept", "_kept_at", "issuer", "pinned")

    def __init__(
        self,
        issuer: str,
        *,
        jwks_uri: str | None = None,
        token_endpoint: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        try:
            for url in filter(None, (issuer, jwks_uri, token_endpoint)):
                origin_of(url)
        except DestinationRefused as error:
            raise ConfigurationError(f"issuer {issuer!a:.100}: {error}") from None
        self.issuer = issuer
        self.pinned = Metadata(issuer, jwks_uri, token_endpoint)
        self._clock = clock
        self._kept: Metadata | None = None
        self._kept_at = 0.0

    def jwks_uri(self) -> Flow[str]:
        """Find the key set's URL; without a request if it is pinned or known.

        Raises:
            FetchFailed: there is no metadata, or none that may be believed.
        """
        if self.pinned.jwks_uri is not None:
            return self.pinned.jwks_uri
        found = (yield from self.read()).jwks_uri
        if found is None:
            raise FetchFailed(f"the metadata of {self.issuer} has no jwks_uri")
        return found

    def token_endpoint(self) -> Flow[str]:
        """Find the token endpoint's URL; as `jwks_uri`."""
        if self.pinned.token_endpoint is not None:
            return self.pinned.token_endpoint
        found = (yield from self.read()).token_endpoint
        if found is None:
            raise FetchFailed(f"the metadata of {self.issuer} has no token_endpoint")
        return found

    def read(self) -> Flow[Metadata]:
        """Return the metadata, at most an hour old; older only while no newer can be had."""
        now = self._clock.monotonic()
        if self._kept is not None and now - self._kept_at < MAX_AGE:
            return self._kept
        problems = []
        for url in locations(self.issuer):
            try:
                response = yield Request("GET", url, {"Accept": "application/json"})
                self._kept = parse(response, self.issuer)
            except (FetchFailed, DestinationRefused) as error:
                problems.append(f"{url}: {error}")
            else:
                self._kept_at = now
                return self._kept
        if self._kept is not None:
            return self._kept
        raise FetchFailed("; ".join(problems))


def locations(issuer: str) -> tuple[str, str]:
    """Return where an issuer's metadata may stand: RFC 8414 §3.1 first, OpenID Connect Discovery §4 next."""
    scheme, _, rest = issuer.removesuffix("/").partition("://")
    authority, slash, path = rest.partition("/")
    return (
        f"{scheme}://{authority}/.well-known/oauth-authorization-server{slash}{path}",
        f"{scheme}://{rest}/.well-known/openid-configuration",
    )


def parse(response: Response, issuer: str) -> Metadata:
    """Read metadata and believe it only if it speaks of this very issuer (RFC 8414 §3.3).

    Raises:
        FetchFailed: no metadata, another issuer's, or a URL on another origin that is not pinned.
    """
    if response.status != 200:
        raise FetchFailed(f"expected status 200, found {response.status}")
    try:
        document = strict_json.decode_object(response.body)
    except TokenMalformed as error:
        raise FetchFailed(f"expected metadata: {error}") from None
    if document.get("issuer") != issuer:
        raise FetchFailed("expected metadata whose issuer is exactly the configured one (RFC 8414 §3.3)")
    return Metadata(
        issuer,
        _own_url(document, "jwks_uri", issuer),
        _own_url(document, "token_endpoint", issuer),
    )


def _own_url(document: Mapping[str, Any], name: str, issuer: str) -> str | None:
    url = document.get(name)
    if url is None:
        return None
    try:
        if isinstance(url, str) and origin_of(url) == origin_of(issuer):
            return url
    except DestinationRefused:
        pass
    raise FetchFailed(
        f"expected {name} on the issuer's own origin; pin it in the configuration if it is elsewhere"
    )
