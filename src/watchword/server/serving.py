"""Runs the application on sockets until it is told to stop, and stops without losing what was accepted."""

import asyncio
import signal
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from socket import AF_UNIX, socket
from typing import Any, cast

from uvicorn import Config, Server
from uvicorn.server import ServerState

from watchword.server.application import Application
from watchword.server.limits import DRAIN_SECONDS, KEEP_ALIVE_SECONDS, STOP_SECONDS
from watchword.server.protocol import BoundedProtocol

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class GracefulServer(Server):
    """uvicorn's server; a signal raises the stop sign first, and the exit status is ours to decide.

    Args:
        application: what answers.
        on_ready: called once the sockets accept connections.
        on_stopping: called when a signal has come, before anything closes.
        tls: for every socket; without it they speak plain HTTP.
        signals: that end it.
        protocol: with other bounds than the usual ones.
    """

    def __init__(
        self,
        application: Application,
        *,
        on_ready: Callable[[], None],
        on_stopping: Callable[[], None] | None = None,
        tls: ssl.SSLContext | None = None,
        signals: Sequence[signal.Signals] = SIGNALS,
        protocol: type[BoundedProtocol] = BoundedProtocol,
    ) -> None:
        super().__init__(_config(application, protocol))
        self._stop_sign = application.stop_sign
        self._on_ready = on_ready
        self._on_stopping = on_stopping
        self._tls = tls
        self._signals = signals
        self._handshake_seconds = protocol.header_seconds

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start to accept, then say so."""
        await super().startup(sockets=[])
        loop = asyncio.get_running_loop()
        # uvicorn would give a handshake a minute
        patience = None if self._tls is None else self._handshake_seconds
        for listener in sockets or []:
            server = await loop.create_server(
                self._protocol,
                sock=listener,
                ssl=self._tls,
                ssl_handshake_timeout=patience,
                backlog=self.config.backlog,
            )
            self.servers.append(server)
        if self.started:
            self._on_ready()

    def _protocol(self) -> asyncio.Protocol:
        make = cast(Any, self.config.http_protocol_class)
        made: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Let requests that are on their way arrive and be answered, then stop.

        Until the sockets close, readiness answers 503 and every answer asks for the end of its connection, so
        that no client sends a request into a connection that is about to close.
        """
        self._stop_sign.raised = True
        if self._on_stopping is not None:
            self._on_stopping()
        if self.server_state.connections:
            await asyncio.sleep(DRAIN_SECONDS)
        await super().shutdown(sockets=sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on its signals; unlike uvicorn, do not raise the signal again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are the main thread's; whoever runs this elsewhere sets `should_exit`
            return
        loop = asyncio.get_running_loop()
        for number in self._signals:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in self._signals:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Begin to stop; called a second time, do not wait any longer."""
        self.force_exit = self.should_exit
        self.should_exit = self._stop_sign.raised = True


@asynccontextmanager
async def serving_beside(
    application: Application, listener: socket, *, protocol: type[BoundedProtocol] = BoundedProtocol
) -> AsyncIterator[None]:
    """Serve another application on a socket of its own, TCP or Unix, for the time of an `async with`."""
    config, state = _config(application, protocol), ServerState()
    config.load()
    loop = asyncio.get_running_loop()

    def connection() -> asyncio.Protocol:
        made: asyncio.Protocol = cast(Any, protocol)(config=config, server_state=state, app_state={})
        return made

    create = loop.create_unix_server if listener.family == AF_UNIX else loop.create_server
    server = await cast(Any, create)(connection, sock=listener)
    try:
        yield
    finally:
        server.close()
        for open_one in list(state.connections):
            open_one.shutdown()


def _config(application: Application, protocol: type[BoundedProtocol]) -> Config:
    return Config(
        application,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # no header says who connects (RFC 7239 is for listed proxies only)
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
