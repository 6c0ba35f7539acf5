"""What stands around a framework's application under test, and how a test talks to it."""

import base64
import hashlib
import hmac
import http.client
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from watchword.caller import current
from watchword.errors import NoCaller
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore
from watchword.testing.peers import IssuingPeer, Peer

THREADS = 8
GUARD = 15.0  # seconds: hangs become failures
RESOURCE = "https://posts.example"
METADATA_PATH = "/.well-known/oauth-protected-resource"


class Endpoints:
    """What the application's endpoints call, so that every framework does the same."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(THREADS)
        self.noted: SimpleQueue[str] = SimpleQueue()
        """For whom the work ran that came after an answer."""

    def who(self) -> str:
        """Return the subject on whose behalf this code runs; `nobody` without a caller."""
        try:
            return current().token.subject.id
        except NoCaller:
            return "nobody"

    def note(self) -> None:
        """Note for whom this runs; called after an answer has been sent."""
        self.noted.put(self.who())

    def meet(self) -> None:
        """Return once as many requests as there are threads stand here together."""
        self._barrier.wait(GUARD)

    def fail(self) -> None:
        """Meet the others, and break."""
        self.meet()
        raise RuntimeError("an endpoint broke, on purpose")


class Answer(NamedTuple):
    """A whole answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.body)


class Site(NamedTuple):
    """An application under test and what stands around it."""

    url: str
    issuer: IssuingPeer
    users: Peer
    endpoints: Endpoints

    def get(
        self, path: str, token: str | None = None, *, authorization: Sequence[str] = (), method: str = "GET"
    ) -> Answer:
        """Send one request with any number of `Authorization` headers."""
        values = [*authorization, *([f"Bearer {token}"] if token is not None else [])]
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=GUARD)
        try:
            connection.putrequest(method, path)
            for value in values:
                connection.putheader("Authorization", value)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(
                answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
            )
        finally:
            connection.close()


class _LongAgo:
    def now(self) -> float:
        return 1_700_000_000.0

    def monotonic(self) -> float:
        return 0.0


def decoded(segment: str) -> dict[str, Any]:
    """Return the JSON object in a part of a token, unverified."""
    members: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return members


def _encoded(members: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


def _tampered(peer: IssuingPeer) -> str:
    header, payload, signature = peer.token().split(".")
    return f"{header}.{_encoded(decoded(payload) | {'sub': 'jane_doe'})}.{signature}"


def _unsigned(peer: IssuingPeer) -> str:
    header, payload, _ = peer.token().split(".")
    return f"{_encoded(decoded(header) | {'alg': 'none'})}.{payload}."


def _keyed_with_the_public_key(peer: IssuingPeer) -> str:
    header, payload, _ = peer.token().split(".")
    text = f"{_encoded(decoded(header) | {'alg': 'HS256'})}.{payload}"
    digest = hmac.digest(peer.issuer.public_pem(), text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _expired(peer: IssuingPeer) -> str:
    past = Issuer(peer.url, peer.keys, clock=_LongAgo())
    return past.issue("john_doe", "posts", scope={"posts:read"})


def _from_a_stranger(peer: IssuingPeer) -> str:
    return Issuer("http://127.0.0.1:1", MemoryKeyStore()).issue("john_doe", "posts", scope={"posts:read"})


def _in_the_name_of(peer: IssuingPeer) -> str:
    return Issuer(peer.url, MemoryKeyStore()).issue("john_doe", "posts", scope={"posts:read"})


REFUSED: dict[str, Callable[[IssuingPeer], str]] = {
    "expired": _expired,
    "tampered": _tampered,
    "alg none": _unsigned,
    "HS256 keyed with the public key": _keyed_with_the_public_key,
    "for another audience": lambda peer: peer.token(audience="reports"),
    "of a stranger": _from_a_stranger,
    "of a stranger in the issuer's name": _in_the_name_of,
    "no token at all": lambda peer: "not.atokenatall.butthree",
}


def expect(held: object, seen: object) -> None:
    """Fail the test unless what was expected holds; works under `python -O` too."""
    if not held:
        raise AssertionError(f"not as expected: {seen!r:.1000}")


def expect_problem(answer: Answer) -> None:
    """Demand a problem document of RFC 9457 that holds nothing from the inside."""
    expect(answer.headers["content-type"].split(";")[0] == "application/problem+json", answer)
    expect(answer.headers["cache-control"] == "no-store", answer)
    problem = answer.json()
    expect(problem["status"] == answer.status, answer)
    expect(problem["title"], answer)
    expect(problem["code"], answer)
    expect("Traceback" not in answer.body.decode(), answer)
