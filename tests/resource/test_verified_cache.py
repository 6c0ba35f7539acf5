"""What was verified before is not verified again, and the answer is what verifying again would be."""

import asyncio
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from watchword.errors import (
    IssuerNotTrusted,
    KeysUnavailable,
    ProofRequired,
    SignatureInvalid,
    SigningKeyRevoked,
    TokenError,
    TokenExpired,
    TokenMalformed,
    TokenNotYetValid,
)
from watchword.fetch import Transport
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore
from watchword.resource import verifier as verifier_module
from watchword.resource.jwks import JWKSClient
from watchword.resource.metadata import IssuerMetadata
from watchword.resource.verified_cache import GENERATION_BYTES, VerifiedCache, digest_of
from watchword.resource.verifier import AcceptedIssuer, TokenVerifier
from watchword.testing.peers import IssuingPeer
from watchword.tokens import base64url
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.private_key import PrivateKey
from watchword.tokens.shared_secret import SharedSecret
from watchword.tokens.verified import VerifiedToken
from watchword.tokens.verify import verify

HERE = Path(__file__).parent
GUARD = 20.0
KEYS = "/.well-known/jwks.json"
ISSUER = "https://issuer.example"


class Counted:
    """Counts how often a signature is really checked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0

        def counting(*arguments: Any) -> VerifiedToken:
            self.count += 1
            return verify(*arguments)

        monkeypatch.setattr(verifier_module, "verify", counting)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def local(clock: Any, algorithm: str = "ES256", url: str = ISSUER) -> Issuer:
    issuer = Issuer(url, MemoryKeyStore(), algorithm=algorithm, clock=clock)
    issuer.prepare_key()
    return issuer


def accepted(issuer: Issuer, keys: Any = None, **policy: Any) -> AcceptedIssuer:
    demands = {"audience": "posts", "algorithms": ["ES256", "EdDSA"]} | policy
    return AcceptedIssuer(VerificationPolicy(issuer.issuer, **demands), keys or issuer.jwk_set())


def fetched(peer: IssuingPeer, clock: Any, **settings: Any) -> AcceptedIssuer:
    pinned = IssuerMetadata(peer.url, jwks_uri=peer.url + KEYS, clock=clock)
    return accepted(peer.issuer, JWKSClient(pinned, Transport(timeout=5), clock=clock, **settings))


def signed(key: PrivateKey, **claims: Any) -> str:
    """A token of a key, with exactly these claims."""
    head = base64url.encode(json.dumps({"alg": key.alg, "kid": key.public.kid, "typ": "at+jwt"}).encode())
    text = head + b"." + base64url.encode(json.dumps(claims, separators=(",", ":")).encode())
    return (text + b"." + base64url.encode(key.sign(text))).decode()


def claims_at(now: float, **changes: Any) -> dict[str, Any]:
    return {
        "iss": ISSUER, "sub": "local|42", "aud": "posts", "exp": int(now) + 300, "iat": int(now),
        "jti": "an-id", "client_id": "web",
    } | changes  # fmt: skip


@pytest.mark.threat(54)
def test_the_same_text_is_verified_once_and_says_the_same(clock: Any, verified: Counted) -> None:
    issuer = local(clock)
    verifier = TokenVerifier([accepted(issuer)], clock=clock)
    token = issuer.issue("john", "posts", scope={"posts:read"}, roles=["author"], session_id="s")
    first = verifier.verify(token)
    again, later = verifier.verify(token), asyncio.run(verifier.averify(token))
    assert verified.count == 1
    for seen in (again, later):
        assert isinstance(seen, VerifiedToken)
        assert dict(seen.claims) == dict(first.claims)
        assert (seen.scope, seen.roles, seen.session_id) == ({"posts:read"}, {"author"}, "s")
        with pytest.raises(TypeError):
            seen.claims["sub"] = "eve"  # type: ignore[index]


@pytest.mark.threat(54)
def test_what_one_request_does_to_claims_no_other_request_sees(clock: Any) -> None:
    key = PrivateKey.generate()
    token = signed(key, **claims_at(clock.now(), groups=["a"], may_act={"sub": "x"}))
    verifier = TokenVerifier([accepted(local(clock), JWKSet([key.public]))], clock=clock)
    verifier.verify(token).claims["groups"].append("admin")
    verifier.verify(token).claims["may_act"]["sub"] = "eve"
    assert verifier.verify(token).claims["groups"] == ["a"]
    assert verifier.verify(token).claims["may_act"] == {"sub": "x"}


@pytest.mark.threat(54)
def test_every_hostile_token_of_the_token_floor_gets_the_same_verdict_from_a_warm_verifier(
    tmp_path: Path,
) -> None:
    report = tmp_path / "report.json"
    subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "cold_and_warm", "-p", "no:cacheprovider",
            "-p", "no:xdist", "-k", "not mutation and not fast_forms and not properties and not reference",
            str(HERE.parent / "tokens"),
        ],
        env=os.environ | {"COLD_AND_WARM_REPORT": str(report), "PYTHONPATH": str(HERE)},
        cwd=HERE.parents[1], capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    found = json.loads(report.read_text())
    assert found["disagreements"] == []
    assert found["counts"]["refused"] > 1_500
    assert found["counts"]["accepted"] > 150


@pytest.mark.threat(54)
def test_one_changed_character_anywhere_is_another_token(clock: Any, verified: Counted) -> None:
    issuer = local(clock)
    verifier = TokenVerifier([accepted(issuer)], clock=clock)
    token = issuer.issue("john", "posts")
    verifier.verify(token)
    for place in range(len(token)):
        for other in ("A", "B", "-") if place % 16 == 0 or place > len(token) - 8 else ("A", "B"):
            changed = token[:place] + other + token[place + 1 :]
            if changed != token:
                with pytest.raises(TokenError):
                    verifier.verify(changed)
    for changed in (token[:-1], token + "A", token + "=", token + ".", " " + token, token + "\n", token * 2):
        with pytest.raises(TokenError):
            verifier.verify(changed)
    before = verified.count
    verifier.verify(token)
    assert verified.count == before


@pytest.mark.threat(54)
def test_a_forgery_with_the_claims_of_a_known_token_is_checked_by_itself(clock: Any) -> None:
    issuer, eve = local(clock), PrivateKey.generate()
    verifier = TokenVerifier([accepted(issuer)], clock=clock)
    token = issuer.issue("john", "posts")
    verifier.verify(token)
    body, _, _ = token.rpartition(".")
    for signature in (eve.sign(body.encode()), bytes(64), b""):
        with pytest.raises(TokenError):
            verifier.verify(f"{body}.{base64url.encode(signature).decode()}")


@pytest.mark.threat(54)
@pytest.mark.parametrize("value", [None, 7, b"a.b.c", ["a.b.c"], "", "é.b.c", "\ud800.b.c", "a" * 20_000])
def test_what_is_no_token_has_no_place_in_the_cache(clock: Any, value: Any) -> None:
    verifier = TokenVerifier([accepted(local(clock))], clock=clock)
    for _ in range(2):
        with pytest.raises(TokenMalformed):
            verifier.verify(value)
    assert len(verifier._cache) == 0


def test_a_token_too_long_to_remember_is_verified_each_time(clock: Any, verified: Counted) -> None:
    key = PrivateKey.generate()
    token = signed(key, **claims_at(clock.now(), groups=["a" * 20_000]))
    verifier = TokenVerifier([accepted(local(clock), JWKSet([key.public]), max_length=60_000)], clock=clock)
    for _ in range(2):
        verifier.verify(token)
    assert (verified.count, len(verifier._cache)) == (2, 0)


@pytest.mark.threat(54)
def test_a_text_that_only_looks_like_a_known_one_is_not_taken_for_it(clock: Any) -> None:
    class Text(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

        def encode(self, *_: Any) -> bytes:
            return known

    issuer = local(clock)
    verifier = TokenVerifier([accepted(issuer)], clock=clock)
    token = issuer.issue("john", "posts")
    known = token.encode()
    verifier.verify(token)
    with pytest.raises(TokenMalformed):
        verifier.verify(Text("a.b.c"))
    with pytest.raises(TokenMalformed):
        verifier.verify(known)  # type: ignore[arg-type]


@pytest.mark.threat(54)
def test_a_refusal_is_never_remembered(clock: Any, verified: Counted) -> None:
    issuer = local(clock)
    verifier = TokenVerifier([accepted(issuer)], clock=clock)
    late = issuer.issue("john", "posts", lifetime=60)
    clock.advance(-100)
    for _ in range(3):
        with pytest.raises(TokenNotYetValid):
            verifier.verify(late)
    assert (verified.count, len(verifier._cache)) == (3, 0)
    clock.advance(100)
    verifier.verify(late)


@pytest.mark.threat(54)
def test_a_token_dies_at_its_exp_and_not_a_moment_later(clock: Any, verified: Counted) -> None:
    key = PrivateKey.generate()
    exp = int(clock.now()) + 60
    token = signed(key, **claims_at(clock.now(), exp=exp))
    verifier = TokenVerifier(
        [accepted(local(clock), JWKSet([key.public]), leeway=60)], clock=clock
    )  # leeway never for exp
    verifier.verify(token)
    clock.wall = exp - 0.001
    verifier.verify(token)
    assert verified.count == 1
    for moment in (exp, exp + 0.001, exp + 86_400, float("nan")):
        clock.wall = moment
        with pytest.raises(TokenExpired):
            verifier.verify(token)
    assert len(verifier._cache) == 0


@pytest.mark.threat(54, 79)
@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest.mark.parametrize("leeway", [0, 10])
def test_a_clock_that_goes_back_is_believed_by_the_cache_as_by_the_verifier(
    clock: Any, verified: Counted, claim: str, leeway: int
) -> None:
    key, start = PrivateKey.generate(), int(clock.now())
    token = signed(key, **claims_at(start - 1_000, exp=start + 300, **{claim: start}))
    verifier = TokenVerifier([accepted(local(clock), JWKSet([key.public]), leeway=leeway)], clock=clock)
    clock.wall = float(start)
    verifier.verify(token)
    clock.wall = start - leeway
    verifier.verify(token)
    assert verified.count == 1
    for moment in (start - leeway - 0.5, start - 3_600):
        clock.wall = moment
        with pytest.raises(TokenNotYetValid):
            verifier.verify(token)
    clock.wall = start + 1.0
    verifier.verify(token)


@pytest.mark.threat(51)
def test_a_token_bound_to_a_key_is_never_kept(clock: Any) -> None:
    key = PrivateKey.generate()
    verifier = TokenVerifier([accepted(local(clock), JWKSet([key.public]))], clock=clock)
    bound = signed(key, **claims_at(clock.now(), cnf={"jkt": "a" * 43}))
    for _ in range(2):
        with pytest.raises(ProofRequired):
            verifier.verify(bound)
    assert len(verifier._cache) == 0


@pytest.mark.threat(51)
def test_the_cache_itself_does_not_take_what_is_bound_to_a_key(clock: Any) -> None:
    # should a verifier one day return such a token to those who check the proof
    class Bound:
        claims = {"exp": 9e9, "cnf": {"jkt": "a" * 43}}
        expires_at = 9e9

    cache, keys = VerifiedCache(clock), JWKSet([])
    cache.keep(b"d" * 32, Bound(), length=500, source=keys, keys=keys, leeway=0)  # type: ignore[arg-type]
    assert len(cache) == 0


@pytest.mark.threat(75)
def test_a_token_of_a_key_that_leaves_the_set_is_refused_after_one_refresh(
    issuer: IssuingPeer, clock: Any, verified: Counted, settled: Callable[[JWKSClient], None]
) -> None:
    config = fetched(issuer, clock, max_age=60)
    verifier = TokenVerifier([config], clock=clock)
    old_kid, token = issuer.issuer.keyring.active.kid, issuer.token()
    verifier.verify(token)
    issuer.issuer.activate_key(issuer.issuer.prepare_key())
    verifier.verify(issuer.token())  # a refresh: the old key is still published
    verifier.verify(token)
    issuer.issuer.remove_key(old_kid)
    verifier.verify(token)  # nobody has told us
    clock.advance(61)
    verifier.verify(token)  # due: this very call begins to fetch
    settled(config.keys)  # type: ignore[arg-type]
    with pytest.raises(SigningKeyRevoked):
        verifier.verify(token)
    assert len(verifier._cache) == 0


@pytest.mark.threat(75)
def test_any_change_of_the_set_drops_everything_and_an_unchanged_set_nothing(
    issuer: IssuingPeer, clock: Any, verified: Counted, settled: Callable[[JWKSClient], None]
) -> None:
    config = fetched(issuer, clock, max_age=60)
    verifier = TokenVerifier([config], clock=clock)
    tokens = [issuer.token(f"person-{number}") for number in range(5)]
    for token in tokens:
        verifier.verify(token)
    clock.advance(61)
    verifier.verify(tokens[0])
    settled(config.keys)  # type: ignore[arg-type]  # the same bytes again
    for token in tokens:
        verifier.verify(token)
    assert verified.count == 5
    issuer.issuer.prepare_key()
    clock.advance(61)
    verifier.verify(tokens[0])
    settled(config.keys)  # type: ignore[arg-type]
    verifier.verify(tokens[0])
    assert len(verifier._cache) == 1
    for token in tokens:
        verifier.verify(token)
    assert verified.count == 10


@pytest.mark.threat(80)
def test_a_kid_used_again_for_another_key_kills_what_the_old_key_signed(
    issuer: IssuingPeer, clock: Any, settled: Callable[[JWKSClient], None], caplog: Any
) -> None:
    def key_of_the_same_name() -> PrivateKey:
        return PrivateKey(PrivateKey.generate()._material, alg="ES256", kid="the-same")

    first, second = key_of_the_same_name(), key_of_the_same_name()
    published = {"keys": [dict(first.public.jwk)]}
    issuer.routes[KEYS] = lambda *_: (200, published, {})  # type: ignore[assignment,return-value]
    config = fetched(issuer, clock, max_age=60)
    verifier = TokenVerifier([config], clock=clock)
    token = signed(first, **claims_at(clock.now(), iss=issuer.url))
    verifier.verify(token)
    published["keys"] = [dict(second.public.jwk)]
    clock.advance(61)
    verifier.verify(token)
    settled(config.keys)  # type: ignore[arg-type]
    with pytest.raises(SignatureInvalid):
        verifier.verify(token)
    verifier.verify(signed(second, **claims_at(clock.now(), iss=issuer.url)))
    assert "uses a kid again" in caplog.text


@pytest.mark.threat(75)
def test_a_set_that_is_too_old_verifies_nothing_not_even_what_is_remembered(
    issuer: IssuingPeer, clock: Any
) -> None:
    verifier = TokenVerifier([fetched(issuer, clock, last_known_good=600)], clock=clock)
    token = issuer.token(lifetime=3_600)
    verifier.verify(token)
    issuer.close()
    clock.advance(601)
    with pytest.raises(KeysUnavailable):
        verifier.verify(token)


def test_a_set_that_is_due_is_fetched_although_every_token_is_remembered(
    issuer: IssuingPeer, clock: Any, settled: Callable[[JWKSClient], None]
) -> None:
    config = fetched(issuer, clock, max_age=60)
    verifier = TokenVerifier([config], clock=clock)
    token = issuer.token(lifetime=3_600)
    verifier.verify(token)
    for _ in range(3):
        clock.advance(61)
        for _ in range(100):
            verifier.verify(token)
        settled(config.keys)  # type: ignore[arg-type]
    assert len(issuer.requests) == 4


@pytest.mark.threat(54, 57)
def test_two_issuers_share_no_entry(clock: Any) -> None:
    one, other = local(clock), local(clock, url="https://other.example")
    both = TokenVerifier([accepted(one), accepted(other)], clock=clock)
    alone = TokenVerifier([accepted(one)], clock=clock)
    mine, theirs = one.issue("john", "posts"), other.issue("john", "posts")
    for _ in range(2):
        assert both.verify(mine).issuer == one.issuer
        assert both.verify(theirs).issuer == other.issuer
        alone.verify(mine)
        with pytest.raises(TokenError):
            alone.verify(theirs)
    other.issuer = one.issuer  # it now says, with its own key, what only the first may say
    for _ in range(2):
        with pytest.raises(TokenError):
            both.verify(other.issue("john", "posts"))
    one.issuer = "https://nobody.example"
    with pytest.raises(IssuerNotTrusted):
        both.verify(one.issue("john", "posts"))


@pytest.mark.threat(54)
def test_what_another_configuration_accepted_is_refused_here(clock: Any) -> None:
    issuer = local(clock)
    token = issuer.issue("john", "posts", client_id="web")
    TokenVerifier([accepted(issuer)], clock=clock).verify(token)
    for policy in (
        {"audience": "users"}, {"algorithms": ["EdDSA"]}, {"token_types": ["JWT"]},
        {"required_claims": ["org"]}, {"max_length": 50},
    ):  # fmt: skip
        with pytest.raises(TokenError):
            TokenVerifier([accepted(issuer, **policy)], clock=clock).verify(token)


def test_a_shared_secret_is_remembered_alike(clock: Any, verified: Counted) -> None:
    secret = SharedSecret(bytes(range(40, 80)))
    policy = VerificationPolicy(ISSUER, "posts", ["HS256"])
    verifier = TokenVerifier([AcceptedIssuer(policy, secret)], clock=clock)
    head = base64url.encode(b'{"alg":"HS256","typ":"at+jwt"}')
    text = head + b"." + base64url.encode(json.dumps(claims_at(clock.now())).encode())
    token = (text + b"." + base64url.encode(secret.sign(text))).decode()
    verifier.verify(token)
    verifier.verify(token)
    assert verified.count == 1
    clock.advance(301)
    with pytest.raises(TokenExpired):
        verifier.verify(token)


@pytest.mark.threat(54)
def test_two_threads_with_two_issuers_never_get_each_others_answer(clock: Any) -> None:
    issuers = [local(clock), local(clock, url="https://other.example")]
    verifier = TokenVerifier([accepted(issuer) for issuer in issuers], clock=clock)
    verifier._cache = VerifiedCache(clock, 20_000)  # a few entries: generations change all the time
    good = [[issuer.issue(f"{n}", "posts") for n in range(40)] for issuer in issuers]
    bad = [[token[:-6] + "AAAAAA" for token in tokens] for tokens in good]

    def work(mine: int) -> int:
        wrong = 0
        for turn in range(5_000):
            number = turn % 40
            if turn % 100 == 99:
                try:
                    verifier.verify(bad[mine][number])
                except TokenError:
                    continue
                wrong += 1
            else:
                if turn % 10:  # mostly the same few, so that hits and misses mix
                    number %= 3
                found = verifier.verify(good[mine][number])
                wrong += found.subject != (issuers[mine].issuer, str(number))
        return wrong

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(work, [0, 1])) == [0, 0]
    finally:
        sys.setswitchinterval(interval)


def tokens_of(clock: Any, count: int) -> tuple[TokenVerifier, list[str]]:
    issuer = local(clock, "EdDSA")
    made = [
        issuer.issue(
            f"local|{n:06d}",
            "posts",
            client_id="web",
            scope={"posts:read", "posts:write"},
            session_id="a" * 22,
        )
        for n in range(count)
    ]
    return TokenVerifier([accepted(issuer)], clock=clock), made


def test_a_token_takes_less_than_two_kibibytes(clock: Any) -> None:
    verifier, tokens = tokens_of(clock, 1_500)
    verifier.verify(tokens.pop())
    tracemalloc.start()
    try:
        for token in tokens:
            verifier.verify(token)
        each = tracemalloc.get_traced_memory()[0] / len(tokens)
    finally:
        tracemalloc.stop()
    assert len(verifier._cache) == len(tokens) + 1
    assert each < 2_048


def test_a_flood_of_genuine_tokens_is_bounded_and_takes_nothing_from_those_in_use(
    clock: Any, verified: Counted
) -> None:
    verifier, tokens = tokens_of(clock, 3_000)
    size = GENERATION_BYTES // 32
    verifier._cache = VerifiedCache(clock, size)
    used = tokens[:10]
    for token in used:
        verifier.verify(token)
    tracemalloc.start()
    try:
        for number, token in enumerate(tokens[10:]):
            verifier.verify(token)
            if number % 5 == 0:
                verifier.verify(used[number // 5 % 10])
        assert verified.count == len(tokens)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken < 2 * size
    assert 50 < len(verifier._cache) < 2 * size // 1_000


def test_closing_forgets_what_was_verified(clock: Any, verified: Counted) -> None:
    verifier, (token,) = tokens_of(clock, 1)
    verifier.verify(token)
    verifier.close()
    verifier.verify(token)
    assert verified.count == 2


@pytest.mark.threat(54)
def test_the_cache_keeps_and_prints_no_text_of_a_token(clock: Any) -> None:
    verifier, (token,) = tokens_of(clock, 1)
    verifier.verify(token)
    assert repr(verifier._cache) == "VerifiedCache(1 tokens)"
    digest = digest_of(token)
    assert digest is not None
    assert list(verifier._cache._young.entries) == [digest]
    assert len(digest) == 32
    shown = repr(verifier._cache._young.entries)
    assert not any(segment in shown for segment in token.split("."))
