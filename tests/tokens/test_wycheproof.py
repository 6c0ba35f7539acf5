"""Project Wycheproof: every vector is judged by the code that judges tokens, none is known by name."""

import base64
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from watchword.errors import KeyRejected, SignatureInvalid, TokenError, TokenMalformed
from watchword.tokens import base64url
from watchword.tokens.algorithms import ALGORITHMS as ALGORITHM_TABLE
from watchword.tokens.jwk import PublicKey
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.jws import split
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.shared_secret import SharedSecret
from watchword.tokens.verify import select_check, verify

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")


def load(folder: Path, name: str) -> list[dict[str, Any]]:
    return json.loads((folder / name).read_text())


def jws_policy(*algorithms: str) -> VerificationPolicy:
    return VerificationPolicy("any", "any", algorithms, token_types=["JWT"], missing_kid="single_key")


def signature_holds(token: str, keys: JWKSet | SharedSecret, policy: VerificationPolicy) -> None:
    """The JWS layer of `verify`, made of the very functions that it calls; claims are not looked at."""
    parts = split(token)
    known = select_check(parts.header, keys, policy)
    known.check(base64url.decode(parts.signature), parts.signing_input)
    base64url.decode(parts.payload)


def verdict(judge: Callable[[], object]) -> str:
    try:
        judge()
    except (TokenError, KeyRejected):
        return "reject"
    return "accept"


@pytest.mark.threat(1, 7, 8, 14, 26, 34, 35, 40, 41)
def test_all_424_signatures_of_jws_get_the_strict_verdict(vectors: Path) -> None:
    cases = load(vectors, "jws.json")
    policies = [
        jws_policy(*ALGORITHMS),
        jws_policy(*(a for a in ALGORITHMS if a != "PS256")),
        jws_policy(*(a for a in ALGORITHMS if a != "RS256")),
    ]
    found = {}
    for case in cases:
        # a key that does not say which RSA scheme it is for needs a policy that does
        keys = JWKSet.from_dict(case["keys"])
        undecided = any(len(key.algorithms) > 1 and key.jwk["kty"] == "RSA" for key in keys.keys)
        verdicts = {
            verdict(lambda t=case["token"], k=keys, p=p: signature_holds(t, k, p))
            for p in (policies[1:] if undecided else policies[:1])
        }
        found[case["id"]] = "accept" if "accept" in verdicts else "reject"
    wrong = {
        case["id"]: (found[case["id"]], case["comment"])
        for case in cases
        if found[case["id"]] != case["strict"]
    }
    assert wrong == {}
    assert len(cases) == 424
    assert Counter(found.values()) == {"reject": 407, "accept": 17}


def hs256_secret(document: dict[str, Any]) -> bytes:
    """The one secret of a set, as somebody who configures HS256 would give it, alone."""
    (jwk,) = document["keys"]
    if jwk["kty"] != "oct" or jwk.get("alg", "HS256") != "HS256" or jwk.get("use", "sig") != "sig":
        raise KeyRejected("expected one secret for HS256")
    if "verify" not in jwk.get("key_ops", ["verify"]):
        raise KeyRejected("expected key_ops with verify")
    text = jwk["k"]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


STRONG = SharedSecret(bytes(range(64)))


def hmac_holds(token: str, secret: bytes) -> None:
    """The same path as above; 32 zero bytes cannot be configured, so they go to the check of the table."""
    parts = split(token)
    zeros = not any(secret) and len(secret) >= 32
    check = ALGORITHM_TABLE["HS256"].checker(secret) if zeros else SharedSecret(secret).check
    select_check(parts.header, STRONG, jws_policy("HS256"))
    check(base64url.decode(parts.signature), parts.signing_input)
    base64url.decode(parts.payload)


@pytest.mark.threat(5, 6)
def test_hs256_gets_the_strict_verdict_with_its_one_secret(vectors: Path) -> None:
    judged = Counter[str]()
    for case in load(vectors, "jws.json"):
        if len(case["keys"]["keys"]) != 1:
            continue  # a secret is configured alone; a set of several is refused before any token comes
        found = verdict(lambda case=case: hmac_holds(case["token"], hs256_secret(case["keys"])))
        assert found == case["strict_hs256"], case["id"]
        judged[found] += 1
    assert judged["accept"] == 8
    assert judged["reject"] >= 390


@pytest.mark.threat(5, 232)
def test_the_sample_secrets_among_the_vectors_cannot_be_configured(vectors: Path) -> None:
    refused = set()
    for case in load(vectors, "jws.json"):
        if case["strict_hs256"] == "accept" and len(case["keys"]["keys"]) == 1:
            secret = hs256_secret(case["keys"])
            if verdict(lambda secret=secret: SharedSecret(secret)) == "reject":
                refused.add(bytes(secret[:6]))
    assert refused == {b"\x00" * 6}  # 32 zero bytes


@pytest.mark.threat(6)
def test_no_secret_in_a_key_set_ever_verifies(vectors: Path) -> None:
    for case in load(vectors, "jws.json"):
        keys = JWKSet.from_dict(case["keys"])
        assert verdict(lambda c=case, k=keys: signature_holds(c["token"], k, jws_policy("HS256"))) == "reject"


@pytest.mark.threat(17)
def test_none_of_138_encrypted_tokens_passes(vectors: Path, forge: Any) -> None:
    cases = load(vectors, "jwe.json")
    assert len(cases) == 138
    for case in cases:
        with pytest.raises(TokenError):
            verify(case["token"], forge.jwk_set, forge.policy(token_types=["JWT", "at+jwt"]), forge.now)
        with pytest.raises(TokenMalformed):
            split(case["token"])


@pytest.mark.threat(31, 32, 34, 35, 36)
def test_all_1530_signatures_of_primitives_get_the_verdict_of_jose(vectors: Path) -> None:
    cases = load(vectors, "primitives.json")
    keys: dict[str, PublicKey] = {}
    wrong = {}
    for case in cases:
        name = json.dumps([case["jwk"], case["alg"]], sort_keys=True)
        key = keys.get(name) or keys.setdefault(name, PublicKey.from_jwk(case["jwk"] | {"alg": case["alg"]}))
        try:
            key.check(case["alg"])(bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
            found = "accept"
        except SignatureInvalid:
            found = "reject"
        if found != case["strict"]:
            wrong[case["id"]] = (found, case["comment"])
    assert wrong == {}
    assert len(cases) == 1530
