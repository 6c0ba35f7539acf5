"""A table of the document, read key by key against the list of the keys that exist."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchword.trust.problems import Place, holds_private_key, key_name
from watchword.trust.values import Reader, attempt

_SECRETS = frozenset({"secret", "client_secret", "password", "private_key", "key", "key_file", "client_key"})


@dataclass(frozen=True, slots=True)
class Key:
    """One key that may stand in a table; the reference page is held against these."""

    name: str
    read: Reader
    form: str
    """What kind of value, in words."""
    meaning: str
    required: bool = False
    default: Any = None
    default_words: str = ""


def read_table(raw: Any, place: Place, keys: Sequence[Key]) -> dict[str, Any]:
    """Return the value of every key, with the defaults; `None` for what is missing or could not be read.

    Every mistake is noted at its own place.

    Raises:
        Unreadable: this is no table at all.
    """
    if not isinstance(raw, Mapping):
        raise place.expected(f"a table [{place.path}]", raw)
    known = {key.name: key for key in keys}
    for name in raw:
        if name not in known:
            _unknown(name, raw[name], place, known)
    values = {}
    for key in keys:
        if key.name in raw:
            values[key.name] = attempt(key.read, raw[key.name], place.at(key.name))
        else:
            values[key.name] = key.default
            if key.required:
                place.at(key.name).problem(f"expected {key.form}, found nothing")
    return values


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return `, did you mean …?` with the nearest known name, or nothing."""
    near = difflib.get_close_matches(name[:64], known, n=1, cutoff=0.6)
    return f", did you mean {key_name(near[0])}?" if near else ""


def _unknown(name: str, value: Any, place: Place, known: Mapping[str, Key]) -> None:
    hint = did_you_mean(name, list(known)) or f"; known are {', '.join(known)}"
    if holds_private_key(value):
        hint = (
            " that holds a private key: take it out and replace that key, whoever could read this file has it"
        )
    elif name in _SECRETS:
        hint = "; no secret or private key ever stands here, see `watchword clients new-secret` and `new-key`"
    place.at(name).problem(f"unknown key{hint}")
