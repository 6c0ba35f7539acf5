"""A callee that does not accept a token any more gets one other, once; a storm of refusals stays outside."""

import asyncio
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import httpx2
import pytest

from watchword import Watchword
from watchword.client.authentication import SecretAuthentication
from watchword.client.endpoint import Target
from watchword.client.token_source import TokenSource
from watchword.errors import TokenEndpointUnreachable
from watchword.fetch import run
from watchword.testing.peers import IssuingPeer, Peer, Reply

pytestmark = pytest.mark.threat(241)

GUARD = 20.0
INVALID = 'Bearer realm="users", error="invalid_token", error_description="the token was revoked"'


class Callee(Peer):
    """Accepts what it is told to accept, and remembers every credential and body."""

    def __init__(self) -> None:
        super().__init__()
        self._server.socket.listen(128)  # many come at once
        self.refused: set[str] = set()
        self.refuses_all = False
        self.status, self.challenge = 401, INVALID
        self.bodies: list[bytes] = []
        self.meet: threading.Barrier | None = None
        self.routes["/users"] = self._answer

    @property
    def credentials(self) -> list[str]:
        return [headers.get("authorization", "").removeprefix("Bearer ") for _, headers in self.requests]

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Reply:
        self.bodies.append(body)
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if not (self.refuses_all or token in self.refused):
            return Reply(200, {"body": body.decode("latin-1")})
        if self.meet is not None:
            self.meet.wait(GUARD)
        return Reply(self.status, {"code": "refused"}, {"WWW-Authenticate": self.challenge})


Answer = tuple[int, Any]
Call = Callable[..., Answer]


def by_requests(ww: Watchword, path: str = "/users", method: str = "GET", **how: Any) -> Answer:
    own = how.pop("own_identity", False)
    if "content" in how:
        how["data"] = how.pop("content")
    with ww.session("users", own_identity=own) as session:
        answer = session.request(method, path, **how)
        return answer.status_code, answer.json()


def by_client(ww: Watchword, path: str = "/users", method: str = "GET", **how: Any) -> Answer:
    own = how.pop("own_identity", False)

    async def call() -> Answer:
        async with ww.client("users", own_identity=own) as client:
            answer = await client.request(method, path, follow_redirects=True, **how)
        assert ww._clients is not None
        await ww._clients.aclose()  # the connections of this loop; tokens stay
        return answer.status_code, answer.json()

    return asyncio.run(call())


def by_auth(library: Any) -> Call:
    def call(ww: Watchword, path: str = "/users", method: str = "GET", **how: Any) -> Answer:
        url = ww.settings.url_of("users")
        with library.Client(auth=ww.auth("users"), base_url=url, trust_env=False) as client:
            answer = client.request(method, path, follow_redirects=True, **how)
            return answer.status_code, answer.json()

    return call


def by_async_auth(library: Any) -> Call:
    def call(ww: Watchword, path: str = "/users", method: str = "GET", **how: Any) -> Answer:
        async def run() -> Answer:
            url = ww.settings.url_of("users")
            async with library.AsyncClient(auth=ww.auth("users"), base_url=url, trust_env=False) as client:
                answer = await client.request(method, path, follow_redirects=True, **how)
                return answer.status_code, answer.json()

        return asyncio.run(run())

    return call


WAYS: dict[str, Call] = {
    "requests": by_requests,
    "httpx": by_auth(httpx),
    "httpx2": by_auth(httpx2),
    "async httpx": by_async_auth(httpx),
    "async httpx2": by_async_auth(httpx2),
}


@pytest.fixture(params=WAYS)
def call(request: pytest.FixtureRequest) -> Call:
    return WAYS[request.param]


@pytest.fixture
def issuer(start: Callable[[Peer], Any]) -> IssuingPeer:
    peer: IssuingPeer = start(IssuingPeer())
    return peer


@pytest.fixture
def users(start: Callable[[Peer], Any]) -> Callee:
    peer: Callee = start(Callee())
    return peer


@pytest.fixture
def posts(issuer: IssuingPeer, users: Callee, clock: Any, tmp_path: Any) -> Iterator[Watchword]:
    clock.wall += 5
    ww = Watchword(
        issuer=issuer.url,
        audience="posts",
        client=SecretAuthentication("posts", "a-secret-for-tests"),
        urls={"users": users.url},
        environ={},
        folder=tmp_path,
        clock=clock,
    )
    yield ww
    ww.close()


def exchanges(issuer: IssuingPeer) -> int:
    return sum(target == "/token" for target, _ in issuer.requests)


def revoke_all(users: Callee) -> None:
    users.refused |= set(users.credentials)


def test_a_token_that_is_refused_is_renewed_once_and_the_request_sent_again(
    posts: Watchword, issuer: IssuingPeer, users: Callee, call: Call
) -> None:
    with posts.acting_for(issuer.token()):
        assert call(posts)[0] == 200
        revoke_all(users)
        assert call(posts)[0] == 200
        assert call(posts)[0] == 200
    first, again, second, third = users.credentials
    assert (first == again, second == third, first == second) == (True, True, False)
    assert exchanges(issuer) == 2


def test_the_async_client_and_own_identity_do_the_same(
    posts: Watchword, issuer: IssuingPeer, users: Callee, clock: Any
) -> None:
    for way in (by_requests, by_client):
        assert way(posts, own_identity=True)[0] == 200
        revoke_all(users)
        assert way(posts, own_identity=True)[0] == 200
        clock.ticks += 31
    with posts.acting_for(issuer.token()):
        by_client(posts)
        revoke_all(users)
        assert by_client(posts)[0] == 200


def test_a_fresh_token_that_is_refused_too_is_remembered_for_a_moment(
    posts: Watchword, issuer: IssuingPeer, users: Callee, call: Call, clock: Any
) -> None:
    users.refuses_all = True
    with posts.acting_for(issuer.token()):
        assert call(posts) == (401, {"code": "refused"})
        assert (exchanges(issuer), len(users.requests)) == (2, 2)
        for _ in range(10):
            assert call(posts)[0] == 401
        assert (exchanges(issuer), len(users.requests)) == (2, 12)
        clock.ticks += 31
        assert call(posts)[0] == 401
        assert (exchanges(issuer), len(users.requests)) == (3, 14)
        users.refuses_all = False
        assert call(posts)[0] == 200
    assert exchanges(issuer) == 3


def test_only_the_failed_token_is_given_up(
    posts: Watchword, issuer: IssuingPeer, users: Callee, call: Call
) -> None:
    ada, bob = issuer.token("ada"), issuer.token("bob")
    for person in (ada, bob):
        with posts.acting_for(person):
            call(posts)
    users.refused.add(users.credentials[0])
    for person in (ada, bob):
        with posts.acting_for(person):
            assert call(posts)[0] == 200
    assert exchanges(issuer) == 3
    assert users.credentials[-1] == users.credentials[1]


@pytest.mark.parametrize(
    ("status", "challenge"),
    [
        (401, 'Bearer error="insufficient_scope"'),
        (401, "Bearer"),
        (401, 'Basic realm="error=invalid_token"'),
        (403, INVALID),
        (400, INVALID),
        (503, INVALID),
    ],
)
def test_another_refusal_costs_no_token_and_no_second_request(
    posts: Watchword, issuer: IssuingPeer, users: Callee, status: int, challenge: str
) -> None:
    users.refuses_all, users.status, users.challenge = True, status, challenge
    for way in WAYS.values():
        with posts.acting_for(issuer.token()):
            assert way(posts)[0] == status
    assert (exchanges(issuer), len(users.requests)) == (len(WAYS), len(WAYS))


def test_a_body_is_sent_again_as_it_was(
    posts: Watchword, issuer: IssuingPeer, users: Callee, call: Call, clock: Any
) -> None:
    with posts.acting_for(issuer.token()):
        call(posts)
        revoke_all(users)
        told = call(posts, method="POST", json={"name": "é"})
        revoke_all(users)
        clock.ticks += 31
        raw = call(posts, method="POST", content=b"\x00\xff" * 5_000)
    assert told[0] == raw[0] == 200
    _, first, again, third, fourth = users.bodies
    assert json.loads(first) == json.loads(again) == {"name": "é"}
    assert third == fourth == b"\x00\xff" * 5_000


class OneWay(io.RawIOBase):
    """A body that can be read once."""

    def __init__(self, content: bytes) -> None:
        self._left = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: Any, /) -> int:
        return self._left.readinto(buffer)


def test_a_body_that_is_gone_is_not_sent_again_but_the_next_request_has_a_new_token(
    posts: Watchword, issuer: IssuingPeer, users: Callee, call: Call
) -> None:
    async def chunks() -> Any:
        yield b"once"

    with posts.acting_for(issuer.token()):
        call(posts)
        revoke_all(users)
        if call is by_requests:
            body: Any = OneWay(b"once")
        else:
            body = chunks() if call in (WAYS["async httpx"], WAYS["async httpx2"]) else iter([b"once"])
        how = {"method": "POST", "content": body, "headers": {"Content-Length": "4"}}
        assert call(posts, **how)[0] == 401
        assert users.bodies[1:] == [b"once"]
        assert call(posts)[0] == 200
    assert (exchanges(issuer), len(users.requests)) == (2, 3)


def test_a_request_that_was_accepted_and_redirected_is_not_done_twice(
    posts: Watchword, issuer: IssuingPeer, users: Callee, call: Call
) -> None:
    done: list[bytes] = []
    users.routes["/orders"] = lambda _, body: done.append(body) or Reply(303, {}, {"Location": "/users"})
    with posts.acting_for(issuer.token()):
        call(posts)
        revoke_all(users)
        status, _ = call(posts, path="/orders", method="POST", content=b"one order")
        assert status == (200 if call is by_requests else 401)  # requests tries the last step alone again
        assert call(posts)[0] == 200
    assert done == [b"one order"]
    assert exchanges(issuer) == 2


def test_a_redirect_after_the_second_try_carries_the_new_token(
    posts: Watchword, issuer: IssuingPeer, users: Callee, call: Call
) -> None:
    accept = users.routes["/users"]

    def moved(headers: Mapping[str, str], body: bytes) -> Reply:
        answer = accept(headers, body)
        return Reply(307, {}, {"Location": "/users"}) if answer.status == 200 else answer

    users.routes["/moved"] = moved
    with posts.acting_for(issuer.token()):
        call(posts)
        revoke_all(users)
        assert call(posts, path="/moved")[0] == 200
    assert len(set(users.credentials[-2:])) == 1
    assert exchanges(issuer) == 2


def test_another_origin_that_refuses_costs_no_token(
    posts: Watchword, issuer: IssuingPeer, users: Callee, start: Callable[[Peer], Any], call: Call
) -> None:
    stranger: Callee = start(Callee())
    stranger.refuses_all = True
    users.routes["/moved"] = lambda *_: Reply(307, {}, {"Location": f"{stranger.url}/users"})
    with posts.acting_for(issuer.token()):
        assert call(posts, path="/moved")[0] == 401
    assert stranger.credentials == [""]
    assert exchanges(issuer) == 1


@pytest.mark.parametrize(
    ("url", "authorization"), [("{}", ""), ("http://127.0.0.2:1", "{token}"), ("no url", "{token}")]
)
def test_a_refusal_that_is_not_about_our_token_to_this_callee_is_passed_over(
    posts: Watchword, issuer: IssuingPeer, users: Callee, caplog: Any, url: str, authorization: str
) -> None:
    with posts.acting_for(issuer.token()):
        outbound = posts.outbound("users")
        sent = authorization.replace("{token}", outbound.authorization(users.url))
        assert outbound.renewed(url.format(users.url), sent, [INVALID]) is None
        assert asyncio.run(outbound.renewed_async(url.format(users.url), sent, [INVALID])) is None
    assert exchanges(issuer) == 1
    assert caplog.text == ""


def test_sixteen_threads_that_are_refused_at_once_share_one_renewal(
    posts: Watchword, issuer: IssuingPeer, users: Callee
) -> None:
    token = issuer.token()
    with posts.acting_for(token):
        by_requests(posts)
    revoke_all(users)
    users.meet = threading.Barrier(16)

    def work(_: int) -> int:
        with posts.acting_for(token):
            return by_requests(posts)[0]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, range(16))) == [200] * 16
    assert exchanges(issuer) == 2
    assert len(users.requests) == 1 + 16 + 16


def test_fifty_tasks_that_are_refused_at_once_share_one_renewal(
    posts: Watchword, issuer: IssuingPeer, users: Callee
) -> None:
    token = issuer.token()
    with posts.acting_for(token):
        by_requests(posts)
    revoke_all(users)
    users.meet = threading.Barrier(50)

    async def storm() -> list[int]:
        async with posts.client("users") as client, asyncio.timeout(GUARD):
            answers = await asyncio.gather(*(client.get("/users") for _ in range(50)))
        await posts.aclose()
        return [answer.status_code for answer in answers]

    with posts.acting_for(token):
        assert asyncio.run(storm()) == [200] * 50
    assert exchanges(issuer) == 2


def test_a_storm_costs_one_renewal_however_long_it_blows(
    posts: Watchword, issuer: IssuingPeer, users: Callee
) -> None:
    users.refuses_all = True
    token = issuer.token()

    def work(_: int) -> set[int]:
        with posts.acting_for(token):
            return {by_requests(posts)[0] for _ in range(20)}

    with ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(work, range(8))) == {401}
    assert exchanges(issuer) == 2
    assert 160 < len(users.requests) <= 160 + 8


def test_a_renewal_that_fails_leaves_the_callees_answer_and_is_not_tried_at_once(
    posts: Watchword, issuer: IssuingPeer, users: Callee, call: Call, clock: Any
) -> None:
    with posts.acting_for(issuer.token()):
        call(posts)
        users.refuses_all = True
        issuer.denial = Reply(503, {})
        for _ in range(5):
            assert call(posts) == (401, {"code": "refused"})
        assert (exchanges(issuer), len(users.requests)) == (2, 6)
        issuer.denial = None
        users.refuses_all, users.refused = False, set(users.credentials)
        clock.ticks += 1.1
        assert call(posts)[0] == 200


def test_a_pass_through_is_never_exchanged_after_all(
    issuer: IssuingPeer, users: Callee, tmp_path: Any
) -> None:
    passed: list[Any] = []
    ww = Watchword(
        issuer=issuer.url, audience="posts", urls={"users": users.url}, environ={}, folder=tmp_path,
        client=SecretAuthentication("posts", "a-secret-for-tests"), audit=passed.append,
    )  # fmt: skip
    users.refuses_all = True
    with ww.acting_for(issuer.token()), ww.session("users", insecure_pass_through=True) as session:
        assert session.get("/users").status_code == 401
    assert (exchanges(issuer), len(users.requests), len(passed)) == (0, 1, 1)
    ww.close()


USERS = Target("users", audience="users")


def test_who_was_refused_with_an_older_token_gets_the_one_that_is_there(
    source: TokenSource, server: Any, subject: Any, clock: Any
) -> None:
    old = run(source.exchange(subject(), USERS))
    new = run(source.exchange(subject(), USERS, refused=old))
    assert new != old
    for _ in range(5):
        assert run(source.exchange(subject(), USERS, refused=old)) == new
        clock.ticks += 10
    assert run(source.exchange(subject(), USERS)) == new
    assert len(server.asked) == 2


def test_a_server_that_gives_the_same_token_again_is_not_asked_for_ever(
    source: TokenSource, server: Any, subject: Any
) -> None:
    plain = server.grant
    server.reply = lambda form: Reply(200, dict(plain(form).body) | {"access_token": "always-the-same"})
    for _ in range(10):
        assert run(source.own(USERS, refused="always-the-same")) == "always-the-same"
    assert len(server.asked) == 1


def test_a_failed_renewal_takes_the_old_token_from_nobody(
    source: TokenSource, server: Any, subject: Any
) -> None:
    old = run(source.exchange(subject(), USERS))
    server.reply = lambda _: Reply(500, {})
    with pytest.raises(TokenEndpointUnreachable):
        run(source.exchange(subject(), USERS, refused=old))
    assert run(source.exchange(subject(), USERS)) == old
