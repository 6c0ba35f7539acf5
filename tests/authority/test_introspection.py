"""Introspection: whether a token counts now, for the service that it is meant for and for nobody else."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from watchword.errors import InvalidClient, InvalidRequest
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore

from .conftest import ISSUER, World, payload_of, signed

pytestmark = pytest.mark.anyio

INACTIVE = {"active": False}


@pytest.fixture
async def token(world: World) -> str:
    return (await world.exchange("posts", world.staff_token(), "users")).access_token


async def asked_by_users(world: World, token: str) -> dict[str, Any]:
    asserted = world.asserted(world.assertion(jti=str(uuid.uuid4())))
    return await world.introspect(token=token, **asserted)


async def test_the_service_it_is_meant_for_learns_what_it_says(world: World, token: str) -> None:
    answer = await asked_by_users(world, token)
    payload = payload_of(token)
    assert answer == {
        "active": True,
        "token_type": "Bearer",
        "iss": ISSUER,
        "sub": "staff|john_doe",
        "aud": "users",
        "exp": 1_800_000_120,
        "iat": 1_800_000_000,
        "jti": payload["jti"],
        "client_id": "posts",
        "scope": "users:read",
        "txn": "story-1",
        "sid": "staff|session-1",
        "act": {"sub": "service|posts"},
    }


@pytest.mark.threat(105)
async def test_to_everybody_else_a_good_token_is_inactive(world: World, token: str) -> None:
    assert await world.introspect("posts", token=token) == INACTIVE
    assert await world.introspect("billing", token=token) == INACTIVE
    assert (await asked_by_users(world, token))["active"] is True


@pytest.mark.threat(105)
async def test_nobody_asks_without_proving_who_they_are(world: World, token: str) -> None:
    for form in ({}, {"client_id": "users"}, {"client_id": "users", "client_secret": "guess"}):
        with pytest.raises(InvalidClient):
            await world.introspect(token=token, **form)


@pytest.mark.threat(102, 105)
@pytest.mark.parametrize(
    "happens",
    [
        lambda world: setattr(world.clock, "time", world.clock.time + 120),
        lambda world: world.services.pop("posts"),
        lambda world: world.issuers.pop("staff"),
    ],
    ids=["the token expires", "its client is gone", "the person's issuer is gone"],
)
async def test_it_looks_at_the_world_as_it_is_now(
    world: World, token: str, happens: Callable[[World], object]
) -> None:
    assert (await asked_by_users(world, token))["active"] is True
    happens(world)
    world.authority.trust.replace(world.document)
    assert await asked_by_users(world, token) == INACTIVE


@pytest.mark.threat(102)
async def test_a_token_in_whose_chain_somebody_is_gone_is_inactive(world: World, token: str) -> None:
    asserted = world.asserted(world.assertion(jti="hop"))
    onward = (await world.exchange(None, token, "billing", **asserted)).access_token
    assert (await world.introspect("billing", token=onward))["active"] is True
    del world.services["posts"]  # it acted before users did
    world.authority.trust.replace(world.document)
    assert await world.introspect("billing", token=onward) == INACTIVE


async def test_a_removed_key_makes_its_tokens_inactive(world: World, token: str) -> None:
    old = world.issuer.keyring.active.kid
    world.issuer.activate_key(world.issuer.prepare_key())
    assert (await asked_by_users(world, token))["active"] is True
    world.issuer.remove_key(old)
    assert await asked_by_users(world, token) == INACTIVE


async def test_what_is_no_token_of_ours_is_inactive(world: World, token: str) -> None:
    impostor = Issuer(ISSUER, MemoryKeyStore(), clock=world.clock)
    payload = payload_of(token)
    for text in (
        "x",
        "a.b.c",
        "\x00",
        token[:-4],
        token + "=",
        "A" * 20_000,
        impostor.issue("staff|john_doe", "users", client_id="posts"),
        world.staff_token(aud="users"),
        signed(world.issuer.keyring.active.key, payload, typ="JWT"),
        signed(world.issuer.keyring.active.key, payload | {"aud": ["posts"]}),
        signed(world.issuer.keyring.active.key, payload | {"cnf": {"jkt": "x"}}),
    ):
        assert await asked_by_users(world, text) == INACTIVE
    assert world.published.asked == ["https://keys.example/staff"]  # from the exchange; none for these


async def test_a_request_without_a_token_is_invalid(world: World) -> None:
    with pytest.raises(InvalidRequest, match="token"):
        await world.introspect("posts")
    with pytest.raises(InvalidRequest, match="token"):
        await world.introspect("posts", token="")


async def test_a_hint_changes_nothing(world: World, token: str) -> None:
    for hint in ("access_token", "refresh_token", "nonsense"):
        asserted = world.asserted(world.assertion(jti=hint))
        answer = await world.introspect(token=token, token_type_hint=hint, **asserted)
        assert answer["active"] is True


@pytest.mark.threat(203)
async def test_every_answer_is_in_the_story_of_the_token(world: World, token: str) -> None:
    await asked_by_users(world, token)
    event = await world.last_event()
    assert (event.type, event.outcome, event.client) == ("token.introspected", "allowed", "users")
    assert (event.jti, event.txn) == (payload_of(token)["jti"], "story-1")
    await world.introspect("posts", token=token)
    event = await world.last_event()
    assert (event.outcome, event.client, event.subject) == ("refused", "posts", None)
    assert event.reason is not None
    assert event.reason.startswith("token_audience_mismatch")


async def for_billing(world: World) -> str:
    form = world.asserted(world.assertion(jti="for billing"))
    return (await world.ask(grant_type="client_credentials", audience="billing", **form)).access_token


async def test_who_is_told_the_same_once_more_makes_no_further_event(world: World) -> None:
    token = await for_billing(world)
    for _ in range(3):
        assert (await world.introspect("billing", token=token))["active"] is True
    assert [event.type for event in await world.events()].count("token.introspected") == 1


@pytest.mark.threat(203)
async def test_every_answer_that_is_new_to_a_service_is_an_event(world: World) -> None:
    token = await for_billing(world)
    users = world.services["users"]
    for gone in (False, True, False, False):
        if gone:
            del world.services["users"]
        else:
            world.services["users"] = users
        world.authority.trust.replace(world.document)
        await world.introspect("billing", token=token)
    outcomes = [event.outcome for event in await world.events() if event.type == "token.introspected"]
    assert outcomes == ["allowed", "refused", "allowed"]


async def test_an_assertion_is_used_up_even_if_the_answer_is_known(world: World, token: str) -> None:
    asserted = world.asserted(world.assertion(jti="once"))
    await asked_by_users(world, token)
    assert (await world.introspect(token=token, **asserted))["active"] is True
    with pytest.raises(InvalidClient):
        await world.introspect(token=token, **asserted)
