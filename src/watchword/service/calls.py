"""The half of the `Watchword` object that calls others: the right token for each callee, in every library."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from watchword.client.endpoint import Target
from watchword.client.outbound import Audit, OnBehalf, Outbound
from watchword.client.token_source import TokenSource
from watchword.clock import Clock
from watchword.errors import ConfigurationError
from watchword.service.settings import ServiceSettings
from watchword.telemetry import Meter

if TYPE_CHECKING:
    from watchword.client.aiohttp import AiohttpSessions, BearerMiddleware, ClientSession
    from watchword.client.httpx import Clients
    from watchword.client.requests import CalleeSession, Sessions


class Calls:
    """Makes sessions, clients and credentials for calls to other services."""

    settings: ServiceSettings
    _source: TokenSource | None
    _audit: Audit | None
    _clock: Clock
    _meter: Meter
    _sessions: "Sessions | None" = None
    _clients: "Clients | None" = None
    _aiohttp: "AiohttpSessions | None" = None

    def session(
        self,
        callee: str,
        *,
        scope: Collection[str] = (),
        audience: str | None = None,
        resource: str | None = None,
        own_identity: bool = False,
        insecure_pass_through: bool = False,
    ) -> "CalleeSession":
        """Return a `requests.Session` for one callee: relative URLs, the right token on each request.

        Args:
            callee: its name in `WATCHWORD_URL_<CALLEE>` and at the token server.
            scope: what is asked for; nothing means all that the callee's rules give.
            audience: its `aud`, where that is not its name.
            resource: its RFC 8707 resource indicator, for servers that want one.
            own_identity: call as this service, not for the caller.
            insecure_pass_through: send the caller's own token; the callee can then act as this service could.

        Raises:
            NoCaller: outside a request; never falls back to the service's own identity.
            ConfigurationError: the callee has no URL, or this service no key or secret to exchange with.
        """
        from watchword.client.requests import Sessions  # noqa: PLC0415  # requests is needed by those who use it

        outbound = self.outbound(
            callee,
            scope=scope,
            audience=audience,
            resource=resource,
            on_behalf=_on_behalf(own_identity, insecure_pass_through),
        )
        if self._sessions is None:
            self._sessions = Sessions(ca_file=self.settings.ca_file)
        return self._sessions.session(outbound)

    def client(
        self,
        callee: str,
        *,
        scope: Collection[str] = (),
        audience: str | None = None,
        resource: str | None = None,
        own_identity: bool = False,
        insecure_pass_through: bool = False,
    ) -> Any:
        """Return an `AsyncClient` of `httpx2` (or `httpx`) for one callee; as `session`.

        It is for the running event loop. For a client of your own, sync or async, of either library, take
        `auth()`.
        """
        from watchword.client.httpx import Clients  # noqa: PLC0415  # as above

        outbound = self.outbound(
            callee,
            scope=scope,
            audience=audience,
            resource=resource,
            on_behalf=_on_behalf(own_identity, insecure_pass_through),
        )
        if self._clients is None:
            self._clients = Clients(ca_file=self.settings.ca_file)
        return self._clients.client(outbound)

    def aiohttp_session(
        self,
        callee: str,
        *,
        scope: Collection[str] = (),
        audience: str | None = None,
        resource: str | None = None,
        own_identity: bool = False,
        insecure_pass_through: bool = False,
    ) -> "ClientSession":
        """Return an `aiohttp.ClientSession` for one callee; as `session`. Use it in `async with`.

        It is for the running event loop. For a session of your own, take `aiohttp_middleware()`.
        """
        from watchword.client.aiohttp import AiohttpSessions  # noqa: PLC0415  # as above

        outbound = self.outbound(
            callee,
            scope=scope,
            audience=audience,
            resource=resource,
            on_behalf=_on_behalf(own_identity, insecure_pass_through),
        )
        if self._aiohttp is None:
            self._aiohttp = AiohttpSessions(ca_file=self.settings.ca_file)
        return self._aiohttp.session(outbound)

    def aiohttp_middleware(
        self,
        callee: str,
        *,
        scope: Collection[str] = (),
        audience: str | None = None,
        resource: str | None = None,
    ) -> "BearerMiddleware":
        """Return a client middleware of `aiohttp` for one callee: `ClientSession(middlewares=[…])`.

        May be made outside a request and used in many: each request carries the token of its own caller.
        """
        from watchword.client.aiohttp import BearerMiddleware  # noqa: PLC0415  # as above

        return BearerMiddleware(
            self._outbound(callee, scope=scope, audience=audience, resource=resource, on_behalf="caller")
        )

    def auth(
        self,
        callee: str,
        *,
        scope: Collection[str] = (),
        audience: str | None = None,
        resource: str | None = None,
    ) -> Any:
        """Return an `httpx.Auth` (and `httpx2.Auth`) for one callee, for `Client` and `AsyncClient`.

        May be made outside a request and used in many: each request carries the token of its own caller.
        """
        from watchword.client.httpx import BearerAuth  # noqa: PLC0415  # as above

        return BearerAuth(
            self._outbound(callee, scope=scope, audience=audience, resource=resource, on_behalf="caller")
        )

    def outbound(
        self,
        callee: str,
        *,
        scope: Collection[str] = (),
        audience: str | None = None,
        resource: str | None = None,
        on_behalf: OnBehalf = "caller",
    ) -> Outbound:
        """Return the credential for calls to one callee: what every HTTP library's adapter is built on."""
        outbound = self._outbound(
            callee, scope=scope, audience=audience, resource=resource, on_behalf=on_behalf
        )
        outbound.demand_caller()
        return outbound

    def _outbound(
        self,
        callee: str,
        *,
        scope: Collection[str],
        audience: str | None,
        resource: str | None,
        on_behalf: OnBehalf,
    ) -> Outbound:
        if isinstance(scope, str):
            raise TypeError("expected scope as a list of texts, found one text")
        if self._source is None and on_behalf != "insecure_pass_through":
            raise ConfigurationError(
                f"WATCHWORD_CLIENT_KEY_FILE: expected a key or secret to get tokens for {callee}, found none"
            )
        return Outbound(
            Target(
                callee,
                audience=audience or (callee if resource is None else None),
                resource=resource,
                scope=frozenset(scope),
            ),
            self.settings.url_of(callee),
            source=self._source,
            on_behalf=on_behalf,
            own_issuer=self.settings.issuer.issuer,
            insecure_http_hosts=self.settings.insecure_http_hosts,
            audit=self._audit,
            clock=self._clock,
            meter=self._meter,
        )

    def close_calls(self) -> None:
        """Forget tokens and close the connections of sessions."""
        if self._source is not None:
            self._source.close()
        if self._sessions is not None:
            self._sessions.close()

    async def aclose_calls(self) -> None:
        """Close the async connections of this event loop."""
        if self._clients is not None:
            await self._clients.aclose()
        if self._aiohttp is not None:
            await self._aiohttp.aclose()


def _on_behalf(own_identity: bool, insecure_pass_through: bool) -> OnBehalf:
    if own_identity and insecure_pass_through:
        raise TypeError("expected own_identity or insecure_pass_through, found both")
    return "self" if own_identity else "insecure_pass_through" if insecure_pass_through else "caller"
