"""The examples of the RFCs with their own keys: they verify here, and what we leave out is refused."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from watchword.errors import (
    AlgorithmNotAllowed,
    ClaimInvalid,
    IssuerNotTrusted,
    KeyRejected,
    SignatureInvalid,
    TokenExpired,
    TokenMalformed,
    TypeNotAllowed,
)
from watchword.tokens import base64url, strict_json
from watchword.tokens.algorithms import ALGORITHMS
from watchword.tokens.claims import AccessTokenClaims, Actor, typed
from watchword.tokens.jwk import PublicKey
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.jws import parse_header, split
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.private_key import PrivateKey
from watchword.tokens.shared_secret import SharedSecret
from watchword.tokens.verify import verify

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
RFC7515: dict[str, Any] = json.loads((FOLDER / "rfc7515.json").read_text())
RFC7520: dict[str, Any] = json.loads((FOLDER / "rfc7520.json").read_text())


def number(jwk: dict[str, str], name: str) -> int:
    return int.from_bytes(base64url.decode(jwk[name].encode()), "big")


def private(jwk: dict[str, str], alg: str) -> PrivateKey:
    """The RFC's own private key."""
    if jwk["kty"] == "RSA":
        public = rsa.RSAPublicNumbers(number(jwk, "e"), number(jwk, "n"))
        names = ("p", "q", "d", "dp", "dq", "qi")
        material = rsa.RSAPrivateNumbers(*(number(jwk, name) for name in names), public).private_key()
        return PrivateKey(material, alg=alg)
    if jwk["kty"] == "EC":
        return PrivateKey(ec.derive_private_key(number(jwk, "d"), ec.SECP256R1()), alg=alg)
    raw = base64url.decode(jwk["d"].encode())
    return PrivateKey(ed25519.Ed25519PrivateKey.from_private_bytes(raw), alg=alg)


def check(token: str, key: PublicKey | SharedSecret, alg: str) -> bytes:
    """Check a signature and return the payload."""
    parts = split(token)
    assert parse_header(parts.header).alg == alg
    made = key.check if isinstance(key, SharedSecret) else key.check(alg)
    made(base64url.decode(parts.signature), parts.signing_input)
    return base64url.decode(parts.payload)


def changed(token: str) -> str:
    """The token with one bit of its payload turned."""
    header, payload, signature = token.split(".")
    raw = bytearray(base64url.decode(payload.encode()))
    raw[3] ^= 1
    return f"{header}.{base64url.encode(bytes(raw)).decode()}.{signature}"


# --- RFC 7515 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", ["A.2", "A.3"])
def test_rfc_7515_signatures_verify_with_the_published_key(example: str) -> None:
    vector = RFC7515[example]
    key = PublicKey.from_jwk(vector["public"])
    payload = strict_json.decode_object(check(vector["token"], key, vector["alg"]))
    assert payload == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
    with pytest.raises(SignatureInvalid):
        check(changed(vector["token"]), key, vector["alg"])


def test_rfc_7515_a1_verifies_with_its_shared_secret() -> None:
    vector = RFC7515["A.1"]
    secret = SharedSecret(base64url.decode(vector["key"]["k"].encode()))
    payload = strict_json.decode_object(check(vector["token"], secret, "HS256"))
    assert payload["iss"] == "joe"
    parts = split(vector["token"])
    assert secret.sign(parts.signing_input) == base64url.decode(parts.signature)
    with pytest.raises(SignatureInvalid):
        check(changed(vector["token"]), secret, "HS256")


def test_rfc_7515_a2_is_signed_again_to_the_same_bytes() -> None:
    vector = RFC7515["A.2"]
    parts = split(vector["token"])
    made = private(vector["key"], "RS256").sign(parts.signing_input)
    assert made == base64url.decode(parts.signature)


def test_rfc_7515_a3_is_signed_anew_and_verifies() -> None:
    vector = RFC7515["A.3"]
    parts = split(vector["token"])
    key = PublicKey.from_jwk(vector["public"])
    made = private(vector["key"], "ES256").sign(parts.signing_input)
    key.check("ES256")(made, parts.signing_input)


def test_rfc_7515_a2_gets_through_the_whole_verifier_up_to_its_claims() -> None:
    vector = RFC7515["A.2"]
    keys = JWKSet([PublicKey.from_jwk(vector["public"])])
    policy = VerificationPolicy("joe", "us", ["RS256"], token_types=["JWT"], missing_kid="single_key")
    with pytest.raises(ClaimInvalid, match="sub"):
        verify(vector["token"], keys, policy, 1300819379)
    with pytest.raises(SignatureInvalid):
        verify(changed(vector["token"]), keys, policy, 1300819379)
    strict = VerificationPolicy("joe", "us", ["RS256"], missing_kid="single_key")
    with pytest.raises(TypeNotAllowed):
        verify(vector["token"], keys, strict, 1300819379)


@pytest.mark.threat(9)
def test_rfc_7515_a4_needs_an_algorithm_that_does_not_exist_here() -> None:
    vector = RFC7515["A.4"]
    assert "ES512" not in ALGORITHMS
    with pytest.raises(KeyRejected, match="P-256 or P-384"):
        PublicKey.from_jwk(vector["public"])
    keys = JWKSet([PublicKey.from_jwk(RFC7515["A.3"]["public"])])
    policy = VerificationPolicy("joe", "us", ["ES256"], token_types=["JWT"], missing_kid="single_key")
    with pytest.raises(AlgorithmNotAllowed):
        verify(vector["token"], keys, policy, 0)


@pytest.mark.threat(1)
def test_rfc_7515_a5_unsecured_is_refused_whatever_is_configured() -> None:
    token = RFC7515["A.5"]["token"]
    assert parse_header(split(token).header).alg == "none"
    keys = JWKSet([PublicKey.from_jwk(RFC7515["A.3"]["public"])])
    for alg in sorted(set(ALGORITHMS) - {"HS256"}):
        policy = VerificationPolicy("joe", "us", [alg], token_types=["JWT"], missing_kid="single_key")
        with pytest.raises(AlgorithmNotAllowed):
            verify(token, keys, policy, 0)


@pytest.mark.threat(29)
@pytest.mark.parametrize(
    "document",
    [RFC7515["A.6"]["json"], RFC7515["A.7"]["json"], *(RFC7520[n]["json"] for n in ("4.6", "4.7", "4.8"))],
)
def test_json_serialisations_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(TokenMalformed):
        split(json.dumps(document))


@pytest.mark.threat(15)
def test_rfc_7515_appendix_e_with_an_unknown_crit_is_refused() -> None:
    with pytest.raises(TokenMalformed, match="crit"):
        parse_header(split(RFC7515["E"]["token"]).header)


# --- RFC 7517, RFC 7638 ---------------------------------------------------------------------------

RFC7517_A1 = {
    "keys": [
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            "use": "enc",
            "kid": "1",
        },
        {
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJEC"
            "PebWKRXj"
            "BZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8"
            "KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_x"
            "BniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29",
        },
    ]
}


def test_rfc_7517_a1_gives_the_key_for_signatures_and_leaves_the_one_for_encryption() -> None:
    keys = JWKSet.from_dict(RFC7517_A1)
    assert [key.kid for key in keys.keys] == ["2011-04-29"]
    assert keys.named("2011-04-29").algorithms == {"RS256"}
    assert [(bad.kid, bad.reason) for bad in keys.unusable] == [("1", "expected use sig")]


def test_rfc_7638_thumbprint() -> None:
    key = PublicKey.from_jwk(RFC7517_A1["keys"][1])
    assert key.thumbprint() == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


# --- RFC 7520 -------------------------------------------------------------------------------------


def test_rfc_7520_4_1_rs256_verifies() -> None:
    key = PublicKey.from_jwk(RFC7520["keys"]["3.3"])
    token = RFC7520["4.1"]["token"]
    assert parse_header(split(token).header).kid == key.kid == "bilbo.baggins@hobbiton.example"
    assert check(token, key, "RS256").decode().startswith("It\u2019s a dangerous business, Frodo")
    parts = split(token)
    assert private(RFC7520["keys"]["3.4"], "RS256").sign(parts.signing_input) == base64url.decode(
        parts.signature
    )
    with pytest.raises(SignatureInvalid):
        check(changed(token), key, "RS256")


def test_rfc_7520_4_4_hs256_verifies() -> None:
    secret = SharedSecret(base64url.decode(RFC7520["keys"]["3.5"]["k"].encode()))
    assert check(RFC7520["4.4"]["token"], secret, "HS256").decode().endswith("swept off to.")


@pytest.mark.parametrize("example", ["4.2", "4.3"])
def test_rfc_7520_algorithms_outside_the_table_are_refused(example: str) -> None:
    vector = RFC7520[example]
    assert vector["alg"] not in ALGORITHMS
    keys = JWKSet([PublicKey.from_jwk(RFC7520["keys"]["3.3"])])
    policy = VerificationPolicy("x", "y", ["RS256", "ES256"], token_types=["JWT"])
    with pytest.raises(AlgorithmNotAllowed, match=vector["alg"]):
        verify(vector["token"], keys, policy, 0)


@pytest.mark.threat(16)
def test_rfc_7520_4_5_detached_content_is_refused() -> None:
    secret = SharedSecret(base64url.decode(RFC7520["keys"]["3.5"]["k"].encode()))
    with pytest.raises(SignatureInvalid):
        check(RFC7520["4.5"]["detached"], secret, "HS256")


@pytest.mark.threat(40, 6)
@pytest.mark.parametrize("section", ["3.1", "3.4", "3.5", "3.6"])
def test_rfc_7520_keys_that_no_verifier_may_use_are_rejected(section: str) -> None:
    with pytest.raises(KeyRejected):
        PublicKey.from_jwk(RFC7520["keys"][section])


# --- RFC 8037 -------------------------------------------------------------------------------------

RFC8037_A1 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
RFC8037_A4 = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


def test_rfc_8037_a3_thumbprint() -> None:
    key = PublicKey.from_jwk({name: RFC8037_A1[name] for name in ("kty", "crv", "x")})
    assert key.thumbprint() == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.threat(10)
@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_rfc_8037_a4_and_a5_sign_and_verify_under_both_names(alg: str) -> None:
    key = private(RFC8037_A1, alg)
    parts = split(RFC8037_A4)
    assert key.public.jwk["x"] == RFC8037_A1["x"]
    assert key.sign(parts.signing_input) == base64url.decode(parts.signature)
    assert check(RFC8037_A4, key.public, "EdDSA") == b"Example of Ed25519 signing"
    with pytest.raises(SignatureInvalid):
        check(changed(RFC8037_A4), key.public, "EdDSA")


# --- RFC 8693, RFC 9068 ---------------------------------------------------------------------------

ISSUER_8693 = {
    "iss": "https://issuer.example.com",
    "exp": 1443904177,
    "nbf": 1443904077,
    "sub": "user@example.com",
}
FIGURE_5 = ISSUER_8693 | {"aud": "https://consumer.example.com", "act": {"sub": "admin@example.com"}}
FIGURE_6 = ISSUER_8693 | {
    "aud": "https://service26.example.com",
    "exp": 1443904100,
    "nbf": 1443904000,
    "act": {"sub": "https://service16.example.com", "act": {"sub": "https://service77.example.com"}},
}
MAY_ACT = ISSUER_8693 | {"aud": "https://consumer.example.com", "may_act": {"sub": "admin@example.com"}}


def signed(claims: dict[str, Any], key: PrivateKey, typ: str) -> str:
    header = {"typ": typ, "alg": key.alg, "kid": key.kid}
    segments = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signing_input = b".".join(segments)
    return (signing_input + b"." + base64url.encode(key.sign(signing_input))).decode()


@pytest.mark.parametrize(
    ("claims", "actors"),
    [
        (FIGURE_5, ("admin@example.com",)),
        (FIGURE_6, ("https://service16.example.com", "https://service77.example.com")),
        (MAY_ACT, ()),
    ],
)
def test_rfc_8693_section_4_tokens_name_their_actors_current_first(
    claims: dict[str, Any], actors: tuple[str, ...]
) -> None:
    key = PrivateKey.generate()
    policy = VerificationPolicy(claims["iss"], claims["aud"], ["ES256"], token_types=["JWT"])
    token = verify(signed(claims, key, "JWT"), JWKSet([key.public]), policy, claims["nbf"])
    assert token.actors == actors
    assert token.subject.id == "user@example.com"
    assert dict(token.claims) == claims


def test_rfc_8693_claims_are_written_as_they_were_read() -> None:
    claims = typed(FIGURE_6)
    assert isinstance(claims.act, Actor)
    assert json.loads(strict_json.encode(claims)) == FIGURE_6
    assert typed(MAY_ACT).may_act == {"sub": "admin@example.com"}


RFC9068_FIGURE_2 = {
    "iss": "https://authorization-server.example.com/",
    "sub": "5ba552d67",
    "aud": "https://rs.example.com/",
    "exp": 1639528912,
    "iat": 1618354090,
    "jti": "dbe39bf3a3ba4238a513f51d6e1691c4",
    "client_id": "s6BhdRkqt3",
    "scope": "openid profile reademail",
}


def test_rfc_9068_figure_2_is_an_access_token() -> None:
    material = private(RFC7515["A.2"]["key"], "RS256")
    key = PrivateKey(material._material, alg="RS256", kid="RjEwOwOA")
    policy = VerificationPolicy(RFC9068_FIGURE_2["iss"], "https://rs.example.com/", ["RS256"])
    text = signed(RFC9068_FIGURE_2, key, "at+JWT")  # the RFC's own spelling of typ
    token = verify(text, JWKSet([key.public]), policy, 1618354090)
    assert token.scope == {"openid", "profile", "reademail"}
    assert (token.client_id, token.token_id) == ("s6BhdRkqt3", "dbe39bf3a3ba4238a513f51d6e1691c4")
    with pytest.raises(TokenExpired):
        verify(text, JWKSet([key.public]), policy, 1639528912)


@pytest.mark.parametrize("missing", ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"])
def test_rfc_9068_section_2_2_demands_its_claims(missing: str) -> None:
    key = PrivateKey.generate()
    policy = VerificationPolicy(RFC9068_FIGURE_2["iss"], "https://rs.example.com/", ["ES256"])
    claims = {name: value for name, value in RFC9068_FIGURE_2.items() if name != missing}
    with pytest.raises((ClaimInvalid, IssuerNotTrusted)) as refused:
        verify(signed(claims, key, "at+jwt"), JWKSet([key.public]), policy, 1618354090)
    assert missing in str(refused.value)


def test_our_own_claims_say_what_rfc_9068_demands_first() -> None:
    assert AccessTokenClaims.__struct_fields__[:5] == ("iss", "sub", "aud", "exp", "iat")
