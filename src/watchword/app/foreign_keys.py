"""The keys of trusted issuers and of clients with a `jwks_uri`: fetched when they are first needed."""

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.fetch import Transport
from watchword.resource.jwks import JWKSClient
from watchword.resource.metadata import IssuerMetadata
from watchword.tokens.jwk_set import JWKSet


class ForeignKeys:
    """One key set client per `jwks_uri`; nothing is shared between them."""

    __slots__ = ("_clients", "_clock", "_max_age", "_transport")

    def __init__(
        self, transport: Transport, *, max_age: float | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._transport = transport
        self._max_age = max_age
        self._clock = clock
        self._clients: dict[str, JWKSClient] = {}

    async def keys(self, jwks_uri: str, kid: str | None) -> JWKSet:
        """Return the keys that are published there; see `watchword.authority.key_source.KeySource`."""
        client = self._clients.get(jwks_uri)
        if client is None:
            # the URL is pinned, so metadata is never asked for and its name only serves messages
            metadata = IssuerMetadata(jwks_uri, jwks_uri=jwks_uri)
            client = self._clients[jwks_uri] = JWKSClient(
                metadata, self._transport, max_age=self._max_age, clock=self._clock
            )
        return await client.akeys(kid)

    def close(self) -> None:
        """Let the threads that fetch end."""
        for client in self._clients.values():
            client.close()
