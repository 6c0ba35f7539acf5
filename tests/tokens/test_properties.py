"""Properties that hold for every token, text and JSON object that hypothesis can think of."""

import base64
import json
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watchword.errors import SignatureInvalid, TokenError, TokenMalformed
from watchword.tokens import base64url
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.jws import parse_header, split
from watchword.tokens.strict_json import decode_object

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ALPHABET = string.ascii_letters + string.digits + "-_"
plain = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@QUICK
@given(
    sub=plain,
    scope=st.frozensets(st.text("!#$%&'()*+,-./:;<=>?@[]^_`{|}~" + string.ascii_letters, min_size=1,
    max_size=8), max_size=5),
    roles=st.lists(plain, max_size=3),
    lifetime=st.one_of(st.integers(1, 10**9), st.floats(0.01, 10**9)),
    custom=st.recursive(st.one_of(st.none(), st.booleans(), st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False, allow_infinity=False), plain), lambda x: st.lists(x,
    max_size=3) | st.dictionaries(plain, x, max_size=3), max_leaves=8),
    alg=st.sampled_from(["ES256", "Ed25519", "RS256"]),
)  # fmt: skip
def test_what_was_signed_is_what_is_read(
    forge: Any, sub: str, scope: Any, roles: Any, lifetime: Any, custom: Any, alg: str
) -> None:
    claims = forge.claims(
        sub=sub, scope=" ".join(scope), roles=roles, exp=forge.now + lifetime, custom=custom
    )
    token = forge.verify(forge.sign(forge.header(alg), claims, alg))
    assert token.subject.id == sub
    assert token.scope == scope
    assert token.roles == frozenset(roles)
    assert token.expires_at == forge.now + lifetime
    assert dict(token.claims) == claims


@pytest.mark.threat(26, 27, 31)
@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_no_single_character_of_a_token_can_be_changed(forge: Any, alg: str) -> None:
    token = forge.token(alg)
    for place, old in enumerate(token):
        at = ALPHABET.find(old)
        near = {ALPHABET[(at + 1) % 64], ALPHABET[at ^ 1], ALPHABET[at ^ 32]} if at >= 0 else {"A"}
        for new in (near | {"", ".", "="}) - {old}:
            with pytest.raises(TokenError):
                forge.verify(token[:place] + new + token[place + 1 :])


@QUICK
@given(place=st.integers(0, 10**6), inserted=st.characters(codec=None))
def test_no_character_can_be_added_to_a_token(forge: Any, place: int, inserted: str) -> None:
    token = forge.made_once if hasattr(forge, "made_once") else forge.token()
    forge.made_once = token
    place %= len(token) + 1
    with pytest.raises(TokenError):
        forge.verify(token[:place] + inserted + token[place:])


anything = st.one_of(
    st.text(),
    st.text(ALPHABET + ".", max_size=200),
    st.lists(st.text(ALPHABET, max_size=40), min_size=3, max_size=3).map(".".join),
    st.lists(
        st.binary(max_size=60).map(lambda raw: base64url.encode(raw).decode()), min_size=3, max_size=3
    ).map(".".join),
    st.binary(),
    st.none(),
    st.integers(),
    st.lists(st.text()),
)


@QUICK
@given(value=anything)
def test_whatever_is_no_token_is_refused_with_a_token_error(forge: Any, value: Any) -> None:
    with pytest.raises(TokenError):
        forge.verify(value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@QUICK
@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "x"]), json_values, max_size=7
    ),
    payload=json_values,
)
def test_whatever_json_is_signed_only_token_errors_come_out(forge: Any, header: Any, payload: Any) -> None:
    for head in (header, forge.header() | {k: v for k, v in header.items() if k == "x"}):
        token = forge.sign(json.dumps(head).encode(), json.dumps(payload).encode())
        with pytest.raises(TokenError):
            forge.verify(token)


@QUICK
@given(raw=st.binary(max_size=80))
def test_whatever_bytes_are_signed_only_token_errors_come_out(forge: Any, raw: bytes) -> None:
    with pytest.raises(TokenError):
        forge.verify(forge.payload_text(raw))
    with pytest.raises(TokenError):
        forge.verify(forge.sign(raw, forge.claims()))
    with pytest.raises(TokenError):
        parse_header(raw)


@QUICK
@given(document=st.one_of(json_values,
st.fixed_dictionaries({"keys": st.lists(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e",
"kid", "alg", "use", "key_ops", "d"]), json_values | st.sampled_from(["RSA", "EC", "OKP", "P-256",
"Ed25519", "AQAB", "sig", "verify"])), max_size=4)})))  # fmt: skip
def test_whatever_is_no_key_set_is_refused_or_empty(document: Any) -> None:
    try:
        keys = JWKSet.from_dict(document)
    except TokenError:
        return
    assert len(keys) == 0
    assert len(keys.unusable) == len(document["keys"])


@pytest.mark.threat(26, 27)
@settings(QUICK, max_examples=400)
@given(
    text=st.one_of(
        st.binary(max_size=12),
        st.text(ALPHABET, max_size=12).map(str.encode),
        st.text(ALPHABET + '="\\+/ \n', max_size=10).map(str.encode),
    )
)
def test_base64url_is_read_exactly_as_it_would_be_written(text: bytes) -> None:
    try:
        naive = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
        canonical = base64.urlsafe_b64encode(naive).rstrip(b"=") == text
    except ValueError:
        canonical = False
    if canonical:
        assert base64url.decode(text) == naive
        assert base64url.encode(naive) == text
    else:
        with pytest.raises(TokenMalformed):
            base64url.decode(text)


# --- duplicate members against the plainest possible reference -----------------------------------

names = st.sampled_from(["a", "b", "exp", "sub", ""])
leaves = st.sampled_from(
    ["1", "1.5", "true", "null", '"x"', '"\\u0041"', "[]", "{}", "-0", "1e3", '"{\\"a\\":1,\\"a\\":2}"']
)


class Members(list[tuple[str, Any]]):
    """An object as its pairs, which may hold a name twice."""


documents = st.recursive(
    st.lists(st.tuples(names, leaves), max_size=4).map(Members),
    lambda inner: st.lists(
        st.tuples(names, st.one_of(leaves, inner, st.lists(inner, max_size=2))), max_size=3
    ).map(Members),
    max_leaves=6,
)


def has_a_name_twice(value: Any) -> bool:
    if isinstance(value, Members):
        own = [name for name, _ in value]
        return len(set(own)) < len(own) or any(has_a_name_twice(inner) for _, inner in value)
    return isinstance(value, list) and any(has_a_name_twice(inner) for inner in value)


def written(value: Any, blank: str, escape: bool) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Members):
        parts = []
        for index, (name, inner) in enumerate(value):
            text = "".join(f"\\u{ord(c):04x}" for c in name) if escape and index % 2 else name
            parts.append(f'"{text}"{blank}:{blank}{written(inner, blank, escape)}')
        return "{" + f",{blank}".join(parts) + "}"
    return "[" + f"{blank},".join(written(inner, blank, escape) for inner in value) + "]"


@pytest.mark.threat(18, 19)
@settings(QUICK, max_examples=400)
@given(document=documents, blank=st.sampled_from(["", " ", "\n\t"]), escape=st.booleans())
def test_a_name_that_comes_twice_is_found_wherever_it_stands(
    document: Members, blank: str, escape: bool
) -> None:
    text = written(document, blank, escape)
    if has_a_name_twice(document):
        with pytest.raises(TokenMalformed, match="unique"):
            decode_object(text.encode())
    else:
        assert decode_object(text.encode()) == json.loads(text)


@pytest.mark.threat(28)
@QUICK
@given(parts=st.lists(st.text(ALPHABET, max_size=5), max_size=6))
def test_a_token_is_three_segments_and_their_own_signing_input(parts: list[str]) -> None:
    text = ".".join(parts)
    if len(parts) == 3:
        found = split(text)
        assert found.signing_input == f"{parts[0]}.{parts[1]}".encode()
        assert [found.header, found.payload, found.signature] == [part.encode() for part in parts]
    else:
        with pytest.raises(TokenMalformed):
            split(text)


@pytest.mark.threat(31, 34, 36)
@QUICK
@given(
    signature=st.binary(max_size=300), alg=st.sampled_from(["RS256", "PS256", "ES256", "ES384", "Ed25519"])
)
def test_no_invented_signature_holds(forge: Any, signature: bytes, alg: str) -> None:
    for text in (signature, (signature * 300)[:64], (signature * 300)[:96], (signature * 300)[:256]):
        with pytest.raises(SignatureInvalid):
            forge.keys[alg].public.check(alg)(text, b"header.payload")
