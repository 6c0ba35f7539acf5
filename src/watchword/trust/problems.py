"""Mistakes in a trust document: where each stands, what was expected and what was found."""

import re
from collections.abc import Mapping, Sequence

_BARE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHOWN_LENGTH = 32
"""Shorter than any generated secret: a longer text is never shown, whatever it is."""


class Unreadable(Exception):
    """A value means nothing; why is noted already. Never leaves the reading of a document."""


class Place:
    """A spot in the document; whoever reads it says here what is wrong and goes on reading."""

    __slots__ = ("_problems", "path")

    def __init__(self, problems: list[str], path: str = "") -> None:
        self._problems = problems
        self.path = path
        """As TOML would write it: `services.users.allow[0].caller`."""

    def at(self, key: str | int) -> "Place":
        """Return the place of a key or an index below this one."""
        return Place(self._problems, below(self.path, key))

    def problem(self, text: str) -> Unreadable:
        """Note a mistake at this place; raise what this returns where reading cannot go on."""
        self._problems.append(f"{self.path}: {text}" if self.path else text)
        return Unreadable()

    def expected(self, expected: str, found: object) -> Unreadable:
        """Note that something else was expected here than what was found; a secret is never shown."""
        return self.problem(f"expected {expected}, found {shown(found)}")


def below(path: str, key: str | int) -> str:
    """Return the path of a key or an index of the table or array at `path`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    name = key_name(key)
    return f"{path}.{name}" if path else name


def key_name(key: str) -> str:
    """Return a key as TOML writes it; one that is longer than any name is not shown."""
    if len(key) > 64:
        return f"<a key of {len(key)} characters>"
    if _BARE.fullmatch(key):
        return key
    return '"' + ascii(key)[1:-1].replace('"', '\\"') + '"'


def shown(value: object) -> str:
    """Return what may be said of a found value: a short text or a number itself, of the rest its kind."""
    if holds_private_key(value):
        return "a private key (take it out and replace that key: whoever could read this file has it)"
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            if len(value) <= _SHOWN_LENGTH:
                return ascii(value)
            return f"a text of {len(value)} characters"
        case int():
            return str(value) if abs(value) < 10**18 else "a very large number"
        case float():
            return str(value)
        case Mapping():
            return "a table"
        case Sequence():
            return "an array" if value else "an empty array"
        case None:
            return "null"
    return "a date or time"


def holds_private_key(value: object) -> bool:
    """Tell whether a private key stands in this value or below it, in PEM or as a JWK."""
    match value:
        case str():
            return "PRIVATE KEY" in value
        case Mapping():
            if "kty" in value and ("d" in value or "k" in value):
                return True
            return any(holds_private_key(member) for member in value.values())
        case Sequence():
            return any(holds_private_key(member) for member in value)
    return False
