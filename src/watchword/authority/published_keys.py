"""The key source of a running server: JWK Sets over HTTP, one client per `jwks_uri` of the trust document."""

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.fetch import Transport
from watchword.resource.jwks import JWKSClient
from watchword.resource.metadata import IssuerMetadata
from watchword.tokens.jwk_set import JWKSet


class PublishedKeys:
    """A `KeySource`: fetched rarely, kept well, once at a time; see `JWKSClient`."""

    __slots__ = ("_clients", "_clock", "_transport")

    def __init__(self, transport: Transport | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._transport = transport or Transport()
        self._clock = clock
        self._clients: dict[str, JWKSClient] = {}

    async def keys(self, jwks_uri: str, kid: str | None) -> JWKSet:
        """Return the keys that are published there.

        Raises:
            KeysUnavailable: they cannot be had now, and none are cached.
        """
        client = self._clients.get(jwks_uri)
        if client is None:
            # the URI is pinned by the document, so no metadata is ever read
            pinned = IssuerMetadata(jwks_uri, jwks_uri=jwks_uri, clock=self._clock)
            client = self._clients[jwks_uri] = JWKSClient(pinned, self._transport, clock=self._clock)
        return await client.akeys(kid)

    def close(self) -> None:
        """Let the worker threads end."""
        for client in self._clients.values():
            client.close()
