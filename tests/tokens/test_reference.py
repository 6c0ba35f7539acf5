"""Every verdict about re-signed claims is compared with a second verifier: slow, plain, from the rules.

The reference shares nothing with the package but the keys. It knows no fast path, no table, no msgspec.
"""

import base64
import json
import re
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watchword.errors import TokenError


class Refused(Exception):
    """The reference says no."""


def demand(condition: object) -> None:
    if not condition:
        raise Refused


def plain_json(raw: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        demand(len({name for name, _ in pairs}) == len(pairs))
        return dict(pairs)

    def walk(value: Any, depth: int) -> None:
        if isinstance(value, str):
            value.encode("utf-8")  # a lone surrogate has no UTF-8
        elif isinstance(value, float):
            demand(abs(value) != float("inf") and value == value)
        elif isinstance(value, list | dict):
            demand(depth <= 32)
            for inner in [*value] + ([*value.values()] if isinstance(value, dict) else []):
                walk(inner, depth + 1)

    value = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    walk(value, 1)
    demand(isinstance(value, dict))
    return value


def plain_bytes(text: str) -> bytes:
    demand(re.fullmatch(r"[A-Za-z0-9_-]*", text))
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    demand(base64.urlsafe_b64encode(raw).decode().rstrip("=") == text)
    return raw


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_name(value: Any) -> bool:
    return isinstance(value, str) and value != "" and not any(ord(c) < 32 for c in value)


def is_scope(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return value == "" or all(
        word and all(0x20 < ord(c) < 0x7F and c not in '"\\' for c in word) for word in value.split(" ")
    )


def actors(act: Any) -> int:
    demand(isinstance(act, dict))
    demand(is_name(act.get("sub")))
    demand("iss" not in act or isinstance(act["iss"], str))
    return 1 + (actors(act["act"]) if "act" in act else 0)


def other_kind(claims: dict[str, Any]) -> bool:
    access = False
    for name, good, bad, rest in (
        ("typ", {"bearer", "dpop"}, set(), True),
        ("token_use", {"access"}, set(), True),
        ("token_type", {"access"}, {"refresh"}, False),
        ("type", {"access"}, {"refresh"}, False),
    ):
        if name not in claims:
            continue
        said = claims[name].lower() if isinstance(claims[name], str) else ""
        if said in good:
            access = True
        elif said in bad or (rest and said != "jwt"):
            return True
    marks = {"events", "htm", "htu", "token_introspection", "response_type", "redirect_uri", "code_challenge"}
    marks |= {"nonce", "at_hash", "c_hash", "s_hash", "firebase"}
    return not access and (
        bool(marks & claims.keys()) or claims["iss"] == claims["sub"] or claims["sub"].startswith("spiffe://")
    )


def reference(
    token: str, key: ec.EllipticCurvePublicKey, typ: str, now: float, leeway: float
) -> dict[str, Any]:
    try:
        head, body, tail = token.split(".")
        header = plain_json(plain_bytes(head))
        demand(header == {"alg": "ES256", "kid": "ES256", "typ": typ})
        signature = plain_bytes(tail)
        demand(len(signature) == 64)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        key.verify(encode_dss_signature(r, s), f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
        claims = plain_json(plain_bytes(body))
    except (ValueError, InvalidSignature, RecursionError) as error:
        raise Refused from error
    demand(claims.get("iss") == "https://id.example")
    demand(is_name(claims.get("sub")))
    aud = claims.get("aud")
    listed = [aud] if isinstance(aud, str) else aud
    demand(isinstance(listed, list) and all(is_name(name) for name in listed) and "users" in listed)
    for name in ("exp", "iat", "nbf", "auth_time"):
        demand(name not in claims or is_number(claims[name]))
    demand("exp" in claims and 0 < claims["exp"] <= 253_402_300_799 and claims["exp"] > now)
    demand(claims.get("nbf", 0) <= now + leeway)
    demand(claims.get("iat", 0) <= now + leeway)
    for name in ("jti", "client_id", "txn", "sid"):
        demand(name not in claims or is_name(claims[name]))
    if typ == "at+jwt":
        demand({"jti", "client_id", "iat"} <= claims.keys())
    else:
        demand(not other_kind(claims))
    demand("scope" not in claims or is_scope(claims["scope"]))
    demand("acr" not in claims or isinstance(claims["acr"], str))
    for name in ("roles", "amr"):
        value = claims.get(name, [])
        demand(isinstance(value, list) and all(isinstance(item, str) for item in value))
    demand(not any(ord(c) < 32 for role in claims.get("roles", []) for c in role))
    demand("act" not in claims or actors(claims["act"]) <= 8)
    demand("may_act" not in claims or isinstance(claims["may_act"], dict))
    demand("cnf" not in claims)
    return claims


def nested(levels: int, inner: Any) -> Any:
    for _ in range(levels):
        inner = {"act": inner, "sub": "service|a"}
    return inner


odd = st.one_of(
    st.sampled_from(
        [
            None,
            True,
            False,
            "",
            "users",
            "a b",
            "a  b",
            "a\nb",
            "ü",
            '"',
            "\\",
            "x" * 300,
            [],
            {},
            ["users"],
            ["posts", "users"],
            ["users", 1],
            [""],
        ]
        + [
            0,
            -1,
            1,
            1.5,
            1_800_000_000,
            1_800_000_001,
            1_800_000_004.5,
            1_800_000_005,
            1_800_000_005.5,
            1_799_999_999.9,
            253_402_300_799,
        ]
        + [
            253_402_300_800,
            2**63,
            2**64,
            10**30,
            1e22,
            1e300,
            -0.0,
            {"sub": "a"},
            {"sub": ""},
            {"sub": "a", "act": {"sub": "b"}},
        ]
        + [nested(n, {"sub": "x"}) for n in (6, 7, 8, 29, 31, 40)]
        + [
            "https://id.example",
            "spiffe://x/y",
            "Bearer",
            "ID",
            "Refresh",
            "access",
            "refresh",
            "JWT",
            {"jkt": "x"},
        ]
    ),
    st.text(max_size=8),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.text(max_size=3) | st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
)
claim_names = st.sampled_from(
    [
        "iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "txn", "sid", "auth_time",
        "acr",
        "amr", "roles", "act", "may_act", "cnf", "typ", "token_use", "type", "nonce", "events", "custom",
        "name\u0000",
        "\ud800",
    ]
)  # fmt: skip
changes = st.dictionaries(claim_names, st.one_of(st.just("__absent__"), odd), max_size=3)
forms = st.sampled_from(["compact", "in order", "spaced", "reversed", "escaped"])


def in_form(claims: dict[str, Any], form: str) -> bytes:
    order = [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "client_id",
        "scope",
        "txn",
        "sid",
        "auth_time",
        "acr",
        "amr",
        "roles",
        "act",
    ]
    if form == "in order":
        claims = {name: claims[name] for name in order if name in claims} | claims
        return json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    if form == "spaced":
        return json.dumps(claims, indent=2).encode()
    if form == "reversed":
        return json.dumps(dict(reversed(claims.items()))).encode()
    if form == "escaped":
        return json.dumps(claims, separators=(",", ":")).replace("/", "\\/").encode()
    return json.dumps(claims, separators=(",", ":")).encode()


@settings(max_examples=900, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=changes, form=forms, typ=st.sampled_from(["at+jwt", "JWT"]), leeway=st.sampled_from([0, 5]))
def test_our_verdict_is_that_of_the_reference(
    forge: Any, changes: dict[str, Any], form: str, typ: str, leeway: int
) -> None:
    claims = {name: value for name, value in (forge.claims() | changes).items() if value != "__absent__"}
    token = forge.sign(forge.header(typ=typ), in_form(claims, form))
    try:
        expected: Any = reference(token, forge.keys["ES256"].public.material, typ, forge.now, leeway)
    except Refused:
        expected = None
    try:
        found: Any = dict(forge.verify(token, policy=forge.policy(token_types=[typ], leeway=leeway)).claims)
    except TokenError:
        found = None
    assert found == expected


def test_the_reference_accepts_what_is_genuine(forge: Any) -> None:
    for typ in ("at+jwt", "JWT"):
        token = forge.sign(forge.header(typ=typ), forge.claims(roles=["a"], act=nested(7, {"sub": "x"})))
        assert reference(token, forge.keys["ES256"].public.material, typ, forge.now, 0)["roles"] == ["a"]
