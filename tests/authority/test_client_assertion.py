"""Clients with a key: the assertion is theirs, for us alone, for a short time, and works once."""

import asyncio
from typing import Any

import pytest

from watchword.authority.client_assertion import ASSERTION_TYPE
from watchword.authority.requests import TokenRequest
from watchword.errors import InvalidClient, InvalidRequest, OAuthError, TemporarilyUnavailable
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.private_key import PrivateKey

from .conftest import ISSUER, World, signed

pytestmark = pytest.mark.anyio

ASK = {"grant_type": "client_credentials", "audience": "billing"}


async def send(world: World, assertion: str | None = None, **form: str) -> str:
    return (await world.ask(**ASK | world.asserted(assertion) | form)).access_token


@pytest.mark.parametrize("typ", ["client-authentication+jwt", "JWT", None, "application/JWT"])
async def test_a_signed_assertion_lets_its_client_in(world: World, typ: str | None) -> None:
    token = world.read(await send(world, world.assertion(typ=typ)), "billing")
    assert token.subject.id == "service|users"


@pytest.mark.threat(96)
async def test_an_assertion_works_once(world: World) -> None:
    assertion = world.assertion()
    assert await send(world, assertion)
    with pytest.raises(InvalidClient, match="used before"):
        await send(world, assertion)


@pytest.mark.threat(96)
async def test_of_fifty_concurrent_replays_one_succeeds(world: World) -> None:
    assertion = world.assertion()
    outcomes = await asyncio.gather(*(send(world, assertion) for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(outcome, str) for outcome in outcomes) == 1
    assert sum(type(outcome) is InvalidClient for outcome in outcomes) == 49
    assert [event.type for event in await world.events()] == ["token.issued"]


@pytest.mark.threat(96)
async def test_an_assertion_is_used_up_across_restarts_and_endpoints(world: World) -> None:
    used_at_the_token_endpoint = world.assertion(jti="a")
    assert await send(world, used_at_the_token_endpoint)
    world.authority = world.restarted()
    with pytest.raises(InvalidClient):
        await world.introspect(token="x", **world.asserted(used_at_the_token_endpoint))
    used_at_introspection = world.assertion(jti="b")
    assert await world.introspect(token="x", **world.asserted(used_at_introspection)) == {"active": False}
    with pytest.raises(InvalidClient):
        await send(world, used_at_introspection)


@pytest.mark.threat(96)
async def test_a_refused_request_uses_its_assertion_up_too(world: World) -> None:
    assertion = world.assertion()
    with pytest.raises(OAuthError):
        await send(world, assertion, audience="nowhere")
    with pytest.raises(InvalidClient, match="used before"):
        await send(world, assertion)


@pytest.mark.threat(96)
async def test_a_forgery_uses_nobodys_jti_up(world: World) -> None:
    genuine = world.assertion()
    forged = world.assertion(key=PrivateKey.generate("ES256"), kid=world.users_key.kid)
    with pytest.raises(InvalidClient):
        await send(world, forged)
    assert await send(world, genuine)


@pytest.mark.threat(96)
async def test_a_jti_is_unique_per_client_and_no_two_pairs_look_alike(world: World) -> None:
    posts_key = PrivateKey.generate("ES256")
    world.change("posts", secret_sha256=(), jwks=JWKSet([posts_key.public]))
    assert await send(world, world.assertion(jti="one"))
    with pytest.raises(OAuthError) as caught:  # known, but it has no rule
        await send(world, world.assertion("posts", posts_key, jti="one"))
    assert caught.value.error == "invalid_target"


@pytest.mark.threat(97)
@pytest.mark.parametrize(
    "aud",
    [
        f"{ISSUER}/token",
        f"{ISSUER}/",
        ISSUER.upper(),
        "https://other.example",
        [ISSUER],
        [ISSUER, "https://other.example"],
        [],
        {"0": ISSUER},
        "",
        None,
    ],
)
async def test_only_the_issuer_identifier_as_one_text_is_an_audience(world: World, aud: Any) -> None:
    with pytest.raises(InvalidClient):
        await send(world, world.assertion(aud=aud))


@pytest.mark.threat(98)
async def test_the_algorithm_is_the_registered_keys_and_nothing_the_header_says(
    world: World, rsa_key: PrivateKey
) -> None:
    for alg in ("none", "HS256", "ES384", "RS256", "PS256", "EdDSA"):
        with pytest.raises(InvalidClient):
            await send(world, world.assertion(alg=alg))
    world.change("users", jwks=JWKSet([rsa_key.public]))
    pss = PrivateKey(rsa_key._material, alg="PS256", kid=rsa_key.kid)
    with pytest.raises(InvalidClient):
        await send(world, world.assertion(key=pss))
    assert await send(world, world.assertion(key=rsa_key))


@pytest.mark.threat(98)
async def test_an_rsa_key_registered_without_alg_is_for_rs256(world: World, rsa_key: PrivateKey) -> None:
    jwk = {name: value for name, value in rsa_key.public_jwk().items() if name != "alg"}
    world.change("users", jwks=JWKSet.from_dict({"keys": [jwk]}))
    assert await send(world, world.assertion(key=rsa_key))
    pss = PrivateKey(rsa_key._material, alg="PS256", kid=rsa_key.kid)
    with pytest.raises(InvalidClient):
        await send(world, world.assertion(key=pss, jti="other"))


@pytest.mark.threat(98)
@pytest.mark.parametrize("member", ["jku", "x5u", "jwk", "x5c", "crit"])
async def test_a_header_that_brings_a_key_is_refused_without_a_fetch(world: World, member: str) -> None:
    key = PrivateKey.generate("ES256")
    from watchword.tokens import base64url, strict_json

    value = (
        dict(key.public_jwk())
        if member == "jwk"
        else ["x"]
        if member in {"x5c", "crit"}
        else "https://evil.example"
    )
    header = {"alg": "ES256", "kid": world.users_key.kid, "typ": "JWT", member: value}
    payload = {"iss": "users", "sub": "users", "aud": ISSUER, "exp": int(world.clock.now()) + 60, "jti": "x"}
    text = b".".join(base64url.encode(strict_json.encode(part)) for part in (header, payload))
    assertion = (text + b"." + base64url.encode(key.sign(text))).decode()
    with pytest.raises(InvalidClient):
        await send(world, assertion)
    assert world.published.asked == []


@pytest.mark.threat(98)
async def test_a_key_that_is_no_longer_registered_opens_nothing(world: World) -> None:
    world.change("users", jwks=JWKSet([PrivateKey.generate("ES256").public]))
    with pytest.raises(InvalidClient):
        await send(world)


@pytest.mark.parametrize("kid", [None, "", "other", "OWN", "../own"])
async def test_the_kid_must_name_the_registered_key(world: World, kid: str | None) -> None:
    with pytest.raises(InvalidClient):
        await send(world, world.assertion(kid=kid))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1_800_000_301},  # five minutes and one second ahead
        {"exp": 1_800_000_000},  # now
        {"exp": 1_800_000_060_000},  # milliseconds
        {"jti": None},
        {"jti": ""},
        {"jti": 5},
        {"jti": ["assertion-1"]},
        {"sub": "posts"},
        {"sub": None},
        {"sub": "service|users"},
        {"iss": "posts"},
        {"iss": "us\u0435rs"},
        {"iss": ["users"]},
        {"iss": None},
        {"nbf": 1_800_000_010},
        {"iat": 1_800_000_010},
        {"cnf": {"jkt": "x"}},
        {"act": {"sub": "service|posts"}},
    ],
)
async def test_an_assertion_says_exactly_who_until_when_and_once(
    world: World, claims: dict[str, Any]
) -> None:
    with pytest.raises(InvalidClient):
        await send(world, world.assertion(**claims))


@pytest.mark.parametrize("sub", ["posts", "service|users", "Users"])
async def test_an_assertion_of_its_own_type_speaks_of_its_maker_too(world: World, sub: str) -> None:
    with pytest.raises(InvalidClient, match="sub"):
        await send(world, world.assertion(typ="client-authentication+jwt", sub=sub))


async def test_five_minutes_ahead_is_not_too_far(world: World) -> None:
    assert await send(world, world.assertion(exp=1_800_000_300))


@pytest.mark.threat(98)
async def test_tokens_of_other_kinds_are_no_assertions(world: World) -> None:
    claims = {"iss": "users", "sub": "users", "client_id": "users", "iat": 1_800_000_000, "aud": ISSUER}
    claims |= {"exp": 1_800_000_060, "jti": "x"}
    for typ in ("at+jwt", "dpop+jwt", "logout+jwt", "oauth-authz-req+jwt"):
        with pytest.raises(InvalidClient):
            await send(world, signed(world.users_key, claims, typ=typ))
    theirs = Issuer(ISSUER, MemoryKeyStore(), clock=world.clock).issue("users", ISSUER)
    with pytest.raises(InvalidClient):
        await send(world, theirs)
    own = world.issuer.issue("service|users", ISSUER, client_id="users")
    with pytest.raises(InvalidClient):
        await send(world, own)


async def test_an_assertion_type_of_another_kind_or_half_an_assertion_is_refused(world: World) -> None:
    with pytest.raises(InvalidClient):
        await world.ask(**ASK, client_assertion_type="urn:x", client_assertion=world.assertion())
    with pytest.raises(InvalidRequest):
        await world.ask(**ASK, client_assertion=world.assertion())
    with pytest.raises(InvalidRequest):
        await world.ask(**ASK, client_assertion_type=ASSERTION_TYPE)
    with pytest.raises(InvalidRequest):
        await send(world, client_id="posts")
    assert await send(world, client_id="users")


@pytest.mark.threat(95)
async def test_a_client_with_a_secret_cannot_use_a_key(world: World) -> None:
    with pytest.raises(InvalidClient):
        await send(world, world.assertion("posts"))


async def test_keys_may_be_published_by_the_client(world: World) -> None:
    world.change("users", jwks=None, jwks_uri="https://users.example/jwks.json")
    with pytest.raises(TemporarilyUnavailable):
        await send(world)
    world.published.sets["https://users.example/jwks.json"] = JWKSet([world.users_key.public])
    assert await send(world)
    assert set(world.published.asked) == {"https://users.example/jwks.json"}


@pytest.mark.parametrize("assertion", ["x", "a.b.c", "....", "\x00", "ä.b.c", "A" * 20_000, "e30.e30.e30"])
async def test_what_is_no_token_is_an_invalid_client(world: World, assertion: str) -> None:
    with pytest.raises(InvalidClient):
        await send(world, assertion)


async def test_refusals_of_strangers_are_counted_and_not_kept(world: World) -> None:
    with pytest.raises(InvalidClient):
        await send(world, world.assertion(key=PrivateKey.generate("ES256"), kid=world.users_key.kid))
    request = TokenRequest([("scope", "a"), ("scope", "b")], None, None)
    with pytest.raises(InvalidRequest):
        await world.authority.tokens.token(request)
    assert await world.events() == []
