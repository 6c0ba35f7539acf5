"""A key that must not verify is refused when it is read, and takes no good key with it."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from watchword.errors import KeyRejected, KeySetInvalid, KeyUnknown, KeyUnusable
from watchword.tokens import base64url
from watchword.tokens.jwk import PublicKey, thumbprint
from watchword.tokens.jwk_set import MAX_KEYS, JWKSet
from watchword.tokens.jws import MAX_KID_LENGTH
from watchword.tokens.private_key import PrivateKey

P = 2**255 - 19


def small_order_ys() -> set[int]:
    """Compute, not quote: y of all points of edwards25519 whose order divides 8, and non-canonical twins."""
    d = -121665 * pow(121666, -1, P) % P
    # -x² + y² = 1 + d·x²·y²; order 8 means that the double has y = 0: then 2·z = 1 - d·z² for z = y²
    ys = {0, 1, P - 1, P, P + 1}
    for root in square_roots(1 + d):
        z = (root - 1) * pow(d, -1, P) % P
        ys |= set(square_roots(z))
    return ys


def square_roots(n: int) -> list[int]:
    candidate = pow(n, (P + 3) // 8, P)
    for root in (candidate, candidate * pow(2, (P - 1) // 4, P) % P):
        if root * root % P == n % P:
            return [root, P - root]
    return []


def b64(number: int, size: int | None = None, order: Any = "big") -> str:
    return base64url.encode(number.to_bytes(size or (number.bit_length() + 7) // 8, order)).decode()


def jwk_of(forge: Any, by: str, /, without: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    members = dict(forge.keys[by].public.jwk) | changes
    return {name: value for name, value in members.items() if name not in without}


def unusable_beside_a_good_key(forge: Any, bad: dict[str, Any], alg: str) -> str:
    """Demand that this key verifies nothing, that a good one in the same set does; return the reason."""
    bystander = "ES384" if alg != "ES384" else "ES256"
    keys = JWKSet.from_dict({"keys": [bad, jwk_of(forge, bystander)]})
    assert forge.verify(forge.token(bystander), keys=keys)
    assert len(keys) == 1
    (report,) = keys.unusable
    assert report.index == 0
    kid = bad.get("kid")
    if isinstance(kid, str):
        error = forge.refused(
            forge.sign(forge.header(alg, kid=kid or "?"), forge.claims(), alg),
            KeyUnusable if kid else KeyUnknown,
            keys=keys,
        )
        assert not kid or report.reason in str(error)
    return report.reason


@pytest.mark.threat(37)
@pytest.mark.parametrize("sign_bit", [0, 1])
def test_ed25519_points_of_small_order_are_no_keys(forge: Any, sign_bit: int) -> None:
    ys = small_order_ys()
    assert len(ys) == 7
    for y in ys:
        raw = (y | sign_bit << 255).to_bytes(32, "little")
        jwk = {"kty": "OKP", "crv": "Ed25519", "kid": "weak", "x": base64url.encode(raw).decode()}
        assert "small order" in unusable_beside_a_good_key(forge, jwk, "Ed25519")


@pytest.mark.threat(38)
@pytest.mark.parametrize("bits", [1024, 2040, 2047, 8193, 16384])
def test_rsa_keys_outside_2048_to_8192_bits_are_refused(forge: Any, bits: int) -> None:
    jwk = jwk_of(forge, "RS256", n=b64((1 << bits - 1) | (1 << bits // 2) | 1))
    reason = unusable_beside_a_good_key(forge, jwk, "RS256")
    assert f"found {bits}" in reason if bits < 9_000 else "at most 1024 bytes" in reason


@pytest.mark.threat(38)
@pytest.mark.parametrize("bits", [2048, 8192])
def test_rsa_keys_at_the_bounds_are_read(bits: int) -> None:
    jwk = {"kty": "RSA", "kid": "edge", "n": b64((1 << bits - 1) | (1 << bits // 2) | 1), "e": "AQAB"}
    assert PublicKey.from_jwk(jwk).algorithms == {"RS256", "PS256"}


@pytest.mark.threat(38)
def test_weak_rsa_material_is_refused_by_whatever_door_it_comes() -> None:
    for bits in (1024, 2040):
        weak = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        with pytest.raises(KeyRejected, match=f"found {bits}"):
            PublicKey.from_material(weak.public_key())
        with pytest.raises(KeyRejected, match=f"found {bits}"):
            PrivateKey(weak, alg="RS256")


@pytest.mark.threat(38)
@pytest.mark.parametrize("e", [0, 1, 2, 4, 65536])
def test_an_even_or_trivial_rsa_exponent_is_refused(forge: Any, e: int) -> None:
    jwk = jwk_of(forge, "RS256", e=b64(e, 3))
    assert "exponent" in unusable_beside_a_good_key(forge, jwk, "RS256")


@pytest.mark.threat(38)
def test_an_rsa_exponent_of_3_is_the_least(forge: Any) -> None:
    assert PublicKey.from_jwk(jwk_of(forge, "RS256", e=b64(3)))
    n = forge.keys["RS256"].public.material.public_numbers().n
    assert "odd RSA modulus" in unusable_beside_a_good_key(
        forge, jwk_of(forge, "RS256", n=b64(n - 1)), "RS256"
    )


@pytest.mark.threat(39)
@pytest.mark.parametrize(
    "changes",
    [
        {"x": "AAAA"},
        {"x": ""},
        {"x": None},
        {"x": 7},
        {"x": "ü" * 43},
        {"x": "A" * 43},
        {"x": "A" * 44},
        {"x": "A" * 10_000},
        {"x": "A" * 42 + "="},
        {"x": "A" * 42 + "B"},
        {"x": "+" * 43},
        {"y": "A" * 43},
        {"y": "AAAA"},
        {"crv": "p-256"},
        {"crv": "P-521"},
        {"crv": "secp256k1"},
        {"crv": "Ed25519"},
        {"crv": None},
        {"crv": ["P-256"]},
        {"crv": 256},
        {"kty": "ec"},
        {"kty": "OKP"},
        {"kty": "RSA"},
        {"kty": "oct"},
        {"kty": None},
        {"kty": ["EC"]},
        {"kty": "AKP"},
    ],
)
def test_a_bad_ec_key_is_unusable_and_the_good_one_beside_it_works(
    forge: Any, changes: dict[str, Any]
) -> None:
    unusable_beside_a_good_key(forge, jwk_of(forge, "ES256", **changes), "ES256")


@pytest.mark.threat(39)
@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize(("alg", "size"), [("ES256", 32), ("ES384", 48)])
def test_ec_coordinates_have_exactly_their_length(forge: Any, alg: str, size: int, axis: str) -> None:
    raw = base64url.decode(forge.keys[alg].public.jwk[axis].encode())
    for wrong in (b"\x00" + raw, raw[1:], raw[:-1], raw + b"\x00"):
        bad = jwk_of(forge, alg, **{axis: base64url.encode(wrong).decode()})
        assert f"coordinates of {size} bytes" in unusable_beside_a_good_key(forge, bad, alg)


@pytest.mark.threat(39)
@pytest.mark.parametrize("missing", ["x", "y", "crv", "kty"])
def test_a_key_without_a_member_is_unusable(forge: Any, missing: str) -> None:
    unusable_beside_a_good_key(forge, jwk_of(forge, "ES256", without=(missing,)), "ES256")


@pytest.mark.threat(39)
@pytest.mark.parametrize("raw", [b"", b"\x01", b"\x02" * 31, b"\x02" * 33, b"\x02" * 64])
def test_an_ed25519_key_has_32_bytes(forge: Any, raw: bytes) -> None:
    unusable_beside_a_good_key(forge, jwk_of(forge, "Ed25519", x=base64url.encode(raw).decode()), "Ed25519")


@pytest.mark.threat(39)
@pytest.mark.parametrize("crv", ["ed25519", "Ed448", "X25519", None, "P-256"])
def test_an_okp_key_is_of_curve_ed25519(forge: Any, crv: Any) -> None:
    assert "Ed25519" in unusable_beside_a_good_key(forge, jwk_of(forge, "Ed25519", crv=crv), "Ed25519")


@pytest.mark.threat(40)
@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
@pytest.mark.parametrize("alg", ["RS256", "ES256", "Ed25519"])
def test_a_published_private_key_is_refused_and_reported(forge: Any, alg: str, member: str) -> None:
    for value in ("AQAB", None, 1, [{}]):
        reason = unusable_beside_a_good_key(forge, jwk_of(forge, alg, **{member: value}), alg)
        assert reason == f"private key published: members {member} must never leave their owner"
        assert "AQAB" not in reason


def test_a_published_private_key_is_another_alarm_than_a_key_that_cannot_be_used(forge: Any) -> None:
    published = jwk_of(forge, "ES256", d=b64(1, 32))
    reports = JWKSet.from_dict({"keys": [published, jwk_of(forge, "ES384", use="enc"), "no key"]}).unusable
    assert [report.alarm for report in reports] == ["private_key", "unusable_key", "unusable_key"]


@pytest.mark.threat(40)
def test_what_we_publish_has_public_numbers_only(forge: Any) -> None:
    public = {"kty", "crv", "x", "y", "n", "e", "kid", "use", "alg"}
    for key in forge.keys.values():
        assert set(key.public_jwk()) <= public
        assert b"PRIVATE" not in key.public.pem()
    for jwk in forge.jwk_set.to_dict()["keys"]:
        assert set(jwk) <= public
    assert len(JWKSet.from_dict(forge.jwk_set.to_dict())) == 6


@pytest.mark.threat(41)
@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"use": "SIG"},
        {"use": ""},
        {"use": None},
        {"use": ["sig"]},
        {"key_ops": ["encrypt"]},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"key_ops": None},
        {"key_ops": {"verify": 1}},
        {"alg": "none"},
        {"alg": "RSA-OAEP"},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"alg": "ES256"},
        {"alg": ""},
        {"alg": None},
        {"alg": 256},
        {"alg": ["RS256"]},
    ],
)
def test_a_key_for_something_else_is_unusable(forge: Any, changes: dict[str, Any]) -> None:
    unusable_beside_a_good_key(forge, jwk_of(forge, "RS256", **changes), "RS256")


@pytest.mark.threat(41)
def test_a_key_that_may_verify_says_so_or_nothing(forge: Any) -> None:
    for changes in (
        {"use": "sig"},
        {"key_ops": ["verify"]},
        {"key_ops": ["sign", "verify"]},
        {"x5c": ["AA"], "foo": 1},
    ):
        keys = JWKSet.from_dict({"keys": [jwk_of(forge, "RS256", ("use",), **changes)]})
        assert forge.verify(forge.token("RS256"), keys=keys)


@pytest.mark.threat(12)
@pytest.mark.parametrize("kid", [None, 7, ["ES256"], "", "k" * (MAX_KID_LENGTH + 1)])
def test_a_kid_that_no_token_could_name_makes_a_key_unusable(forge: Any, kid: Any) -> None:
    bad = jwk_of(forge, "ES256", kid=kid)
    reason = JWKSet.from_dict({"keys": [bad, jwk_of(forge, "ES384")]}).unusable[0].reason
    assert "kid" in reason
    assert len(reason) < 100
    assert PublicKey.from_jwk(jwk_of(forge, "ES256", kid="k" * MAX_KID_LENGTH))


@pytest.mark.threat(39)
@pytest.mark.parametrize(
    "document",
    [None, [], "keys", 1, {}, {"keys": None}, {"keys": {}}, {"keys": "x"}, {"Keys": []}, {"keys": ({},)}],
)
def test_what_is_no_jwk_set_is_refused(document: Any) -> None:
    with pytest.raises(KeySetInvalid):
        JWKSet.from_dict(document)


@pytest.mark.threat(39)
@pytest.mark.parametrize("member", [None, "key", 1, [], ["kty"], True])
def test_a_member_that_is_no_object_is_unusable(forge: Any, member: Any) -> None:
    keys = JWKSet.from_dict({"keys": [member, jwk_of(forge, "ES256")]})
    assert forge.verify(forge.token("ES256"), keys=keys)
    assert keys.unusable[0][:2] == (0, None)


@pytest.mark.threat(18, 39)
@pytest.mark.parametrize(
    "text", [b"", b"<html>", b"[]", b'{"keys":[],"keys":[]}', b'{"keys":[]', b"\xff", b'{"keys":' + b"[" * 99]
)
def test_a_set_that_is_not_strict_json_is_refused(text: bytes) -> None:
    with pytest.raises(KeySetInvalid, match="expected a JWK Set"):
        JWKSet.from_json(text)


def test_a_set_of_a_hundred_keys_is_the_most_that_is_considered(forge: Any) -> None:
    good = jwk_of(forge, "ES256", kid="late")
    fillers = [jwk_of(forge, "ES384", kid=f"k{n}") for n in range(MAX_KEYS)]
    keys = JWKSet.from_json(json.dumps({"keys": [*fillers[1:], good]}).encode())
    assert len(keys) == MAX_KEYS
    assert "late" in keys
    assert not keys.unusable
    beyond = JWKSet.from_dict({"keys": [*fillers, good]})
    assert "late" not in beyond
    assert beyond.unusable[0].reason == "only the first 100 of 101 keys are considered"


@pytest.mark.threat(39)
def test_material_of_another_kind_is_no_key() -> None:
    for foreign in (dsa.generate_parameters(1024).generate_private_key(), object(), None, b"pem"):
        with pytest.raises((KeyRejected, AttributeError)):
            PrivateKey(foreign, alg="ES256")  # type: ignore[arg-type]
        with pytest.raises(KeyRejected, match="expected an RSA, EC or Ed25519 public key"):
            PublicKey.from_material(foreign)  # type: ignore[arg-type]
    with pytest.raises(KeyRejected, match="expected curve P-256 or P-384, found secp521r1"):
        PublicKey.from_material(ec.generate_private_key(ec.SECP521R1()).public_key())


def test_a_key_survives_every_form(forge: Any) -> None:
    for alg, key in forge.keys.items():
        public = key.public
        assert PublicKey.from_jwk(json.loads(json.dumps(dict(public.jwk)))) == public
        assert PublicKey.from_pem(public.pem(), kid=alg, alg=alg) == public
        assert PublicKey.from_pem(public.pem()).kid == thumbprint(public.material) == public.thumbprint()
        assert hash(PublicKey.from_pem(public.pem(), kid=alg, alg=alg)) == hash(public)
        assert public != public.jwk
        again = PrivateKey.from_pem(key.insecure_private_pem(), alg=alg, kid=alg)
        assert again.public == public
        assert not JWKSet([public]).unusable


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PUBLIC KEY-----", b"not a key", b"\x00" * 100])
def test_what_is_no_pem_is_rejected_in_our_words(pem: bytes) -> None:
    with pytest.raises(KeyRejected, match="expected a public key in PEM"):
        PublicKey.from_pem(pem)
    with pytest.raises(KeyRejected, match="expected an unencrypted private key in PEM"):
        PrivateKey.from_pem(pem)


def test_an_algorithm_follows_from_the_key_where_none_is_named(forge: Any) -> None:
    usual = {
        "RS256": "RS256",
        "PS256": "RS256",
        "ES256": "ES256",
        "ES384": "ES384",
        "EdDSA": "EdDSA",
        "Ed25519": "EdDSA",
    }
    for alg, key in forge.keys.items():
        assert PrivateKey.from_pem(key.insecure_private_pem()).alg == usual[alg]


@pytest.mark.parametrize("alg", ["HS256", "none", "RS512", "es256", ""])
def test_a_private_key_signs_under_a_known_asymmetric_name_only(forge: Any, alg: str) -> None:
    with pytest.raises(KeyRejected, match="expected one of"):
        PrivateKey.generate(alg)
    with pytest.raises(KeyRejected, match="expected one of"):
        PrivateKey(forge.keys["RS256"]._material, alg=alg)


@pytest.mark.threat(13, 39)
def test_a_key_without_kid_has_no_name_and_is_published_without(forge: Any) -> None:
    (key,) = JWKSet.from_dict({"keys": [jwk_of(forge, "ES256", ("kid", "alg"))]}).keys
    assert key.kid is None
    assert set(key.jwk) == {"kty", "crv", "x", "y", "use"}
    (named,) = JWKSet.from_dict({"keys": [jwk_of(forge, "ES256")]}).keys
    assert (named.jwk["kid"], named.jwk["alg"]) == ("ES256", "ES256")


@pytest.mark.threat(39)
def test_a_huge_member_is_refused_before_it_is_decoded(forge: Any) -> None:
    reason = unusable_beside_a_good_key(forge, jwk_of(forge, "ES256", x="A" * 10_000), "ES256")
    assert reason == "expected member x to be at most 32 bytes"


@pytest.mark.threat(39)
def test_a_small_coordinate_is_published_in_full_length() -> None:
    for _ in range(20_000):
        key = PrivateKey.generate("ES256")
        if key._material.public_key().public_numbers().x >> 248 == 0:  # type: ignore[union-attr]
            assert len(base64url.decode(key.public.jwk["x"].encode())) == 32
            assert PublicKey.from_jwk(key.public.jwk) == key.public
            return
    raise AssertionError("no x coordinate began with a zero byte")  # chance below 10 to the power of -33


def test_a_thumbprint_has_the_required_members_only() -> None:
    # RFC 7638 §3.1 and RFC 8037 A.3
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
        "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
        "nqDKgw"
    )
    rsa_key = PublicKey.from_jwk({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"})
    assert rsa_key.thumbprint() == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    okp = PublicKey.from_jwk(
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    )
    assert okp.thumbprint() == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_an_alg_that_does_not_fit_is_told_with_the_kind_of_key(forge: Any) -> None:
    for by, alg, kind in (("ES256", "ES384", "EC P-256"), ("RS256", "ES256", "RSA")):
        reason = unusable_beside_a_good_key(forge, jwk_of(forge, by, alg=alg), by)
        assert reason == f"alg '{alg}' does not fit a key of type {kind}"
