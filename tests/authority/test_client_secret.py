"""Clients with a secret: Basic or form, hashed, two valid at once, and no other way in."""

import base64

import pytest

from watchword.authority.client_secret import Credentials, demand_secret, read_basic
from watchword.authority.requests import TokenRequest
from watchword.errors import InvalidClient, InvalidRequest

from .conftest import World, basic, hashed

pytestmark = pytest.mark.anyio

ASK = {"grant_type": "client_credentials", "audience": "billing"}


def raw(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


@pytest.fixture
def world(world: World) -> World:
    world.change("users", jwks=None, secret_sha256=(hashed("old-secret"), hashed("new-secret")))
    return world


async def send(world: World, authorization: str | None = None, **form: str) -> str:
    answer = await world.authority.tokens.token(TokenRequest(list((ASK | form).items()), authorization, "r"))
    return answer.access_token


async def test_a_secret_is_accepted_in_the_header_and_in_the_form(world: World) -> None:
    assert await send(world, basic("users", "old-secret"))
    assert await send(world, client_id="users", client_secret="old-secret")


@pytest.mark.threat(95)
async def test_two_secrets_are_valid_at_once(world: World) -> None:
    assert await send(world, basic("users", "old-secret"))
    assert await send(world, basic("users", "new-secret"))
    world.change("users", secret_sha256=(hashed("new-secret"),))
    with pytest.raises(InvalidClient, match="wrong"):
        await send(world, basic("users", "old-secret"))


async def test_header_credentials_are_form_decoded(world: World) -> None:
    world.change("users", secret_sha256=(hashed("a+b %:ü"),))
    assert await send(world, raw(b"users:a%2Bb+%25%3A%C3%BC"))
    assert await send(world, raw(b"us%65rs:a%2Bb%20%25%3a%c3%bc"))


async def test_a_percent_sign_that_encodes_nothing_is_refused_even_if_the_secret_has_it(world: World) -> None:
    world.change("users", secret_sha256=(hashed("100%zz"),))
    with pytest.raises(InvalidClient, match="form-urlencoded"):
        await send(world, raw(b"users:100%zz"))
    assert await send(world, raw(b"users:100%25zz"))
    assert await send(world, client_id="users", client_secret="100%zz")  # a form is decoded by its reader


async def test_a_header_of_any_length_is_refused_before_it_is_decoded(world: World) -> None:
    with pytest.raises(InvalidClient, match="at most 4096"):
        await send(world, "Basic " + "A" * 4_100)


@pytest.mark.threat(95)
@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        "Bearer abc",
        "basic-ish dXNlcnM6b2xkLXNlY3JldA==",
        "Basic dXNlcnM6b2xkLXNlY3JldA",  # no padding
        "Basic dXNlcnM6b2xkLXNlY3JldA==, Basic dXNlcnM6b2xkLXNlY3JldA==",
        "Basic dXNl\ncnM6b2xkLXNlY3JldA==",
        "Basic dXNlcnM_b2xkLXNlY3JldA==",
        "Basic " + "A" * 8_000,
        raw(b"users"),
        raw(b":old-secret"),
        raw(b"users:"),
        raw(b"users:old-secret\x00"),
        raw(b"users\x00:old-secret"),
        raw(b"users%00:old-secret"),
        raw(b"users:old-secret%"),
        raw(b"users:old%2-secret"),
        raw(b"users:old%zz-secret"),
        raw(b"users%ff:old-secret"),
        raw(b"users:old-secret\xff"),
        raw(b"Users:old-secret"),
        raw(b"users :old-secret"),
        raw("us\u0435rs:old-secret".encode()),
        raw("ｕsers:old-secret".encode()),
        raw(b"users:" + hashed("old-secret").encode()),
        raw(b"users:OLD-SECRET"),
        raw(b"users:old-secre"),
        raw(b"nobody:old-secret"),
        raw(b"posts:old-secret"),
    ],
)
async def test_anything_but_the_exact_credentials_is_refused(world: World, authorization: str) -> None:
    with pytest.raises(InvalidClient):
        await send(world, authorization)


@pytest.mark.threat(95)
async def test_two_methods_in_one_request_are_refused(world: World) -> None:
    for form in (
        {"client_secret": "old-secret"},
        {"client_id": "users", "client_secret": "old-secret"},
        world.asserted(),
    ):
        with pytest.raises(InvalidRequest, match="one method"):
            await send(world, basic("users", "old-secret"), **form)
    with pytest.raises(InvalidRequest, match="one method"):
        await send(world, client_id="users", client_secret="old-secret", **world.asserted())


async def test_two_names_for_one_client_are_refused(world: World) -> None:
    with pytest.raises(InvalidRequest, match="client_id"):
        await send(world, basic("users", "old-secret"), client_id="posts")
    assert await send(world, basic("users", "old-secret"), client_id="users")


@pytest.mark.threat(95)
async def test_a_client_with_keys_has_no_secret(world: World) -> None:
    world.change("users", jwks=world.issuer.jwk_set(), secret_sha256=())
    for secret in ("old-secret", "", "0" * 64):
        with pytest.raises(InvalidClient, match="registered for a key"):
            await send(world, basic("users", secret))


@pytest.mark.threat(95)
async def test_a_client_that_has_not_been_given_a_credential_is_told_so_in_the_log(world: World) -> None:
    world.change("users", jwks=None, secret_sha256=())
    with pytest.raises(InvalidClient, match="client users has no credential yet"):
        await send(world, basic("users", "old-secret"))


@pytest.mark.threat(108)
async def test_nobody_is_let_in_without_proof(world: World) -> None:
    for form in ({}, {"client_id": "users"}, {"client_id": "users", "client_secret": ""}):
        with pytest.raises(InvalidClient, match="none"):
            await send(world, **form)
    assert await world.events() == []


@pytest.mark.threat(108)
async def test_an_exchange_by_nobody_looks_at_no_token(world: World) -> None:
    with pytest.raises(InvalidClient):
        await world.exchange(None, world.staff_token(), "users", client_id="posts")
    assert world.published.asked == []


def test_an_unknown_client_a_keyless_one_and_a_wrong_secret_differ_for_the_operator_only(
    world: World,
) -> None:
    world.change("posts", secret_sha256=())
    public = set()
    for client_id in ("nobody", "posts", "users"):
        with pytest.raises(InvalidClient) as caught:
            demand_secret(Credentials(client_id, "guess"), world.document, 0.0)
        public.add((caught.value.error, caught.value.public, caught.value.status))
    assert public == {("invalid_client", "client authentication failed", 401)}


def test_credentials_do_not_show_their_secret() -> None:
    assert "canary" not in repr(read_basic(basic("users", "canary")))
    assert "canary" not in repr(TokenRequest([("client_secret", "canary")], basic("u", "canary"), None))
