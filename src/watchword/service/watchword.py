"""The one SDK object of a service, without any framework."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from watchword import caller
from watchword.client.authentication import ClientAuthentication
from watchword.client.endpoint import TokenEndpoint
from watchword.client.outbound import Audit
from watchword.client.token_source import TokenSource
from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import ConfigurationError, KeysUnavailable, TokenError, WatchwordError
from watchword.fetch import Transport
from watchword.service import health
from watchword.service.calls import Calls
from watchword.service.fan_out import WORKERS, over_tasks, over_threads
from watchword.service.health import Health
from watchword.service.issuers import IssuerSettings, verifier_by_keys, verifier_by_secret
from watchword.service.settings import ServiceSettings
from watchword.telemetry import Meter, Metrics, Observer
from watchword.tokens.verified import VerifiedToken

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Watchword(Calls):
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
        observer: learns of refusals, fetched key sets, token requests and alarms (`watchword.telemetry`), in
            the thread where they happen; what it raises is logged and harms nobody.
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
        observer: Observer | None = None,
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
        self._meter = meter = Meter(
            issuers=[known.issuer for known in (settings.issuer, *settings.trusted_issuers.values())],
            callees=[name.lower() for name in settings.urls],
            observer=observer,
        )
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
                meter=meter,
            )
        self._source: TokenSource | None = None
        self._sessions = self._clients = self._aiohttp = None
        if settings.client is not None:
            endpoint = TokenEndpoint(
                settings.issuer.issuer,
                metadata.token_endpoint,
                settings.client,
                settings.issuer.requested_token_type,
            )
            self._source = TokenSource(endpoint, transport, clock=clock, meter=meter)

    def verify(self, token: str) -> VerifiedToken:
        """Verify a token that was presented to this service.

        Raises:
            TokenError: it must not be accepted; the leaf says which check refused it.
            KeysUnavailable: the issuer's keys cannot be had now.
        """
        try:
            return self._verifier.verify(token)
        except (TokenError, KeysUnavailable) as error:
            self._meter.refused(error)
            raise

    async def averify(self, token: str) -> VerifiedToken:
        """Verify a token without ever blocking the event loop; as `verify`."""
        try:
            return await self._verifier.averify(token)
        except (TokenError, KeysUnavailable) as error:
            self._meter.refused(error)
            raise

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

    def map(self, function: Callable[[T], R], items: Iterable[T], *, workers: int = WORKERS) -> list[R]:
        """Return `function(item)` for each item, in order, at most `workers` of them at a time in threads.

        Each runs on behalf of the current caller, if there is one; they share its exchanged tokens. The first
        failure is raised, and what was not begun by then is not begun. Calls that one request can answer
        (`?id=1&id=2`) are better made as one.
        """
        return over_threads(function, items, workers)

    async def amap(
        self, function: Callable[[T], Awaitable[R]], items: Iterable[T], *, workers: int = WORKERS
    ) -> list[R]:
        """Return the same of an async function, in tasks of this event loop; as `map`."""
        return await over_tasks(function, items, workers)

    def metrics(self) -> Metrics:
        """Return what was counted in this process so far; `metrics().prometheus()` is the page."""
        verified, cached = self._verifier.accepted
        return Metrics(
            verified=verified,
            cached=cached,
            refused=self._meter.refusals(),
            key_sets={issuer: keys.metrics() for issuer, keys in self._verifier.key_sets.items()},
            callees=self._meter.callees(),
        )

    def health(self) -> Health:
        """Return how issuers, credential and callees are. Never waits and never asks anybody on its way.

        Keys that are missing or due are fetched in the background meanwhile, so a service that gets no
        request before it is healthy becomes so.
        """
        return health.look(self.settings, self._verifier.key_sets, self._source)

    def note_refusal(self, error: WatchwordError, token: VerifiedToken | None = None) -> None:
        """Count, log and tell a refusal; for those who refuse requests, with the token if it is genuine."""
        if token is None:
            self._meter.refused(error)
        else:
            self._meter.refused(
                error, client_id=token.client_id, token_id=token.token_id, story_id=token.story_id
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
        self.close_calls()

    async def aclose(self) -> None:
        """Close as `close`, and the async connections of this event loop too."""
        self.close()
        await self.aclose_calls()
