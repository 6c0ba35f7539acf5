"""Runs a token service in this process until a signal ends it."""

import asyncio
import errno
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import uvloop

from watchword.app.admin_socket import admin_socket
from watchword.app.build import opened
from watchword.app.config import ServerSettings
from watchword.app.hardening import seal_memory
from watchword.app.notify import Notifier
from watchword.app.setting_values import Address
from watchword.errors import AddressUnavailable, ConfigurationError, WatchwordError
from watchword.server import logs
from watchword.server.admin import OwnerProtocol, admin_application, metrics_application
from watchword.server.application import Application
from watchword.server.serving import serve, serving_beside
from watchword.server.tls import ReloadingTLS

logger = logging.getLogger("watchword.app")


def run(settings: ServerSettings, *, on_ready: Callable[[Address], None]) -> None:
    """Serve until SIGINT or SIGTERM, then finish what was accepted and return.

    Args:
        settings: of the service.
        on_ready: called with the address once requests are accepted.

    Raises:
        WatchwordError: why it cannot start.
    """
    os.umask(0o077)  # whatever it was: files that are made from here on are for this user alone
    logs.configure(sys.stderr)
    seal_memory()  # before a key is in it
    for warning in settings.warnings:
        logger.warning(warning)
    tls = None if settings.tls is None else ReloadingTLS(settings.tls)
    with listening_socket(settings.listen) as listener:
        asyncio.Runner(loop_factory=uvloop.new_event_loop).run(_serve(settings, listener, tls, on_ready))


async def _serve(
    settings: ServerSettings,
    listener: socket.socket,
    tls: ReloadingTLS | None,
    on_ready: Callable[[Address], None],
) -> None:
    async with opened(settings) as application, _operators_listeners(settings, application, tls):
        address = Address(*listener.getsockname()[:2])
        notifier = Notifier(os.environ)
        alive = asyncio.create_task(notifier.live())

        def ready() -> None:
            notifier.ready(f"serving {settings.issuer} at {address}")
            on_ready(address)

        try:
            await serve(
                application,
                [listener],
                on_ready=ready,
                on_stopping=notifier.stopping,
                tls=None if tls is None else tls.context,
            )
        finally:
            alive.cancel()


@asynccontextmanager
async def _operators_listeners(
    settings: ServerSettings, application: Application, tls: ReloadingTLS | None
) -> AsyncIterator[None]:
    """Serve operations and metrics on the admin socket, metrics alone on loopback; nothing on `LISTEN`."""
    if application.metrics is None:
        yield
        return
    if tls is not None:
        application.metrics.gauges.append(tls.gauges)
    admin = admin_application(application.metrics, application.administration, application.stop_sign)
    async with AsyncExitStack() as stack:
        own = stack.enter_context(admin_socket(settings.operators_socket))
        await stack.enter_async_context(serving_beside(admin, own, protocol=OwnerProtocol))
        if settings.metrics_listen is not None:
            open_one = listening_socket(settings.metrics_listen, setting="METRICS_LISTEN")
            stack.callback(open_one.close)
            metrics_alone = metrics_application(application.metrics, application.stop_sign)
            await stack.enter_async_context(serving_beside(metrics_alone, open_one))
        yield


def listening_socket(address: Address, *, setting: str = "LISTEN") -> socket.socket:
    """Return a socket bound to an address; it refuses connections until somebody listens.

    Args:
        address: where.
        setting: that named it, for messages.

    Raises:
        ConfigurationError: there is no such address here, or this user may not have the port.
        AddressUnavailable: the port is taken.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigurationError(
            f"WATCHWORD_{setting}: {address} is no address of this machine: {error.strerror}"
        ) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place)
    except OSError as error:
        listener.close()
        raise _not_bound(address, error, setting) from None
    return listener


def _not_bound(address: Address, error: OSError, setting: str) -> WatchwordError:
    if error.errno == errno.EADDRINUSE:
        return AddressUnavailable(
            f"{address} is taken by another process; stop it, or name another address in WATCHWORD_{setting}"
        )
    if error.errno == errno.EACCES:
        return ConfigurationError(
            f"WATCHWORD_{setting}: this user may not listen at {address}; name a port above 1023"
        )
    return ConfigurationError(
        f"WATCHWORD_{setting}: {address} is no address of this machine: {(error.strerror or 'error').lower()}"
    )
