"""One key set and one policy per issuer; nothing that one decided is carried over to another."""

from typing import Any

import pytest

from watchword.errors import (
    AlgorithmNotAllowed,
    AudienceMismatch,
    ConfigurationError,
    IssuerNotTrusted,
    KeyUnknown,
    KeyUnusable,
    SignatureInvalid,
    TokenError,
    TypeNotAllowed,
)
from watchword.tokens.jwk import PublicKey
from watchword.tokens.jwk_set import JWKSet, KnownHeader
from watchword.tokens.jws import Header
from watchword.tokens.policy import MAX_LEEWAY, VerificationPolicy
from watchword.tokens.private_key import PrivateKey


@pytest.mark.threat(57)
def test_a_key_of_one_issuer_never_signs_for_another(forge: Any) -> None:
    theirs = PrivateKey.generate("ES256")
    their_keys = JWKSet([theirs.public])
    their_policy = forge.policy(issuer="https://other.example")
    forge.keys["theirs"] = PrivateKey(theirs._material, alg="ES256", kid="ES256")
    try:
        impostor = forge.sign(forge.header(), forge.claims(), "theirs")
        named = forge.sign(forge.header(kid=theirs.kid), forge.claims(), "theirs")
        own = forge.sign(forge.header(kid=theirs.kid), forge.claims(iss="https://other.example"), "theirs")
    finally:
        del forge.keys["theirs"]
    # their key, our iss: before our policy with our keys, and before theirs with theirs
    forge.refused(impostor, SignatureInvalid)
    forge.refused(named, KeyUnknown)
    forge.refused(named, IssuerNotTrusted, keys=their_keys, policy=their_policy)
    # our key, their iss
    forge.refused(forge.token(iss="https://other.example"), IssuerNotTrusted)
    forge.refused(forge.token(iss="https://other.example"), KeyUnknown, keys=their_keys, policy=their_policy)
    assert forge.verify(own, keys=their_keys, policy=their_policy).issuer == "https://other.example"
    forge.refused(own, KeyUnknown)


@pytest.mark.threat(57)
def test_the_same_kid_at_two_issuers_means_two_keys(forge: Any) -> None:
    twin = PrivateKey(PrivateKey.generate("ES256")._material, alg="ES256", kid="ES256")
    twins = JWKSet([twin.public])
    token = forge.token()
    assert forge.verify(token)  # our set knows this very header now
    forge.refused(token, SignatureInvalid, keys=twins)
    assert forge.verify(token)


@pytest.mark.threat(54)
def test_a_remembered_header_carries_no_decision_to_another_policy(forge: Any) -> None:
    keys = forge.fresh_set("ES256")
    token = forge.token()
    for _ in range(2):
        assert forge.verify(token, keys=keys)
        forge.refused(
            token, AlgorithmNotAllowed, keys=keys, policy=forge.policy(algorithms=["RS256", "EdDSA"])
        )
        forge.refused(token, TypeNotAllowed, keys=keys, policy=forge.policy(token_types=["JWT"]))
        forge.refused(token, IssuerNotTrusted, keys=keys, policy=forge.policy(issuer="https://other.example"))
        forge.refused(token, AudienceMismatch, keys=keys, policy=forge.policy(audience="other"))
        forge.refused(token, TokenError.__subclasses__()[0], keys=keys, policy=forge.policy(max_length=10))
    foreign = forge.sign(forge.header(typ="JWT"), forge.claims())
    assert forge.verify(foreign, keys=keys, policy=forge.policy(token_types=["JWT"]))
    forge.refused(foreign, TypeNotAllowed, keys=keys)


@pytest.mark.threat(54)
def test_a_remembered_header_carries_no_decision_to_another_key_set(forge: Any) -> None:
    token = forge.token()
    old = forge.fresh_set("ES256", "ES384")
    assert forge.verify(token, keys=old)
    retired = forge.fresh_set("ES384")
    forge.refused(token, KeyUnknown, keys=retired)
    reused = JWKSet(
        [PublicKey.from_material(PrivateKey.generate("ES256").public.material, kid="ES256", alg="ES256")]
    )
    forge.refused(token, SignatureInvalid, keys=reused)
    forge.refused(
        token,
        KeyUnusable,
        keys=JWKSet.from_dict({"keys": [dict(forge.keys["ES256"].public.jwk) | {"use": "enc"}]}),
    )
    assert forge.verify(token, keys=old)


@pytest.mark.threat(54)
def test_a_remembered_header_does_not_vouch_for_the_signature(forge: Any) -> None:
    keys = forge.fresh_set("ES256")
    token = forge.token()
    assert forge.verify(token, keys=keys)
    assert len(keys.known_headers) == 1
    head, payload, signature = token.split(".")
    other = forge.token(sub="local|1").split(".")
    assert other[0] == head
    forge.refused(f"{head}.{other[1]}.{signature}", SignatureInvalid, keys=keys)
    forge.refused(f"{head}.{payload}.{other[2]}", SignatureInvalid, keys=keys)
    forge.refused(f"{head}.{payload}.", SignatureInvalid, keys=keys)


@pytest.mark.threat(54)
def test_a_stranger_cannot_fill_the_table_of_headers(forge: Any) -> None:
    keys = forge.fresh_set("ES256")
    signature = forge.token().rpartition(".")[2]
    for number in range(50):
        header = forge.sign(forge.header(x=number), forge.claims()).split(".")[0]
        forge.refused(f"{header}.{forge.token().split('.')[1]}.{signature}", SignatureInvalid, keys=keys)
    assert not keys.known_headers
    assert forge.verify(forge.with_header(x=1), keys=keys)
    assert len(keys.known_headers) == 1


@pytest.mark.threat(54)
def test_the_table_of_headers_is_bounded(forge: Any) -> None:
    keys = forge.fresh_set("ES256")
    known = KnownHeader(Header("ES256", "at+jwt", "ES256"), forge.keys["ES256"].public.check("ES256"))
    for number in range(3_000):
        keys.remember(b"%d" % number, known)
        assert len(keys.known_headers) <= 1_024
    assert b"2999" in keys.known_headers


@pytest.mark.threat(228)
def test_issuer_audience_and_algorithms_have_no_default() -> None:
    for missing in ((), ("https://id.example",), ("https://id.example", "users")):
        with pytest.raises(TypeError):
            VerificationPolicy(*missing)  # type: ignore[call-arg]


@pytest.mark.threat(42, 43, 228)
@pytest.mark.parametrize("name", ["issuer", "audience", "algorithms", "token_types"])
@pytest.mark.parametrize("empty", [None, "", [], (), 7, [""], [None], [7], {}])
def test_an_empty_or_wrong_policy_cannot_be_made(forge: Any, name: str, empty: Any) -> None:
    with pytest.raises((ConfigurationError, TypeError)):
        forge.policy(**{name: empty})


@pytest.mark.threat(229)
@pytest.mark.parametrize("name", ["algorithms", "token_types", "token_kinds", "required_claims"])
@pytest.mark.parametrize("text", ["RS256", "at+jwt", b"RS256", "RS256 ES256", ""])
def test_a_list_of_names_given_as_one_text_is_a_type_error(forge: Any, name: str, text: Any) -> None:
    with pytest.raises(TypeError, match=f"expected {name} as a list of names, found one text"):
        forge.policy(**{name: text})


@pytest.mark.threat(1, 226)
@pytest.mark.parametrize(
    "algorithms", [["none"], ["RS256", "none"], ["rs256"], ["RS512"], ["HS384"], ["dir"], [None], [["RS256"]]]
)
def test_an_unknown_algorithm_cannot_be_allowed(forge: Any, algorithms: Any) -> None:
    with pytest.raises((ConfigurationError, TypeError), match=r"unknown|unhashable"):
        forge.policy(algorithms=algorithms)


@pytest.mark.threat(226)
@pytest.mark.parametrize("other", ["RS256", "ES256", "EdDSA"])
def test_hs256_never_stands_beside_public_keys(forge: Any, other: str) -> None:
    with pytest.raises(ConfigurationError, match="HS256 never together with public keys"):
        forge.policy(algorithms=["HS256", other])
    assert forge.policy(algorithms=["HS256"]).algorithms == {"HS256"}


@pytest.mark.threat(226)
def test_a_new_key_is_asymmetric_unless_nothing_is_said() -> None:
    assert PrivateKey.generate().alg == "ES256"
    assert PrivateKey.generate().public.jwk["kty"] == "EC"


@pytest.mark.threat(45)
@pytest.mark.parametrize("leeway", [-1, -0.001, 60.001, 3_600, float("inf"), float("nan")])
def test_leeway_is_at_most_a_minute(forge: Any, leeway: float) -> None:
    with pytest.raises(ConfigurationError, match="leeway: expected 0 to 60 seconds"):
        forge.policy(leeway=leeway)
    assert forge.policy().leeway == 0
    assert forge.policy(leeway=MAX_LEEWAY).leeway == 60


def test_every_mistake_of_a_policy_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        VerificationPolicy("", [], ["none"], token_types=[], token_kinds=["x"], leeway=99)
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "issuer",
        "audience",
        "algorithms",
        "token_types",
        "token_kinds",
        "leeway",
    ]
    with pytest.raises(ConfigurationError, match="algorithms: expected at least one"):
        VerificationPolicy("https://id.example", "users", [])


@pytest.mark.threat(54)
def test_a_policy_does_not_change(forge: Any) -> None:
    policy = forge.policy()
    for name in ("issuer", "audiences", "algorithms", "leeway", "new"):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(policy, name, "x")
        with pytest.raises(AttributeError, match="immutable"):
            delattr(policy, name)
    names = ["users"]
    made = forge.policy(audience=names)
    names.append("posts")
    forge.refused(forge.token(aud="posts"), AudienceMismatch, policy=made)
    assert "https://id.example" in repr(policy)


@pytest.mark.threat(232)
@pytest.mark.parametrize(
    "sample",
    [
        "your_secret_key",
        "your-256-bit-secret",
        "secret",
        "change_me",
        "my-secret-key",
        "SuperSecret123",
        "your-512-bit-secret",
        "secret-key",
        "top_secret",
        "example",
        "your_secret_key_here",
        "super-secret-key",
        "very-secret-key",
        "a_secret_key",
        "this is a secret",
        "my_super_secret_key",
        "dev-secret",
        "test_secret",
        "private_key",
        "jwt_secret",
        "password",
    ],
)
def test_the_secrets_of_tutorials_are_refused_by_name(sample: str) -> None:
    from watchword.errors import KeyRejected
    from watchword.tokens.shared_secret import SharedSecret

    for form in (
        sample * 9,
        f"{sample}1234567890123456789012345678901234567890",
        f"{sample}-{sample}!{sample}/{sample}?{sample}",
    ):
        with pytest.raises(KeyRejected, match=r"well-known sample|at least 32") as refused:
            SharedSecret(form.encode())
        assert form not in str(refused.value)
        if len(form) >= 32:
            assert "well-known sample" in str(refused.value)


@pytest.mark.threat(232)
def test_a_secret_is_refused_that_is_long_and_poor() -> None:
    from watchword.errors import KeyRejected
    from watchword.tokens.shared_secret import SharedSecret

    for poor in (b"a" * 64, b"ab" * 32, b"0123456789" * 8, b"\x00" * 32):
        with pytest.raises(KeyRejected, match=r"random|sample"):
            SharedSecret(poor)


@pytest.mark.threat(232)
def test_a_random_secret_without_any_letter_is_no_sample() -> None:
    from watchword.tokens.shared_secret import SharedSecret

    assert SharedSecret(bytes(range(64)))
    assert SharedSecret(bytes(range(128, 150)) + b"0123456789")


@pytest.mark.threat(232)
def test_a_random_secret_may_hold_the_letters_of_a_sample() -> None:
    from watchword.tokens.shared_secret import SharedSecret

    assert SharedSecret(b"secret-Xq7Lr2Tz9Wb4Nd6Kf8Hg1Jm3Pv5Yc0")


@pytest.mark.threat(4)
@pytest.mark.parametrize(
    "disguised",
    [
        b'{"keys":          [                ]}',
        b'{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1"}',
        b"\x30\x81\x9f\x30\x0d" + bytes(range(40)),
        b"\x30\x82\x01\x22\x30" + bytes(range(40)),
        b"\x30\x76\x30\x10" + bytes(range(40)),
        b"\x30\x59\x30\x13" + bytes(range(40)),
        b"\x30\x2a\x30\x05" + bytes(range(40)),
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
        b"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNo",
        b"\xef\xbb\xbf -----BEGIN CERTIFICATE-----1234567890",
    ],
)
def test_a_key_in_disguise_is_no_secret(disguised: bytes) -> None:
    from watchword.errors import KeyRejected
    from watchword.tokens.shared_secret import SharedSecret

    with pytest.raises(KeyRejected, match="is no secret"):
        SharedSecret(disguised)
