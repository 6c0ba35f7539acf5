"""Keys are fetched rarely, kept well, and never waited for when they are known."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from watchword.errors import KeysUnavailable, KeyUnknown
from watchword.fetch import Transport
from watchword.resource.jwks import JWKSClient
from watchword.resource.metadata import IssuerMetadata
from watchword.testing.peers import IssuingPeer, Reply
from watchword.tokens.private_key import PrivateKey

GUARD = 20.0
KEYS = "/.well-known/jwks.json"


def client(issuer: IssuingPeer, clock: Any, **settings: Any) -> JWKSClient:
    transport = settings.pop("transport", None) or Transport(timeout=5)
    pinned = IssuerMetadata(issuer.url, jwks_uri=issuer.url + KEYS, clock=clock)
    return JWKSClient(pinned, transport, clock=clock, **settings)


def fetches(issuer: IssuingPeer) -> int:
    return sum(target == KEYS for target, _ in issuer.requests)


class Gate:
    """A route that answers only when it is opened."""

    def __init__(self, issuer: IssuingPeer, path: str = KEYS) -> None:
        self.asked, self.open = threading.Event(), threading.Event()
        self._answer = issuer.routes[path]
        issuer.routes[path] = self

    def __call__(self, headers: Mapping[str, str], body: bytes) -> Reply:
        self.asked.set()
        assert self.open.wait(GUARD)
        return self._answer(headers, body)


def settle(jwks: JWKSClient) -> None:
    """Wait until no fetch is in the air."""
    flight = jwks._flights.join(None, lambda _: jwks.keys(), unless=lambda: True)
    if flight is not None:
        with contextlib.suppress(Exception):  # only its end matters here
            flight.wait()


@pytest.mark.threat(69)
def test_two_hundred_threads_with_a_cold_cache_cause_one_fetch(issuer: IssuingPeer, clock: Any) -> None:
    jwks, gate, barrier = client(issuer, clock), Gate(issuer), threading.Barrier(201)

    def ask() -> int:
        barrier.wait(GUARD)
        return len(jwks.keys())

    with ThreadPoolExecutor(200) as pool:
        waiting = [pool.submit(ask) for _ in range(200)]
        barrier.wait(GUARD)
        assert gate.asked.wait(GUARD)
        gate.open.set()
        assert {future.result(GUARD) for future in waiting} == {1}
    assert fetches(issuer) == 1


@pytest.mark.threat(69)
def test_five_hundred_tasks_with_a_cold_cache_cause_one_fetch(issuer: IssuingPeer, clock: Any) -> None:
    jwks, gate = client(issuer, clock), Gate(issuer)

    async def herd() -> set[int]:
        tasks = [asyncio.create_task(jwks.akeys()) for _ in range(500)]
        assert await asyncio.to_thread(gate.asked.wait, GUARD)
        gate.open.set()
        return {len(keys) for keys in await asyncio.gather(*tasks)}

    assert asyncio.run(herd()) == {1}
    assert fetches(issuer) == 1


@pytest.mark.threat(69)
def test_threads_and_tasks_share_one_fetch(issuer: IssuingPeer, clock: Any) -> None:
    jwks, gate = client(issuer, clock), Gate(issuer)

    async def herd() -> int:
        async with asyncio.timeout(GUARD):
            threads = [asyncio.to_thread(jwks.keys) for _ in range(5)]
            tasks = [asyncio.ensure_future(work) for work in (*threads, *(jwks.akeys() for _ in range(50)))]
            assert await asyncio.to_thread(gate.asked.wait, GUARD)
            gate.open.set()
            return len(await asyncio.gather(*tasks))

    assert asyncio.run(herd()) == 55
    assert fetches(issuer) == 1


@pytest.mark.threat(70)
def test_a_cancelled_first_waiter_does_not_take_the_fetch_with_it(issuer: IssuingPeer, clock: Any) -> None:
    jwks, gate = client(issuer, clock), Gate(issuer)

    async def story() -> int:
        leader = asyncio.create_task(jwks.akeys())
        assert await asyncio.to_thread(gate.asked.wait, GUARD)
        follower = asyncio.create_task(jwks.akeys())
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        gate.open.set()
        return len(await follower)

    assert asyncio.run(story()) == 1
    assert fetches(issuer) == 1


@pytest.mark.threat(67, 230)
def test_a_flood_of_unknown_kids_causes_one_fetch_per_cool_down(issuer: IssuingPeer, clock: Any) -> None:
    jwks = client(issuer, clock, max_age=10_000)
    jwks.keys()
    before = fetches(issuer)
    for _ in range(4):
        for second in range(30):
            for number in range(50):
                assert f"random-{second}-{number}" not in jwks.keys(f"random-{second}-{number}")
            clock.advance(1)
    assert fetches(issuer) - before == 4


@pytest.mark.threat(67)
def test_known_kids_do_not_wait_while_an_unknown_one_is_looked_for(issuer: IssuingPeer, clock: Any) -> None:
    jwks = client(issuer, clock)
    kid = issuer.issuer.keyring.active.kid
    jwks.keys()
    gate = Gate(issuer)
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(jwks.keys, "unknown")
        assert gate.asked.wait(GUARD)
        assert kid in jwks.keys(kid)  # would hang here if it waited: the gate is closed
        gate.open.set()
        looking.result(GUARD)


@pytest.mark.threat(68)
def test_a_new_key_is_learned_at_its_first_token_and_within_a_cool_down_after_a_flood(
    issuer: IssuingPeer, clock: Any
) -> None:
    jwks = client(issuer, clock, max_age=10_000)
    jwks.keys()
    first = issuer.issuer.prepare_key()
    assert first in jwks.keys(first)
    second = issuer.issuer.prepare_key()
    assert second not in jwks.keys(second)
    clock.advance(30)
    assert second in jwks.keys(second)


@pytest.mark.threat(71)
def test_an_issuer_that_is_down_leaves_the_last_good_keys_for_a_day_and_then_fails_closed(
    issuer: IssuingPeer, clock: Any
) -> None:
    jwks = client(issuer, clock)
    kid = issuer.issuer.keyring.active.kid
    jwks.keys()
    issuer.routes[KEYS] = lambda *_: Reply(500, {})
    clock.advance(3600)
    held = jwks.keys()
    assert kid in held
    settle(jwks)
    clock.advance(20 * 3600)
    held = jwks.keys()
    assert kid in held
    settle(jwks)
    assert jwks.stale_seconds > 20 * 3600
    clock.advance(4 * 3600)
    with pytest.raises(KeysUnavailable):
        jwks.keys()


@pytest.mark.threat(71)
def test_without_any_keys_a_silent_issuer_is_given_up_at_the_deadline(
    issuer: IssuingPeer, clock: Any
) -> None:
    jwks = client(issuer, clock, transport=Transport(timeout=0.2))
    gate = Gate(issuer)
    with pytest.raises(KeysUnavailable):
        jwks.keys()
    with pytest.raises(KeysUnavailable):
        asyncio.run(jwks.akeys())
    gate.open.set()


def test_failed_fetches_are_not_stampeded_and_the_pauses_grow(issuer: IssuingPeer, clock: Any) -> None:
    good = issuer.routes[KEYS]
    issuer.routes[KEYS] = lambda *_: Reply(503, {})
    jwks = client(issuer, clock)
    for _ in range(100):
        with pytest.raises(KeysUnavailable):
            jwks.keys()
    assert fetches(issuer) == 1
    for _ in range(600):
        clock.advance(1)
        with pytest.raises(KeysUnavailable):
            jwks.keys("any")
    assert fetches(issuer) <= 1 + 6 + 600 // 30
    issuer.routes[KEYS] = good
    clock.advance(30)
    assert len(jwks.keys()) == 1


BROKEN: dict[str, Callable[[IssuingPeer], Reply]] = {
    "empty": lambda _: Reply(200, {"keys": []}),
    "no keys": lambda _: Reply(200, {}),
    "a login page": lambda _: Reply(200, b"<html>log in</html>", {"Content-Type": "text/html"}),
    "nothing": lambda _: Reply(200, b""),
    "only unusable keys": lambda _: Reply(200, {"keys": [{"kty": "oct", "k": "AAAA", "kid": "x"}]}),
    "not found": lambda _: Reply(404, {}),
    "an error with somebody's keys": lambda _: Reply(
        404, {"keys": [dict(PrivateKey.generate().public_jwk())]}
    ),
    "moved": lambda i: Reply(302, {}, {"Location": i.url + "/elsewhere"}),
    "not modified, unasked": lambda _: Reply(304, b""),
    "half": lambda i: Reply(200, json.dumps(i.issuer.jwk_set().to_dict()).encode()[:-20]),
    "64 MiB": lambda _: Reply(200, b'{"keys": [' + b" " * (64 << 20) + b"]}"),
}


@pytest.mark.threat(59, 63, 66, 72)
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_set_never_replaces_a_good_one(issuer: IssuingPeer, clock: Any, what: str) -> None:
    jwks = client(issuer, clock)
    kid = issuer.issuer.keyring.active.kid
    jwks.keys()
    issuer.routes[KEYS] = lambda *_: BROKEN[what](issuer)
    clock.advance(10_000)
    assert kid in jwks.keys("unknown")  # waits for the fetch that fails
    settle(jwks)
    assert kid in jwks.keys(kid)
    assert fetches(issuer) == 2


@pytest.mark.threat(72)
@pytest.mark.parametrize("what", sorted(set(BROKEN)))
def test_a_broken_set_is_no_set_when_there_is_no_good_one(issuer: IssuingPeer, clock: Any, what: str) -> None:
    issuer.routes[KEYS] = lambda *_: BROKEN[what](issuer)
    with pytest.raises(KeysUnavailable):
        client(issuer, clock).keys()


@pytest.mark.threat(64)
def test_a_set_of_ten_thousand_keys_is_cut_or_refused_without_harm(issuer: IssuingPeer, clock: Any) -> None:
    jwks = client(issuer, clock)
    kid = issuer.issuer.keyring.active.kid
    good = jwks.keys()
    many = {"keys": [{"kty": "RSA", "kid": str(number)} for number in range(8_000)]}
    issuer.routes[KEYS] = lambda *_: Reply(200, many)
    clock.advance(10_000)
    assert jwks.keys("unknown") is good
    assert kid in good


def fresh_for(issuer: IssuingPeer, clock: Any, headers: Mapping[str, str], **settings: Any) -> int:
    """Return after how many minutes the set is fetched again."""
    document = issuer.issuer.jwk_set().to_dict()
    issuer.routes[KEYS] = lambda *_: Reply(200, document, headers)
    jwks = client(issuer, clock, **settings)
    jwks.keys()
    before = fetches(issuer)
    for minute in range(1, 200):
        clock.advance(60)
        jwks.keys()
        settle(jwks)
        if fetches(issuer) > before:
            return minute
    return 200


@pytest.mark.threat(73, 74)
@pytest.mark.parametrize(
    ("control", "least", "most"),
    [
        ({"Cache-Control": "max-age=31536000"}, 54, 60),
        ({"Cache-Control": "public, max-age=600, immutable"}, 9, 10),
        ({"Cache-Control": "max-age=0"}, 1, 1),
        ({"Cache-Control": "no-store"}, 1, 1),
        ({"Cache-Control": "s-maxage=3000"}, 5, 5),
        ({"Cache-Control": "max-age=-5"}, 5, 5),
        ({"Cache-Control": "max-age=" + "9" * 5000}, 5, 5),
        ({}, 5, 5),
    ],
)
def test_what_a_server_says_about_freshness_is_clamped(
    issuer: IssuingPeer, clock: Any, control: Mapping[str, str], least: int, most: int
) -> None:
    assert least <= fresh_for(issuer, clock, control) <= most


@pytest.mark.threat(73)
@pytest.mark.parametrize(("setting", "least", "most"), [(1, 1, 1), (7200, 108, 120)])
def test_the_local_setting_is_free(
    issuer: IssuingPeer, clock: Any, setting: float, least: int, most: int
) -> None:
    assert least <= fresh_for(issuer, clock, {"Cache-Control": "max-age=600"}, max_age=setting) <= most


def test_a_refresh_runs_in_the_background_and_the_old_keys_serve_meanwhile(
    issuer: IssuingPeer, clock: Any
) -> None:
    jwks = client(issuer, clock)
    old = jwks.keys()
    issuer.issuer.prepare_key()
    gate = Gate(issuer)
    clock.advance(10_000)
    for _ in range(20):
        assert jwks.keys() is old  # would hang here if it waited: the gate is closed
    gate.open.set()
    settle(jwks)
    assert len(jwks.keys()) == 2
    assert fetches(issuer) == 2


def test_an_unchanged_set_stays_the_same_object_and_a_changed_one_is_new(
    issuer: IssuingPeer, clock: Any
) -> None:
    jwks = client(issuer, clock)
    first = jwks.keys()
    clock.advance(10_000)
    jwks.keys()
    settle(jwks)
    assert jwks.keys() is first
    issuer.issuer.prepare_key()
    clock.advance(10_000)
    jwks.keys()
    settle(jwks)
    assert jwks.keys() is not first


@pytest.mark.threat(74)
def test_a_server_that_says_not_modified_is_believed(issuer: IssuingPeer, clock: Any) -> None:
    document = issuer.issuer.jwk_set().to_dict()

    def answer(headers: Mapping[str, str], _: bytes) -> Reply:
        if headers.get("if-none-match") == '"one"':
            return Reply(304, b"", {"ETag": '"one"'})
        return Reply(200, document, {"ETag": '"one"'})

    issuer.routes[KEYS] = answer
    jwks = client(issuer, clock)
    first = jwks.keys()
    clock.advance(10_000)
    jwks.keys()
    settle(jwks)
    assert jwks.keys() is first
    assert jwks.stale_seconds == 0
    assert fetches(issuer) == 2


@pytest.mark.threat(75)
def test_a_key_that_left_the_set_is_unknown_after_the_next_refresh(issuer: IssuingPeer, clock: Any) -> None:
    jwks = client(issuer, clock)
    old = issuer.issuer.keyring.active.kid
    jwks.keys()
    new = issuer.issuer.prepare_key()
    issuer.issuer.activate_key(new)
    issuer.issuer.remove_key(old)
    clock.advance(10_000)
    jwks.keys()
    settle(jwks)
    keys = jwks.keys(old)
    with pytest.raises(KeyUnknown):
        keys.named(old)
    assert new in keys


@pytest.mark.threat(79)
def test_jumps_of_the_wall_clock_change_nothing(issuer: IssuingPeer, clock: Any) -> None:
    jwks = client(issuer, clock, max_age=100)
    jwks.keys()
    for jump in (86_400, -90_000, 10**9):
        clock.wall += jump
        jwks.keys()
    settle(jwks)
    assert fetches(issuer) == 1


@pytest.mark.threat(80)
def test_a_kid_that_comes_back_with_another_key_is_told_and_the_old_key_is_gone(
    issuer: IssuingPeer, clock: Any, spare_key: PrivateKey, caplog: pytest.LogCaptureFixture
) -> None:
    jwks = client(issuer, clock)
    kid = issuer.issuer.keyring.active.kid
    old = jwks.keys().named(kid)
    issuer.routes[KEYS] = lambda *_: Reply(200, {"keys": [dict(spare_key.public_jwk()) | {"kid": kid}]})
    clock.advance(10_000)
    jwks.keys()
    settle(jwks)
    assert jwks.keys().named(kid).thumbprint() != old.thumbprint()
    assert "uses a kid again" in caplog.text


@pytest.mark.threat(40)
def test_a_published_private_key_is_told_and_not_used(
    issuer: IssuingPeer, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    document = issuer.issuer.jwk_set().to_dict()
    document["keys"].append({"kty": "oct", "k": "AAAA", "kid": "leaked"})
    issuer.routes[KEYS] = lambda *_: Reply(200, document)
    held = client(issuer, clock).keys()
    assert "leaked" not in held
    assert "private key published" in caplog.text
