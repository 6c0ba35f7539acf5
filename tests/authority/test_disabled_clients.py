"""A client that is disabled, and credentials that have ended: refused with every method, wherever named."""

import uuid

import pytest

from watchword.errors import InvalidClient, InvalidRequest
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.private_key import PrivateKey

from .conftest import World, hashed

pytestmark = pytest.mark.anyio


async def active(world: World, token: str, client: str = "users") -> bool:
    proof = world.asserted(world.assertion(client, jti=str(uuid.uuid4()))) if client == "users" else {}
    answer = await world.introspect(None if proof else client, token=token, **proof)
    return bool(answer["active"])


@pytest.mark.threat(102)
async def test_a_disabled_client_is_refused_whatever_it_presents(world: World) -> None:
    world.change("posts", disabled=True)
    world.change("users", disabled=True)
    with pytest.raises(InvalidClient, match="client posts is disabled"):
        await world.exchange("posts", world.staff_token(), "users")
    form = world.asserted(grant_type="client_credentials", audience="billing")
    with pytest.raises(InvalidClient, match="client users is disabled"):
        await world.ask(**form)
    with pytest.raises(InvalidClient, match="client posts is disabled"):
        await world.introspect("posts", token="x")


@pytest.mark.threat(94, 102)
async def test_who_cannot_prove_to_be_a_client_does_not_learn_that_it_is_disabled(world: World) -> None:
    world.change("posts", disabled=True)
    with pytest.raises(InvalidClient, match="the secret of client posts is wrong"):
        await world.ask(client_id="posts", client_secret="guess", grant_type="client_credentials")


@pytest.mark.threat(102)
async def test_a_token_counts_no_more_once_client_actor_or_subject_is_disabled(
    world: World,
) -> None:
    for_users = (await world.exchange("posts", world.staff_token(), "users")).access_token
    own = world.asserted(grant_type="client_credentials", audience="billing")
    in_its_own_name = (await world.ask(**own)).access_token
    asserted = world.asserted(world.assertion(jti="2"))
    for_billing = (await world.exchange(None, for_users, "billing", **asserted)).access_token
    assert await active(world, for_users)
    assert await active(world, for_billing, "billing")
    assert await active(world, in_its_own_name, "billing")
    world.change("posts", disabled=True)  # client of the one, an inner actor of the other
    assert not await active(world, for_users)
    assert not await active(world, for_billing, "billing")
    assert await active(world, in_its_own_name, "billing")
    with pytest.raises(InvalidRequest):
        await world.exchange(None, for_users, "billing", **world.asserted(world.assertion(jti="3")))
    world.change("posts", disabled=False)
    world.change("users", disabled=True)  # the subject of a token in its own name
    assert not await active(world, in_its_own_name, "billing")


@pytest.mark.threat(102)
async def test_a_disabled_client_can_be_called_by_others(world: World) -> None:
    world.change("users", disabled=True)
    assert (await world.exchange("posts", world.staff_token(), "users")).access_token


@pytest.mark.threat(173)
async def test_a_secret_ends_at_its_moment(world: World) -> None:
    old, new = hashed("posts-secret"), hashed("new")
    world.change("posts", secret_sha256=(old, new), ends={old: world.clock.now() + 60})
    assert await world.exchange("posts", world.staff_token(), "users")
    world.clock.time += 59.5
    assert await world.exchange("posts", world.staff_token(), "users")
    world.clock.time += 0.5
    with pytest.raises(InvalidClient, match="the secret of client posts has ended: it was replaced"):
        await world.exchange("posts", world.staff_token(), "users")


@pytest.mark.threat(98, 173)
async def test_a_key_ends_at_its_moment_and_the_other_one_goes_on(world: World) -> None:
    other = PrivateKey.generate("ES256")
    keys = JWKSet([world.users_key.public, other.public])
    world.change("users", jwks=keys, ends={world.users_key.kid: world.clock.now()})
    form = {"grant_type": "client_credentials", "audience": "billing"}
    with pytest.raises(InvalidClient, match="the key has ended: it was replaced"):
        await world.ask(**world.asserted(**form))
    assert await world.ask(**world.asserted(world.assertion(key=other, kid=other.kid), **form))
