"""JSON objects as RFC 8725 §2.4 wants them: UTF-8, members unique, bounded depth, finite numbers."""

import json
from typing import Any

import msgspec

from watchword.errors import TokenMalformed

MAX_DEPTH = 32
_OPENERS_BEFORE_COUNTING = MAX_DEPTH

_decode = msgspec.json.Decoder().decode
encode = msgspec.json.encode


def decode_object(text: bytes) -> dict[str, Any]:
    """Return the JSON object in `text`.

    msgspec refuses other encodings, NaN, lone surrogates, numbers out of range and trailing data, but
    keeps the last of two equal members. So its answer is encoded again: equal bytes prove that nothing
    was dropped. Only a text that is not in that compact form takes the slow pass which looks at each member.

    Raises:
        TokenMalformed: not one JSON object, or one that two parsers could read differently.
    """
    if text.count(b"{") + text.count(b"[") > _OPENERS_BEFORE_COUNTING:
        _refuse_deep(text)
    try:
        value = _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise TokenMalformed("expected one JSON object in UTF-8") from None
    if type(value) is not dict:
        raise TokenMalformed(f"expected a JSON object, found {_json_name(value)}")
    if encode(value) != text:
        _refuse_ambiguous(text)
    return value


def _refuse_deep(text: bytes) -> None:
    depth = 0
    in_string = escaped = False
    for byte in text:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise TokenMalformed(f"expected JSON nested at most {MAX_DEPTH} levels")
        elif byte in b"}]":
            depth -= 1


def _refuse_ambiguous(text: bytes) -> None:
    try:
        json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except ValueError:
        raise TokenMalformed("expected one JSON object in UTF-8") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise TokenMalformed("expected unique member names, found one twice (RFC 7519 §4)")
    return members


def _json_name(value: object) -> str:
    return {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(
        type(value), "a number"
    )
