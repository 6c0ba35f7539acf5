"""What every framework adapter must do, over real HTTP; an adapter's test is a subclass with one method.

```python
class TestFlask(FrameworkBehaviour):
    @contextmanager
    def serve(self, settings, endpoints) -> Iterator[str]:  # the base URL
        ...
```

The application under test has these routes, all of them `GET`:

| | guarded by | answers |
| --- | --- | --- |
| `/open` | nothing | `endpoints.who()` |
| `/read` | `posts:read` | JSON: `subject`, `scope`, `roles` of its token, and `caller`: `endpoints.who()` |
| `/edit` | `posts:read`, role `editor` | anything |
| `/fail` | `posts:read` | calls `endpoints.fail()` |
| `/meet` | `posts:read` | calls `endpoints.meet()`, then `endpoints.who()` |
| `/stream` | `posts:read` | three chunks, each `endpoints.who()` |
| `/authors` | `posts:read` | the JSON of `GET /users` at the service `users`, for the caller; 2 s at most |
"""

import base64
import hashlib
import hmac
import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from watchword.caller import current
from watchword.errors import NoCaller
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore
from watchword.testing.peers import IssuingPeer, Peer, Reply
from watchword.tokens.private_key import PrivateKey

THREADS = 8
_GUARD = 15.0  # seconds: hangs become failures


class Endpoints:
    """What the application's endpoints call, so that every framework does the same."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(THREADS)

    def who(self) -> str:
        """Return the subject on whose behalf this code runs; `nobody` without a caller."""
        try:
            return current().token.subject.id
        except NoCaller:
            return "nobody"

    def meet(self) -> None:
        """Return once as many requests as there are threads stand here together."""
        self._barrier.wait(_GUARD)

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

    def get(
        self, path: str, token: str | None = None, *, authorization: Sequence[str] = (), method: str = "GET"
    ) -> Answer:
        """Send one request with any number of `Authorization` headers."""
        values = [*authorization, *([f"Bearer {token}"] if token is not None else [])]
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_GUARD)
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


def _decoded(segment: str) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return members


def _encoded(members: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


def _tampered(peer: IssuingPeer) -> str:
    header, payload, signature = peer.token().split(".")
    return f"{header}.{_encoded(_decoded(payload) | {'sub': 'jane_doe'})}.{signature}"


def _unsigned(peer: IssuingPeer) -> str:
    header, payload, _ = peer.token().split(".")
    return f"{_encoded(_decoded(header) | {'alg': 'none'})}.{payload}."


def _keyed_with_the_public_key(peer: IssuingPeer) -> str:
    header, payload, _ = peer.token().split(".")
    text = f"{_encoded(_decoded(header) | {'alg': 'HS256'})}.{payload}"
    digest = hmac.digest(peer.issuer.public_pem(), text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _expired(peer: IssuingPeer) -> str:
    past = Issuer(peer.url, peer.keys, clock=_LongAgo())
    return past.issue("john_doe", "posts", scope={"posts:read"})


def _from_a_stranger(peer: IssuingPeer) -> str:
    return Issuer("http://127.0.0.1:1", MemoryKeyStore()).issue("john_doe", "posts", scope={"posts:read"})


def _in_the_name_of(peer: IssuingPeer) -> str:
    return Issuer(peer.url, MemoryKeyStore()).issue("john_doe", "posts", scope={"posts:read"})


_REFUSED: dict[str, Callable[[IssuingPeer], str]] = {
    "expired": _expired,
    "tampered": _tampered,
    "alg none": _unsigned,
    "HS256 keyed with the public key": _keyed_with_the_public_key,
    "for another audience": lambda peer: peer.token(audience="reports"),
    "of a stranger": _from_a_stranger,
    "of a stranger in the issuer's name": _in_the_name_of,
    "no token at all": lambda peer: "not.atokenatall.butthree",
}


class FrameworkBehaviour:
    """Subclass it as `Test…` and write `serve`."""

    def serve(self, settings: Mapping[str, Any], endpoints: Endpoints) -> AbstractContextManager[str]:
        """Serve the application on loopback with these settings of `Watchword` and yield its base URL.

        At least eight requests must run side by side, and threads must be used again.
        """
        raise AssertionError("an adapter's test says how its application is served")

    @contextmanager
    def _site(self) -> Iterator[Site]:
        issuer, users = IssuingPeer(), Peer()
        users.routes["/users"] = lambda *_: Reply(200, [{"user_id": "ada"}])
        with TemporaryDirectory() as folder, issuer.running(), users.running():
            key_file = Path(folder, "posts.key")
            key_file.touch(0o600)
            key_file.write_bytes(PrivateKey.generate().insecure_private_pem())
            settings = {
                "issuer": issuer.url,
                "audience": "posts",
                "client_id": "posts",
                "client_key_file": str(key_file),
                "urls": {"users": users.url},
            }
            with self.serve(settings, Endpoints()) as url:
                yield Site(url, issuer, users)

    @pytest.fixture(scope="class")
    @classmethod
    def site(cls) -> Iterator[Site]:
        """Run the application, its issuer and its callee, once per class."""
        with cls()._site() as site:
            yield site

    @pytest.fixture
    def fresh_site(self) -> Iterator[Site]:
        """Run the same for one test that breaks something."""
        with self._site() as site:
            yield site

    def test_a_genuine_token_is_admitted_and_its_subject_is_the_caller(self, site: Site) -> None:
        answer = site.get("/read", site.issuer.token(roles=["reader"]))
        expect(answer.status == 200, answer)
        expect(
            answer.json()
            == {
                "subject": "john_doe",
                "scope": ["posts:read"],
                "roles": ["reader"],
                "caller": "john_doe",
            },
            answer,
        )

    @pytest.mark.threat(233)
    def test_no_token_is_a_bare_challenge(self, site: Site) -> None:
        answer = site.get("/read")
        expect(answer.status == 401, answer)
        expect(answer.headers["www-authenticate"].startswith("Bearer"), answer)
        expect("error=" not in answer.headers["www-authenticate"], answer)
        expect_problem(answer)

    @pytest.mark.threat(233)
    @pytest.mark.parametrize(
        "value", ["Bearer", "Bearer ", "Bearer a b", "Basic dXNlcjpwYXNz", "token", "Bearer,x"]
    )
    def test_a_malformed_header_is_refused(self, site: Site, value: str) -> None:
        answer = site.get("/read", authorization=[value])
        expect(answer.status in {400, 401}, answer)
        expect(answer.headers["www-authenticate"].startswith("Bearer"), answer)
        expect_problem(answer)

    def test_two_credentials_are_refused_even_if_both_are_genuine(self, site: Site) -> None:
        token = site.issuer.token()
        answer = site.get("/read", authorization=[f"Bearer {token}", f"Bearer {token}"])
        expect(answer.status == 400, answer)
        expect('error="invalid_request"' in answer.headers["www-authenticate"], answer)
        expect_problem(answer)

    @pytest.mark.threat(229, 233)
    @pytest.mark.parametrize("kind", sorted(_REFUSED))
    def test_a_token_that_must_be_refused_is_refused(self, site: Site, kind: str) -> None:
        token = _REFUSED[kind](site.issuer)
        answer = site.get("/read", token)
        expect(answer.status == 401, answer)
        expect('error="invalid_token"' in answer.headers["www-authenticate"], answer)
        expect(token.split(".")[1] not in f"{answer.headers}{answer.body!r}", answer)
        expect_problem(answer)

    def test_a_missing_scope_is_403_and_names_the_scope(self, site: Site) -> None:
        answer = site.get("/read", site.issuer.token(scope={"posts:write"}))
        expect(answer.status == 403, answer)
        expect('error="insufficient_scope"' in answer.headers["www-authenticate"], answer)
        expect('scope="posts:read"' in answer.headers["www-authenticate"], answer)
        expect_problem(answer)

    def test_a_role_decides(self, site: Site) -> None:
        reader = site.get("/edit", site.issuer.token(roles=["reader"]))
        expect(reader.status == 403, reader)
        expect_problem(reader)
        expect(site.get("/edit", site.issuer.token(roles=["reader", "editor"])).status == 200, reader)

    def test_a_head_request_does_not_go_around_the_guard(self, site: Site) -> None:
        answer = site.get("/read", method="HEAD")
        expect(answer.status in {401, 405}, answer)
        expect(answer.body == b"", answer)

    def test_a_preflight_never_reaches_the_endpoint(self, site: Site) -> None:
        answer = site.get("/read", site.issuer.token(), method="OPTIONS")
        expect(answer.status in {200, 405}, answer)
        expect(b"john_doe" not in answer.body, answer)

    def test_an_unguarded_endpoint_has_no_caller_even_with_a_token(self, site: Site) -> None:
        expect(site.get("/open", site.issuer.token()).body.decode().strip('"') == "nobody", None)

    def test_the_caller_lives_as_long_as_a_streamed_answer(self, site: Site) -> None:
        answer = site.get("/stream", site.issuer.token("jane_doe"))
        expect(answer.body == b"jane_doe" * 3, answer)

    def test_a_broken_endpoint_does_not_leave_its_caller_behind(self, site: Site) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            tokens = [site.issuer.token(f"person_{n}") for n in range(THREADS)]
            failed = list(pool.map(lambda token: site.get("/fail", token).status, tokens))
            expect(failed == [500] * THREADS, failed)
            left = pool.map(lambda _: site.get("/open").body.decode().strip('"'), range(THREADS * 2))
            expect(set(left) == {"nobody"}, left)

    def test_requests_that_run_side_by_side_never_see_each_other(self, site: Site) -> None:
        names = [f"person_{n}" for n in range(THREADS)]
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in range(5):
                seen = pool.map(lambda name: site.get("/meet", site.issuer.token(name)).body.decode(), names)
                expect([name.strip('"') for name in seen] == names, seen)

    @pytest.mark.threat(230)
    def test_the_keys_are_fetched_once_and_not_for_every_request(self, fresh_site: Site) -> None:
        for _ in range(5):
            expect(fresh_site.get("/read", fresh_site.issuer.token()).status == 200, None)
        fetched = [path for path, _ in fresh_site.issuer.requests if path == "/.well-known/jwks.json"]
        expect(len(fetched) == 1, fetched)

    @pytest.mark.threat(227)
    def test_the_callee_gets_a_token_of_its_own_and_never_the_callers(self, site: Site) -> None:
        token = site.issuer.token()
        answer = site.get("/authors", token)
        expect((answer.status, answer.json()) == (200, [{"user_id": "ada"}]), answer)
        sent = site.users.requests[-1][1]["authorization"]
        expect(sent != f"Bearer {token}", sent)
        expect(_decoded(sent.split(".")[1])["aud"] == "users", sent)

    def test_a_denied_exchange_is_a_problem_of_the_gateway_and_not_of_the_caller(
        self, fresh_site: Site
    ) -> None:
        fresh_site.issuer.denial = Reply(400, {"error": "invalid_target"})
        answer = fresh_site.get("/authors", fresh_site.issuer.token())
        expect(answer.status == 502, answer)
        expect("www-authenticate" not in answer.headers, answer)
        expect_problem(answer)

    def test_a_token_endpoint_that_fails_is_unavailable(self, fresh_site: Site) -> None:
        fresh_site.issuer.denial = Reply(500, {})
        answer = fresh_site.get("/authors", fresh_site.issuer.token())
        expect(answer.status == 503, answer)
        expect_problem(answer)

    def test_a_callee_that_is_down_is_a_clear_problem(self, fresh_site: Site) -> None:
        fresh_site.users.close()
        answer = fresh_site.get("/authors", fresh_site.issuer.token())
        expect(answer.status == 502, answer)
        expect_problem(answer)

    def test_a_callee_that_does_not_answer_is_given_up(self, fresh_site: Site) -> None:
        asleep = threading.Event()
        fresh_site.users.routes["/users"] = lambda *_: Reply(200, [asleep.wait(_GUARD)])
        try:
            answer = fresh_site.get("/authors", fresh_site.issuer.token())
        finally:
            asleep.set()
        expect(answer.status == 504, answer)
        expect_problem(answer)

    def test_a_callee_that_breaks_is_a_clear_problem(self, fresh_site: Site) -> None:
        fresh_site.users.routes["/users"] = lambda *_: Reply(500, {})
        answer = fresh_site.get("/authors", fresh_site.issuer.token())
        expect(answer.status == 502, answer)
        expect_problem(answer)

    def test_without_the_issuers_keys_the_answer_is_503(self, fresh_site: Site) -> None:
        del fresh_site.issuer.routes["/.well-known/jwks.json"]
        down = fresh_site.get("/read", fresh_site.issuer.token())
        expect(down.status == 503, down)
        expect("www-authenticate" not in down.headers, down)
        expect_problem(down)


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
