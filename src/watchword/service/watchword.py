"""The one SDK object of a service, without any framework."""

import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from watchword import caller
from watchword.client.authentication import ClientAuthentication
from watchword.client.endpoint import Target, TokenEndpoint
from watchword.client.outbound import Audit, OnBehalf, Outbound
from watchword.client.token_source import TokenSource
from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import ConfigurationError
from watchword.fetch import Transport
from watchword.service.issuers import IssuerSettings, verifier_by_keys, verifier_by_secret
from watchword.service.settings import ServiceSettings
from watchword.tokens.verified import VerifiedToken

if TYPE_CHECKING:
    from watchword.client.httpx import Clients
    from watchword.client.requests import CalleeSession, Sessions

P = ParamSpec("P")
R = TypeVar("R")


class Watchword:
    """Verifies the tokens that come in, and gets the right ones for calls that go out.

    Every setting that is not an argument comes from `WATCHWORD_…` or from `watchword.toml` in the working
    folder. Safe for threads, event loops and forks. Starting needs no network.

    Args:
        issuer: the exact `iss` of the main issuer, where tokens are exchanged too; or `IssuerSettings`.
        audience: the name or names under which tokens are meant for this service.
        trusted_issuers: alias → URL or `IssuerSettings` of others whose tokens are accepted; their keys
            and policies stay separate.
        client_id: what the token endpoint knows this service by; the audience if not said.
        client_key_file, client_secret_file: the proof; one of them, for services that call others.
        client: the proof as an object, for other methods or audiences.
        urls: callee → base URL.
        ca_file: PEM certificates to trust instead of the system's.
        insecure_http_hosts: hosts beyond loopback that may be spoken to without TLS.
        jwks_max_age: seconds after which key sets are fetched anew.
        leeway: seconds by which `nbf` and `iat` may lie ahead.
        insecure_shared_secret: verifies HS256, and nothing else, with a secret of at least 32 bytes that the
            issuer has too. Whoever can verify can then also forge.
        audit: learns of every token that is passed through to a callee as it is.
        timeout: seconds for any one conversation with an issuer.
        environ, folder: where settings are read.
        clock: where the time comes from.
        transport: how issuers are reached, with a timeout and certificates of its own; tests bring one that
            needs no network (`watchword.testing`).

    Raises:
        ConfigurationError: every mistake at once.
    """

    def __init__(
        self,
        *,
        issuer: str | IssuerSettings | None = None,
        audience: str | Collection[str] | None = None,
        trusted_issuers: Mapping[str, str | IssuerSettings] | None = None,
        client_id: str | None = None,
        client_key_file: str | Path | None = None,
        client_secret_file: str | Path | None = None,
        client: ClientAuthentication | None = None,
        urls: Mapping[str, str] | None = None,
        ca_file: str | Path | None = None,
        insecure_http_hosts: Collection[str] | None = None,
        jwks_max_age: float | None = None,
        leeway: float | None = None,
        insecure_shared_secret: bytes | None = None,
        audit: Audit | None = None,
        timeout: float = 5.0,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
        transport: Transport | None = None,
    ) -> None:
        self.settings = settings = ServiceSettings.load(
            os.environ if environ is None else environ,
            folder=Path.cwd() if folder is None else folder,
            issuer=issuer,
            audience=audience,
            trusted_issuers=trusted_issuers,
            client_id=client_id,
            client_key_file=client_key_file,
            client_secret_file=client_secret_file,
            client=client,
            urls=urls,
            ca_file=ca_file,
            insecure_http_hosts=insecure_http_hosts,
            jwks_max_age=jwks_max_age,
            leeway=leeway,
        )
        self._clock = clock
        self._audit = audit
        if transport is None:
            transport = Transport(
                ca_file=settings.ca_file, insecure_http_hosts=settings.insecure_http_hosts, timeout=timeout
            )
        metadata = settings.issuer.metadata(clock)
        if insecure_shared_secret is not None:
            if settings.trusted_issuers:
                raise ConfigurationError("insecure_shared_secret: a secret never stands beside public keys")
            self._verifier = verifier_by_secret(
                settings.issuer,
                settings.audience,
                leeway=settings.leeway,
                secret=insecure_shared_secret,
                clock=clock,
            )
        else:
            others = ((other, other.metadata(clock)) for other in settings.trusted_issuers.values())
            self._verifier = verifier_by_keys(
                [(settings.issuer, metadata), *others],
                settings.audience,
                leeway=settings.leeway,
                transport=transport,
                jwks_max_age=settings.jwks_max_age,
                clock=clock,
            )
        self._source: TokenSource | None = None
        if settings.client is not None:
            endpoint = TokenEndpoint(
                settings.issuer.issuer,
                metadata.token_endpoint,
                settings.client,
                settings.issuer.requested_token_type,
            )
            self._source = TokenSource(endpoint, transport, clock=clock)
        self._sessions: Sessions | None = None
        self._clients: Clients | None = None

    def verify(self, token: str) -> VerifiedToken:
        """Verify a token that was presented to this service.

        Raises:
            TokenError: it must not be accepted; the leaf says which check refused it.
            KeysUnavailable: the issuer's keys cannot be had now.
        """
        return self._verifier.verify(token)

    async def averify(self, token: str) -> VerifiedToken:
        """Verify a token without ever blocking the event loop; as `verify`."""
        return await self._verifier.averify(token)

    @contextmanager
    def acting_for(self, token: str) -> Iterator[VerifiedToken]:
        """Verify a token and run the block on behalf of its bearer; for work that no framework brings."""
        verified = self.verify(token)
        with caller.running_for(token, verified):
            yield verified

    def bind(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return `function`, plain or async, bound to the current caller, for a thread or a later task.

        Raises:
            NoCaller: there is no caller to carry.
        """
        return caller.bind(function)

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
        )

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Begin to fetch keys at the start, without waiting; let go of everything at the end."""
        self._verifier.warm()
        try:
            yield
        finally:
            await self.aclose()

    def close(self) -> None:
        """Close connections, forget tokens, let the threads end; what is used again starts again."""
        self._verifier.close()
        if self._source is not None:
            self._source.close()
        if self._sessions is not None:
            self._sessions.close()

    async def aclose(self) -> None:
        """Close as `close`, and the async connections of this event loop too."""
        self.close()
        if self._clients is not None:
            await self._clients.aclose()


def _on_behalf(own_identity: bool, insecure_pass_through: bool) -> OnBehalf:
    if own_identity and insecure_pass_through:
        raise TypeError("expected own_identity or insecure_pass_through, found both")
    return "self" if own_identity else "insecure_pass_through" if insecure_pass_through else "caller"
