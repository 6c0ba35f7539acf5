"""The issuer in memory: what it signs, what it answers, and how a service comes to trust it."""

import datetime
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from flask import Flask

import watchword.fastapi
import watchword.flask
from watchword import IssuerSettings, Watchword
from watchword.errors import (
    AlgorithmNotAllowed,
    AudienceMismatch,
    ClaimInvalid,
    ConfigurationError,
    ExchangeDenied,
    IssuerNotTrusted,
    KeysUnavailable,
    KeyUnknown,
    ProofRequired,
    SignatureInvalid,
    SigningKeyRevoked,
    TokenEndpointUnreachable,
    TokenError,
    TokenExpired,
    TokenMalformed,
    TokenNotYetValid,
    TypeNotAllowed,
)
from watchword.testing import Forgery, TestIssuer
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.verify import verify

REASONS = {
    Forgery.NO_TOKEN: TokenMalformed,
    Forgery.ALG_NONE: AlgorithmNotAllowed,
    Forgery.HS256_WITH_PUBLIC_KEY: AlgorithmNotAllowed,
    Forgery.TAMPERED: SignatureInvalid,
    Forgery.NO_SIGNATURE: SignatureInvalid,
    Forgery.UNKNOWN_KID: KeyUnknown,
    Forgery.FOREIGN_KEY: SignatureInvalid,
    Forgery.EMBEDDED_KEY: TokenMalformed,
    Forgery.FOREIGN_ISSUER: KeyUnknown,
    Forgery.WRONG_ISSUER: IssuerNotTrusted,
    Forgery.WRONG_AUDIENCE: AudienceMismatch,
    Forgery.EXPIRED: TokenExpired,
    Forgery.NO_EXPIRY: ClaimInvalid,
    Forgery.NOT_YET_VALID: TokenNotYetValid,
    Forgery.WRONG_TYPE: TypeNotAllowed,
    Forgery.BOUND: ProofRequired,
    Forgery.DEEP_ACT: ClaimInvalid,
}


@pytest.fixture
def posts(watchword_issuer: TestIssuer) -> Iterator[Watchword]:
    ww = Watchword(**watchword_issuer.settings("posts"), urls={"users": "http://127.0.0.1:1"}, environ={})
    yield ww
    ww.close()


def exchanged(ww: Watchword, token: str, callee: str = "users", **options: Any) -> str:
    with ww.acting_for(token):
        return ww.outbound(callee, **options).authorization("http://127.0.0.1:1/").removeprefix("Bearer ")


def test_a_token_says_what_was_asked_for(posts: Watchword, watchword_issuer: TestIssuer) -> None:
    token = posts.verify(
        watchword_issuer.token(
            "jane_doe",
            scope="posts:read posts:write",
            roles=["editor"],
            actors=["service|b", "service|a"],
            client_id="mobile",
        )
    )
    assert token.subject == (watchword_issuer.url, "jane_doe")
    assert token.scope == {"posts:read", "posts:write"}
    assert (token.roles, token.actors) == ({"editor"}, ("service|b", "service|a"))
    assert (token.client_id, token.audience) == ("mobile", ("posts",))


def test_claims_and_header_can_be_replaced_and_left_out(watchword_issuer: TestIssuer) -> None:
    token = watchword_issuer.token(
        audience="posts", claims={"jti": None, "tenant": "t"}, header={"typ": "JWT", "x": 1}
    )
    policy = VerificationPolicy(watchword_issuer.url, "posts", ["ES256"], token_types=["JWT"])
    found = verify(token, JWKSet.from_dict(watchword_issuer.jwk_set()), policy, watchword_issuer.clock.now())
    assert found.token_id is None
    assert found.claims["tenant"] == "t"


@pytest.mark.parametrize("kind", list(Forgery))
def test_each_forgery_is_refused_for_its_own_reason(
    posts: Watchword, watchword_issuer: TestIssuer, kind: Forgery
) -> None:
    with pytest.raises(REASONS[kind]):
        posts.verify(watchword_issuer.forge(kind, scope="posts:read"))


@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA", "ES384"])
def test_every_algorithm_has_its_forgeries(algorithm: str) -> None:
    with TestIssuer(algorithm=algorithm) as issuer:
        ww = Watchword(**issuer.settings("posts"), environ={})
        assert ww.verify(issuer.token()).subject.id == "john_doe"
        for kind in (Forgery.HS256_WITH_PUBLIC_KEY, Forgery.FOREIGN_KEY, Forgery.EMBEDDED_KEY):
            with pytest.raises(TokenError):
                ww.verify(issuer.forge(kind))
        ww.close()


def test_expired_is_an_argument_too(posts: Watchword, watchword_issuer: TestIssuer) -> None:
    with pytest.raises(TokenExpired):
        posts.verify(watchword_issuer.token(expired=True))


def test_a_wrong_argument_is_named(watchword_issuer: TestIssuer) -> None:
    with pytest.raises(ValueError, match=r"expected audience=.*none is installed"):
        watchword_issuer.token()
    watchword_issuer.settings("posts")
    watchword_issuer.settings("users")
    with pytest.raises(ValueError, match="posts, users"):
        watchword_issuer.token()
    with pytest.raises(ConfigurationError, match="lifetime"):
        watchword_issuer.token(audience="posts", lifetime=0)


def test_the_clock_stops_and_goes_on_when_it_is_told_to(
    posts: Watchword, watchword_issuer: TestIssuer
) -> None:
    clock = watchword_issuer.clock
    clock.freeze(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC))
    assert clock.now() == clock.now() == 1_893_456_000
    token = watchword_issuer.token(lifetime=60)
    clock.advance(59.5)
    posts.verify(token)
    clock.advance(0.5)
    with pytest.raises(TokenExpired):
        posts.verify(token)
    before = clock.monotonic()
    clock.freeze(0)
    assert (clock.now(), clock.monotonic()) == (0, before)


def test_a_clock_neither_goes_back_nor_guesses_a_time_zone(watchword_issuer: TestIssuer) -> None:
    with pytest.raises(ValueError, match="to go on by"):
        watchword_issuer.clock.advance(-1)
    with pytest.raises(ValueError, match="time zone"):
        watchword_issuer.clock.freeze(datetime.datetime(2030, 1, 1))


def test_after_a_rotation_old_and_new_tokens_are_good(posts: Watchword, watchword_issuer: TestIssuer) -> None:
    old = watchword_issuer.token()
    kid = posts.verify(old).key_id
    watchword_issuer.rotate()
    assert posts.verify(watchword_issuer.token()).key_id != kid
    assert posts.verify(old).key_id == kid
    assert len(watchword_issuer.jwk_set()["keys"]) == 2


def test_after_a_revocation_only_new_tokens_are_good(posts: Watchword, watchword_issuer: TestIssuer) -> None:
    old = watchword_issuer.token()
    posts.verify(old)
    watchword_issuer.revoke_key()
    posts.verify(watchword_issuer.token())
    with pytest.raises(SigningKeyRevoked):
        posts.verify(old)
    assert len(watchword_issuer.jwk_set()["keys"]) == 1


def test_while_the_issuer_is_down_only_what_is_known_works(
    posts: Watchword, watchword_issuer: TestIssuer
) -> None:
    token = watchword_issuer.token()
    with watchword_issuer.down(), pytest.raises(KeysUnavailable):
        posts.verify(token)
    watchword_issuer.clock.advance(2)  # the client pauses after a failure
    posts.verify(token)
    with watchword_issuer.down():
        posts.verify(token)
        with pytest.raises(TokenEndpointUnreachable):
            exchanged(posts, token)


def test_an_exchange_gives_a_token_for_the_callee_with_the_whole_story(
    posts: Watchword, watchword_issuer: TestIssuer
) -> None:
    users = Watchword(**watchword_issuer.settings("users"), environ={})
    token = watchword_issuer.token(
        "jane_doe", audience="posts", scope="posts:read", roles=["editor"], actors=["service|web"]
    )
    found = users.verify(exchanged(posts, token))
    assert found.subject.id == "jane_doe"
    assert found.actors == ("service|posts", "service|web")
    assert (found.scope, found.roles) == ({"posts:read"}, {"editor"})
    assert found.story_id == posts.verify(token).story_id
    assert users.verify(exchanged(posts, token, scope=["users:read"])).scope == {"users:read"}
    own = users.verify(exchanged(posts, token, on_behalf="self"))
    assert (own.subject.id, own.actors) == ("service|posts", ())
    users.close()


def test_what_an_exchange_gives_can_be_said_and_denied(
    posts: Watchword, watchword_issuer: TestIssuer
) -> None:
    users = Watchword(**watchword_issuer.settings("users"), environ={})
    watchword_issuer.exchanges["users"] = {"users:read"}
    token = watchword_issuer.token(audience="posts", scope="posts:read")
    assert users.verify(exchanged(posts, token)).scope == {"users:read"}
    watchword_issuer.exchanges["users"] = None
    with pytest.raises(ExchangeDenied) as caught:
        exchanged(posts, watchword_issuer.token(audience="posts"))
    assert caught.value.error == "invalid_target"
    users.close()


app = Flask(__name__)
auth = watchword.flask.Watchword(app, issuer="https://login.example", audience="posts", environ={})


@app.get("/posts")
@auth.require("posts:read")
def read_posts() -> str:
    return auth.token.subject.id


ww = watchword.fastapi.Watchword(issuer="https://login.example", audience=["posts", "blog"], environ={})
api = FastAPI()


@api.get("/posts")
async def read_posts_async(
    token: Annotated[watchword.fastapi.VerifiedToken, ww.require("posts:read")],
) -> str:
    return token.subject.id


def test_a_client_of_the_frameworks_own_is_signed_in(watchword_issuer: TestIssuer) -> None:
    watchword_issuer.install(auth)
    answer = watchword_issuer.client(app, "jane_doe", scope="posts:read").get("/posts")
    assert (answer.status_code, answer.text) == (200, "jane_doe")
    assert watchword_issuer.client(app).get("/posts").status_code == 403
    assert app.test_client().get("/posts").status_code == 401
    watchword_issuer.install(ww)
    answer = watchword_issuer.client(api, "jane_doe", audience="posts", scope="posts:read").get("/posts")
    assert (answer.status_code, answer.json()) == (200, "jane_doe")


def test_a_service_with_several_names_has_one_that_tokens_are_for(watchword_issuer: TestIssuer) -> None:
    watchword_issuer.install(ww)
    assert ww.verify(watchword_issuer.token()).audience == ("blog",)


def test_a_service_is_afterwards_what_it_was_before() -> None:
    before = dict(vars(auth))
    with TestIssuer() as first, TestIssuer() as second:
        first.install(auth)
        second.install(auth)
        auth.verify(second.token())
        with pytest.raises(TokenError):
            auth.verify(first.token())
        second.close()
        auth.verify(first.token())
    assert vars(auth) == before
    assert auth.settings.issuer.issuer == "https://login.example"


def test_what_a_service_demands_of_its_issuer_stays() -> None:
    settings = IssuerSettings(
        "https://keycloak.example",
        algorithms=["RS256"],
        token_types=["JWT"],
        required_claims=["azp"],
        jwks_uri="https://keys.example/jwks",
    )
    service = Watchword(issuer=settings, audience="posts", environ={})
    with TestIssuer() as issuer, pytest.raises(ValueError, match="TestIssuer\\(token_type"):
        issuer.install(service)
    with TestIssuer(token_type="JWT") as issuer, pytest.raises(ValueError, match="TestIssuer\\(algorithm"):
        issuer.install(service)
    with TestIssuer("https://keycloak.example", token_type="JWT", algorithm="RS256") as issuer:
        issuer.install(service)
        assert service.verify(issuer.token(claims={"azp": "web"})).issuer == "https://keycloak.example"
        with pytest.raises(TokenError, match="azp"):
            service.verify(issuer.token())


def test_served_on_loopback_it_answers_those_who_fetch_themselves() -> None:
    with TestIssuer.serving() as issuer:
        ww = Watchword(issuer=issuer.url, audience="posts", environ={})
        token = issuer.token(audience="posts")
        with issuer.down(), pytest.raises(KeysUnavailable, match="503"):
            ww.verify(token)
        ww.close()
        ww = Watchword(
            issuer=IssuerSettings(issuer.url, jwks_uri=issuer.jwks_uri), audience="posts", environ={}
        )
        assert ww.verify(token).subject.id == "john_doe"
        ww.close()


def test_a_lifespan_runs_as_long_as_the_issuer_lives() -> None:
    seen = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        seen.append("up")
        yield
        seen.append("down")

    served = FastAPI(lifespan=lifespan)
    with TestIssuer() as issuer:
        send = issuer.calling(served, "/nowhere", method="POST", json={})
        assert (send([]).status, seen) == (404, ["up"])
    assert seen == ["up", "down"]


def test_a_request_to_a_url_has_no_options(watchword_issuer: TestIssuer) -> None:
    with pytest.raises(TypeError, match="found json"):
        watchword_issuer.calling("http://127.0.0.1:1", json={})
