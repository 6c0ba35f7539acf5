"""Only a Bearer challenge that says invalid_token speaks of the token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.client.challenge import says_invalid_token
from watchword.errors import TokenExpired
from watchword.resource.bearer import challenge


@pytest.mark.parametrize(
    "value",
    [
        'Bearer error="invalid_token"',
        "Bearer error=invalid_token",
        'bearer realm="users", error="invalid_token", error_description="the token has expired"',
        'BEARER   ERROR = "invalid_token"',
        'Bearer scope="a b" , , error="invalid_token"',
        'Basic realm="x", Bearer error="invalid_token"',
        'Negotiate, Bearer realm="a\\"b, c", error="invalid_token"',
        'NTLM TlRMTVNTUAAB==, Bearer error="invalid_token"',
        'Bearer error="invalid_token", Basic realm="x"',
        'DPoP algs="ES256", Bearer realm="r",error="invalid_token"',
    ],
)
def test_a_refused_token_is_understood(value: str) -> None:
    assert says_invalid_token([value])
    assert says_invalid_token(["Basic", value])


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer realm=users",
        'Bearer error="insufficient_scope"',
        'Bearer error="Invalid_Token"',
        'Bearer error_description="invalid_token"',
        'Bearer realm="error=invalid_token"',
        'Basic realm="Bearer error=\\"invalid_token\\""',
        'Basic error="invalid_token"',
        'Bearer, Basic error="invalid_token"',
        'DPoP error="invalid_token"',
        'Bearer error="invalid_token',
        'Bearer error="invalid_token" x="y" =',
        'error="invalid_token"',
        "Bearer error='invalid_token'",
        "Bearer é, Bearer error=invalid_token",
        'Bearer error="invalid_token"' + " " * 9_000,
    ],
)
def test_everything_else_says_nothing_about_the_token(value: str) -> None:
    assert not says_invalid_token([value])


def test_our_own_refusals_are_understood() -> None:
    headers = dict(
        challenge(TokenExpired("x"), realm='a "b", c', resource_metadata="https://x.example").headers
    )
    assert says_invalid_token([headers["WWW-Authenticate"]])


@given(
    st.lists(
        st.sampled_from(["Bearer", " ", ",", "error", "=", '"', "invalid_token", "\\", "x"]), max_size=60
    )
)
def test_no_text_takes_long_or_raises(parts: list[str]) -> None:
    says_invalid_token(["".join(parts) * 20])
