"""What stands around a service that calls another: its issuer, the callee, a stranger, and a clock."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from watchword.client.authentication import SecretAuthentication
from watchword.service import Watchword
from watchword.testing.peers import IssuingPeer, Peer, Reply
from watchword.testing.travelling_clock import TravellingClock

GUARD = 20.0
INVALID_TOKEN = 'Bearer realm="users", error="invalid_token", error_description="the token was revoked"'


class Callee(Peer):
    """A service that says which credential it got, and refuses the tokens that it is told to refuse."""

    def __init__(self) -> None:
        super().__init__()
        self._server.socket.listen(256)  # many come at once
        self.refused: set[str] = set()
        self.refuses_all = False
        self.status, self.challenge = 401, INVALID_TOKEN
        self.bodies: list[bytes] = []
        self.meet: threading.Barrier | None = None
        """All who are refused wait for each other here."""
        self.routes["/users"] = self._answer

    @property
    def credentials(self) -> list[str]:
        """The token of every request so far."""
        return [headers.get("authorization", "").removeprefix("Bearer ") for _, headers in self.requests]

    def revoke_all(self) -> None:
        """Refuse every token that was seen so far."""
        self.refused |= set(self.credentials)

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Reply:
        self.bodies.append(body)
        authorization = headers.get("authorization")
        token = (authorization or "").removeprefix("Bearer ")
        if not (self.refuses_all or token in self.refused):
            return Reply(200, {"authorization": authorization})
        if self.meet is not None:
            self.meet.wait(GUARD)
        return Reply(self.status, {"code": "refused"}, {"WWW-Authenticate": self.challenge})


class OutboundSite(NamedTuple):
    """A service `posts` that may call `users`."""

    posts: Watchword
    issuer: IssuingPeer
    users: Callee
    stranger: Callee
    """Another service on this machine: another origin by its port."""
    clock: TravellingClock

    @property
    def exchanges(self) -> int:
        """How often the token endpoint was asked."""
        return sum(target == "/token" for target, _ in self.issuer.requests)


@contextmanager
def outbound_site(**settings: Any) -> Iterator[OutboundSite]:
    """Run them all on loopback."""
    issuer, users, stranger, clock = IssuingPeer(), Callee(), Callee(), TravellingClock()
    with TemporaryDirectory() as folder, issuer.running(), users.running(), stranger.running():
        told: dict[str, Any] = {
            "issuer": issuer.url,
            "audience": "posts",
            "client": SecretAuthentication("posts", "a-secret-for-tests"),
            "urls": {"users": users.url},
            "environ": {},
            "folder": Path(folder),
            "clock": clock,
        }
        posts = Watchword(**(told | settings))
        try:
            yield OutboundSite(posts, issuer, users, stranger, clock)
        finally:
            posts.close()
