"""A payload is one JSON object that every parser would read alike; signed by the genuine key or not."""

import json
from typing import Any

import pytest

from watchword.errors import TokenMalformed
from watchword.tokens import strict_json
from watchword.tokens.strict_json import MAX_DEPTH, decode_object


def payload(forge: Any, **changes: Any) -> str:
    return json.dumps(forge.claims(**changes), separators=(",", ":"))


@pytest.mark.threat(19)
@pytest.mark.parametrize(
    "twice",
    [
        '"exp":9999999999', '"exp":1800000300', '"aud":"other"', '"iss":"https://evil.example"',
        '"sub":"local|1"',
        '"scope":"admin"', '"client_id":"posts"', r'"\u0065xp":9999999999', r'"su\u0062":"local|1"',
        '"nested":{"a":1,"a":2}', '"deep":[[{"b":{"a":1,"a":1}}]]',
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_claim_that_comes_twice_is_refused(forge: Any, twice: str, place: str) -> None:
    text = payload(forge)
    doubled = f"{{{twice},{text[1:]}" if place == "first" else f"{text[:-1]},{twice}}}"
    forge.refused(forge.payload_text(doubled), TokenMalformed)
    # with a blank somewhere, so that the text is in no canonical form
    forge.refused(forge.payload_text(doubled.replace(",", ", ", 1)), TokenMalformed)


@pytest.mark.threat(19)
def test_a_payload_in_any_legal_form_is_read(forge: Any) -> None:
    claims = forge.claims(name="Zoë \u20ac 😀", ratio=0.1, list=[1, None, True, {"a": {}}])
    for text in (
        json.dumps(claims),
        json.dumps(claims, indent=2),
        json.dumps(claims, ensure_ascii=False, separators=(",", ":")),
        json.dumps(claims, sort_keys=True).replace("/", r"\/"),
        "\n\t " + json.dumps(claims) + " \r\n",
    ):
        assert dict(forge.verify(forge.payload_text(text)).claims) == claims


@pytest.mark.threat(20)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "utf-8-sig"])
def test_a_payload_in_another_encoding_is_refused(forge: Any, encoding: str) -> None:
    forge.refused(forge.payload_text(payload(forge).encode(encoding)), TokenMalformed)


@pytest.mark.threat(20)
@pytest.mark.parametrize(
    "hostile",
    [
        b"\xed\xa0\x80",
        b"\xed\xa0\xbd\xed\xb8\x80",
        b"\xc0\x80",
        b"\xc1\xa1",
        b"\xe0\x80\xaf",
        b"\xf5\x80\x80\x80",
        b"\xff",
        b"\xc3",
        b"\x80",
    ],
)
def test_text_that_is_no_utf_8_is_refused(forge: Any, hostile: bytes) -> None:
    for text in (payload(forge, sub="local|@"), payload(forge, other="@")):
        forge.refused(forge.payload_text(text.encode().replace(b"@", hostile)), TokenMalformed)


@pytest.mark.threat(21)
@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "nan", "inf", "+1", "01", "1.", ".5", "0x10", "1e", "--1"]
)
@pytest.mark.parametrize("claim", ["exp", "custom"])
def test_what_is_no_number_of_json_is_refused(forge: Any, number: str, claim: str) -> None:
    text = payload(forge, **{claim: 4242})
    forge.refused(forge.payload_text(text.replace("4242", number)), TokenMalformed)
    forge.refused(forge.payload_text(text.replace("4242", f"[{number}]")), TokenMalformed)


@pytest.mark.threat(22)
@pytest.mark.parametrize(
    "number", ["9" * 5_000, "-" + "9" * 5_000, "1e400", "-1e400", "1e999999999", "1" * 4_301]
)
@pytest.mark.parametrize("claim", ["exp", "iat", "custom"])
def test_a_number_beyond_all_bounds_is_refused(forge: Any, number: str, claim: str) -> None:
    text = payload(forge, **{claim: 4242}).replace("4242", number)
    forge.refused(forge.payload_text(text), TokenMalformed)


@pytest.mark.threat(23)
@pytest.mark.parametrize("levels", [MAX_DEPTH, 400, 5_500])
@pytest.mark.parametrize("bracket", ["[]", "{}"])
@pytest.mark.parametrize("closed", [True, False])
def test_deep_nesting_is_refused_before_it_is_parsed(
    forge: Any, levels: int, bracket: str, closed: bool
) -> None:
    opening = "[" if bracket == "[]" else '{"":'
    levels = min(levels, 2_500) if bracket == "{}" else levels
    inner = opening * levels + ("0" + bracket[1] * levels if closed else "")
    forge.refused(forge.payload_text(f'{{"a":{inner}}}'), TokenMalformed)


@pytest.mark.threat(23)
@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
def test_a_document_of_100_000_levels_is_refused_without_recursion(text: bytes) -> None:
    with pytest.raises(TokenMalformed, match="nested at most 32"):
        decode_object(b'{"a":' + text + b"}")


@pytest.mark.threat(23)
@pytest.mark.parametrize("claim", ["may_act", "cnf", "custom"])
@pytest.mark.parametrize("levels", [MAX_DEPTH, 400, 900])
def test_deep_nesting_is_refused_in_every_claim_that_is_free_json(
    forge: Any, claim: str, levels: int
) -> None:
    inner: dict[str, Any] = {}
    for _ in range(levels):
        inner = {"a": inner}
    forge.refused(forge.token(**{claim: inner}), TokenMalformed)


@pytest.mark.threat(23)
def test_an_endless_chain_of_actors_is_refused_without_recursion(forge: Any) -> None:
    act = '{"sub":"a"}'
    for _ in range(600):
        act = f'{{"sub":"a","act":{act}}}'
    forge.refused(forge.payload_text(payload(forge)[:-1] + f',"act":{act}}}'), TokenMalformed)


@pytest.mark.threat(23)
def test_depth_is_counted_outside_of_texts_only(forge: Any) -> None:
    claims = forge.claims(brackets="[{" * 100, quote='"[[', backslash="\\", flat=[{} for _ in range(100)])
    assert forge.verify(forge.payload_text(json.dumps(claims)))
    deepest = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    flat = json.dumps([[] for _ in range(40)])
    assert decode_object(f'{{"flat":{flat},"a":{deepest}}}'.encode())
    with pytest.raises(TokenMalformed):
        decode_object(f'{{"flat":{flat},"a":[{deepest}]}}'.encode())
    # an escaped quote does not end a text, an escaped backslash does not hide a quote
    assert decode_object(b'{"a":"\\"' + b"[" * 50 + b'"}')
    with pytest.raises(TokenMalformed, match="nested"):
        decode_object(b'{"a":"\\\\",' + b'"b":' + b"[" * 50 + b"]" * 50 + b"}")


@pytest.mark.threat(24)
@pytest.mark.parametrize(
    "text",
    [
        "", " ", "[]", '["a"]', '"text"', "1", "1.5", "null", "true", "{", "}", "{}{}", "{} {}", '{"a":1}x',
        "{'a':1}", '{"a":1,}',
        '{"a":1}//', '/**/{"a":1}', '{"a":/**/1}', "{a:1}", '{"a"}', "eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
        '{"a":"\x01"}', '{"a":"\n"}',
        '{"a":"\\x41"}', '{"a":"\\u12"}', '{"a":1,,"b":2}', '{1:2}', "\ufeff{}", "{}\x00", "[{}]",
    ],
)  # fmt: skip
def test_what_is_not_one_json_object_is_refused(forge: Any, text: str) -> None:
    if text.startswith("{") and '"a":1' in text:  # a whole claims set around the mistake
        text = text.replace('"a":1', payload(forge, a=1)[1:-1], 1)
    forge.refused(forge.payload_text(text), TokenMalformed)


@pytest.mark.threat(24)
def test_a_nested_jwt_is_refused(forge: Any) -> None:
    forge.refused(forge.sign(forge.header(cty="JWT"), forge.token().encode()), TokenMalformed)
    forge.refused(forge.sign(forge.header(cty="JWT"), json.dumps(forge.token()).encode()), TokenMalformed)


@pytest.mark.threat(25)
@pytest.mark.parametrize(
    "escape", [r"\ud800", r"\udfff", r"\ud800\u0041", r"\udc00\ud800", r"a\uDBFFb", r"\ud83d"]
)
def test_a_lone_surrogate_is_refused(forge: Any, escape: str) -> None:
    for claim in ("sub", "custom"):
        text = payload(forge, **{claim: "@"}).replace("@", escape)
        forge.refused(forge.payload_text(text), TokenMalformed)


@pytest.mark.threat(25)
def test_a_pair_of_surrogates_is_one_character(forge: Any) -> None:
    text = payload(forge, sub="@").replace("@", r"\ud83d\ude00")
    assert forge.verify(forge.payload_text(text)).subject.id == "😀"


@pytest.mark.threat(22)
def test_numbers_keep_their_value_or_are_refused() -> None:
    assert decode_object(b'{"a":18446744073709551616}') == {"a": 2**64}
    assert decode_object(b'{"a":-9223372036854775809}') == {"a": -(2**63) - 1}
    assert decode_object(b'{"a":1.5e3, "b":-0.0}') == {"a": 1500.0, "b": 0.0}


def test_what_was_encoded_is_decoded_alike() -> None:
    value = {"a": [1, 2.5, None, True, "ü", {"b": {}}], "": "empty name"}
    assert decode_object(strict_json.encode(value)) == value
