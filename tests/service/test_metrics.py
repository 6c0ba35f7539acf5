"""What a service counts: refusals by code, accepted tokens, key sets, requests for tokens; and its page."""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import flask
import pytest

from watchword import Watchword
from watchword.client.authentication import SecretAuthentication
from watchword.errors import AudienceMismatch, ExchangeDenied, FetchFailed, KeysUnavailable, TokenError
from watchword.flask import Watchword as FlaskWatchword
from watchword.telemetry import CalleeRefused, Event, KeySetAlarm, KeySetFetched, TokenRefused, TokenRequested
from watchword.testing.peers import IssuingPeer, Peer, Reply

KEYS = "/.well-known/jwks.json"
INVALID = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
LINE = re.compile(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.einf+-]+')


def landed(ww: Watchword) -> None:
    """Wait until no key set is on its way."""
    for keys in ww._verifier.key_sets.values():
        for flight in list(keys._flights._board.flying.values()):
            with suppress(FetchFailed):
                flight.wait()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def make(issuer: IssuingPeer, users: Peer, tmp_path: Any, events: list[Event]) -> Callable[..., Any]:
    def make_service(kind: Any = Watchword, **settings: Any) -> Any:
        settings = {"issuer": issuer.url, "urls": {"users": users.url}} | settings
        return kind(
            audience="posts",
            client=SecretAuthentication("posts", "a-secret-for-tests"),
            environ={},
            folder=tmp_path,
            observer=events.append,
            **settings,
        )

    return make_service


def test_accepted_tokens_are_counted_and_the_cached_ones_apart(posts: Watchword, issuer: IssuingPeer) -> None:
    token = issuer.token()
    for _ in range(5):
        posts.verify(token)
    asyncio.run(posts.averify(token))
    posts.verify(issuer.token())
    found = posts.metrics()
    assert (found.verified, found.cached, found.refused) == (2, 5, {})


@pytest.mark.threat(233)
def test_every_refusal_counts_under_its_code(posts: Watchword, issuer: IssuingPeer) -> None:
    token = issuer.token()
    for bad in (token[:-4] + "AAAA", "no token", issuer.token(audience="other"), issuer.token(audience="x")):
        with pytest.raises(TokenError):
            posts.verify(bad)
    with pytest.raises(AudienceMismatch):
        asyncio.run(posts.averify(issuer.token(audience="third")))
    assert posts.metrics().refused == {
        "token_audience_mismatch": 3,
        "token_malformed": 1,
        "token_signature_invalid": 1,
    }


@pytest.mark.threat(233)
def test_a_guard_counts_each_refusal_once_and_says_of_whose_genuine_token(
    make: Callable[..., Any], issuer: IssuingPeer, events: list[Event]
) -> None:
    app = flask.Flask(__name__)
    auth = make(FlaskWatchword)
    auth.init_app(app)

    @app.get("/posts")
    @auth.require("posts:write")
    def posts() -> str:
        return ""

    client = app.test_client()
    token = issuer.token()
    assert client.get("/posts").status_code == 401
    assert client.get("/posts", headers={"Authorization": "Bearer"}).status_code == 400
    assert client.get("/posts", headers={"Authorization": "Bearer bad"}).status_code == 401
    assert client.get("/posts", headers={"Authorization": f"Bearer {token}"}).status_code == 403
    assert auth.metrics().refused == {
        "bearer_malformed": 1, "insufficient_scope": 1, "token_malformed": 1, "token_missing": 1,
    }  # fmt: skip
    refusals = [event for event in events if isinstance(event, TokenRefused)]
    assert [event.code for event in refusals] == [
        "token_missing", "bearer_malformed", "token_malformed", "insufficient_scope",
    ]  # fmt: skip
    assert [event.client_id for event in refusals] == [None, None, None, "web"]
    assert token not in repr(events)


@pytest.mark.threat(71)
def test_the_age_of_a_key_set_and_its_failures_can_be_watched(
    make: Callable[..., Any], issuer: IssuingPeer, clock: Any, events: list[Event]
) -> None:
    ww = make(clock=clock)
    before = ww.metrics().key_sets[issuer.url]
    assert (before.keys, before.age_seconds, before.stale_seconds) == (0, None, 0.0)
    ww.verify(issuer.token())
    fresh = ww.metrics().key_sets[issuer.url]
    assert (fresh.keys, fresh.age_seconds, fresh.stale_seconds) == (1, 0.0, 0.0)
    issuer.routes[KEYS] = lambda *_: Reply(503, {})
    clock.advance(1_000)
    ww.health()
    landed(ww)
    stale = ww.metrics().key_sets[issuer.url]
    assert stale.age_seconds == 1_000.0
    assert 700 <= stale.stale_seconds <= 730
    assert stale.fetches == {"changed": 1, "unchanged": 0, "failed": 1}
    assert [(e.outcome, e.problem is None) for e in events if isinstance(e, KeySetFetched)] == [
        ("changed", True),
        ("failed", False),
    ]
    assert f'watchword_jwks_stale_seconds{{issuer="{issuer.url}"}} {stale.stale_seconds!r}' in page(ww)
    ww.close()


def test_keys_that_no_set_should_hold_raise_alarms_by_kind(
    make: Callable[..., Any], issuer: IssuingPeer, client_key: Any, events: list[Event]
) -> None:
    good = issuer.issuer.jwk_set().to_dict()["keys"][0]
    private = client_key.public_jwk() | {"d": "AAAA", "kid": "private"}
    twice = client_key.public_jwk() | {"kid": "twice"}
    unknown = [{"kty": "unknown"}] * 100
    issuer.routes[KEYS] = lambda *_: Reply(200, {"keys": [good, private, twice, twice, *unknown]})
    ww = make()
    ww.verify(issuer.token())
    assert ww.metrics().key_sets[issuer.url].alarms == {
        "private_key": 1, "kid_reused": 0, "kid_twice": 1, "too_many_keys": 1, "unusable_key": 96,
    }  # fmt: skip
    told = [event for event in events if isinstance(event, KeySetAlarm)]
    assert {event.alarm for event in told} == {"private_key", "kid_twice", "too_many_keys", "unusable_key"}
    assert "AAAA" not in repr(told)
    ww.close()


def test_an_issuer_that_is_gone_is_counted_as_our_own_trouble(
    make: Callable[..., Any], issuer: IssuingPeer
) -> None:
    token = issuer.token()
    issuer.close()
    ww = make()
    with pytest.raises(KeysUnavailable):
        ww.verify(token)
    assert ww.metrics().refused == {"keys_unavailable": 1}
    ww.close()


def test_requests_for_tokens_are_counted_by_callee_and_outcome(
    make: Callable[..., Any], issuer: IssuingPeer, events: list[Event]
) -> None:
    ww = make()
    with ww.acting_for(issuer.token()):
        for _ in range(5):
            ww.session("users").get("/users")
    issuer.denial = Reply(400, {"error": "invalid_target"}, {"X-Request-Id": "r-7"})
    with ww.acting_for(issuer.token("ada")), pytest.raises(ExchangeDenied):
        ww.session("users").get("/users")
    found = ww.metrics().callees["users"]
    assert {outcome: count for outcome, count in found.requests.items() if count} == {"granted": 1, "rule": 1}
    assert (found.reused, found.refused, found.durations.count) == (4, 0, 2)
    told = [event for event in events if isinstance(event, TokenRequested)]
    assert [(e.callee, e.outcome, e.request_id) for e in told] == [
        ("users", "granted", None),
        ("users", "rule", "r-7"),
    ]
    assert all(event.seconds > 0 for event in told)
    ww.close()


@pytest.mark.threat(241)
def test_a_callee_that_refuses_our_tokens_is_seen(
    make: Callable[..., Any], issuer: IssuingPeer, users: Peer, events: list[Event]
) -> None:
    users.routes["/users"] = lambda *_: Reply(401, {}, INVALID)
    ww = make()
    with ww.acting_for(issuer.token()):
        ww.session("users").get("/users")
    assert ww.metrics().callees["users"].refused == 1
    assert CalleeRefused("users") in events
    ww.close()


def page(ww: Watchword) -> str:
    return ww.metrics().prometheus().decode()


def test_the_page_is_what_prometheus_reads(make: Callable[..., Any], issuer: IssuingPeer) -> None:
    ww = make()
    with ww.acting_for(issuer.token()):
        ww.session("users").get("/users")
    with pytest.raises(TokenError):
        ww.verify("bad")
    families = re.findall(r"^# TYPE (\S+) (counter|gauge|histogram)$", page(ww), re.MULTILINE)
    assert len({name for name, _ in families}) == len(families) == 11
    for line in page(ww).splitlines():
        assert line.startswith("# ") or LINE.fullmatch(line), line
    lines = page(ww).splitlines()
    for expected in (
        'watchword_tokens_accepted_total{how="verified"} 1',
        'watchword_tokens_refused_total{code="token_malformed"} 1',
        'watchword_token_requests_total{callee="users",outcome="granted"} 1',
        'watchword_token_request_duration_seconds_bucket{callee="users",le="+Inf"} 1',
        f'watchword_jwks_fetches_total{{issuer="{issuer.url}",outcome="changed"}} 1',
    ):
        assert expected in lines
    assert ww.metrics().content_type == "text/plain; version=0.0.4; charset=utf-8"
    ww.close()


def test_an_observer_that_raises_never_breaks_a_request(
    issuer: IssuingPeer, users: Peer, tmp_path: Any
) -> None:
    def broken(_: Event) -> None:
        raise RuntimeError("out of order")

    ww = Watchword(
        issuer=issuer.url,
        audience="posts",
        client=SecretAuthentication("posts", "a-secret-for-tests"),
        urls={"users": users.url},
        environ={},
        folder=tmp_path,
        observer=broken,
    )
    with pytest.raises(TokenError):
        ww.verify("bad")
    with ww.acting_for(issuer.token()):
        assert ww.session("users").get("/users").status_code == 200
    ww.close()
