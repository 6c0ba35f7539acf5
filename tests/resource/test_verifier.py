"""Several issuers, each with its own keys and its own policy; keys are learned, never guessed."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from watchword.errors import (
    AudienceMismatch,
    ConfigurationError,
    IssuerNotTrusted,
    KeysUnavailable,
    KeyUnknown,
    SignatureInvalid,
    TokenError,
    TokenExpired,
    TokenMalformed,
    TypeNotAllowed,
)
from watchword.fetch import Transport
from watchword.keys.issuer import Issuer
from watchword.resource.jwks import JWKSClient
from watchword.resource.metadata import IssuerMetadata
from watchword.resource.verifier import AcceptedIssuer, TokenVerifier
from watchword.testing.peers import IssuingPeer, Peer
from watchword.tokens.algorithms import PUBLIC_KEY_ALGORITHMS
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.private_key import PrivateKey
from watchword.tokens.shared_secret import SharedSecret
from watchword.tokens.verified import VerifiedToken

KEYS = "/.well-known/jwks.json"

Verify = Callable[[TokenVerifier, str], VerifiedToken]


@pytest.fixture(params=["sync", "async"])
def verify(request: pytest.FixtureRequest) -> Verify:
    """Both drivers of the one flow."""
    if request.param == "sync":
        return lambda verifier, token: verifier.verify(token)
    return lambda verifier, token: asyncio.run(verifier.averify(token))


@pytest.fixture
def second(start: Callable[[Peer], Peer]) -> IssuingPeer:
    peer = IssuingPeer()
    start(peer)
    return peer


def accepted(peer: IssuingPeer, clock: Any, **policy: Any) -> AcceptedIssuer:
    demands = {"audience": "posts", "algorithms": PUBLIC_KEY_ALGORITHMS} | policy
    return AcceptedIssuer(
        VerificationPolicy(peer.url, **demands),
        JWKSClient(IssuerMetadata(peer.url, clock=clock), Transport(), clock=clock),
    )


def fetches(peer: IssuingPeer) -> int:
    return sum(target == KEYS for target, _ in peer.requests)


def test_a_genuine_token_is_verified_with_keys_found_through_the_metadata(
    issuer: IssuingPeer, clock: Any, verify: Verify
) -> None:
    verifier = TokenVerifier([accepted(issuer, clock)], clock=clock)
    for _ in range(50):
        token = verify(verifier, issuer.token())
    assert token.subject == (issuer.url, "john_doe")
    assert len(issuer.requests) == 2  # metadata and key set, once each


@pytest.mark.threat(230)
def test_ten_thousand_verifications_within_one_lifetime_of_the_set_cost_one_fetch(
    issuer: IssuingPeer, clock: Any
) -> None:
    verifier = TokenVerifier([accepted(issuer, clock)], clock=clock)
    token = issuer.token()

    async def many() -> None:
        for _ in range(20):
            await asyncio.gather(*(verifier.averify(token) for _ in range(500)))

    asyncio.run(many())
    assert fetches(issuer) == 1


def test_a_token_of_a_new_key_is_accepted_at_once(issuer: IssuingPeer, clock: Any, verify: Verify) -> None:
    verifier = TokenVerifier([accepted(issuer, clock)], clock=clock)
    verify(verifier, issuer.token())
    issuer.issuer.activate_key(issuer.issuer.prepare_key())
    assert verify(verifier, issuer.token()).key_id == issuer.issuer.keyring.active.kid


@pytest.mark.threat(12, 67)
def test_a_flood_of_unknown_kids_is_refused_and_costs_one_fetch(issuer: IssuingPeer, clock: Any) -> None:
    verifier = TokenVerifier([accepted(issuer, clock)], clock=clock)
    genuine = issuer.token()
    verifier.verify(genuine)
    before = fetches(issuer)
    for number in range(1_000):
        _, payload, signature = genuine.split(".")
        header = json.dumps({"alg": "ES256", "kid": f"k{number}", "typ": "at+jwt"}).encode()
        forged = f"{base64.urlsafe_b64encode(header).rstrip(b'=').decode()}.{payload}.{signature}"
        with pytest.raises(KeyUnknown):
            verifier.verify(forged)
        verifier.verify(genuine)
    assert fetches(issuer) - before == 1


def twins(start: Callable[[Peer], Peer]) -> tuple[IssuingPeer, IssuingPeer]:
    """Two issuers whose different keys have the same kid."""
    peers = (IssuingPeer(), IssuingPeer())
    for peer in peers:
        start(peer)
        key = PrivateKey(PrivateKey.generate()._material, alg="ES256", kid="the-same")
        empty = type(peer.keys)()
        empty.save(empty.load().prepare(key, 0).activate("the-same", 0))
        peer.issuer = Issuer(peer.url, empty)
    return peers


@pytest.mark.threat(57)
def test_a_key_of_one_issuer_never_verifies_a_token_of_another(
    start: Callable[[Peer], Peer], clock: Any, verify: Verify
) -> None:
    one, other = twins(start)
    verifier = TokenVerifier([accepted(one, clock), accepted(other, clock)], clock=clock)
    assert verify(verifier, one.token()).issuer == one.url
    assert verify(verifier, other.token()).issuer == other.url
    other.issuer.issuer = one.url  # it now signs, with its own key, what only the first may say
    with pytest.raises(SignatureInvalid):
        verify(verifier, other.token())


@pytest.mark.threat(57)
def test_each_issuer_is_held_to_its_own_policy(
    issuer: IssuingPeer, second: IssuingPeer, clock: Any, verify: Verify
) -> None:
    verifier = TokenVerifier(
        [
            accepted(issuer, clock, token_types=["at+jwt"]),
            accepted(second, clock, audience="foreign", token_types=["JWT"]),
        ],
        clock=clock,
    )
    verify(verifier, issuer.token())
    with pytest.raises(AudienceMismatch):
        verify(verifier, issuer.token(audience="foreign"))
    with pytest.raises(TypeNotAllowed):
        verify(verifier, second.token(audience="foreign"))


@pytest.mark.threat(42, 61)
@pytest.mark.parametrize("change", ["{}/", "{}x", "{}/../x", "HTTP{}", " {}"])
def test_an_issuer_that_is_not_configured_is_refused_without_asking_anybody(
    issuer: IssuingPeer, second: IssuingPeer, clock: Any, verify: Verify, change: str
) -> None:
    verifier = TokenVerifier([accepted(issuer, clock), accepted(second, clock)], clock=clock)
    claimed = change.replace("HTTP{}", issuer.url.replace("http", "HTTP")).replace("{}", issuer.url)
    issuer.issuer.issuer = claimed
    with pytest.raises(IssuerNotTrusted):
        verify(verifier, issuer.token())
    assert issuer.requests == second.requests == []


@pytest.mark.parametrize(
    "token", ["", "a.b", "a.b.c", "....", "é.b.c", "eyJ9.W10.AA", "a." + "A" * 20_000 + ".c"]
)
def test_a_text_that_is_no_token_is_refused_without_asking_anybody(
    issuer: IssuingPeer, second: IssuingPeer, clock: Any, verify: Verify, token: str
) -> None:
    verifier = TokenVerifier([accepted(issuer, clock), accepted(second, clock)], clock=clock)
    with pytest.raises(TokenMalformed):
        verify(verifier, token)
    assert issuer.requests == second.requests == []


def test_an_issuer_that_is_down_does_not_harm_another(
    issuer: IssuingPeer, second: IssuingPeer, clock: Any, verify: Verify
) -> None:
    verifier = TokenVerifier([accepted(issuer, clock), accepted(second, clock)], clock=clock)
    token = second.token()
    second.close()
    with pytest.raises(KeysUnavailable):
        verify(verifier, token)
    verify(verifier, issuer.token())


@pytest.mark.threat(53)
def test_times_are_compared_with_the_verifiers_clock(issuer: IssuingPeer, clock: Any, verify: Verify) -> None:
    verifier = TokenVerifier([accepted(issuer, clock)], clock=clock)
    token = issuer.token(lifetime=60)
    verify(verifier, token)
    clock.advance(61)
    with pytest.raises(TokenExpired):
        verify(verifier, token)
    with pytest.raises(SignatureInvalid):
        verify(verifier, token[:-40] + ("A" if token[-40] != "A" else "B") + token[-39:])


SECRET = bytes(range(40, 80))


@pytest.mark.threat(6, 226)
def test_a_shared_secret_stands_alone(issuer: IssuingPeer, clock: Any) -> None:
    by_secret = AcceptedIssuer(
        VerificationPolicy("https://a.example", "posts", ["HS256"]), SharedSecret(SECRET)
    )
    TokenVerifier([by_secret])
    with pytest.raises(ConfigurationError, match="beside public keys"):
        TokenVerifier([by_secret, accepted(issuer, clock)])
    with pytest.raises(ConfigurationError, match="go together"):
        TokenVerifier([AcceptedIssuer(accepted(issuer, clock).policy, SharedSecret(SECRET))])
    with pytest.raises(ConfigurationError, match="go together"):
        TokenVerifier([AcceptedIssuer(by_secret.policy, accepted(issuer, clock).keys)])


def test_issuers_are_listed_once_and_at_least_one(issuer: IssuingPeer, clock: Any) -> None:
    for wrong in ([], [accepted(issuer, clock), accepted(issuer, clock)]):
        with pytest.raises(ConfigurationError):
            TokenVerifier(wrong)


def test_warming_up_fetches_in_the_background(issuer: IssuingPeer, clock: Any) -> None:
    verifier = TokenVerifier([accepted(issuer, clock)], clock=clock)
    verifier.warm()
    verifier.verify(issuer.token())
    assert fetches(issuer) == 1
    verifier.close()
    verifier.verify(issuer.token())


def test_a_refusal_is_always_a_declared_error(issuer: IssuingPeer, clock: Any) -> None:
    verifier = TokenVerifier([accepted(issuer, clock)], clock=clock)
    good = issuer.token()
    for cut in range(0, len(good), 7):
        with pytest.raises(TokenError):
            verifier.verify(good[:cut])
