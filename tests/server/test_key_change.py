"""Keys change under running requests, by the planner alone, and nobody notices."""

import sqlite3
from collections.abc import Iterator

import pytest

from watchword.clock import SYSTEM_CLOCK
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.verify import verify

CACHED_FOR = 0.4
SETTINGS = {"KEY_ACTIVE_FOR": "1s", "KEY_CACHED_FOR": str(CACHED_FOR), "CLOCK_SKEW": "0"}


class Verifier:
    """A verifier as careless as it may be: it keeps a key set for as long as it is allowed, and never looks
    again sooner, not even for a key that it does not know.
    """

    def __init__(self, served) -> None:
        self.served = served
        self.policy = VerificationPolicy(served.issuer, "users", ["ES256", "EdDSA"], leeway=1)
        self.fetched = float("-inf")

    def accept(self, token: str) -> str:
        if SYSTEM_CLOCK.monotonic() - self.fetched >= CACHED_FOR:
            self.fetched = SYSTEM_CLOCK.monotonic()
            self.keys = JWKSet.from_json(self.served.request("GET", "/.well-known/jwks.json").body)
        return str(verify(token, self.keys, self.policy, SYSTEM_CLOCK.now()).key_id)


def tokens(served) -> Iterator[str]:
    for _ in range(20_000):
        answer = served.token()
        assert answer.status == 200
        yield answer.json()["access_token"]


@pytest.mark.threat(164, 165)
def test_three_key_changes_under_running_requests_refuse_no_token(start) -> None:
    served = start(**SETTINGS)
    verifier = Verifier(served)
    kids: list[str] = []
    living: list[str] = []
    for token in tokens(served):
        kid = verifier.accept(token)
        if kid not in kids:
            kids.append(kid)
            living.append(token)
        for older in living:
            verifier.accept(older)  # a token of an old key is good for as long as it lives
        if len(kids) == 4:
            break
    assert len(kids) == 4
    assert served.stop() == 0
    with sqlite3.connect(served.folder / "watchword-data" / "watchword.db") as database:
        deeds = database.execute(
            "SELECT type, kid FROM audit_event WHERE type LIKE 'key.%' ORDER BY sequence"
        ).fetchall()
    activated = [kid for deed, kid in deeds if deed == "key.activated"]
    assert activated[:4] == kids
    assert [deed for deed, kid in deeds if kid == kids[1]] == [
        "key.prepared",
        "key.activated",
        "key.retired",
    ]


@pytest.mark.threat(172)
def test_another_algorithm_is_a_key_change_like_any_other(start) -> None:
    before = start(**SETTINGS | {"KEY_ACTIVE_FOR": "1h"})
    old = next(tokens(before))
    assert before.stop() == 0
    served = start(**SETTINGS | {"KEY_ACTIVE_FOR": "1h", "SIGNING_ALGORITHM": "EdDSA"})
    verifier = Verifier(served)
    first = verifier.accept(old)
    for token in tokens(served):
        kid = verifier.accept(token)
        verifier.accept(old)
        if kid != first:
            break
    key = JWKSet.from_json(served.request("GET", "/.well-known/jwks.json").body).named(kid)
    assert key.algorithms == {"EdDSA", "Ed25519"}
