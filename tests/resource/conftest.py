"""Issuers over real HTTP, and a clock that moves when it is told to."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from watchword.clock import SYSTEM_CLOCK
from watchword.resource.jwks import JWKSClient
from watchword.testing.peers import IssuingPeer, Peer
from watchword.tokens.private_key import PrivateKey


class ManualClock:
    """Both clocks, at the test's command; the wall clock starts a little after the peers' real one."""

    def __init__(self, now: float) -> None:
        self.wall, self.ticks = now, 1_000.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(SYSTEM_CLOCK.now() + 30)


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


@pytest.fixture(scope="session")
def spare_key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture
def settled() -> Callable[[JWKSClient], None]:
    """Wait until no fetch of a key set is in the air."""

    def wait(jwks: JWKSClient) -> None:
        flight = jwks._flights.join(None, lambda _: jwks.keys(), unless=lambda: True)
        if flight is not None:
            flight.wait()

    return wait
