"""The key source of a running server, against key sets that are really published."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from watchword.app.foreign_keys import ForeignKeys
from watchword.errors import InvalidRequest, TemporarilyUnavailable
from watchword.fetch import Transport
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.private_key import PrivateKey

from .conftest import World

pytestmark = pytest.mark.anyio


class Publisher(ThreadingHTTPServer):
    """Serves one JWK Set and counts who fetches it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.keys = JWKSet(())
        self.fetched: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Publisher

    def do_GET(self) -> None:
        self.server.fetched.append(self.path)
        body = json.dumps(self.server.keys.to_dict()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/jwk-set+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    server = Publisher()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def world(world: World, publisher: Publisher) -> Iterator[World]:
    publisher.keys = JWKSet([world.staff_key.public])
    keys = ForeignKeys(Transport())
    world.published = keys  # type: ignore[assignment]
    world.authority = world.restarted()
    world.change_issuer("staff", jwks_uri=f"{publisher.url}/staff/jwks.json")
    yield world
    keys.close()


@pytest.mark.threat(123)
async def test_only_the_configured_address_is_ever_fetched_and_once(
    world: World, publisher: Publisher
) -> None:
    for _ in range(3):
        assert await world.exchange("posts", world.staff_token(), "users")
    stranger = PrivateKey.generate("ES256")
    with pytest.raises(InvalidRequest):
        await world.exchange("posts", world.staff_token(stranger, iss=publisher.url), "users")
    assert publisher.fetched == ["/staff/jwks.json"]


async def test_a_client_may_publish_its_keys(world: World, publisher: Publisher) -> None:
    publisher.keys = JWKSet([world.users_key.public])
    world.change("users", jwks=None, jwks_uri=f"{publisher.url}/users/jwks.json")
    answer = await world.ask(grant_type="client_credentials", audience="billing", **world.asserted())
    assert answer.access_token
    assert publisher.fetched == ["/users/jwks.json"]


async def test_an_issuer_that_cannot_be_reached_is_not_the_tokens_fault(world: World) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        port = closed.server_address[1]
    world.change_issuer("staff", jwks_uri=f"http://127.0.0.1:{port}/jwks.json")
    with pytest.raises(TemporarilyUnavailable):
        await world.exchange("posts", world.staff_token(), "users")
