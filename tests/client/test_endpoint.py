"""What is said to a token endpoint, and how strictly its answers are read; no network at all."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus

import pytest

from watchword.client.authentication import ClientAuthentication, KeyAuthentication, SecretAuthentication
from watchword.client.endpoint import SubjectToken, Target, TokenAnswer, TokenEndpoint
from watchword.errors import ExchangeDenied, TokenEndpointUnreachable
from watchword.fetch import Flow, Request, Response
from watchword.tokens import base64url
from watchword.tokens.private_key import PrivateKey

ISSUER = "https://issuer.example"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
USERS = Target("users", audience="users", scope=frozenset({"users:read", "users:list"}))
JOHN = SubjectToken("johns.own.token", "access_token", 2_000_000_000)
NOW = 1_800_000_000.7


def locate() -> Flow[str]:
    return f"{ISSUER}/token"
    yield


def ask(flow: Flow[TokenAnswer]) -> tuple[Request, list[tuple[str, str]]]:
    request = next(flow)
    return request, parse_qsl((request.body or b"").decode(), strict_parsing=True)


def answer(flow: Flow[TokenAnswer], response: Response) -> TokenAnswer:
    next(flow)
    with pytest.raises(StopIteration) as stop:
        flow.send(response)
    found: TokenAnswer = stop.value.value
    return found


def endpoint(client: ClientAuthentication | None = None, **more: Any) -> TokenEndpoint:
    return TokenEndpoint(ISSUER, locate, client or SecretAuthentication("posts", "s3cr3t"), **more)


def told(status: int = 200, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
    return Response(status, headers or {}, json.dumps(members).encode())


GOOD = {
    "access_token": "new.users.token",
    "issued_token_type": ACCESS_TOKEN,
    "token_type": "Bearer",
    "expires_in": 120,
}


def test_an_exchange_says_what_rfc_8693_wants_and_nothing_more() -> None:
    request, form = ask(endpoint().exchange(JOHN, USERS, NOW))
    assert (request.method, request.url) == ("POST", f"{ISSUER}/token")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert dict(form) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "johns.own.token",
        "subject_token_type": ACCESS_TOKEN,
        "audience": "users",
        "scope": "users:list users:read",
    }
    assert len(form) == 5


def test_a_foreign_token_goes_as_a_jwt_and_a_resource_instead_of_an_audience() -> None:
    foreign = SubjectToken("t.t.t", "jwt", 2_000_000_000)
    target = Target("users", resource="https://users.example")
    _, form = ask(endpoint(requested_token_type="access_token").exchange(foreign, target, NOW))
    assert dict(form)["subject_token_type"] == JWT
    assert dict(form)["resource"] == "https://users.example"
    assert dict(form)["requested_token_type"] == ACCESS_TOKEN
    assert not {"audience", "scope"} & dict(form).keys()


def test_client_credentials_carry_no_subject() -> None:
    _, form = ask(endpoint().client_credentials(USERS, NOW))
    assert dict(form) == {
        "grant_type": "client_credentials",
        "audience": "users",
        "scope": "users:list users:read",
    }


@pytest.mark.parametrize(("client_id", "secret"), [("posts", "s3cr3t"), ("a:b c", "ü:+/=&%"), ("é", " ")])
def test_basic_encodes_both_halves_before_it_joins_them(client_id: str, secret: str) -> None:
    request, form = ask(endpoint(SecretAuthentication(client_id, secret)).client_credentials(USERS, NOW))
    pair = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
    for decode in (unquote_plus, unquote):  # as the RFC has it, and as many servers do it
        assert [decode(half) for half in pair.split(":")] == [client_id, secret]
    assert "client_secret" not in dict(form)


def test_post_puts_the_secret_into_the_form_and_only_there() -> None:
    client = SecretAuthentication("posts", "s3cr3t", method="client_secret_post")
    request, form = ask(endpoint(client).client_credentials(USERS, NOW))
    assert (dict(form)["client_id"], dict(form)["client_secret"]) == ("posts", "s3cr3t")
    assert "Authorization" not in request.headers


def assertion(flow: Flow[TokenAnswer]) -> str:
    _, form = ask(flow)
    assert dict(form)["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert dict(form)["client_id"] == "posts"
    return dict(form)["client_assertion"]


@pytest.mark.threat(97)
def test_an_assertion_is_for_the_issuer_alone_for_a_minute_and_for_once(client_key: PrivateKey) -> None:
    ours = endpoint(KeyAuthentication("posts", client_key))
    tokens = [assertion(ours.exchange(JOHN, USERS, NOW)) for _ in range(20)]
    claims = []
    for token in tokens:
        header, payload, signature = token.encode().split(b".")
        client_key.public.check("ES256")(base64url.decode(signature), header + b"." + payload)
        assert json.loads(base64url.decode(header)) == {
            "alg": "ES256",
            "kid": client_key.kid,
            "typ": "client-authentication+jwt",
        }
        claims.append(json.loads(base64url.decode(payload)))
    assert len({claim.pop("jti") for claim in claims}) == 20
    assert claims[0] == {
        "iss": "posts",
        "sub": "posts",
        "aud": ISSUER,
        "iat": 1_800_000_000,
        "exp": 1_800_000_060,
    }


def test_the_audience_of_an_assertion_can_be_what_a_foreign_server_wants(client_key: PrivateKey) -> None:
    client = KeyAuthentication("posts", client_key, audience=f"{ISSUER}/token")
    payload = assertion(endpoint(client).exchange(JOHN, USERS, NOW)).encode().split(b".")[1]
    assert json.loads(base64url.decode(payload))["aud"] == f"{ISSUER}/token"


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_a_good_answer_is_taken(kind: str) -> None:
    found = answer(
        endpoint().exchange(JOHN, USERS, NOW), told(**GOOD | {"token_type": kind, "scope": "users:read"})
    )
    assert found == TokenAnswer("new.users.token", 120.0, "users:read")


def test_lifetimes_are_bounded_and_short_where_they_are_not_said() -> None:
    flow = endpoint().exchange
    assert answer(flow(JOHN, USERS, NOW), told(**GOOD | {"expires_in": 10**12})).expires_in == 86_400
    unsaid = {name: value for name, value in GOOD.items() if name != "expires_in"}
    assert answer(flow(JOHN, USERS, NOW), told(**unsaid)).expires_in == 60


@pytest.mark.parametrize(
    "change",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "two words"},
        {"access_token": "new\nline"},
        {"access_token": "x" * 20_000},
        {"access_token": ["a"]},
        {"token_type": "N_A"},
        {"token_type": "DPoP"},
        {"token_type": None},
        {"expires_in": 0},
        {"expires_in": -5},
        {"expires_in": "120"},
        {"expires_in": True},
        {"expires_in": None},
        {"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"issued_token_type": "urn:ietf:params:oauth:token-type:id_token"},
        {"issued_token_type": None},
    ],
    ids=str,
)
def test_an_answer_that_is_not_what_was_asked_for_is_not_used(change: dict[str, Any]) -> None:
    flow = endpoint().exchange(JOHN, USERS, NOW)
    next(flow)
    with pytest.raises(TokenEndpointUnreachable):
        flow.send(told(**GOOD | change))


@pytest.mark.parametrize(
    "response",
    [
        Response(200, {}, b""),
        Response(200, {}, b"<html>"),
        Response(200, {}, b'["a"]'),
        Response(200, {}, b'{"access_token": "a", "access_token": "b"}'),
        Response(302, {"location": "https://attacker.example"}),
        Response(404, {}, b"{}"),
        Response(429, {}, b'{"error": "slow_down"}'),
        Response(500, {}, b'{"error": "server_error"}'),
        Response(503, {}, b'{"error": "temporarily_unavailable"}'),
        Response(400, {}, b"bad request"),
        Response(400, {}, b"{}"),
        Response(400, {}, b'{"error": "line\\nbreak"}'),
        Response(400, {}, b'{"error": 5}'),
    ],
    ids=lambda response: f"{response.status} {response.body!r}",
)
def test_an_answer_that_says_nothing_clear_counts_as_none(response: Response) -> None:
    flow = endpoint().exchange(JOHN, USERS, NOW)
    next(flow)
    with pytest.raises(TokenEndpointUnreachable):
        flow.send(response)


@pytest.mark.threat(242)
@pytest.mark.parametrize(
    ("status", "error", "door"),
    [
        (400, "invalid_target", '[[services.users.allow]] caller = "posts"'),
        (400, "unauthorized_client", "the owner of users must allow posts"),
        (400, "invalid_scope", "(users:list users:read)"),
        (401, "invalid_client", "CLIENT_ID"),
        (400, "invalid_request", "cannot be exchanged here"),
        (401, "unauthorized_client", "CLIENT_ID"),
        (403, "access_denied", "cannot be exchanged here"),
        (400, "temporarily_odd", "the server's log"),
    ],
)
def test_a_refusal_names_the_callee_the_code_the_request_and_the_door_to_knock_at(
    status: int, error: str, door: str
) -> None:
    flow = endpoint().exchange(JOHN, USERS, NOW)
    next(flow)
    with pytest.raises(ExchangeDenied) as refused:
        flow.send(told(status, {"x-request-id": "req-1"}, error=error, error_description="johns.own.token"))
    assert (refused.value.error, refused.value.callee, refused.value.request_id) == (error, "users", "req-1")
    for part in (error, "users", "req-1", door):
        assert part in str(refused.value)
    assert "johns.own.token" not in str(refused.value)


def test_a_request_id_that_could_forge_a_log_line_is_left_out() -> None:
    flow = endpoint().exchange(JOHN, USERS, NOW)
    next(flow)
    with pytest.raises(ExchangeDenied) as refused:
        flow.send(told(400, {"x-request-id": "a b\nc"}, error="invalid_target"))
    assert refused.value.request_id is None


def test_neither_tokens_nor_secrets_are_printed(client_key: PrivateKey) -> None:
    printed = [
        repr(JOHN),
        repr(TokenAnswer("new.users.token", 5)),
        repr(endpoint()),
        repr(KeyAuthentication("posts", client_key)),
        repr(SecretAuthentication("posts", "s3cr3t")),
    ]
    for text in printed:
        assert "johns" not in text
        assert "s3cr3t" not in text
        assert "new.users" not in text
