"""Applications served over real HTTP on loopback, in this process."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

HOST = "127.0.0.1"
_GUARD = 15.0


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Pooled(WSGIServer):
    """Answers requests in a few threads that are used again and again, as production servers do."""

    def __init__(self, threads: int) -> None:
        super().__init__((HOST, 0), _Quiet)
        self._pool = ThreadPoolExecutor(threads)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand the request to a thread."""
        self._pool.submit(self._work, request, client_address)

    def _work(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:
            pass  # the client went away
        finally:
            self.shutdown_request(request)

    def server_close(self) -> None:
        """Close the socket and let the threads end."""
        super().server_close()
        self._pool.shutdown()


@contextmanager
def serving_wsgi(application: Callable[..., Any], *, threads: int = 8) -> Iterator[str]:
    """Serve a WSGI application until the block ends; yield its base URL."""
    server = _Pooled(threads)
    server.set_app(application)
    runner = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    runner.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        runner.join(_GUARD)


@contextmanager
def serving_asgi(application: Callable[..., Any]) -> Iterator[str]:
    """Serve an ASGI application by uvicorn, lifespan included, until the block ends; yield its base URL."""
    import uvicorn  # noqa: PLC0415  only those who test ASGI applications need it

    listening = socket.create_server((HOST, 0))
    server = uvicorn.Server(
        uvicorn.Config(application, log_level="error", lifespan="on", timeout_graceful_shutdown=2)
    )
    runner = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    runner.start()
    try:
        yield f"http://{HOST}:{listening.getsockname()[1]}"  # connections wait in the backlog until it is up
    finally:
        server.should_exit = True
        runner.join(_GUARD)
        listening.close()
