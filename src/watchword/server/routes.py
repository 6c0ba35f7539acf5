"""Which address does what: the whole table. An address is matched byte for byte, or it does not exist."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from watchword.server.answer import Answer
from watchword.server.endpoints.health import ReadyEndpoint, live
from watchword.server.endpoints.introspect import IntrospectEndpoint
from watchword.server.endpoints.published import Published
from watchword.server.endpoints.token import TokenEndpoint
from watchword.server.request import Request

Handler = Callable[[Request], Awaitable[Answer]]


class Route(NamedTuple):
    """What an address does. A `GET` is also a `HEAD`."""

    method: Literal["GET", "POST"]
    handler: Handler
    errors: Literal["oauth", "operator", "problem"]
    name: str = "other"
    """What metrics call it; one of `watchword.server.metrics.ENDPOINTS`."""

    @property
    def allow(self) -> bytes:
        """The value of `Allow` in a 405 (RFC 9110 §10.2.1)."""
        return b"GET, HEAD" if self.method == "GET" else b"POST"

    def takes(self, method: str) -> bool:
        """Whether this route answers a method."""
        return method == self.method or (method == "HEAD" and self.method == "GET")


def table(
    issuer: str,
    *,
    token: TokenEndpoint,
    introspect: IntrospectEndpoint,
    published: Published,
    ready: ReadyEndpoint,
) -> Mapping[bytes, Route]:
    """Return every route. If the issuer's URL has a path, the endpoints stand below it.

    The metadata stands where RFC 8414 §3.1 puts it: the well-known part before the issuer's path.
    """
    base = urlsplit(issuer).path
    routes = {
        f"{base}/token": Route("POST", token, "oauth", "token"),
        f"{base}/introspect": Route("POST", introspect, "oauth", "introspect"),
        f"{base}/.well-known/jwks.json": Route("GET", published.jwk_set, "problem", "jwks"),
        f"/.well-known/oauth-authorization-server{base}": Route(
            "GET", published.metadata, "problem", "metadata"
        ),
        f"{base}/public-key": Route("GET", published.public_key, "problem", "public_key"),
        "/health/live": Route("GET", live, "problem", "live"),
        "/health/ready": Route("GET", ready, "problem", "ready"),
    }
    return MappingProxyType({path.encode("ascii"): route for path, route in routes.items()})
