"""An issuer, a callee, and services around them, over real HTTP."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from watchword import Watchword
from watchword.client.authentication import KeyAuthentication
from watchword.clock import SYSTEM_CLOCK
from watchword.testing.peers import IssuingPeer, Peer, Reply
from watchword.tokens.private_key import PrivateKey


@pytest.fixture
def start() -> Iterator[Callable[[Peer], Peer]]:
    """Let a peer serve until the test is over."""
    with ExitStack() as running:

        def serve(peer: Peer) -> Peer:
            running.enter_context(peer.running())
            return peer

        yield serve


@pytest.fixture
def issuer(start: Callable[[Peer], Peer]) -> IssuingPeer:
    peer = IssuingPeer()
    start(peer)
    return peer


@pytest.fixture
def users(start: Callable[[Peer], Peer]) -> Peer:
    """A callee that says which credential it got."""
    peer = start(Peer())
    peer.routes["/users"] = lambda headers, _: Reply(200, {"authorization": headers.get("authorization")})
    return peer


@pytest.fixture(scope="session")
def client_key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture
def posts(issuer: IssuingPeer, users: Peer, client_key: PrivateKey, tmp_path: Any) -> Iterator[Watchword]:
    """The service `posts`, which may call `users`."""
    ww = Watchword(
        issuer=issuer.url,
        audience="posts",
        client=KeyAuthentication("posts", client_key),
        urls={"users": users.url},
        environ={},
        folder=tmp_path,
    )
    yield ww
    ww.close()


class ManualClock:
    """Both clocks, at the test's command."""

    def __init__(self) -> None:
        self.wall, self.ticks = SYSTEM_CLOCK.now() + 5, 1_000.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def advance(self, seconds: float) -> None:
        self.ticks += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
