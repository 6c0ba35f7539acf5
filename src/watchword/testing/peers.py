"""What stands around a service under test, over real HTTP: an issuer with a token endpoint, a callee."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore


class Reply(NamedTuple):
    """What a peer answers."""

    status: int
    body: Mapping[str, Any] | list[Any] | bytes
    """JSON, or bytes as they are."""
    headers: Mapping[str, str] = MappingProxyType({})


class Peer:
    """An HTTP server whose answers can be changed while it runs.

    Args:
        otherwise: what it answers on paths without a route.
    """

    def __init__(self, otherwise: Reply = Reply(404, {})) -> None:  # noqa: B008  # a value
        self.routes: dict[str, Callable[[Mapping[str, str], bytes], Reply]] = {}
        """Path → what it answers to headers (lower case) and body."""
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        """Every request so far: its target and headers."""
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body leave together, else each answer waits for a delayed ACK

            def do_GET(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

            def _answer(self, body: bytes) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                peer.requests.append((self.path, headers))
                route = peer.routes.get(urlsplit(self.path).path)
                status, told, extra = route(headers, body) if route else otherwise
                content = told if isinstance(told, bytes) else json.dumps(told).encode()
                self.send_response(status)
                for name, value in ({"Content-Type": "application/json"} | dict(extra)).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.close()
            thread.join(10)

    def close(self) -> None:
        """Stop serving: from now on nobody listens there."""
        self._server.shutdown()
        self._server.server_close()


class IssuingPeer(Peer):
    """An issuer with a key of its own, its metadata, its JWK Set, and a token endpoint that can say no.

    Args:
        algorithm: of its key.
    """

    def __init__(self, algorithm: str = "ES256") -> None:
        super().__init__()
        self.keys = MemoryKeyStore()
        self.issuer = Issuer(self.url, self.keys, algorithm=algorithm)
        self.denial: Reply | None = None
        """What the token endpoint answers instead of a token."""
        self.routes |= {
            "/.well-known/oauth-authorization-server": lambda *_: Reply(200, self._metadata()),
            "/.well-known/jwks.json": lambda *_: Reply(200, self.issuer.jwk_set().to_dict()),
            "/token": self._token,
        }

    def token(self, subject: str = "john_doe", audience: str = "posts", **claims: Any) -> str:
        """Return a genuine token; `scope`, `roles`, `lifetime` and the rest as `Issuer.issue` has them."""
        return self.issuer.issue(subject, audience, **{"scope": {"posts:read"}, "client_id": "web"} | claims)

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/.well-known/jwks.json",
            "grant_types_supported": ["urn:ietf:params:oauth:grant-type:token-exchange"],
            "response_types_supported": [],
        }

    def _token(self, _: Mapping[str, str], body: bytes) -> Reply:
        if self.denial is not None:
            return self.denial
        asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        token = self.issuer.issue(
            "john_doe", asked.get("audience", "users"), scope={"users:read"}, client_id="posts"
        )
        return Reply(
            200,
            {
                "access_token": token,
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "token_type": "Bearer",
                "expires_in": 120,
                "scope": "users:read",
            },
        )
