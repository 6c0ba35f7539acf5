"""The compact form: three segments of canonical base64url, bounded before anything is decoded."""

import json
import tracemalloc
from typing import Any

import pytest

from watchword.errors import SignatureInvalid, TokenMalformed
from watchword.tokens import base64url
from watchword.tokens.jws import MAX_TOKEN_LENGTH, split


def peak_of_a_refusal(forge: Any, token: str) -> int:
    """Bytes that refusing this token needs at most."""
    tracemalloc.start()
    try:
        with pytest.raises(TokenMalformed):
            forge.verify(token)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.threat(26)
@pytest.mark.parametrize("segment", [0, 1, 2])
@pytest.mark.parametrize(
    "intruder",
    [
        "=",
        "==",
        "====",
        "!",
        "!!!!",
        "+",
        "/",
        "+/",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\x00",
        "\x0b",
        "\u200b",
        "\ufeff",
        "ü",
        "%3D",
        "~",
        ",",
        ":",
        '"',
    ],
)
@pytest.mark.parametrize("place", ["front", "inside", "end"])
def test_a_character_outside_the_alphabet_is_refused(
    forge: Any, segment: int, intruder: str, place: str
) -> None:
    parts = forge.token().split(".")
    text = parts[segment]
    parts[segment] = {
        "front": intruder + text,
        "inside": text[:8] + intruder + text[8:],
        "end": text + intruder,
    }[place]
    # a payload is not even decoded before the signature over its text held; re-signed ones follow below
    changed_text = segment == 1 and intruder.isascii()
    forge.refused(".".join(parts), SignatureInvalid if changed_text else TokenMalformed)


@pytest.mark.threat(26)
@pytest.mark.parametrize("intruder", ["=", "!!!!", " ", "\n", "+", "/"])
@pytest.mark.parametrize("segment", [0, 1])
def test_a_foreign_character_is_refused_even_if_it_was_signed(
    forge: Any, segment: int, intruder: str
) -> None:
    parts = forge.token().split(".")[:2]
    parts[segment] = parts[segment] + intruder
    forge.refused(forge.sign_text(".".join(parts).encode()), TokenMalformed)


@pytest.mark.threat(26)
def test_padding_is_refused_where_it_would_be_right(forge: Any) -> None:
    for spare in range(3):
        payload = json.dumps(forge.claims(x="x" * spare)).encode()
        head = base64url.encode(json.dumps(forge.header()).encode())
        body = base64url.encode(payload)
        padded = body + b"=" * (-len(body) % 4)
        token = forge.sign_text(head + b"." + padded)
        if padded != body:
            forge.refused(token, TokenMalformed)
        else:
            assert forge.verify(token)


@pytest.mark.threat(27)
@pytest.mark.parametrize("segment", [0, 1, 2])
def test_unused_bits_of_the_last_character_must_be_zero(forge: Any, segment: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spared = set()
    for filler in range(3):
        token = forge.sign(
            forge.header(x="x" * filler), forge.claims(x="x" * filler), "RS256" if segment == 2 else "ES256"
        )
        if segment == 2:
            token = forge.token("RS256")
        parts = token.split(".")
        text = parts[segment]
        spare = {2: 4, 3: 2, 0: 0}[len(text) % 4]
        spared.add(spare)
        last = alphabet.index(text[-1])
        for stray in range(1, 2**spare):
            changed = [*parts]
            changed[segment] = text[:-1] + alphabet[last | stray]
            if segment < 2:  # signed like this, so that only the form can refuse it
                changed_text = ".".join(changed[:2]).encode()
                forge.refused(forge.sign_text(changed_text), TokenMalformed)
            forge.refused(".".join(changed), SignatureInvalid if segment == 1 else TokenMalformed)
    assert spared >= ({4} if segment == 2 else {0, 2, 4})


@pytest.mark.threat(26, 27)
def test_base64url_has_exactly_one_text_per_value() -> None:
    for size in range(7):
        value = bytes(range(250, 250 + size)) if size <= 6 else b""
        text = base64url.encode(value)
        assert base64url.decode(text) == value
        assert b"=" not in text
    assert base64url.decode(b"") == b""
    for bad in (
        b"A",
        b"AAAAA",
        b"AB",
        b"AAB",
        b"A=",
        b"AA==",
        b"AAA=",
        b"=AAA",
        b"AA\n",
        b"A A",
        b"+AAA",
        b"/AAA",
        b"AAA\x00",
    ):
        with pytest.raises(TokenMalformed):
            base64url.decode(bad)
    for last in b"AQgw":
        assert len(base64url.decode(bytes([65, last]))) == 1
    for last in b"AEIMQUYcgkosw048":
        assert len(base64url.decode(bytes([65, 65, last]))) == 2


@pytest.mark.threat(28)
@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, 6])
def test_anything_but_three_segments_is_refused(forge: Any, count: int) -> None:
    parts = (forge.token().split(".") * 2)[:count]
    forge.refused(".".join(parts), TokenMalformed)


@pytest.mark.threat(28)
def test_a_fourth_segment_is_refused_behind_a_genuine_token(forge: Any) -> None:
    token = forge.token()
    for hostile in (
        token + ".",
        token + ".AAAA",
        "." + token,
        token.replace(".", "..", 1),
        token + "." + token,
    ):
        forge.refused(hostile, TokenMalformed)


@pytest.mark.threat(28, 30)
@pytest.mark.parametrize("text", ["." * 100_000, "." * 16_384, ".." * 8_000, "a." * 8_000, "..", ".", ""])
def test_dots_alone_are_refused_in_constant_memory(forge: Any, text: str) -> None:
    assert peak_of_a_refusal(forge, text) < 64 * 1024


@pytest.mark.threat(29)
def test_other_shapes_of_a_token_are_refused(forge: Any) -> None:
    token = forge.token()
    head, payload, signature = token.split(".")
    flattened = json.dumps({"protected": head, "payload": payload, "signature": signature})
    general = json.dumps({"payload": payload, "signatures": [{"protected": head, "signature": signature}]})
    members = f'"protected":"{head}","payload":"e30","signature":"{signature}"'
    polyglot = f'{{"  {head}.{payload}.{signature}":"",{members}}}'
    for hostile in (
        flattened,
        general,
        polyglot,
        f"{token}~",
        f"{token}~WyJzYWx0Il0~",
        f'"{token}"',
        f"'{token}'",
        f"Bearer {token}",
        f"Bearer Bearer {token}",
        f"{token},{token}",
        f" {token}",
        f"{token} ",
        f"{token}\n",
        f"<{token}>",
    ):
        forge.refused(hostile, TokenMalformed)


@pytest.mark.threat(28)
@pytest.mark.parametrize("value", [None, b"a.b.c", 7, ["a", "b", "c"], bytearray(b"a.b.c"), object()])
def test_a_token_that_is_no_text_is_refused(forge: Any, value: Any) -> None:
    forge.refused(value, TokenMalformed)


class TextWithAnotherMind(str):
    def encode(self, *_: Any) -> bytes:
        raise AssertionError("a subclass of str decides nothing")


def test_a_text_of_a_foreign_class_is_refused(forge: Any) -> None:
    forge.refused(TextWithAnotherMind(forge.token()), TokenMalformed)


@pytest.mark.threat(30)
@pytest.mark.parametrize("size", [17 * 1024, 256 * 1024, 10 * 1024 * 1024])
@pytest.mark.parametrize("where", ["header", "payload", "signature", "everywhere"])
def test_an_oversized_token_is_refused_before_any_decoding(forge: Any, size: int, where: str) -> None:
    head, payload, signature = forge.token().split(".")
    filler = "A" * size
    token = {
        "header": f"{filler}.{payload}.{signature}",
        "payload": f"{head}.{filler}.{signature}",
        "signature": f"{head}.{payload}.{filler}",
        "everywhere": f"{filler[: size // 3]}.{filler[: size // 3]}.{filler[: size // 3]}",
    }[where]
    assert "AAAA" not in str(forge.refused(token, TokenMalformed))
    assert peak_of_a_refusal(forge, token) < 64 * 1024


@pytest.mark.threat(30)
def test_a_genuine_token_beyond_the_length_is_refused_and_one_at_it_is_not(forge: Any) -> None:
    room = MAX_TOKEN_LENGTH - len(forge.token(x=""))
    fitting = forge.token(x="x" * (room * 3 // 4 - 4))
    assert MAX_TOKEN_LENGTH - 8 < len(fitting) <= MAX_TOKEN_LENGTH
    assert forge.verify(fitting)
    forge.refused(fitting, TokenMalformed, policy=forge.policy(max_length=len(fitting) - 1))
    assert forge.verify(fitting, policy=forge.policy(max_length=len(fitting)))
    forge.refused(forge.token(x="x" * room), TokenMalformed)


@pytest.mark.threat(30)
def test_a_token_is_taken_apart_where_its_dots_are() -> None:
    assert split("ab.cd.ef") == (b"ab", b"cd", b"ef", b"ab.cd")
    assert split("..") == (b"", b"", b"", b".")


@pytest.mark.threat(55)
def test_a_truncated_token_is_refused_wherever_it_was_cut(forge: Any) -> None:
    token = forge.token()
    for length in range(0, len(token), 3):
        with pytest.raises((TokenMalformed, SignatureInvalid)):
            forge.verify(token[:length])
    for length in range(len(token) - 90, len(token)):
        with pytest.raises((TokenMalformed, SignatureInvalid)):
            forge.verify(token[:length])
