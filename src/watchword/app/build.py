"""Puts a token service together: opens what it needs, closes it in order."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from watchword.app.audit_log import DemandingLedger, LogHealth, audit_log, not_demanded
from watchword.app.config import ServerSettings
from watchword.app.foreign_keys import ForeignKeys
from watchword.app.gauges import ServiceGauges
from watchword.app.measured_ledger import MeasuredLedger
from watchword.app.others import Others
from watchword.app.parts import opened_parts
from watchword.app.readiness import Readiness
from watchword.app.role import ALONE, Role
from watchword.app.rotation import look_at_keys, rotate_due, rotate_keys
from watchword.app.tasks import forget_events, forget_expired, write_checkpoint, write_checkpoints
from watchword.app.trust_at_start import StoredTrust, trust_at_start
from watchword.authority.build import build as build_authority
from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import ConfigurationError
from watchword.fetch import Transport
from watchword.grants import GRANTS
from watchword.grants.stores import Ledger
from watchword.server.address_limit import AddressLimit
from watchword.server.application import Application
from watchword.server.endpoints.health import ReadyEndpoint
from watchword.server.endpoints.introspect import IntrospectEndpoint
from watchword.server.endpoints.published import Published
from watchword.server.endpoints.token import TokenEndpoint
from watchword.server.metadata import authorization_server_metadata
from watchword.server.metrics import Metrics
from watchword.server.rate import RateLimiter
from watchword.server.request import Receive, Scope, Send
from watchword.server.routes import table
from watchword.server.stop_sign import StopSign


@asynccontextmanager
async def opened(
    settings: ServerSettings, *, role: Role = ALONE, clock: Clock = SYSTEM_CLOCK
) -> AsyncIterator[Application]:
    """Open what a token service needs and return its application, for the time of an `async with`.

    Args:
        settings: of the service.
        role: what this process does of it.
        clock: the time that decides.

    Raises:
        TrustError: the trust document has mistakes.
        KeyringError: the signing keys cannot be used.
        StoreError: the database cannot be opened, or another server uses the folder.
    """
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(opened_parts(settings, role=role, clock=clock))
        issuer, ledger, database = parts.issuer, parts.ledger, parts.database
        trust = await trust_at_start(
            settings.trust if role.keeps else None, parts.trust_store, issuer=settings.issuer, clock=clock
        )
        foreign_keys = ForeignKeys(
            Transport(ca_file=settings.ca_file), max_age=settings.jwks_max_age, clock=clock
        )
        stack.callback(foreign_keys.close)
        metrics = Metrics(GRANTS, board=role.board)
        metrics.gauges.append(ServiceGauges(issuer, ledger, clock))
        health = LogHealth(metrics.audit_log, clock)
        demand_log = issuing_demand = not_demanded
        if settings.audit_log is not None:
            metrics.gauges.append(health.gauges)
            demand_log = health.demand
        recorder: Ledger = ledger
        if settings.audit_log is not None and settings.audit_log_full == "refuse":
            issuing_demand = health.demand
            recorder = DemandingLedger(ledger, issuing_demand)
        per_client, per_address = settings.rate_per_client, settings.rate_per_address
        authority = build_authority(
            issuer,
            trust,
            MeasuredLedger(recorder, metrics.store_seconds, clock),
            keys=foreign_keys,
            clock=clock,
            leeway=settings.leeway,
            quota=RateLimiter(per_client, accounts=role.client_accounts, clock=clock) if per_client else None,
        )
        address_limit = (
            AddressLimit(
                RateLimiter(per_address, accounts=role.address_accounts, clock=clock),
                lambda error, request_id: authority.door.count(error, request_id, clock.now()),
            )
            if per_address
            else None
        )
        stop_sign = StopSign()
        routes = table(
            settings.issuer,
            token=TokenEndpoint(authority.tokens, count=metrics.tokens.add),
            introspect=IntrospectEndpoint(authority.introspection),
            published=Published(
                issuer,
                authorization_server_metadata(settings.issuer, GRANTS),
                keys_max_age=int(settings.rotation.cached_for),
            ),
            ready=ReadyEndpoint(
                Readiness(issuer, database, clock, demand_log=issuing_demand).demand, stop_sign
            ),
        )
        issuer.look_only_when_told()
        work: list[Coroutine[Any, Any, None]] = [look_at_keys(issuer)]
        if role.keeps:
            await stack.enter_async_context(audit_log(settings, database, health))
            # before the first answer, so that a key in reserve is published as early as it can be
            await rotate_due(issuer, settings.rotation, ledger, clock)
            stack.push_async_callback(write_checkpoint, parts.audit, clock)  # of a clean stop
            work += [
                forget_expired(ledger, clock),
                rotate_keys(issuer, settings.rotation, ledger, clock, demand_log=demand_log),
                write_checkpoints(parts.audit, ledger, clock),
            ]
            if settings.audit_retention is not None:
                work.append(forget_events(parts.audit, clock, kept=settings.audit_retention))
        if not role.alone:
            others = Others(database)
            others.watch(StoredTrust(parts.trust_store, authority.trust).look)
            others.watch(partial(asyncio.to_thread, issuer.reload))
            work.append(others.run())
        for task in work:
            stack.callback(asyncio.create_task(task).cancel)
        yield Application(
            routes,
            stop_sign,
            metrics=metrics,
            administration=parts.administration(authority.trust, settings.rotation, demand_log=demand_log),
            address_limit=address_limit,
            clock=clock,
        )


def create_app(settings: ServerSettings, *, clock: Clock = SYSTEM_CLOCK) -> "TokenService":
    """Return the token service for an ASGI server of one's own; its lifespan opens and closes everything.

    `watchword serve` does more: it bounds headers and time, which is not an application's to do.

    Raises:
        ConfigurationError: settings that only `watchword serve` can keep.
    """
    if settings.tls is not None:
        raise ConfigurationError("WATCHWORD_TLS_CERT: expected TLS to be the ASGI server's, found it here")
    return TokenService(settings, clock)


class TokenService:
    """An ASGI application with a lifespan; made by `create_app`."""

    __slots__ = ("_application", "_clock", "_settings")

    def __init__(self, settings: ServerSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._application: Application | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan (ASGI 3)."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            if self._application is None:
                raise ConfigurationError("expected an ASGI server with lifespan switched on")
            await self._application(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with opened(self._settings, clock=self._clock) as self._application:
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self._application.stop_sign.raised = True
        self._application = None
        await send({"type": "lifespan.shutdown.complete"})
