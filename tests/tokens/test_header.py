"""A JOSE header is read strictly; what would change how the rest is read is refused, signed or not."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from watchword.errors import AlgorithmNotAllowed, KeyUnusable, TokenError, TokenMalformed, TypeNotAllowed
from watchword.tokens import base64url, jws
from watchword.tokens.jws import normal_type, parse_header


@pytest.mark.threat(15)
@pytest.mark.parametrize(
    "crit",
    [
        ["unknown"],
        [],
        None,
        "b64",
        {},
        1,
        True,
        ["b64"],
        ["exp"],
        ["alg"],
        ["kid", "typ"],
        ["crit"],
        [1],
        [["b64"]],
        [""],
    ],
)
def test_crit_is_refused_whatever_it_says(forge: Any, crit: Any) -> None:
    forge.refused(forge.with_header(crit=crit), TokenMalformed)
    forge.refused(forge.with_header(crit=crit, unknown=1, b64=True), TokenMalformed)


@pytest.mark.threat(16)
@pytest.mark.parametrize("b64", [False, True, None, "false", 0])
@pytest.mark.parametrize("crit", [None, ["b64"]])
def test_b64_is_refused_attached_detached_and_unlisted(forge: Any, b64: Any, crit: Any) -> None:
    header = forge.header(b64=b64, **({} if crit is None else {"crit": crit}))
    forge.refused(forge.sign(header, forge.claims()), TokenMalformed)
    raw = json.dumps(forge.claims(), separators=(",", ":")).encode()
    unencoded = base64url.encode(json.dumps(header).encode()) + b"." + raw
    forge.refused(forge.sign_text(unencoded), TokenMalformed)
    head, _, signature = (
        forge.sign_text(unencoded).split(".", 1)[0],
        "",
        forge.sign_text(unencoded).rpartition(".")[2],
    )
    forge.refused(f"{head}..{signature}", TokenMalformed)


@pytest.mark.threat(16)
def test_there_is_no_door_for_a_detached_payload(forge: Any) -> None:
    assert "detached" not in (jws.__doc__ or "").lower()
    token = forge.token()
    head, _, signature = token.split(".")
    # with the payload left out the genuine signature is over something else
    with pytest.raises(TokenError):
        forge.verify(f"{head}..{signature}")


@pytest.mark.threat(17)
@pytest.mark.parametrize("member", ["zip", "enc", "epk"])
@pytest.mark.parametrize("value", ["DEF", "", None, "A256GCM", {}])
def test_compression_and_encryption_members_are_refused_in_a_jws(forge: Any, member: str, value: Any) -> None:
    forge.refused(forge.with_header(**{member: value}), TokenMalformed)


@pytest.mark.threat(17)
def test_a_jwe_is_refused_without_any_decryption(forge: Any) -> None:
    def jwe(header: dict[str, Any], encrypted_key: bytes) -> str:
        parts = [json.dumps(header).encode(), encrypted_key, b"\x01" * 12, b"\x02" * 64, b"\x03" * 16]
        return b".".join(base64url.encode(part) for part in parts).decode()

    public = forge.keys["RS256"].public.material
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    forge.refused(
        jwe({"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": "RS256"}, public.encrypt(b"k" * 32, oaep)),
        TokenMalformed,
    )
    forge.refused(
        jwe({"alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2c": 2**31 - 1, "p2s": "AAAA"}, b"k" * 40),
        TokenMalformed,
    )
    forge.refused(jwe({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}, b""), TokenMalformed)
    # and in three segments, signed by the genuine key
    forge.refused(forge.with_header(alg="PBES2-HS512+A256KW", p2c=2**31 - 1, p2s="AAAA"), AlgorithmNotAllowed)
    forge.refused(forge.with_header(alg="RSA-OAEP", kid="RS256"), AlgorithmNotAllowed)


@pytest.mark.threat(18)
@pytest.mark.parametrize(
    "text",
    [
        '{"alg":"ES256","alg":"ES256","kid":"ES256","typ":"at+jwt"}',
        '{"alg":"none","kid":"ES256","typ":"at+jwt","alg":"ES256"}',
        r'{"alg":"ES256","\u0061lg":"none","kid":"ES256","typ":"at+jwt"}',
        r'{"\u0061lg":"none","alg":"ES256","kid":"ES256","typ":"at+jwt"}',
        '{"alg":"ES256","kid":"evil","kid":"ES256","typ":"at+jwt"}',
        '{"alg":"ES256","kid":"ES256","typ":"JWT","typ":"at+jwt"}',
        '{"alg":"ES256","kid":"ES256","typ":"at+jwt","x":{"a":1,"a":2}}',
        '{"alg":"ES256","kid":"ES256","typ":"at+jwt","x":[{"a":1,"a":1}]}',
        '{ "alg" : "ES256" , "alg" : "ES256", "kid":"ES256","typ":"at+jwt"}',
    ],
)
def test_a_header_member_that_comes_twice_is_refused(forge: Any, text: str) -> None:
    forge.refused(forge.sign(text.encode(), forge.claims()), TokenMalformed)


def test_a_header_with_blanks_and_unknown_members_is_read(forge: Any) -> None:
    text = b'{ "alg" : "ES256", "kid":"ES256",\n"typ":"at+jwt", "x": {"deep": [1, 2.50, "\\u00e9"]}}'
    assert forge.verify(forge.sign(text, forge.claims()))


@pytest.mark.threat(20)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig"])
def test_a_header_in_another_encoding_is_refused(forge: Any, encoding: str) -> None:
    text = '{"alg":"ES256","kid":"ES256","typ":"at+jwt","x":"ü"}'.encode(encoding)
    forge.refused(forge.sign(text, forge.claims()), TokenMalformed)


@pytest.mark.threat(24)
@pytest.mark.parametrize(
    "text", [b"", b"[]", b'"ES256"', b"null", b"1", b"{}", b"{", b'{"alg":"ES256"}{}', b"[{}]"]
)
def test_a_header_that_is_no_object_with_alg_is_refused(forge: Any, text: bytes) -> None:
    forge.refused(forge.sign(text, forge.claims()), TokenMalformed)


@pytest.mark.threat(48)
@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_an_access_token_says_so_in_either_form_and_any_case(forge: Any, typ: str) -> None:
    assert forge.verify(forge.with_header(typ=typ))


@pytest.mark.threat(48)
@pytest.mark.parametrize(
    "typ",
    [
        "JWT", "jwt", "JOSE", "at+jwtx", "xat+jwt", "at+jwt ", " at+jwt", "at+jw", "at", "at jwt",
        "at+jwt\u0000", "at%2Bjwt",
        "text/at+jwt", "application/application/at+jwt", "application/", "application/jwt", "at+jwt;a=b",
        "at+sd-jwt",
        "id+jwt", "at+JWT\n", "ａｔ+jwt", "at+\u212awt",
    ],
)  # fmt: skip
def test_any_other_typ_is_refused(forge: Any, typ: str) -> None:
    forge.refused(forge.with_header(typ=typ), TypeNotAllowed)


@pytest.mark.threat(48)
@pytest.mark.parametrize("typ", [["at+jwt"], None, 1, True, {"at+jwt": 1}, ""])
def test_a_typ_that_is_no_text_is_malformed(forge: Any, typ: Any) -> None:
    forge.refused(forge.with_header(typ=typ), TokenMalformed)


@pytest.mark.threat(48)
def test_an_absent_typ_only_matches_a_policy_that_lists_jwt(forge: Any) -> None:
    bare = forge.with_header(without=("typ",))
    forge.refused(bare, TypeNotAllowed)
    foreign = forge.policy(token_types=["JWT"])
    for token in (bare, forge.with_header(typ="JWT"), forge.with_header(typ="application/jwt")):
        assert forge.verify(token, policy=foreign)
    forge.refused(forge.token(), TypeNotAllowed, policy=foreign)
    error = forge.refused(bare, TypeNotAllowed)
    assert str(error) == "expected typ at+jwt, found none"


def test_letters_outside_ascii_never_become_a_type(forge: Any) -> None:
    assert normal_type("application/\u212aey") == "application/\u212aey"
    assert normal_type("APPLICATION/AT+JWT") == "at+jwt"


@pytest.mark.threat(15, 17)
def test_a_forbidden_member_is_named_but_never_quoted() -> None:
    for member in ("crit", "b64", "zip", "enc", "epk", "jwk", "jku", "x5c", "x5u"):
        segment = base64url.encode(json.dumps({"alg": "ES256", member: "evil-value"}).encode())
        with pytest.raises(TokenMalformed, match=member) as refused:
            parse_header(segment)
        assert "evil" not in str(refused.value)


@pytest.mark.threat(13, 54)
def test_a_header_that_names_no_key_of_the_set_is_not_remembered(forge: Any) -> None:
    keys = forge.fresh_set("ES256")
    for token in (forge.with_header(kid="nobody"), forge.token("ES384"), forge.with_header(alg="RS256")):
        with pytest.raises(TokenError):
            forge.verify(token, keys=keys)
    forge.refused(forge.with_header(alg="EdDSA"), KeyUnusable, keys=keys)
    assert not keys.known_headers


@pytest.mark.threat(48)
def test_a_refused_typ_is_told(forge: Any) -> None:
    assert (
        str(forge.refused(forge.with_header(typ="JOSE"), TypeNotAllowed))
        == "expected typ at+jwt, found 'jose'"
    )
