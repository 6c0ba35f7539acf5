"""Puts a token service together: opens what it needs, closes it in order."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from watchword.app.config import ServerSettings
from watchword.app.foreign_keys import ForeignKeys
from watchword.app.readiness import Readiness
from watchword.app.tasks import forget_expired
from watchword.app.trust_at_start import trust_at_start
from watchword.authority.build import build as build_authority
from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.fetch import Transport
from watchword.grants import GRANTS
from watchword.keys.issuer import Issuer
from watchword.keystores import open_key_store
from watchword.server.application import Application
from watchword.server.endpoints.health import ReadyEndpoint
from watchword.server.endpoints.introspect import IntrospectEndpoint
from watchword.server.endpoints.published import Published
from watchword.server.endpoints.token import TokenEndpoint
from watchword.server.metadata import authorization_server_metadata
from watchword.server.routes import table
from watchword.server.stop_sign import StopSign
from watchword.storage.ledger import SqlLedger
from watchword.storage.sqlite import open_sqlite
from watchword.storage.trust import SqlTrustStore

logger = logging.getLogger("watchword.app")


@asynccontextmanager
async def create_app(settings: ServerSettings, *, clock: Clock = SYSTEM_CLOCK) -> AsyncIterator[Application]:
    """Return the ASGI application of a token service for the time of an `async with`.

    Raises:
        TrustError: the trust document has mistakes.
        KeyringError: the signing keys cannot be used.
        StoreError: the database cannot be opened, or another server uses the folder.
    """
    async with AsyncExitStack() as stack:
        # first, because it takes the data folder for this process alone
        database = open_sqlite(settings.database, clock=clock)
        stack.push_async_callback(database.aclose)
        if database.restored:
            logger.warning("the database is older than its folder: somebody put a copy of it back")
        issuer = Issuer(
            settings.issuer, open_key_store(settings.keys), algorithm=settings.signing_algorithm, clock=clock
        )
        store = SqlTrustStore(database, writer=database.writer)
        trust = await trust_at_start(settings.trust, store, issuer=settings.issuer, clock=clock)
        ledger = SqlLedger(database, writer=database.writer)
        stack.push_async_callback(ledger.aclose)
        foreign_keys = ForeignKeys(Transport(ca_file=settings.ca_file), clock=clock)
        stack.callback(foreign_keys.close)
        authority = build_authority(
            issuer, trust, ledger, keys=foreign_keys, clock=clock, leeway=settings.leeway
        )
        stop_sign = StopSign()
        routes = table(
            settings.issuer,
            token=TokenEndpoint(authority.tokens),
            introspect=IntrospectEndpoint(authority.introspection),
            published=Published(issuer, authorization_server_metadata(settings.issuer, GRANTS)),
            ready=ReadyEndpoint(Readiness(issuer, database, clock).demand, stop_sign),
        )
        purge = asyncio.create_task(forget_expired(ledger, clock))
        stack.callback(purge.cancel)
        yield Application(routes, stop_sign, clock=clock)
