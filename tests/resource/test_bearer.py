"""Exactly one credential comes in, and one function says no the same way everywhere."""

import inspect
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword import errors
from watchword.errors import (
    BearerMalformed,
    ExchangeDenied,
    InsufficientScope,
    KeysUnavailable,
    KeyUnknown,
    RoleRequired,
    TokenEndpointUnreachable,
    TokenExpired,
    TokenMalformed,
    TokenMissing,
    WatchwordError,
)
from watchword.resource.bearer import bearer_token, challenge

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_one_bearer_token_is_taken(scheme: str) -> None:
    assert bearer_token([f"{scheme} {TOKEN}"]) == TOKEN


@pytest.mark.parametrize(
    "values", [[], ["Basic dXNlcjpwYXNz"], ["Digest a=b"], [TOKEN], ["DPoP " + TOKEN], ["Bearertoken x"]]
)
def test_without_a_bearer_credential_the_token_is_missing(values: list[str]) -> None:
    with pytest.raises(TokenMissing):
        bearer_token(values)


@pytest.mark.threat(29)
@pytest.mark.parametrize(
    "values",
    [
        [f"Bearer {TOKEN}", f"Bearer {TOKEN}"],
        [f"Bearer {TOKEN}", "Basic dXNlcjpwYXNz"],
        ["", f"Bearer {TOKEN}"],
        [""],
        ["  "],
        ["Bearer"],
        ["Bearer "],
        [f"Bearer {TOKEN} {TOKEN}"],
        [f"Bearer {TOKEN},Bearer {TOKEN}"],
        [f"Bearer {TOKEN}, Basic dXNlcjpwYXNz"],
        [f"Bearer Bearer {TOKEN}"],
        [f'Bearer "{TOKEN}"'],
        [f"Bearer\t{TOKEN}"],
        [f"Bearer token={TOKEN}&x"],
        [f"Bearer {TOKEN}\u00e9"],
        ["Bearer =" + TOKEN],
    ],
)
def test_anything_but_exactly_one_credential_is_malformed(values: list[str]) -> None:
    with pytest.raises(BearerMalformed):
        bearer_token(values)


def test_one_text_is_no_list_of_header_values() -> None:
    with pytest.raises(TypeError):
        bearer_token(f"Bearer {TOKEN}")


@given(st.lists(st.text(max_size=60), max_size=3))
def test_any_header_values_give_a_token_or_a_declared_error(values: list[str]) -> None:
    try:
        token = bearer_token(values)
    except (TokenMissing, BearerMalformed):
        return
    assert re.fullmatch(r"[A-Za-z0-9\-._~+/]+=*", token)


def answer(error: Exception) -> tuple[int, dict[str, str], dict[str, object]]:
    status, headers, body = challenge(error)
    return status, dict(headers), json.loads(body)


@pytest.mark.threat(233)
@pytest.mark.parametrize(
    ("error", "status", "authenticate"),
    [
        (TokenMissing("x"), 401, "Bearer"),
        (
            BearerMalformed("x"),
            400,
            'Bearer error="invalid_request", error_description="the Authorization header is malformed"',
        ),
        (
            TokenExpired("x"),
            401,
            'Bearer error="invalid_token", error_description="the access token has expired"',
        ),
        (
            KeyUnknown("x", kid="y"),
            401,
            'Bearer error="invalid_token", error_description="the access token is not valid"',
        ),
        (
            InsufficientScope("x", required=("a:read", "b:read")),
            403,
            'Bearer error="insufficient_scope",'
            ' error_description="the access token does not hold the required scope", scope="a:read b:read"',
        ),
        (
            RoleRequired("x"),
            403,
            'Bearer error="insufficient_scope",'
            ' error_description="the subject does not have the required role"',
        ),
        (KeysUnavailable("x"), 503, None),
        (TokenEndpointUnreachable("x"), 503, None),
        (errors.CalleeUnreachable("x"), 502, None),
        (errors.CalleeFailed("x"), 502, None),
        (errors.CalleeTimeout("x"), 504, None),
        (ExchangeDenied("x", error="invalid_target", callee="users"), 502, None),
        (ExchangeDenied("x", error="invalid_scope", callee="users"), 403, None),
        (errors.NoCaller("x"), 500, None),
        (ValueError("x"), 500, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_has_its_status_and_challenge(
    error: Exception, status: int, authenticate: str | None
) -> None:
    found, headers, problem = answer(error)
    assert found == status
    assert headers.get("WWW-Authenticate") == authenticate
    assert ("Retry-After" in headers) == (status == 503)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Cache-Control"] == "no-store"
    assert problem["status"] == status
    assert problem["code"] == getattr(error, "code", "internal_error")
    assert {"type", "title", "detail"} <= problem.keys()


def test_realm_and_resource_metadata_stand_in_the_challenge() -> None:
    refusal = challenge(
        TokenMissing("x"), realm="posts", resource_metadata="https://posts.example/.well-known/oauth"
    )
    assert dict(refusal.headers)["WWW-Authenticate"] == (
        'Bearer realm="posts", resource_metadata="https://posts.example/.well-known/oauth"'
    )


@pytest.mark.threat(56, 130)
@pytest.mark.parametrize(
    "error",
    [
        TokenMalformed(f"found {TOKEN}"),
        InsufficientScope(f"found {TOKEN}", required=("a",)),
        ExchangeDenied(f"found {TOKEN}", error=TOKEN, callee=TOKEN, request_id=TOKEN),
        RuntimeError(TOKEN),
    ],
)
def test_nothing_of_the_message_leaves(error: Exception) -> None:
    _, headers, body = challenge(error)
    assert TOKEN.encode() not in body
    assert TOKEN not in str(headers)


def made(cls: type[WatchwordError]) -> WatchwordError:
    """An error of this class, with whatever it demands beyond a message."""
    if cls.__init__ is WatchwordError.__init__:
        return cls("x")
    known = {"status": 400, "retry_after": 1}
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return cls(**{p.name: known.get(p.name, "x") for p in parameters if p.default is p.empty})


def test_every_declared_error_has_an_answer() -> None:
    for _, cls in inspect.getmembers(errors, inspect.isclass):
        if not issubclass(cls, WatchwordError):
            continue
        status, headers, problem = answer(made(cls))
        assert 400 <= status <= 504
        assert problem["code"] == cls.code
        assert ("invalid_token" in headers.get("WWW-Authenticate", "")) == issubclass(cls, errors.TokenError)


@given(st.text(max_size=80))
def test_no_text_breaks_out_of_the_challenge(text: str) -> None:
    headers = dict(challenge(InsufficientScope("x", required=[text]), realm=text).headers)
    value = headers["WWW-Authenticate"]
    assert value.isprintable()
    assert value.isascii()
    assert re.fullmatch(r'Bearer(?: [a-z_]+="[^"\\]*",?)*', value)
