"""Hostile tokens, re-signed, shown to PyJWT, joserfc and jwcrypto too: every disagreement has a reason.

The peers are set up as strictly as their interfaces invite: key objects, the same algorithms, issuer and
audience, required claims. Who lets a hostile token pass that we refuse stands in a table; what we accept and
all of them refuse would need a reason of its own, and there is none.
"""

import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jwt as jwcrypto_jwt

from watchword.errors import TokenError
from watchword.tokens import base64url

NAMES = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"]
REQUIRED = ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"]


class Peers:
    """The same question, asked of three libraries."""

    def __init__(self, forge: Any) -> None:
        self.now = forge.now
        documents = [dict(key.public.jwk) for key in forge.keys.values()]
        self._pyjwt = {
            document["kid"]: jwt.PyJWK(document) for document in documents if document["alg"] != "Ed25519"
        }
        self._joserfc = KeySet.import_key_set({"keys": documents})
        self._jwcrypto = jwcrypto_jwk.JWKSet.from_json(json.dumps({"keys": documents}))

    def pyjwt(self, token: str) -> None:
        key = self._pyjwt[jwt.get_unverified_header(token)["kid"]]
        jwt.decode(
            token,
            key,
            algorithms=NAMES,
            audience="users",
            issuer="https://id.example",
            options={"require": REQUIRED},
        )

    def joserfc(self, token: str) -> None:
        found = joserfc_jwt.decode(
            token, self._joserfc, algorithms=NAMES, registry=JWSRegistry(algorithms=NAMES)
        )
        essential = {name: {"essential": True} for name in REQUIRED}
        essential["iss"]["value"] = "https://id.example"  # type: ignore[assignment]
        essential["aud"]["value"] = "users"  # type: ignore[assignment]
        joserfc_jwt.JWTClaimsRegistry(now=int(self.now), **essential).validate(found.claims)  # type: ignore[arg-type]

    def jwcrypto(self, token: str) -> None:
        checks = dict.fromkeys(REQUIRED) | {"iss": "https://id.example", "aud": "users"}
        found = jwcrypto_jwt.JWT(algs=NAMES, check_claims=checks)
        found.leeway = 0
        found.deserialize(token, self._jwcrypto)

    def accepting(self, token: str) -> set[str]:
        """Who accepts; an exception of any type counts as a refusal here."""
        who = set()
        for name in ("pyjwt", "joserfc", "jwcrypto"):
            try:
                getattr(self, name)(token)
            except Exception:  # noqa: BLE001  # whatever they raise, they did not accept
                pass
            else:
                who.add(name)
        return who


@pytest.fixture(scope="module")
def peers(forge: Any) -> Peers:
    return Peers(forge)


@pytest.fixture(autouse=True)
def one_clock(forge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their clocks say what ours is told."""
    import time
    from datetime import UTC, datetime

    import jwt.api_jwt

    class Fixed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(forge.now, tz or UTC)

    monkeypatch.setattr(jwt.api_jwt, "datetime", Fixed)
    monkeypatch.setattr(time, "time", lambda: forge.now)


def form(text: Callable[[str], str | bytes]) -> Callable[[dict[str, Any]], bytes]:
    def make(claims: dict[str, Any]) -> bytes:
        made = text(json.dumps(claims, separators=(",", ":")))
        return made if isinstance(made, bytes) else made.encode("utf-8", "surrogatepass")

    return make


# Three places to be hostile in: the header's members, the claims, the text of the payload.
HEADERS: dict[str, dict[str, Any]] = {
    "genuine header": {},
    "typ JWT": {"typ": "JWT"},
    "typ of a logout token": {"typ": "logout+jwt"},
    "typ of a DPoP proof": {"typ": "dpop+jwt"},
    "typ application/at+jwt": {"typ": "application/at+jwt"},
    "kid unknown": {"kid": "nobody"},
    "kid number": {"kid": 7},
    "crit empty": {"crit": []},
    "crit unknown": {"crit": ["x"], "x": 1},
    "b64 true": {"b64": True},
    "zip": {"zip": "DEF"},
    "embedded jwk": {"jwk": {"kty": "EC"}},
    "jku": {"jku": "https://evil.example/keys"},
    "x5u": {"x5u": "https://evil.example/cert"},
    "alg none": {"alg": "none"},
    "alg list": {"alg": ["ES256"]},
    "alg lower case": {"alg": "es256"},
    "unknown member": {"x": {"deep": [1]}},
}
CLAIMS: dict[str, dict[str, Any]] = {
    "genuine claims": {},
    "exp as text": {"exp": "1800000300"},
    "exp boolean": {"exp": True},
    "exp in milliseconds": {"exp": 1_800_000_300_000},
    "exp now": {"exp": 1_800_000_000},
    "exp fraction past": {"exp": 1_799_999_999.5},
    "exp fraction ahead": {"exp": 1_800_000_000.5},
    "exp missing": {"exp": None},
    "nbf half a second ahead": {"nbf": 1_800_000_000.5},
    "nbf ahead": {"nbf": 1_800_000_100},
    "nbf boolean": {"nbf": True},
    "iat ahead": {"iat": 1_800_000_100},
    "iat as text": {"iat": "1800000000"},
    "iss with slash": {"iss": "https://id.example/"},
    "iss list": {"iss": ["https://id.example"]},
    "aud for another": {"aud": "posts"},
    "aud list with us": {"aud": ["posts", "users"]},
    "aud list with a number": {"aud": ["users", 7]},
    "aud blank-joined": {"aud": "users posts"},
    "aud object": {"aud": {"users": 1}},
    "sub empty": {"sub": ""},
    "sub number": {"sub": 42},
    "sub with NUL": {"sub": "local|\u0000"},
    "jti number": {"jti": 7},
    "client_id list": {"client_id": ["posts"]},
    "scope list": {"scope": ["users:read"]},
    "scope with line break": {"scope": "a\nb"},
    "act text": {"act": "service|posts"},
    "act without sub": {"act": {"x": 1}},
    "cnf": {"cnf": {"jkt": "x" * 43}},
    "roles text": {"roles": "admin"},
    "custom claims": {"custom": {"a": [1, 2.5, None]}},
}
TEXTS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "compact": form(lambda text: text),
    "spaced": form(lambda text: text.replace(",", ", ")),
    "duplicate claim": form(lambda text: '{"aud":"evil",' + text[1:]),
    "duplicate by escape": form(lambda text: r'{"\u0065xp":1,' + text[1:]),
    "duplicate deep": form(lambda text: text[:-1] + ',"x":{"a":1,"a":2}}'),
    "UTF-16": form(lambda text: text.encode("utf-16")),
    "UTF-8 with BOM": form(lambda text: text.encode("utf-8-sig")),
    "NaN": form(lambda text: text[:-1] + ',"x":NaN}'),
    "Infinity": form(lambda text: text[:-1] + ',"x":-Infinity}'),
    "1e400": form(lambda text: text[:-1] + ',"x":1e400}'),
    "lone surrogate": form(lambda text: text[:-1] + r',"x":"\ud800"}'),
    "nested 40 levels": form(lambda text: text[:-1] + ',"x":' + "[" * 40 + "]" * 40 + "}"),
    "trailing data": form(lambda text: text + "{}"),
    "array around": form(lambda text: f"[{text}]"),
    "comment": form(lambda text: text[:-1] + "/**/}"),
    "invalid UTF-8": form(lambda text: text[:-1].encode() + b',"x":"\xff"}'),
}
SHAPES: dict[str, Callable[[str], str]] = {
    "as it is": lambda token: token,
    "padded signature": lambda token: token + "=" * (-len(token.rpartition(".")[2]) % 4),
    "tail of foreign characters": lambda token: token + "!!!!",
    "line break at the end": lambda token: token + "\n",
    "blank in front": lambda token: " " + token,
    "fourth segment": lambda token: token + ".",
    "zero-padded ECDSA halves": lambda token: resigned(
        token, lambda s: bytes(16) + s[:32] + bytes(16) + s[32:]
    ),
    "stray bits": lambda token: token[:-1] + chr(ord(token[-1]) + 1),
    "bytes that follow the signature": lambda token: resigned(token, lambda s: s + b"\x00"),
    "no signature": lambda token: token.rpartition(".")[0] + ".",
    "flattened JSON": lambda token: json.dumps(
        dict(zip(("protected", "payload", "signature"), token.split("."), strict=True))
    ),
}


def resigned(token: str, change: Callable[[bytes], bytes]) -> str:
    head, _, tail = token.rpartition(".")
    return f"{head}.{base64url.encode(change(base64url.decode(tail.encode()))).decode()}"


# Class of input → why we refuse what at least one of the three accepts.
STRICTER = {
    "typ JWT": "RFC 9068 §4: only at+jwt is an access token; none of the three looks at typ",
    "typ of a logout token": "RFC 8725 §3.11: a token of another kind",
    "typ of a DPoP proof": "RFC 8725 §3.11: a token of another kind",
    "crit empty": "RFC 7515 §4.1.11: crit must not be empty",
    "b64 true": "RFC 7797 §6: without crit it means two things to two verifiers",
    "zip": "zip is a member of a JWE; a JWS with it is read differently by who obeys it",
    "embedded jwk": "RFC 8725 §3.10: a token never brings its key; who asks for it is refused",
    "jku": "as for an embedded key",
    "x5u": "as for an embedded key",
    "exp as text": "RFC 7519 §2: a NumericDate is a number",
    "exp in milliseconds": "no date beyond the year 9999: a mistake of the issuer would be a token for ever",
    "exp now": "RFC 7519 §4.1.4: refused on exp, not only after it",
    "nbf half a second ahead": "a fraction counts, it is not cut off",
    "nbf ahead": "RFC 7519 §4.1.5: nbf is honoured whatever else is configured",
    "nbf boolean": "RFC 7519 §2: true is no number",
    "iat ahead": "issued in the future means two clocks that disagree",
    "iat as text": "RFC 7519 §2: a NumericDate is a number",
    "sub empty": "a subject without a name is nobody",
    "sub with NUL": "breaks logs, headers and databases behind us",
    "client_id list": "RFC 8693 §4.3: client_id is a text",
    "scope list": "RFC 8693 §4.2: scope is one text",
    "scope with line break": "RFC 6749 §3.3: not in the grammar",
    "act text": "RFC 8693 §4.1: act is an object",
    "act without sub": "an actor without a name is nobody",
    "cnf": "RFC 9449 §7.2: bound to a key, no bearer token",
    "roles text": "RFC 9068 §2.2.3.1: a list; `in` on a text is a substring test",
    "duplicate claim": "RFC 7519 §4: two parsers read two tokens",
    "duplicate by escape": "as for a duplicate claim",
    "duplicate deep": "as for a duplicate claim",
    "UTF-16": "RFC 7519 §7.2: UTF-8 only",
    "UTF-8 with BOM": "RFC 8259 §8.1: no byte order mark",
    "NaN": "RFC 8259 §6: no such number",
    "Infinity": "RFC 8259 §6: no such number",
    "1e400": "becomes infinity in some parsers",
    "lone surrogate": "RFC 8725 §2.4, §3.7: no UTF-8 for it; fails later",
    "nested 40 levels": "depth is bounded before parsing",
    "padded signature": "RFC 7515 §2: no padding; two texts for one token",
    "tail of foreign characters": "RFC 7515 §5.2: no additional characters",
    "zero-padded ECDSA halves": "RFC 7518 §3.4: exactly 64 bytes",
    "stray bits": "RFC 4648 §3.5: two texts for one token",
}
# Class of input → why we accept what all three refuse. There is none.
LAXER: dict[str, str] = {}


def make(forge: Any, header: str, claims: str, text: str, shape: str) -> str:
    said = {
        name: value
        for name, value in forge.claims(**CLAIMS[claims]).items()
        if (name, value) != ("exp", None)
    }
    return SHAPES[shape](forge.sign(forge.header(**HEADERS[header]), TEXTS[text](said)))


def ours(forge: Any, token: str) -> bool:
    try:
        forge.verify(token)
    except TokenError:
        return False
    return True


ONE_BY_ONE = [
    *[(name, "genuine claims", "compact", "as it is") for name in HEADERS],
    *[("genuine header", name, "compact", "as it is") for name in CLAIMS],
    *[("genuine header", "genuine claims", name, "as it is") for name in TEXTS],
    *[("genuine header", "genuine claims", "compact", name) for name in SHAPES],
]


@pytest.mark.threat(20, 21, 26, 29, 32, 44, 45, 47)
def test_every_disagreement_about_one_hostile_thing_is_explained(forge: Any, peers: Peers) -> None:
    stricter, laxer = {}, {}
    for names in ONE_BY_ONE:
        token = make(forge, *names)
        (hostile,) = [
            n for n in names if n not in ("genuine header", "genuine claims", "compact", "as it is")
        ] or ["genuine"]
        accepted, who = ours(forge, token), peers.accepting(token)
        if not accepted and who:
            stricter[hostile] = who
        if accepted and not who:
            laxer[hostile] = token
        if hostile == "genuine":
            assert accepted
            assert who == {"pyjwt", "joserfc", "jwcrypto"}, (
                "the comparison means nothing if a peer refuses everything"
            )
    assert {name: who for name, who in stricter.items() if name not in STRICTER} == {}
    assert sorted(set(STRICTER) - set(stricter)) == [], "all three refuse this now: the row is history"
    assert laxer.keys() == LAXER.keys()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.sampled_from(sorted(HEADERS)),
    claims=st.sampled_from(sorted(CLAIMS)),
    text=st.sampled_from(sorted(TEXTS)),
    shape=st.sampled_from(["as it is"] * 6 + sorted(SHAPES)),
)
def test_every_disagreement_about_several_hostile_things_is_explained(
    forge: Any, peers: Peers, header: str, claims: str, text: str, shape: str
) -> None:
    token = make(forge, header, claims, text, shape)
    accepted, who = ours(forge, token), peers.accepting(token)
    if accepted:
        assert who, "we alone accept this"
    elif who:
        assert STRICTER.keys() & {header, claims, text, shape}
