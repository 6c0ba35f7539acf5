"""Token endpoints and callees over real HTTP, and a clock that moves when it is told to."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl

import pytest

from watchword.client.authentication import SecretAuthentication
from watchword.client.endpoint import SubjectToken, TokenEndpoint
from watchword.client.token_source import TokenSource
from watchword.clock import SYSTEM_CLOCK
from watchword.fetch import Flow, Transport
from watchword.testing.peers import Peer, Reply
from watchword.tokens.private_key import PrivateKey

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class ManualClock:
    """Both clocks, at the test's command."""

    def __init__(self) -> None:
        self.wall, self.ticks = SYSTEM_CLOCK.now(), 1_000.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds


class TokenPeer(Peer):
    """A token endpoint that remembers what it was asked and gives a different token each time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, str]] = []
        self.reply: Callable[[dict[str, str]], Reply] = self.grant
        self.lifetime = 120
        self.routes["/token"] = self._answer

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Reply:
        form = dict(parse_qsl(body.decode(), strict_parsing=True))
        self.asked.append(form)
        return self.reply(form | {"authorization": headers.get("authorization", "")})

    def grant(self, form: dict[str, str]) -> Reply:
        subject = form.get("subject_token", "own")
        told = {
            "access_token": f"{subject}-for-{form.get('audience')}-{len(self.asked)}",
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": self.lifetime,
        }
        return Reply(200, told)

    def locate(self) -> Flow[str]:
        return f"{self.url}/token"
        yield


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def start() -> Iterator[Callable[[Peer], Any]]:
    """Let a peer serve until the test is over."""
    with ExitStack() as running:

        def serve(peer: Peer) -> Peer:
            running.enter_context(peer.running())
            return peer

        yield serve


@pytest.fixture
def server(start: Callable[[Peer], Any]) -> TokenPeer:
    peer: TokenPeer = start(TokenPeer())
    return peer


@pytest.fixture
def endpoint(server: TokenPeer) -> TokenEndpoint:
    return TokenEndpoint(server.url, server.locate, SecretAuthentication("posts", "s3cr3t"))


@pytest.fixture
def source(endpoint: TokenEndpoint, clock: ManualClock) -> Iterator[TokenSource]:
    made = TokenSource(endpoint, Transport(timeout=5), clock=clock)
    yield made
    made.close()


@pytest.fixture
def subject(clock: ManualClock) -> Callable[..., SubjectToken]:
    def make(text: str = "johns-token", *, lifetime: float = 300) -> SubjectToken:
        return SubjectToken(text, "access_token", clock.now() + lifetime)

    return make


@pytest.fixture(scope="session")
def client_key() -> PrivateKey:
    return PrivateKey.generate()
