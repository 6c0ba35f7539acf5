"""The published keys behind a certificate of a private CA."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from interop.asking import ask, serving
from interop.authority import Authority
from interop.processes import Running, installed


class Relay:
    """A server, and how often it was asked."""

    port = 0
    url = ""
    asked = 0


class OverTls:
    """What the token service publishes, over TLS with a certificate of a private CA."""

    def __init__(self, running: Running, authority: Authority) -> None:
        self.ca = running.folder / "ca.pem"
        self._running = running
        self._authority = authority
        self._certificate("ca", "-subj", "/CN=a private CA")

    def _certificate(self, name: str, *options: str) -> None:
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2")
        made = self._running.run(
            installed("openssl"),
            "req",
            "-x509",
            *curve,
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.pem",
            *options,
        )
        assert made.returncode == 0, made.stderr

    @contextmanager
    def serving(
        self, name: str = "tokens.example", *, trusted: bool = True, plain: bool = False
    ) -> Iterator[Relay]:
        """Yield a server whose certificate is for this name, or one without TLS."""
        published = self._authority.url
        relay = Relay()

        class Published(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                relay.asked += 1
                answer = ask(published + self.path)
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers["content-type"])
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: Any) -> None:
                pass

        with serving(Published) as server:
            if not plain:
                server.socket = self._context(name, trusted=trusted).wrap_socket(
                    server.socket, server_side=True
                )
            relay.port = server.server_port
            relay.url = f"http{'' if plain else 's'}://{name}:{server.server_port}"
            yield relay

    def _context(self, name: str, *, trusted: bool) -> ssl.SSLContext:
        signer = ("-CA", "ca.pem", "-CAkey", "ca.key") if trusted else ()
        self._certificate("server", "-subj", "/CN=server", "-addext", f"subjectAltName=DNS:{name}", *signer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._running.folder / "server.pem", self._running.folder / "server.key")
        return context
