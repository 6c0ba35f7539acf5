"""What is done the fast way says the same as the plain way: base64url, ECDSA signatures, claims, segments."""

import base64
import json
import re
from hashlib import sha256, sha384
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.errors import TokenError, TokenMalformed
from watchword.tokens import base64url, strict_json
from watchword.tokens.algorithms import _der, _ecdsa
from watchword.tokens.claims import AccessTokenClaims, from_compact, typed
from watchword.tokens.jws import split

PLAIN = {
    "iss": "https://id.example",
    "sub": "local|42",
    "aud": "posts",
    "exp": 1_800_000_300,
    "iat": 1_800_000_000,
    "jti": "j",
    "client_id": "web",
    "scope": "a b",
    "txn": "t",
}


def plain_decode(text: bytes) -> bytes | None:
    """The standard library's decoder, and every rule that it does not know."""
    if not re.fullmatch(rb"[A-Za-z0-9_-]*", text) or len(text) % 4 == 1:
        return None
    value = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    return value if base64.urlsafe_b64encode(value).rstrip(b"=") == text else None


def decoded(text: bytes) -> bytes | None:
    try:
        return base64url.decode(text)
    except TokenMalformed:
        return None


@given(st.binary(max_size=600))
@settings(max_examples=200, deadline=None)
def test_base64url_is_that_of_the_standard_library(value: bytes) -> None:
    text = base64.urlsafe_b64encode(value).rstrip(b"=")
    assert base64url.encode(value) == text
    assert base64url.decode(text) == value


@pytest.mark.threat(26, 27)
@pytest.mark.parametrize("length", [*range(10), 16, 33, 34, 35])
def test_every_byte_in_every_place_is_judged_like_the_plain_way(length: int) -> None:
    for place in range(length + 1):
        for byte in range(256):
            text = b"A" * place + bytes([byte]) + b"A" * (length - place)
            assert decoded(text) == plain_decode(text), text


@pytest.mark.threat(27)
@pytest.mark.parametrize("length", range(5))
def test_every_pair_of_last_bytes_is_judged_like_the_plain_way(length: int) -> None:
    for first in range(256):
        for second in range(256):
            text = b"_" * length + bytes([first, second])
            assert decoded(text) == plain_decode(text), text


@given(st.sampled_from([(32, hashes.SHA256(), sha256), (48, hashes.SHA384(), sha384)]), st.data())
@settings(max_examples=300, deadline=None)
def test_ecdsa_halves_have_their_length_however_small_the_numbers(curve: Any, data: st.DataObject) -> None:
    half, hash_, digest = curve
    number = st.integers(min_value=1, max_value=half * 8).flatmap(
        lambda bits: st.integers(min_value=1, max_value=2**bits - 1)
    )
    r, s = data.draw(number), data.draw(number)

    class Key:
        def sign(self, *_: object) -> bytes:
            return encode_dss_signature(r, s)

    _, signer = _ecdsa(hash_, digest, half)
    assert signer(Key())(b"") == r.to_bytes(half, "big") + s.to_bytes(half, "big")


def test_our_own_form_of_claims_needs_no_second_look() -> None:
    text = strict_json.encode(typed(PLAIN))
    assert from_compact(text) == typed(PLAIN)
    assert text == json.dumps(PLAIN, separators=(",", ":")).encode()


@pytest.mark.threat(18, 19, 20, 21, 22, 24)
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PLAIN).encode(),
        json.dumps(dict(reversed(PLAIN.items())), separators=(",", ":")).encode(),
        json.dumps(PLAIN | {"email": "x"}, separators=(",", ":")).encode(),
        json.dumps(PLAIN | {"sub": "é"}, separators=(",", ":")).encode(),
        json.dumps(PLAIN | {"exp": "1"}, separators=(",", ":")).encode(),
        json.dumps({**PLAIN, "exp": 1e3}, separators=(",", ":")).replace("1000.0", "1e3").encode(),
        b'{"iss":"other",' + strict_json.encode(typed(PLAIN))[1:],
        strict_json.encode(typed(PLAIN))[:-1] + b',"txn":"t"}',
        strict_json.encode(typed(PLAIN))[:-1] + b',"txn":"u"}',
        strict_json.encode(typed(PLAIN))[:-1] + b',"cnf":{"a":1,"a":1}}',
        strict_json.encode(typed(PLAIN)) + b" ",
        strict_json.encode(typed(PLAIN)) * 2,
        strict_json.encode(typed(PLAIN)).decode().encode("utf-16"),
        b"\xef\xbb\xbf" + strict_json.encode(typed(PLAIN)),
        b"[]",
        b"",
        b"null",
        b'{"iss":"\xff"}',
        b'{"a":' * 8000,
        strict_json.encode(typed(PLAIN))[:-1] + b',"act":' + b'{"sub":"x","act":' * 900,
        strict_json.encode(typed(PLAIN))[:-1] + b',"exp":' + b"1" * 5000 + b"}",
    ],
    ids=range(21),
)
def test_any_other_form_takes_the_long_way(text: bytes) -> None:
    assert from_compact(text) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(AccessTokenClaims.__struct_fields__), JSON, max_size=6), st.booleans())
@settings(max_examples=400, deadline=None)
def test_whatever_the_short_way_accepts_the_long_way_reads_alike(
    changes: dict[str, Any], ordered: bool
) -> None:
    members = PLAIN | changes
    if ordered:
        members = {name: members[name] for name in AccessTokenClaims.__struct_fields__ if name in members}
    text = json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    short = from_compact(text)
    try:
        long = typed(strict_json.decode_object(text))
    except TokenError:
        assert short is None
    else:
        assert short in (None, long)


@pytest.mark.threat(28)
@given(st.text(alphabet="ab._-", max_size=12))
@settings(max_examples=300, deadline=None)
def test_three_segments_are_three_segments(token: str) -> None:
    parts = token.split(".")
    if len(parts) == 3:
        found = split(token)
        assert [found.header, found.payload, found.signature] == [part.encode() for part in parts]
        assert found.signing_input == ".".join(parts[:2]).encode()
    else:
        with pytest.raises(TokenMalformed, match="three segments"):
            split(token)


@given(
    st.sampled_from([32, 48]).flatmap(lambda half: st.tuples(*2 * [st.binary(min_size=half, max_size=half)]))
)
@settings(max_examples=500)
def test_two_halves_become_the_der_that_the_library_makes_of_their_numbers(
    halves: tuple[bytes, bytes],
) -> None:
    r, s = halves
    assert _der(r, s) == encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


@pytest.mark.parametrize(
    "r", [b"\0" * 32, b"\0" * 31 + b"\1", b"\0" + b"\x80" * 31, b"\xff" * 32, b"\x7f" * 32]
)
@pytest.mark.parametrize("s", [b"\0" * 32, b"\0" * 31 + b"\x80", b"\xff" * 32])
def test_the_edges_of_a_half_become_that_der_too(r: bytes, s: bytes) -> None:
    assert _der(r, s) == encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
