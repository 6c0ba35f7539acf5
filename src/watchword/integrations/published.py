"""What a service publishes without a guard: its issuer's keys and metadata, and what it is (RFC 9728)."""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from msgspec import json

from watchword.errors import ConfigurationError, DestinationRefused, KeyUnknown
from watchword.fetch import demand_safe, origin_of
from watchword.resource.bearer import PROBLEM_TYPE

if TYPE_CHECKING:
    from watchword.keys.issuer import Issuer

WELL_KNOWN = "/.well-known/oauth-protected-resource"
_PLAIN = re.compile(r"[A-Za-z0-9\-._~/]*")


class Answer(NamedTuple):
    """A whole answer, in no framework's words."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Publication:
    """One document at one path; it is read anew for every answer, since keys change."""

    name: str
    path: str
    content_type: str
    read: Callable[[str | None], bytes]
    """Takes the `kid` that was asked for, if any; raises `KeyUnknown`."""
    max_age: int
    """Seconds for which answers may be cached."""

    def answer(self, if_none_match: str | None = None, kid: str | None = None) -> Answer:
        """Return the document; 304 without it to a client that has it, 404 for a key that is not there."""
        try:
            content = self.read(kid)
        except KeyUnknown:
            problem = {"type": "about:blank", "title": "Not Found", "status": 404, "code": KeyUnknown.code}
            headers = {"Content-Type": PROBLEM_TYPE, "Cache-Control": "no-store"}
            return Answer(404, headers, json.encode(problem))
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": f"public, max-age={self.max_age}"}
        # RFC 9110 §13.1.2: compared weakly
        known = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
        if known & {etag, "*"}:
            return Answer(304, headers, b"")
        return Answer(200, headers | {"Content-Type": self.content_type}, content)


def of_issuer(issuer: "Issuer", *, max_age: int) -> tuple[Publication, ...]:
    """Return what a service that signs its own tokens publishes: JWK Set, RFC 8414 metadata, a key as PEM."""
    return (
        Publication(
            "jwk_set",
            "/.well-known/jwks.json",
            "application/jwk-set+json",
            lambda _: json.encode(issuer.jwk_set().to_dict()),
            max_age,
        ),
        Publication(
            "metadata",
            "/.well-known/oauth-authorization-server",
            "application/json",
            lambda _: json.encode(issuer.metadata()),
            max_age,
        ),
        Publication("public_key", "/public-key", "application/x-pem-file", issuer.public_pem, max_age),
    )


def of_resource(
    resource: str,
    *,
    authorization_servers: Collection[str],
    scopes: Callable[[], Collection[str]],
    insecure_http_hosts: Collection[str] = (),
    max_age: int,
) -> tuple[Publication, str]:
    """Return a service's metadata and the URL where clients look for it (RFC 9728 §2, §3.1).

    Args:
        resource: the URL under which clients know the service: https or on loopback, without query and
            fragment. Its path stands behind the well-known one.
        authorization_servers: the issuers whose tokens it accepts.
        scopes: what its guards demand; asked anew for every answer.
        insecure_http_hosts: hosts beyond loopback that may be spoken to without TLS.
        max_age: seconds for which answers may be cached.

    Raises:
        ConfigurationError: the URL is no resource identifier (RFC 9728 §1.2).
    """
    try:
        demand_safe(origin_of(resource), insecure_http_hosts)
    except DestinationRefused as error:
        raise ConfigurationError(f"publish_metadata: resource: {error}") from None
    scheme, _, rest = resource.partition("://")
    authority, slash, below = rest.partition("/")
    if not _PLAIN.fullmatch(below):  # a route in any framework means what it says
        raise ConfigurationError(
            f"publish_metadata: expected a URL with a plain path and no more, found {resource!a:.100}"
        )
    path = WELL_KNOWN + (slash + below if below else "")

    def document(_: str | None) -> bytes:
        return json.encode(
            {
                "resource": resource,
                "authorization_servers": list(authorization_servers),
                "scopes_supported": sorted(scopes()),
                "bearer_methods_supported": ["header"],
            }
        )

    metadata = Publication("resource_metadata", path, "application/json", document, max_age)
    return metadata, f"{scheme}://{authority}{path}"
