"""Readers of single values: each returns what a value means, or notes the mistake and raises `Unreadable`."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from watchword.errors import DestinationRefused
from watchword.fetch.origin import is_loopback, origin_of
from watchword.tokens.algorithms import PUBLIC_KEY_ALGORITHMS
from watchword.tokens.jws import normal_type
from watchword.trust.problems import Place, Unreadable, holds_private_key

Reader = Callable[[Any, Place], Any]


def attempt(read: Reader, value: Any, place: Place) -> Any:
    """Return what a reader makes of a value; `None` if it cannot be read, which is noted then."""
    try:
        return read(value, place)
    except Unreadable:
        return None


_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,255}")  # RFC 6749 §3.3
_DURATION = re.compile(r"([0-9]{1,9})([smh])")
_UNITS = {"s": 1, "m": 60, "h": 3600}
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_EMPTY_DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_MAX_TEXT = 255
_EXACT_IN_JSON = 2**53


def text(value: Any, place: Place) -> str:
    """Read one line of text."""
    if type(value) is not str or not 0 < len(value) <= _MAX_TEXT or holds_private_key(value):
        raise place.expected(f"a text of 1 to {_MAX_TEXT} characters", value)
    if not value.isprintable() or value != value.strip():
        raise place.problem("expected printable characters without blanks around them")
    return value


def choice(*names: str) -> Reader:
    """Return a reader of one of these names."""

    def read(value: Any, place: Place) -> str:
        if type(value) is str and value in names:
            return value
        raise place.expected(" or ".join(f'"{name}"' for name in names), value)

    return read


def whole(low: int, high: int) -> Reader:
    """Return a reader of a whole number from `low` to `high`."""

    def read(value: Any, place: Place) -> int:
        if type(value) is int and low <= value <= high:
            return value
        raise place.expected(f"a whole number from {low} to {high}", value)

    return read


def duration(most: int) -> Reader:
    """Return a reader of a time like `"90s"` or `"2m"`, in seconds, at least one and at most `most`."""

    def read(value: Any, place: Place) -> int:
        match = _DURATION.fullmatch(value) if type(value) is str else None
        if match is None:
            raise place.expected('a time like "90s" or "2m"', value)
        seconds = int(match[1]) * _UNITS[match[2]]
        if not 1 <= seconds <= most:
            raise place.expected(f"a time from 1s to {in_words(most)}", value)
        return seconds

    return read


def in_words(seconds: int) -> str:
    """Return a time as the document writes it: `90s`, `2m`."""
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"


def set_of(read_one: Reader, what: str, *, empty: bool = True) -> Reader:
    """Return a reader of an array whose entries differ; `what` names them in the plural."""

    def read(value: Any, place: Place) -> frozenset[Any]:
        if type(value) is not list or not (value or empty):
            raise place.expected(f"an array of {what}{'' if empty else ', at least one'}", value)
        entries = [attempt(read_one, entry, place.at(index)) for index, entry in enumerate(value)]
        seen = set()
        for index, entry in enumerate(entries):
            if entry is not None and entry in seen:
                place.at(index).problem("the same entry stands here twice")
            seen.add(entry)
        if None in seen:
            raise Unreadable
        return frozenset(seen)

    return read


def scope_token(value: Any, place: Place) -> str:
    """Read one scope token: visible ASCII without blank, quote and backslash (RFC 6749 §3.3)."""
    if type(value) is str and _SCOPE_TOKEN.fullmatch(value):
        return value
    raise place.expected("a scope: visible ASCII without blank, quote and backslash (RFC 6749 §3.3)", value)


def algorithm(value: Any, place: Place) -> str:
    """Read the name of an algorithm that verifies with a public key."""
    if type(value) is str and value in PUBLIC_KEY_ALGORITHMS:
        return value
    if value == "HS256":
        raise place.problem("expected an algorithm with public keys: whoever verifies HS256 can also sign")
    raise place.expected(f"one of {', '.join(sorted(PUBLIC_KEY_ALGORITHMS))}", value)


def token_type(value: Any, place: Place) -> str:
    """Read a `typ`; case and `application/` do not count (RFC 7515 §4.1.9)."""
    return normal_type(text(value, place))


def digests(value: Any, place: Place) -> tuple[str, ...]:
    """Read one or two SHA-256 digests in hex; a wrong one is never shown, it may be the secret itself."""
    if type(value) is not list or not 1 <= len(value) <= 2:
        raise place.problem("expected an array of one or two SHA-256 digests in hex")
    read = [entry.lower() if type(entry) is str else "" for entry in value]
    for index, digest in enumerate(read):
        if not _HEX_DIGEST.fullmatch(digest):
            place.at(index).problem(
                "expected 64 hex digits, the SHA-256 of a secret and never the secret itself"
            )
        elif digest == _EMPTY_DIGEST:
            place.at(index).problem("expected the SHA-256 of a secret, found that of an empty text")
        elif digest in read[:index]:
            place.at(index).problem("the same entry stands here twice")
    return tuple(sorted(read))


def web_address(value: Any, place: Place) -> str:
    """Read an http or https URL without userinfo, query and fragment (RFC 8707 §2)."""
    expected = "an http or https URL without user, query and fragment"
    if type(value) is not str or not value.startswith(("http://", "https://")):
        raise place.expected(expected, value)
    try:
        origin_of(value)
    except DestinationRefused as error:
        raise place.problem(str(error)) from None
    if "?" in value or "#" in value:
        raise place.problem(f"expected {expected} (RFC 8707 §2)")
    return value


def key_set_address(value: Any, place: Place) -> str:
    """Read the URL of a JWK Set: https, except on loopback."""
    expected = "an https URL (http on loopback only) without user and fragment"
    if type(value) is not str or not value.startswith(("http://", "https://")):
        raise place.expected(expected, value)
    try:
        origin = origin_of(value)
    except DestinationRefused as error:
        raise place.problem(str(error)) from None
    if "#" in value:
        raise place.problem(f"expected {expected}, found a fragment")
    if origin.scheme != "https" and not is_loopback(origin.host):
        raise place.problem(f"expected {expected}: whoever can change {origin} on its way chooses the keys")
    return value


def texts_by_text(value: Any, place: Place) -> Mapping[str, str]:
    """Read a table of texts."""
    return _table(value, place, text, "a table of texts")


def required_values(value: Any, place: Place) -> Mapping[str, str | int | bool]:
    """Read a table of claim names and the text, whole number or boolean that each must be."""
    return _table(value, place, _claim_value, "a table of texts, whole numbers and booleans")


def _table(value: Any, place: Place, read_one: Reader, what: str) -> Mapping[str, Any]:
    if type(value) is not dict:
        raise place.expected(what, value)
    read = {}
    for key, entry in value.items():
        attempt(text, key, place.at(key))
        read[key] = attempt(read_one, entry, place.at(key))
    if None in read.values():
        raise Unreadable
    return MappingProxyType(read)


def _claim_value(value: Any, place: Place) -> str | int | bool:
    if type(value) is bool or (type(value) is int and abs(value) <= _EXACT_IN_JSON):
        return value
    if type(value) is str:
        return text(value, place)
    raise place.expected("a text, a whole number or a boolean", value)
