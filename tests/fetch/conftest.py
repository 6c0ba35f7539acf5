"""Servers that answer with any bytes, at any pace."""

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

Script = Callable[[socket.socket, threading.Event], None]
Wire = Callable[..., str]


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Start a server that plays a script on each connection; returns its base URL.

    The script gets the socket and an event that is set when the test is over: what it waits for to dawdle.
    """
    over = threading.Event()
    servers: list[socketserver.ThreadingTCPServer] = []

    def serve(script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> str:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    sock = self.request
                    if tls is not None:
                        sock = tls.wrap_socket(sock, server_side=True)
                    script(sock, over)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"{'http' if tls is None else 'https'}://{host}:{server.server_address[1]}"

    yield serve
    over.set()
    for server in servers:
        server.shutdown()
        server.server_close()


def read_request(sock: socket.socket) -> bytes:
    """Read up to the end of the head."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(4096)
        if not more:
            break
        data += more
    return data


def says(answer: bytes) -> Script:
    """Answer every request with these bytes."""

    def script(sock: socket.socket, _: threading.Event) -> None:
        read_request(sock)
        sock.sendall(answer)

    return script


@pytest.fixture(name="says")
def says_fixture() -> Callable[[bytes], Script]:
    return says


@pytest.fixture(name="read_request")
def read_request_fixture() -> Callable[[socket.socket], bytes]:
    return read_request
