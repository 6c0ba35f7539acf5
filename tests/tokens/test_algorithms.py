"""`alg` is a name that must stand in the configured list; the header never chooses more than that."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, x25519

from watchword.errors import AlgorithmNotAllowed, KeyRejected, KeyUnusable, SignatureInvalid, TokenMalformed
from watchword.tokens import algorithms, base64url
from watchword.tokens.algorithms import ALGORITHMS, PUBLIC_KEY_ALGORITHMS, fitting
from watchword.tokens.jwk import PublicKey
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.private_key import PrivateKey
from watchword.tokens.shared_secret import SharedSecret

SECRET = bytes(range(100, 140))


def hs256(forge: Any, secret: bytes, **header: Any) -> str:
    signing_input = b".".join(
        base64url.encode(json.dumps(part).encode())
        for part in (forge.header("HS256", **header), forge.claims())
    )
    return (signing_input + b"." + base64url.encode(hmac.digest(secret, signing_input, "sha256"))).decode()


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"])
def test_a_genuine_token_of_each_algorithm_is_accepted(forge: Any, alg: str) -> None:
    token = forge.verify(forge.token(alg))
    assert token.subject == ("https://id.example", "local|42")
    assert token.key_id == alg


@pytest.mark.threat(1)
@pytest.mark.parametrize(
    "spelling", ["none", "None", "NONE", "nOnE", "none ", " none", "no\u200bne", "nonE\u0000"]
)
@pytest.mark.parametrize("signature", ["empty", "kept", "of another token", "zeros"])
def test_none_in_every_spelling_is_no_algorithm(forge: Any, spelling: str, signature: str) -> None:
    text = forge.with_header(alg=spelling, kid="ES256") if signature == "kept" else None
    signing_input = forge.sign(forge.header("ES256", alg=spelling), forge.claims()).rpartition(".")[0]
    tail = {"empty": "", "of another token": forge.token().rpartition(".")[2], "zeros": "A" * 86}.get(
        signature
    )
    forge.refused(text or f"{signing_input}.{tail}", AlgorithmNotAllowed)


@pytest.mark.threat(1)
def test_the_code_knows_no_none() -> None:
    assert not [name for name in ALGORITHMS if name.lower() == "none"]
    assert not [name for name in vars(algorithms) if name.lower() == "none"]
    with pytest.raises(Exception, match="unknown none"):
        VerificationPolicy("https://id.example", "users", ["none"])


@pytest.mark.threat(2)
@pytest.mark.parametrize("alg", [None, ["ES256"], {"ES256": 1}, 256, 2.5, True, ""])
def test_an_alg_that_is_no_text_is_malformed(forge: Any, alg: Any) -> None:
    forge.refused(forge.sign(forge.header(alg=alg), forge.claims()), TokenMalformed)


@pytest.mark.threat(2)
def test_a_header_without_alg_is_malformed(forge: Any) -> None:
    forge.refused(forge.with_header(without=("alg",)), TokenMalformed)


@pytest.mark.threat(3)
@pytest.mark.parametrize(
    "alg",
    [
        "es256",
        "ES256 ",
        " ES256",
        "ES256\u0000",
        "ES25",
        "S256",
        "ES2567",
        "ＥＳ２５６",
        "ES256\n",
        "E",
        "ES256,RS256",
        "Es256",
    ],
)
def test_a_near_miss_of_an_allowed_name_is_not_that_name(forge: Any, alg: str) -> None:
    forge.refused(forge.sign(forge.header("ES256", alg=alg), forge.claims()), AlgorithmNotAllowed)


@pytest.mark.threat(3)
def test_an_algorithm_outside_the_list_is_refused_although_its_key_is_in_the_set(forge: Any) -> None:
    only_rs256 = forge.policy(algorithms=["RS256"])
    forge.refused(forge.token("ES256"), AlgorithmNotAllowed, policy=only_rs256)
    assert forge.verify(forge.token("RS256"), policy=only_rs256)


def public_shapes(forge: Any) -> dict[str, bytes]:
    """Every text that somebody may have pasted where a secret was asked for."""
    shapes = {}
    enc, fmt = serialization.Encoding, serialization.PublicFormat
    for alg in ("RS256", "ES256", "Ed25519"):
        public = forge.keys[alg].public
        pem = public.pem()
        shapes |= {
            f"{alg} PEM": pem,
            f"{alg} PEM without the last line break": pem.rstrip(),
            f"{alg} PEM CRLF": pem.replace(b"\n", b"\r\n"),
            f"{alg} PEM with a leading blank": b" " + pem,
            f"{alg} PEM with a BOM": b"\xef\xbb\xbf" + pem,
            f"{alg} DER": public.material.public_bytes(enc.DER, fmt.SubjectPublicKeyInfo),
            f"{alg} OpenSSH": public.material.public_bytes(enc.OpenSSH, fmt.OpenSSH),
            f"{alg} JWK": json.dumps(dict(public.jwk)).encode(),
            f"{alg} JWK Set": json.dumps(JWKSet([public]).to_dict()).encode(),
        }
    rsa_public = forge.keys["RS256"].public
    point = forge.keys["ES256"].public.material
    shapes["RSA PKCS#1 PEM"] = rsa_public.material.public_bytes(enc.PEM, fmt.PKCS1)
    shapes["RSA PKCS#1 DER"] = rsa_public.material.public_bytes(enc.DER, fmt.PKCS1)
    shapes["RSA modulus"] = base64url.decode(rsa_public.jwk["n"].encode())
    shapes["RSA modulus as text"] = rsa_public.jwk["n"].encode()
    shapes["EC point"] = point.public_bytes(enc.X962, fmt.UncompressedPoint)
    shapes["EC point compressed"] = point.public_bytes(enc.X962, fmt.CompressedPoint)
    shapes["Ed25519 raw"] = forge.keys["Ed25519"].public.material.public_bytes_raw()
    return shapes


@pytest.mark.threat(4)
def test_a_public_key_is_never_taken_for_an_hmac_key(forge: Any) -> None:
    for shape, secret in public_shapes(forge).items():
        for kid in ("RS256", "ES256", "Ed25519"):
            error = forge.refused(hs256(forge, secret, kid=kid), AlgorithmNotAllowed)
            assert "HS256" in str(error), shape


@pytest.mark.threat(4)
def test_an_hmac_is_never_computed_with_a_public_key(forge: Any) -> None:
    # even a policy that names HS256 computes none: a key set has no key that fits it
    policy = forge.policy(algorithms=["HS256"])
    for secret in public_shapes(forge).values():
        forge.refused(hs256(forge, secret, kid="RS256"), KeyUnusable, policy=policy)


@pytest.mark.threat(4, 232)
def test_what_looks_like_a_public_key_cannot_be_configured_as_a_secret(forge: Any) -> None:
    for shape, secret in public_shapes(forge).items():
        if "raw" in shape or "modulus" in shape or "point" in shape:
            continue  # bytes without a mark: those are refused where they are presented, above
        with pytest.raises(KeyRejected):
            SharedSecret(secret)


@pytest.mark.threat(5)
@pytest.mark.parametrize(
    "secret", [b"", b"null", b"secret", b"ES256", b"undefined", b"your-256-bit-secret", b"\x00" * 32]
)
def test_a_token_keyed_with_nothing_or_a_sample_is_refused(forge: Any, secret: bytes) -> None:
    token = hs256(forge, secret, kid="ES256")
    forge.refused(token, AlgorithmNotAllowed)
    shared = forge.policy(algorithms=["HS256"])
    forge.refused(token, SignatureInvalid, keys=SharedSecret(SECRET), policy=shared)


@pytest.mark.threat(5)
@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (b"", "at least 32 bytes"),
        (SECRET[:31], "at least 32 bytes"),
        (b"\x00" * 64, "random"),
        (b"secret" * 8, "well-known sample"),
        (b"your-256-bit-secret" * 2, "well-known sample"),
        (b"my_super_secret_key_1234567890123456", "well-known sample"),
        (b"abcdefghijk" * 3, "random"),
    ],
)
def test_an_empty_short_or_sample_secret_cannot_be_configured(secret: bytes, reason: str) -> None:
    with pytest.raises(KeyRejected, match=reason):
        SharedSecret(secret)


@pytest.mark.threat(5)
def test_a_secret_of_32_random_bytes_verifies_what_it_signed(forge: Any) -> None:
    shared = forge.policy(algorithms=["HS256"])
    for secret in (SECRET[:32], b"abcdefghijkl" * 3):
        assert forge.verify(hs256(forge, secret), keys=SharedSecret(secret), policy=shared)
    forge.refused(hs256(forge, SECRET)[:-1] + "A", SignatureInvalid, keys=SharedSecret(SECRET), policy=shared)


@pytest.mark.threat(5)
def test_a_secret_must_be_bytes() -> None:
    with pytest.raises(TypeError, match="expected the secret as bytes, found str"):
        SharedSecret("x" * 40)  # type: ignore[arg-type]


@pytest.mark.threat(6)
def test_a_correct_hmac_is_refused_where_public_keys_are_expected(forge: Any) -> None:
    document = forge.fresh_set().to_dict()
    document["keys"].append(
        {"kty": "oct", "kid": "shared", "alg": "HS256", "k": base64url.encode(SECRET).decode()}
    )
    keys = JWKSet.from_dict(document)
    assert [bad.kid for bad in keys.unusable] == ["shared"]
    token = hs256(forge, SECRET, kid="shared")
    forge.refused(token, AlgorithmNotAllowed, keys=keys)
    # the key set never widens the list, and the list never makes a public set's secret usable
    forge.refused(token, KeyUnusable, keys=keys, policy=forge.policy(algorithms=["HS256"]))
    assert forge.verify(forge.token(), keys=keys)


@pytest.mark.threat(6)
def test_a_shared_secret_verifies_hs256_and_nothing_else(forge: Any) -> None:
    forge.refused(forge.token("ES256"), AlgorithmNotAllowed, keys=SharedSecret(SECRET))


@pytest.mark.threat(7)
@pytest.mark.parametrize("hostile", ["HS256", "RS256", "PS256", "ES384", "EdDSA", "RS512", "dir"])
def test_a_key_without_alg_keeps_to_its_own_kind(forge: Any, hostile: str) -> None:
    document = {name: value for name, value in forge.keys["ES256"].public.jwk.items() if name != "alg"}
    keys = JWKSet.from_dict({"keys": [document]})
    token = forge.sign(forge.header("ES256", alg=hostile), forge.claims())
    leaf = KeyUnusable if hostile in PUBLIC_KEY_ALGORITHMS else AlgorithmNotAllowed
    forge.refused(token, leaf, keys=keys)
    assert forge.verify(forge.token("ES256"), keys=keys)


@pytest.mark.threat(7)
def test_an_rsa_key_without_alg_needs_the_configuration_to_choose(forge: Any) -> None:
    document = {n: v for n, v in forge.keys["RS256"].public.jwk.items() if n not in ("alg", "kid")} | {
        "kid": "rsa"
    }
    keys = JWKSet.from_dict({"keys": [document]})
    for alg in ("RS256", "PS256"):
        token = forge.sign(forge.header(alg, kid="rsa"), forge.claims(), alg)
        for _ in range(2):  # the second time, the header would be remembered
            forge.refused(token, KeyUnusable, keys=keys)
        assert forge.verify(token, keys=keys, policy=forge.policy(algorithms=[alg, "ES256"]))
        other = {"RS256": "PS256", "PS256": "RS256"}[alg]
        forge.refused(token, AlgorithmNotAllowed, keys=keys, policy=forge.policy(algorithms=[other]))
        forge.refused(token, KeyUnusable, keys=keys)
    assert not keys.known_headers, "what such a header means depends on the policy"


@pytest.mark.threat(8)
@pytest.mark.parametrize(("signed", "named"), [("RS256", "PS256"), ("PS256", "RS256")])
def test_one_key_has_one_algorithm(forge: Any, signed: str, named: str) -> None:
    # the two keys hold the same numbers: only the key's own `alg` stands between them
    forge.refused(forge.sign(forge.header(signed, kid=named), forge.claims(), signed), KeyUnusable)
    forge.refused(forge.sign(forge.header(named), forge.claims(), signed), SignatureInvalid)


@pytest.mark.threat(8)
def test_the_table_binds_a_name_to_one_kind_of_key() -> None:
    assert fitting("RSA", None, "RS256") == {"RS256"}
    assert fitting("RSA", None, None) == {"RS256", "PS256"}
    assert fitting("EC", "P-256", None) == {"ES256"}
    assert fitting("OKP", "Ed25519", "EdDSA") == {"EdDSA", "Ed25519"}
    for nonsense in (
        ("RSA", None, "ES256"),
        ("EC", "P-384", "ES256"),
        ("EC", "P-256", "HS256"),
        ("oct", None, "RS256"),
    ):
        assert fitting(*nonsense) == frozenset()


@pytest.mark.threat(9)
@pytest.mark.parametrize(
    ("alg", "curve", "hash_", "half"),
    [
        ("ES256", ec.SECP384R1(), hashes.SHA256(), 32),
        ("ES384", ec.SECP256R1(), hashes.SHA384(), 48),
        ("ES256", ec.SECP256K1(), hashes.SHA256(), 32),
        ("ES256", ec.SECP521R1(), hashes.SHA256(), 32),
    ],
)
def test_a_curve_has_its_own_algorithm(forge: Any, alg: str, curve: Any, hash_: Any, half: int) -> None:
    key = ec.generate_private_key(curve)
    with pytest.raises(KeyRejected):
        PublicKey.from_material(key.public_key(), kid="odd", alg=alg)
    with pytest.raises(KeyRejected):
        PrivateKey(key, alg=alg)
    crv = {"secp384r1": "P-384", "secp256r1": "P-256", "secp256k1": "secp256k1", "secp521r1": "P-521"}[
        curve.name
    ]
    numbers, size = key.public_key().public_numbers(), (curve.key_size + 7) // 8
    jwk = {"kty": "EC", "crv": crv, "kid": "odd"} | {
        axis: base64url.encode(getattr(numbers, axis).to_bytes(size, "big")).decode() for axis in "xy"
    }
    header = forge.header(alg, kid="odd")
    for members in (jwk, jwk | {"alg": alg}):
        forge.refused(
            forge.sign(header, forge.claims(), alg), KeyUnusable, keys=JWKSet.from_dict({"keys": [members]})
        )


@pytest.mark.threat(9)
def test_other_edwards_and_montgomery_curves_are_no_signature_keys(forge: Any) -> None:
    for crv, key in (
        ("Ed448", ed448.Ed448PrivateKey.generate()),
        ("X25519", x25519.X25519PrivateKey.generate()),
    ):
        jwk = {
            "kty": "OKP",
            "crv": crv,
            "kid": "odd",
            "x": base64url.encode(key.public_key().public_bytes_raw()).decode(),
        }
        keys = JWKSet.from_dict({"keys": [jwk]})
        for alg in ("EdDSA", "Ed25519"):
            forge.refused(
                forge.sign(forge.header(alg, kid="odd"), forge.claims(), alg), KeyUnusable, keys=keys
            )
        with pytest.raises(KeyRejected, match="found"):
            PublicKey.from_material(key.public_key(), kid="odd")  # type: ignore[arg-type]


@pytest.mark.threat(10)
@pytest.mark.parametrize("own", ["EdDSA", "Ed25519", None])
def test_both_names_of_ed25519_verify_if_both_are_in_the_list(forge: Any, own: str | None) -> None:
    key = forge.keys["Ed25519"]
    keys = JWKSet([PublicKey.from_material(key.public.material, kid="Ed25519", alg=own)])
    tokens = {
        alg: forge.sign(forge.header(alg, kid="Ed25519"), forge.claims(), "Ed25519")
        for alg in ("EdDSA", "Ed25519")
    }
    for alg, token in tokens.items():
        assert forge.verify(token, keys=keys)
        assert forge.verify(token, keys=keys, policy=forge.policy(algorithms=[alg]))
    forge.refused(
        tokens["EdDSA"], AlgorithmNotAllowed, keys=keys, policy=forge.policy(algorithms=["Ed25519"])
    )
    forge.refused(
        tokens["Ed25519"], AlgorithmNotAllowed, keys=keys, policy=forge.policy(algorithms=["EdDSA"])
    )


@pytest.mark.threat(10)
def test_a_key_signs_under_the_one_name_it_was_made_for() -> None:
    assert PrivateKey.generate("Ed25519").public.jwk["alg"] == "Ed25519"
    assert PrivateKey.generate("EdDSA").public.jwk["alg"] == "EdDSA"


def test_asking_a_key_for_a_foreign_check_is_a_mistake_of_the_caller(forge: Any) -> None:
    with pytest.raises(KeyError):
        forge.keys["ES256"].public.check("ES384")


@pytest.mark.threat(8, 35)
def test_pss_and_pkcs1_signatures_are_not_mistaken_for_each_other(forge: Any) -> None:
    material = forge.keys["RS256"]._material
    message = b"header.payload"
    pss = material.sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    forge.keys["PS256"].public.check("PS256")(pss, message)
    with pytest.raises(SignatureInvalid):
        forge.keys["RS256"].public.check("RS256")(pss, message)
    assert hashlib.sha256(pss).digest()
