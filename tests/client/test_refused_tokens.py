"""A callee that does not accept a token any more gets one other, once; a storm of refusals stays outside."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from watchword import Watchword
from watchword.client.authentication import SecretAuthentication
from watchword.client.endpoint import Target
from watchword.client.token_source import TokenSource
from watchword.errors import TokenEndpointUnreachable
from watchword.fetch import run
from watchword.testing.outbound_site import GUARD, INVALID_TOKEN, Callee
from watchword.testing.peers import IssuingPeer, Peer, Reply

pytestmark = pytest.mark.threat(241)


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


def by_aiohttp(ww: Watchword, path: str = "/users", method: str = "GET", **how: Any) -> Answer:
    own = how.pop("own_identity", False)

    async def call() -> Answer:
        async with ww.aiohttp_session("users", own_identity=own) as session:
            answer = await session.request(method, path, **how)
            told = answer.status, await answer.json()
        assert ww._aiohttp is not None
        await ww._aiohttp.aclose()  # the connections of this loop; tokens stay
        return told

    return asyncio.run(call())


WAYS: dict[str, Call] = {"requests": by_requests, "client": by_client, "aiohttp": by_aiohttp}


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
    users.revoke_all()


def test_own_identity_does_the_same(posts: Watchword, issuer: IssuingPeer, users: Callee, clock: Any) -> None:
    for way in WAYS.values():
        assert way(posts, own_identity=True)[0] == 200
        revoke_all(users)
        assert way(posts, own_identity=True)[0] == 200
        clock.ticks += 31
    with posts.acting_for(issuer.token()):
        by_client(posts)
        revoke_all(users)
        assert by_client(posts)[0] == 200


@pytest.mark.parametrize(
    ("status", "challenge"),
    [
        (401, 'Bearer error="insufficient_scope"'),
        (401, "Bearer"),
        (401, 'Basic realm="error=invalid_token"'),
        (403, INVALID_TOKEN),
        (400, INVALID_TOKEN),
        (503, INVALID_TOKEN),
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


@pytest.mark.parametrize(
    ("url", "authorization"), [("{}", ""), ("http://127.0.0.2:1", "{token}"), ("no url", "{token}")]
)
def test_a_refusal_that_is_not_about_our_token_to_this_callee_is_passed_over(
    posts: Watchword, issuer: IssuingPeer, users: Callee, caplog: Any, url: str, authorization: str
) -> None:
    with posts.acting_for(issuer.token()):
        outbound = posts.outbound("users")
        sent = authorization.replace("{token}", outbound.authorization(users.url))
        assert outbound.renewed(url.format(users.url), sent, [INVALID_TOKEN]) is None
        assert asyncio.run(outbound.renewed_async(url.format(users.url), sent, [INVALID_TOKEN])) is None
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


@pytest.mark.parametrize("library", ["client", "aiohttp"])
def test_fifty_tasks_that_are_refused_at_once_share_one_renewal(
    posts: Watchword, issuer: IssuingPeer, users: Callee, library: str
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

    async def storm_of_aiohttp() -> list[int]:
        async with posts.aiohttp_session("users") as session, asyncio.timeout(GUARD):
            answers = await asyncio.gather(*(session.get("/users") for _ in range(50)))
        await posts.aclose()
        return [answer.status for answer in answers]

    storms = {"client": storm, "aiohttp": storm_of_aiohttp}
    with posts.acting_for(token):
        assert asyncio.run(storms[library]()) == [200] * 50
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
