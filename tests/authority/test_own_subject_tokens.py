"""Exchanging our own tokens: meant for the client, of the declared type, of a world that still stands."""

import uuid
from typing import Any

import pytest

from watchword.errors import InvalidRequest, InvalidTarget
from watchword.grants.token_exchange import ACCESS_TOKEN, ID_TOKEN, JWT
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore
from watchword.tokens.private_key import PrivateKey

from .conftest import ISSUER, World, payload_of, rule, signed

pytestmark = pytest.mark.anyio


@pytest.fixture
async def users_token(world: World) -> str:
    """A token for users, on behalf of a person of staff, with posts as its actor."""
    return (await world.exchange("posts", world.staff_token(), "users")).access_token


async def onward(world: World, token: str, **form: str) -> str:
    """Exchange a token at users for one at billing."""
    asserted = world.asserted(world.assertion(jti=str(uuid.uuid4())))
    return (await world.exchange(None, token, "billing", **asserted | form)).access_token


@pytest.mark.threat(116)
async def test_a_second_hop_keeps_person_story_session_and_the_whole_chain(
    world: World, users_token: str
) -> None:
    token = world.read(await onward(world, users_token), "billing")
    assert token.subject.id == "staff|john_doe"
    assert token.actors == ("service|users", "service|posts")
    assert token.story_id == "story-1"
    assert token.session_id == "staff|session-1"
    assert token.client_id == "users"
    assert token.scope == {"billing:read"}
    assert token.claims["aud"] == "billing"


@pytest.mark.threat(112)
async def test_a_token_meant_for_somebody_else_cannot_be_exchanged(world: World, users_token: str) -> None:
    with pytest.raises(InvalidRequest, match="aud") as caught:
        await world.exchange("posts", users_token, "billing")
    assert caught.value.__cause__ is not None
    with pytest.raises(InvalidRequest, match="aud"):
        await world.exchange("billing", users_token, "users")


@pytest.mark.threat(111, 120)
async def test_an_expired_token_cannot_be_exchanged(world: World, users_token: str) -> None:
    world.clock.time += 120
    with pytest.raises(InvalidRequest, match="expired"):
        await onward(world, users_token)


@pytest.mark.threat(120)
async def test_no_hop_outlives_the_first(world: World) -> None:
    world.clock.time += 0.9
    first = world.staff_token(exp=1_800_000_040.5)
    users = (await world.exchange("posts", first, "users")).access_token
    assert payload_of(users)["exp"] == 1_800_000_040
    world.clock.time += 20
    assert payload_of(await onward(world, users))["exp"] == 1_800_000_040


@pytest.mark.threat(113)
@pytest.mark.parametrize(
    "declared",
    [
        ID_TOKEN,
        "urn:ietf:params:oauth:token-type:refresh_token",
        "urn:ietf:params:oauth:token-type:saml2",
        "access_token",
        ACCESS_TOKEN.upper(),
    ],
)
async def test_an_access_token_is_nothing_else(world: World, users_token: str, declared: str) -> None:
    with pytest.raises(InvalidRequest, match="subject_token_type"):
        await onward(world, users_token, subject_token_type=declared)


@pytest.mark.threat(113)
async def test_an_access_token_is_a_jwt_too(world: World, users_token: str) -> None:
    assert await onward(world, users_token, subject_token_type=JWT)


@pytest.mark.threat(113)
@pytest.mark.parametrize("typ", ["JWT", None, "refresh+jwt", "logout+jwt", "id_token"])
async def test_what_our_key_signed_as_another_type_is_no_access_token(
    world: World, users_token: str, typ: str | None
) -> None:
    key = world.issuer.keyring.active.key
    for declared in (ACCESS_TOKEN, JWT, ID_TOKEN):
        with pytest.raises(InvalidRequest):
            await onward(world, signed(key, payload_of(users_token), typ=typ), subject_token_type=declared)


@pytest.mark.threat(116, 117)
async def test_no_claim_of_a_subject_token_can_be_changed_on_the_way(world: World, users_token: str) -> None:
    payload = payload_of(users_token)
    head, _, signature = users_token.split(".")
    stranger = PrivateKey.generate("ES256")
    kid = world.issuer.keyring.active.kid
    for change in (
        {"act": {"sub": "service|root"}},
        {"sub": "staff|root"},
        {"txn": "x"},
        {"exp": 1_900_000_000},
    ):
        forged = signed(stranger, payload | change, kid=kid)
        with pytest.raises(InvalidRequest, match="signature"):
            await onward(world, forged)
        spliced = f"{head}.{forged.split('.')[1]}.{signature}"
        with pytest.raises(InvalidRequest, match="signature"):
            await onward(world, spliced)


@pytest.mark.threat(115)
async def test_subject_and_actor_cannot_be_swapped(world: World, users_token: str) -> None:
    with pytest.raises(InvalidRequest, match="actor_token"):
        await onward(world, world.staff_token(), actor_token=users_token, actor_token_type=ACCESS_TOKEN)
    with pytest.raises(InvalidRequest, match="actor_token"):
        await onward(world, users_token, actor_token=users_token, actor_token_type=ACCESS_TOKEN)


@pytest.mark.threat(51)
async def test_a_token_bound_to_a_key_is_not_exchanged_as_a_bearer(world: World, users_token: str) -> None:
    key = world.issuer.keyring.active.key
    bound = signed(key, payload_of(users_token) | {"cnf": {"jkt": "x"}})
    with pytest.raises(InvalidRequest, match="cnf"):
        await onward(world, bound)


@pytest.mark.threat(118)
@pytest.mark.parametrize(
    ("may_act", "allowed"), [({"sub": "service|users"}, True), ({"sub": "service|posts"}, False)]
)
async def test_may_act_of_our_own_token_is_honoured(
    world: World, users_token: str, may_act: dict[str, Any], allowed: bool
) -> None:
    key = world.issuer.keyring.active.key
    token = signed(key, payload_of(users_token) | {"may_act": may_act})
    if allowed:
        assert payload_of(await onward(world, token))["may_act"] == may_act
    else:
        with pytest.raises(InvalidRequest, match="may_act"):
            await onward(world, token)


@pytest.mark.threat(102)
async def test_a_token_of_a_client_that_is_gone_cannot_be_exchanged(world: World, users_token: str) -> None:
    del world.services["posts"]
    world.authority.trust.replace(world.document)
    with pytest.raises(InvalidRequest, match="not registered"):
        await onward(world, users_token)


@pytest.mark.threat(102)
async def test_a_token_of_an_impersonator_that_is_gone_cannot_be_exchanged(world: World) -> None:
    world.change("users", allow=(rule("posts", "users:read", "posts:read", act_as="subject"),))
    world.change("billing", allow=(rule("users", "posts:read"),))
    token = (await world.exchange("posts", world.staff_token(), "users")).access_token
    assert "act" not in payload_of(token)
    assert await onward(world, token)
    del world.services["posts"]
    world.authority.trust.replace(world.document)
    with pytest.raises(InvalidRequest, match="not registered"):
        await onward(world, token)


@pytest.mark.threat(102)
async def test_people_of_an_issuer_that_is_gone_are_gone(world: World, users_token: str) -> None:
    del world.issuers["staff"]
    world.authority.trust.replace(world.document)
    with pytest.raises(InvalidRequest, match="not registered"):
        await onward(world, users_token)


@pytest.mark.threat(109)
async def test_a_rule_that_is_gone_gives_nothing_any_more(world: World) -> None:
    assert await world.exchange("posts", world.staff_token(), "users")
    world.change("users", allow=())
    with pytest.raises(InvalidTarget):
        await world.exchange("posts", world.staff_token(), "users")


@pytest.mark.threat(107, 121)
@pytest.mark.parametrize(
    "sub", ["john_doe", "|john_doe", "nobody|john_doe", "service|nobody", "service", "", "Local|x"]
)
async def test_a_subject_without_a_known_name_space_is_refused(
    world: World, users_token: str, sub: str
) -> None:
    key = world.issuer.keyring.active.key
    with pytest.raises(InvalidRequest):
        await onward(world, signed(key, payload_of(users_token) | {"sub": sub}))


@pytest.mark.threat(121)
async def test_another_server_with_our_name_but_not_our_key_is_a_stranger(world: World) -> None:
    impostor = Issuer(ISSUER, MemoryKeyStore(), clock=world.clock)
    token = impostor.issue("staff|john_doe", "users", client_id="posts", scope=["users:read"])
    with pytest.raises(InvalidRequest, match="kid"):
        await onward(world, token)


@pytest.mark.threat(107)
async def test_a_service_acting_for_itself_is_never_taken_for_a_person(world: World) -> None:
    own = (
        await world.ask(grant_type="client_credentials", audience="billing", **world.asserted())
    ).access_token
    token = world.read(own, "billing")
    assert token.subject.id == "service|users"
    assert token.actors == ()
    assert token.client_id == "users"


async def test_after_a_key_change_tokens_of_the_old_key_are_still_exchanged(
    world: World, users_token: str
) -> None:
    world.issuer.activate_key(world.issuer.prepare_key())
    token = await onward(world, users_token)
    assert world.read(token, "billing").key_id == world.issuer.keyring.active.kid
    world.issuer.activate_key(world.issuer.prepare_key("Ed25519"))
    assert await onward(world, users_token)
    newer = (await world.exchange("posts", world.staff_token(), "users")).access_token
    assert await onward(world, newer)  # of another algorithm
    retired = next(e.kid for e in world.issuer.keyring.entries if e.state == "retired")
    world.issuer.remove_key(retired)
    with pytest.raises(InvalidRequest, match="kid"):
        await onward(world, users_token)
