"""One HTTP request, and one HTTP server on loopback."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

GUARD = 30.0


class Reply:
    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def ask(url: str, token: str | None = None, *, data: bytes | None = None, **headers: str) -> Reply:
    """Send one request, with the token if there is one."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        fields["Authorization"] = f"Bearer {token}"
    try:
        with build_opener(_NoRedirects).open(Request(url, data, fields), timeout=GUARD) as answer:
            return Reply(answer.status, dict(answer.headers), answer.read())
    except HTTPError as refused:
        with refused:
            return Reply(refused.code, dict(refused.headers), refused.read())


class Posts(BaseHTTPRequestHandler):
    """The service behind a gateway: says whom the gateway let through."""

    def do_GET(self) -> None:
        body = ",".join(self.headers.get_all("X-Token-Subject", [])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
