"""Runs a token service until a signal ends it, in this process or in several."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable

import uvloop

from watchword.app.build import opened
from watchword.app.config import ServerSettings
from watchword.app.hardening import seal_memory
from watchword.app.listening import listening_socket, operators_sockets
from watchword.app.notify import Notifier
from watchword.app.operators_door import operators_door
from watchword.app.sealing import read_before_forks
from watchword.app.setting_values import Address
from watchword.app.workers.service import run_processes
from watchword.server import logs
from watchword.server.serving import GracefulServer
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
    read_before_forks(settings.seal)
    notifier = Notifier(os.environ)
    with listening_socket(settings.listen) as listener:
        address = Address(*listener.getsockname()[:2])

        def ready() -> None:
            notifier.ready(f"serving {settings.issuer} at {address}")
            on_ready(address)

        if settings.workers > 1:
            run_processes(settings, listener, notifier, ready)
        else:
            asyncio.Runner(loop_factory=uvloop.new_event_loop).run(
                _serve(settings, listener, notifier, ready)
            )


async def _serve(
    settings: ServerSettings, listener: socket.socket, notifier: Notifier, on_ready: Callable[[], None]
) -> None:
    tls = None if settings.tls is None else ReloadingTLS(settings.tls)
    async with opened(settings) as application:
        with operators_sockets(settings) as sockets:
            async with operators_door(application, tls, sockets):
                alive = asyncio.create_task(notifier.live())
                server = GracefulServer(
                    application,
                    on_ready=on_ready,
                    on_stopping=notifier.stopping,
                    tls=None if tls is None else tls.context,
                )
                try:
                    await server.serve(sockets=[listener])
                finally:
                    alive.cancel()
