"""A key that its issuer takes back while its tokens are alive: refused, and told from a key nobody knows."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from watchword.errors import KeyUnknown, SigningKeyRevoked, TokenError, TokenExpired
from watchword.resource.bearer import challenge
from watchword.resource.jwks import MAX_GONE, JWKSClient
from watchword.resource.metadata import IssuerMetadata
from watchword.resource.verifier import AcceptedIssuer, TokenVerifier
from watchword.testing.peers import IssuingPeer, Reply
from watchword.tokens.policy import ACCESS_TOKEN_TYPE, VerificationPolicy
from watchword.tokens.private_key import PrivateKey

pytestmark = pytest.mark.threat(75)

KEYS = "/.well-known/jwks.json"


@pytest.fixture
def jwks(issuer: IssuingPeer, clock: Any) -> Iterator[JWKSClient]:
    client = JWKSClient(IssuerMetadata(issuer.url, clock=clock), clock=clock)
    yield client
    client.close()


@pytest.fixture
def verifier(issuer: IssuingPeer, jwks: JWKSClient, clock: Any) -> TokenVerifier:
    policy = VerificationPolicy(issuer.url, "posts", ["ES256"], token_types=(ACCESS_TOKEN_TYPE,))
    return TokenVerifier([AcceptedIssuer(policy, jwks)], clock=clock)


@pytest.fixture
def take_back(
    issuer: IssuingPeer, jwks: JWKSClient, clock: Any, spare_key: PrivateKey, settled: Any
) -> Callable[[], None]:
    """The issuer publishes another key alone, and the service has learned of it."""

    def publish_another() -> None:
        issuer.routes[KEYS] = lambda *_: Reply(200, {"keys": [dict(spare_key.public_jwk())]})
        clock.ticks += 400
        jwks.held()
        settled(jwks)

    return publish_another


def refusal(verifier: TokenVerifier, token: str) -> TokenError:
    with pytest.raises(TokenError) as refused:
        verifier.verify(token)
    return refused.value


def test_a_live_token_of_a_key_that_was_taken_back_says_so(
    issuer: IssuingPeer, verifier: TokenVerifier, take_back: Callable[[], None]
) -> None:
    verifier.verify(issuer.token())
    take_back()
    error = refusal(verifier, issuer.token("ada"))
    assert (type(error), error.code) == (SigningKeyRevoked, "signing_key_revoked")
    assert "while its tokens were alive" in str(error)


def test_so_does_one_that_was_verified_before_and_stood_in_the_cache(
    issuer: IssuingPeer, verifier: TokenVerifier, take_back: Callable[[], None]
) -> None:
    token = issuer.token()
    verifier.verify(token)
    verifier.verify(token)
    assert verifier.accepted == (1, 1)
    take_back()
    for _ in range(3):
        assert type(refusal(verifier, token)) is SigningKeyRevoked


def test_the_client_sees_a_plain_invalid_token(
    issuer: IssuingPeer, verifier: TokenVerifier, take_back: Callable[[], None]
) -> None:
    verifier.verify(issuer.token())
    take_back()
    answer = challenge(refusal(verifier, issuer.token("ada")))
    assert answer.status == 401
    assert dict(answer.headers)["WWW-Authenticate"] == (
        'Bearer error="invalid_token", error_description="the access token is not valid"'
    )


def test_a_key_that_left_after_its_last_token_is_no_alarm(
    issuer: IssuingPeer, verifier: TokenVerifier, clock: Any, take_back: Callable[[], None]
) -> None:
    token = issuer.token(lifetime=60)
    verifier.verify(token)
    clock.wall += 120
    take_back()
    assert type(refusal(verifier, token)) is TokenExpired


def test_a_forgery_that_names_a_key_that_is_gone_is_a_key_nobody_knows(
    issuer: IssuingPeer, verifier: TokenVerifier, take_back: Callable[[], None]
) -> None:
    token = issuer.token()
    verifier.verify(token)
    take_back()
    head, body, signature = token.split(".")
    forged = f"{head}.{body}.{'A' * len(signature)}"
    assert type(refusal(verifier, forged)) is KeyUnknown


def test_a_token_that_was_never_meant_for_us_is_not_told_apart(
    issuer: IssuingPeer, verifier: TokenVerifier, take_back: Callable[[], None]
) -> None:
    verifier.verify(issuer.token())
    take_back()
    assert type(refusal(verifier, issuer.token(audience="other"))) is KeyUnknown


def test_a_key_that_comes_back_verifies_again(
    issuer: IssuingPeer,
    jwks: JWKSClient,
    verifier: TokenVerifier,
    clock: Any,
    take_back: Callable[[], None],
    settled: Any,
) -> None:
    token = issuer.token()
    verifier.verify(token)
    take_back()
    refusal(verifier, token)
    issuer.routes[KEYS] = lambda *_: Reply(200, issuer.issuer.jwk_set().to_dict())
    clock.ticks += 400
    jwks.held()
    settled(jwks)
    assert verifier.verify(token).subject.id.endswith("john_doe")
    assert issuer.issuer.jwk_set().keys[0].kid not in jwks.gone


@pytest.mark.threat(80)
def test_a_kid_that_names_another_key_now_is_not_gone(
    issuer: IssuingPeer,
    jwks: JWKSClient,
    verifier: TokenVerifier,
    clock: Any,
    spare_key: PrivateKey,
    settled: Any,
) -> None:
    token = issuer.token()
    kid = verifier.verify(token).key_id
    issuer.routes[KEYS] = lambda *_: Reply(200, {"keys": [dict(spare_key.public_jwk()) | {"kid": kid}]})
    clock.ticks += 400
    jwks.held()
    settled(jwks)
    assert len(jwks.gone) == 0
    assert refusal(verifier, token).code == "token_signature_invalid"


def test_only_the_last_keys_that_are_gone_are_known(
    issuer: IssuingPeer, jwks: JWKSClient, clock: Any, spare_key: PrivateKey, settled: Any
) -> None:
    jwks.keys()
    published = dict(spare_key.public_jwk())
    for number in range(MAX_GONE * 2):
        issuer.routes[KEYS] = lambda *_, n=number: Reply(200, {"keys": [published | {"kid": f"k{n}"}]})
        clock.ticks += 400
        jwks.held()
        settled(jwks)
    assert [key.kid for key in jwks.gone.keys] == [f"k{n}" for n in range(MAX_GONE - 1, MAX_GONE * 2 - 1)]
