"""A health route learns how the parts are without anybody being asked on its way."""

import json
from contextlib import suppress
from typing import Any

import pytest

from watchword import Watchword
from watchword.errors import ExchangeDenied, FetchFailed, KeysUnavailable
from watchword.testing.peers import IssuingPeer, Peer, Reply

KEYS = "/.well-known/jwks.json"


def landed(ww: Watchword) -> None:
    """Wait until no key set is on its way."""
    for keys in ww._verifier.key_sets.values():
        for flight in list(keys._flights._board.flying.values()):
            with suppress(FetchFailed):
                flight.wait()


def service(issuer: IssuingPeer, tmp_path: Any, **settings: Any) -> Watchword:
    return Watchword(issuer=issuer.url, audience="posts", environ={}, folder=tmp_path, **settings)


def test_a_service_without_requests_becomes_healthy_by_being_asked(
    issuer: IssuingPeer, tmp_path: Any
) -> None:
    ww = service(issuer, tmp_path)
    first = ww.health()
    landed(ww)
    second = ww.health()
    assert (first.ok, first.issuers[issuer.url].state) == (False, "waiting")
    assert (second.ok, second.issuers[issuer.url].state, second.issuers[issuer.url].keys) == (
        True,
        "ready",
        1,
    )
    ww.close()


def test_asking_a_healthy_service_causes_no_request(posts: Watchword, issuer: IssuingPeer) -> None:
    posts.verify(issuer.token())
    before = len(issuer.requests)
    for _ in range(100):
        assert posts.health().ok
    assert len(issuer.requests) == before


def test_old_keys_that_still_serve_are_stale_and_well(issuer: IssuingPeer, clock: Any, tmp_path: Any) -> None:
    ww = service(issuer, tmp_path, clock=clock)
    ww.verify(issuer.token())
    issuer.routes[KEYS] = lambda *_: Reply(503, {})
    clock.advance(2_000)
    ww.health()
    landed(ww)
    found = ww.health()
    landed(ww)
    assert found.ok
    assert found.issuers[issuer.url].state == "stale"
    assert "found 503" in (found.issuers[issuer.url].problem or "")
    clock.advance(25 * 3600)
    gone = ww.health()
    landed(ww)
    assert (gone.ok, gone.issuers[issuer.url].state, gone.issuers[issuer.url].keys) == (False, "failing", 0)
    ww.close()


def test_an_issuer_that_was_never_there_is_failing_and_says_why(issuer: IssuingPeer, tmp_path: Any) -> None:
    token = issuer.token()
    issuer.close()
    ww = service(issuer, tmp_path)
    with pytest.raises(KeysUnavailable):
        ww.verify(token)
    found = ww.health()
    assert (found.ok, found.issuers[issuer.url].state) == (False, "failing")
    assert "nothing listens there" in (found.issuers[issuer.url].problem or "")
    ww.close()


def test_another_trusted_issuer_that_is_down_does_not_take_the_service_down(
    issuer: IssuingPeer, tmp_path: Any
) -> None:
    ww = service(issuer, tmp_path, trusted_issuers={"gone": "http://127.0.0.1:9"})
    ww.health()
    landed(ww)
    found = ww.health()
    assert found.ok
    assert found.issuers["http://127.0.0.1:9"].state == "failing"
    ww.close()


def test_the_last_word_of_the_token_endpoint_is_there(
    posts: Watchword, issuer: IssuingPeer, users: Peer
) -> None:
    assert posts.health().token_endpoint.last_outcome is None
    with posts.acting_for(issuer.token()):
        posts.session("users").get("/users")
    found = posts.health()
    assert (found.token_endpoint.authentication, found.token_endpoint.last_outcome) == (
        "private_key_jwt",
        "granted",
    )
    assert found.callees == {"users": users.url}
    issuer.denial = Reply(401, {"error": "invalid_client"})
    with posts.acting_for(issuer.token("ada")), pytest.raises(ExchangeDenied):
        posts.session("users").get("/users")
    denied = posts.health().token_endpoint
    assert denied.last_outcome == "client"
    assert "check CLIENT_ID" in (denied.problem or "")


def test_it_is_json_and_holds_no_secret(posts: Watchword, issuer: IssuingPeer) -> None:
    token = issuer.token()
    with posts.acting_for(token):
        posts.session("users").get("/users")
    text = json.dumps(posts.health().to_dict())
    assert json.loads(text)["ok"] is True
    assert token not in text
    assert "BEGIN" not in text


def test_a_service_with_a_shared_secret_has_nothing_to_fetch(issuer: IssuingPeer, tmp_path: Any) -> None:
    ww = service(issuer, tmp_path, insecure_shared_secret=bytes(range(40)))
    found = ww.health()
    assert (found.ok, found.issuers, found.token_endpoint.authentication) == (True, {}, "none")
