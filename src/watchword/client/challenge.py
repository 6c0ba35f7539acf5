"""What a callee says when it refuses a token (RFC 9110 §11.6.1, RFC 6750 §3)."""

import re
from collections.abc import Iterable

_LONGEST = 8_192
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_BETWEEN = re.compile(r"[ \t,]*")
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))(?=[ \t]*(?:,|\Z))')
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]+[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|\Z))|(?=[ \t,]|\Z))")


def says_invalid_token(authenticate: Iterable[str]) -> bool:
    """Tell whether a challenge of the `Bearer` scheme says `error="invalid_token"`.

    Args:
        authenticate: the value of every `WWW-Authenticate` header. What cannot be read says nothing.
    """
    return any(_says(value) for value in authenticate if len(value) <= _LONGEST)


def _says(value: str) -> bool:
    scheme, found = "", False
    place = 0
    while True:
        between = _BETWEEN.match(value, place)
        place = between.end() if between else place
        if place == len(value):
            return found
        if match := _PARAMETER.match(value, place):
            name, quoted, plain = match.groups()
            text = plain if quoted is None else quoted
            found = found or (scheme == "bearer" and name.lower() == "error" and text == "invalid_token")
        elif match := _SCHEME.match(value, place):
            scheme = match[1].lower()
        else:
            return False
        place = match.end()
