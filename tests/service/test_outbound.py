"""A token goes to the exact origin of its callee, on behalf of the current caller, and nowhere else."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
import requests

from watchword import Watchword
from watchword.audit.event import AuditEvent
from watchword.client.authentication import KeyAuthentication
from watchword.client.endpoint import Target
from watchword.client.outbound import Outbound
from watchword.errors import (
    ConfigurationError,
    DestinationRefused,
    NoCaller,
)
from watchword.testing.peers import IssuingPeer, Peer, Reply
from watchword.tokens.private_key import PrivateKey

GUARD = 20.0


def by_requests(ww: Watchword, url: str, **options: Any) -> Any:
    with ww.session("users", **options) as session:
        return session.get(url).json()


def by_client(ww: Watchword, url: str, **options: Any) -> Any:
    async def call() -> Any:
        async with ww.client("users", **options) as client:
            answer = await client.get(url, follow_redirects=True)
        await ww.aclose()
        return answer.json()

    return asyncio.run(call())


def by_aiohttp(ww: Watchword, url: str, **options: Any) -> Any:
    async def call() -> Any:
        async with ww.aiohttp_session("users", **options) as session, session.get(url) as answer:
            told = await answer.json()
        await ww.aclose()
        return told

    return asyncio.run(call())


WAYS = (by_requests, by_client, by_aiohttp)


def exchanges(issuer: IssuingPeer) -> int:
    return sum(target == "/token" for target, _ in issuer.requests)


def test_thirty_calls_of_one_request_cost_one_exchange(posts: Watchword, issuer: IssuingPeer) -> None:
    with posts.acting_for(issuer.token()):
        session = posts.session("users")
        for _ in range(30):
            session.get("/users")
    assert exchanges(issuer) == 1


@pytest.mark.threat(239)
def test_a_session_kept_from_an_earlier_request_carries_nobody(
    posts: Watchword, issuer: IssuingPeer, users: Peer
) -> None:
    with posts.acting_for(issuer.token()):
        kept = posts.session("users")
    with pytest.raises(NoCaller):
        kept.get("/users")
    assert users.requests == []


@pytest.mark.threat(239)
def test_a_pool_calls_for_nobody_unless_the_work_is_bound(
    posts: Watchword, issuer: IssuingPeer, users: Peer
) -> None:
    def work() -> Any:
        return posts.session("users").get("/users").json()

    with ThreadPoolExecutor(1) as pool:
        with posts.acting_for(issuer.token()):
            with pytest.raises(NoCaller):
                pool.submit(work).result(GUARD)
            bound = posts.bind(work)
        assert pool.submit(bound).result(GUARD)["authorization"].startswith("Bearer ")
        with pytest.raises(NoCaller):
            pool.submit(work).result(GUARD)


@pytest.mark.threat(240)
def test_two_people_interleaved_over_eight_threads_each_call_for_themselves(
    posts: Watchword, issuer: IssuingPeer, users: Peer
) -> None:
    granted: dict[str, str] = {}
    plain = issuer.routes["/token"]

    def grant(headers: Mapping[str, str], body: bytes) -> Reply:
        reply = plain(headers, body)
        subject = body.decode().partition("subject_token=")[2].partition("&")[0]
        granted[reply.body["access_token"]] = subject  # type: ignore[call-overload]
        return reply

    issuer.routes["/token"] = grant
    people = {name: issuer.token(name) for name in ("ada", "bob")}
    barrier = threading.Barrier(8)

    def work(name: str) -> int:
        barrier.wait(GUARD)
        crossings = 0
        for _ in range(25):
            with posts.acting_for(people[name]):
                sent = posts.session("users").get("/users").json()["authorization"]
            crossings += granted[sent.removeprefix("Bearer ")] != people[name]
        return crossings

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, ["ada", "bob"] * 4)) == 0
    assert exchanges(issuer) == 2


@pytest.fixture
def stranger(start: Callable[[Peer], Peer]) -> Peer:
    """Another service on this machine: another origin by its port."""
    peer = start(Peer())
    peer.routes["/users"] = lambda headers, _: Reply(200, {"authorization": headers.get("authorization")})
    return peer


@pytest.mark.threat(237)
def test_the_last_gate_before_the_wire_takes_a_token_off_for_another_origin(
    posts: Watchword, issuer: IssuingPeer, users: Peer, stranger: Peer
) -> None:
    # the libraries keep the header when a redirect goes from http to https on one host: the gate does not
    async def send() -> None:
        with posts.acting_for(issuer.token()):
            gate = posts.client("users")._transport
        for peer in (users, stranger):
            request = httpx2.Request("GET", f"{peer.url}/users", headers={"Authorization": "Bearer x"})
            await (await gate.handle_async_request(request)).aclose()
        await posts.aclose()

    asyncio.run(send())
    assert users.requests[-1][1].get("authorization") == "Bearer x"
    assert stranger.requests[-1][1].get("authorization") is None


@pytest.mark.threat(237)
def test_a_way_back_from_another_origin_does_not_bring_the_token_back(
    posts: Watchword, issuer: IssuingPeer, users: Peer, stranger: Peer
) -> None:
    users.routes["/moved"] = lambda *_: Reply(307, {}, {"Location": f"{stranger.url}/back"})
    stranger.routes["/back"] = lambda *_: Reply(307, {}, {"Location": f"{users.url}/users"})
    with posts.acting_for(issuer.token()):
        posts.session("users").get("/moved")
    assert all("authorization" not in headers for _, headers in stranger.requests)


@pytest.mark.threat(238)
def test_plain_http_off_loopback_is_refused_before_a_connection(tmp_path: Any) -> None:
    target = Target("users", audience="users")
    with pytest.raises(DestinationRefused):
        Outbound(target, "http://users.internal:5001", source=None)
    Outbound(target, "http://users.internal:5001", source=None, insecure_http_hosts=["users.internal"])
    with pytest.raises(ConfigurationError, match="URL_USERS: expected https"):
        Watchword(
            issuer="https://a.example",
            audience="posts",
            urls={"users": "http://users.internal"},
            environ={},
            folder=tmp_path,
        )


def test_cookies_of_one_caller_never_reach_another(
    posts: Watchword, issuer: IssuingPeer, users: Peer
) -> None:
    users.routes["/login"] = lambda *_: Reply(200, {}, {"Set-Cookie": "session=ada; Path=/"})
    users.routes["/seen"] = lambda headers, _: Reply(200, {"cookie": headers.get("cookie")})
    with posts.acting_for(issuer.token("ada")):
        session = posts.session("users")
        session.get("/login")
        assert session.get("/seen").json() == {"cookie": "session=ada"}
    with posts.acting_for(issuer.token("bob")):
        assert posts.session("users").get("/seen").json() == {"cookie": None}

    async def two() -> Any:
        with posts.acting_for(issuer.token("ada")):
            await posts.client("users").get("/login")
        with posts.acting_for(issuer.token("bob")):
            answer = await posts.client("users").get("/seen")
        await posts.aclose()
        return answer.json()

    assert asyncio.run(two()) == {"cookie": None}


def test_connections_are_shared_between_sessions(posts: Watchword, issuer: IssuingPeer, users: Peer) -> None:
    seen = set()
    users.routes["/users"] = lambda *_: seen.add(threading.get_ident()) or Reply(200, {})
    with posts.acting_for(issuer.token()):
        for _ in range(10):
            with posts.session("users") as session:
                session.get("/users")
    assert len(seen) == 1  # the peer has a thread per connection


def test_a_session_has_a_timeout_whether_or_not_one_is_asked_for(
    posts: Watchword, issuer: IssuingPeer, users: Peer
) -> None:
    hold = threading.Event()
    users.routes["/slow"] = lambda *_: Reply(200, {"held": hold.wait(GUARD)})
    with posts.acting_for(issuer.token()):
        with pytest.raises(requests.Timeout):
            posts.session("users").get("/slow", timeout=0.2)
        sent: dict[str, Any] = {}
        session = posts.session("users")
        adapter = session.get_adapter(users.url)
        plain = adapter.send
        adapter.send = lambda request, **kwargs: sent.update(kwargs) or plain(request, **kwargs)  # type: ignore[method-assign]
        session.get("/users")
    hold.set()
    assert sent["timeout"] == (3.05, 10.0)


@pytest.mark.threat(77)
def test_neither_proxies_nor_netrc_of_the_environment_are_used(
    posts: Watchword, issuer: IssuingPeer, stranger: Peer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, stranger.url)
    for way in WAYS:
        with posts.acting_for(issuer.token()):
            assert way(posts, "/users")["authorization"].startswith("Bearer ")
    assert stranger.requests == []


def test_own_identity_is_asked_for_by_name_and_needs_no_caller(posts: Watchword, issuer: IssuingPeer) -> None:
    for way in WAYS:
        assert way(posts, "/users", own_identity=True)["authorization"].startswith("Bearer ")


@pytest.mark.threat(227)
def test_a_pass_through_is_asked_for_by_name_logged_and_audited(
    issuer: IssuingPeer, users: Peer, client_key: PrivateKey, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[AuditEvent] = []
    ww = Watchword(
        issuer=issuer.url,
        audience="posts",
        urls={"users": users.url},
        audit=events.append,
        environ={},
        folder=tmp_path,
    )
    token = issuer.token()
    with ww.acting_for(token) as verified:
        with pytest.raises(ConfigurationError, match="CLIENT_KEY_FILE"):
            ww.session("users")
        for way in WAYS:
            assert way(ww, "/users", insecure_pass_through=True) == {"authorization": f"Bearer {token}"}
    assert [(event.type, event.audience, event.jti, event.txn) for event in events] == [
        ("token.passed_through", "users", verified.token_id, verified.story_id)
    ] * len(WAYS)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == len(WAYS)
    assert token not in caplog.text
    with pytest.raises(NoCaller):
        ww.session("users", insecure_pass_through=True)
    with pytest.raises(TypeError, match="both"):
        ww.session("users", insecure_pass_through=True, own_identity=True)


def test_scope_audience_and_resource_reach_the_token_server(posts: Watchword, issuer: IssuingPeer) -> None:
    asked: list[str] = []
    plain = issuer.routes["/token"]
    issuer.routes["/token"] = lambda headers, body: asked.append(body.decode()) or plain(headers, body)
    with posts.acting_for(issuer.token()):
        posts.session("users", scope=["users:read"], audience="users-api").get("/users")
        posts.session("users", resource="https://users.example").get("/users")
        with pytest.raises(TypeError):
            posts.session("users", scope="users:read")
    assert "audience=users-api" in asked[0]
    assert "scope=users%3Aread" in asked[0]
    assert "resource=https%3A%2F%2Fusers.example" in asked[1]
    assert "audience" not in asked[1]


def test_a_callee_without_a_url_is_named(posts: Watchword, issuer: IssuingPeer) -> None:
    with (
        posts.acting_for(issuer.token()),
        pytest.raises(ConfigurationError, match="WATCHWORD_URL_ORDER_ITEMS"),
    ):
        posts.session("order-items")


@pytest.fixture
def foreign(start: Callable[[Peer], Peer]) -> IssuingPeer:
    peer = IssuingPeer()
    start(peer)
    return peer


def test_a_token_of_another_trusted_issuer_is_exchanged_as_a_jwt_at_the_main_one(
    issuer: IssuingPeer, foreign: IssuingPeer, users: Peer, client_key: PrivateKey, tmp_path: Any
) -> None:
    ww = Watchword(
        issuer=issuer.url,
        audience="posts",
        trusted_issuers={"people": foreign.url},
        client=KeyAuthentication("posts", client_key),
        urls={"users": users.url},
        environ={},
        folder=tmp_path,
    )
    kinds: list[str] = []
    plain = issuer.routes["/token"]
    issuer.routes["/token"] = lambda headers, body: (
        kinds.append(body.decode().partition("token-type%3A")[2].partition("&")[0]) or plain(headers, body)
    )
    for peer in (foreign, issuer):
        with ww.acting_for(peer.token()):
            ww.session("users").get("/users")
    assert kinds == ["jwt", "access_token"]
    ww.close()
