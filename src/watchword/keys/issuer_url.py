"""What an issuer may be called: the exact `iss`, and where its metadata stands (RFC 8414 §2)."""

import re
from urllib.parse import urlsplit

from watchword.errors import DestinationRefused
from watchword.fetch import demand_safe, origin_of

_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")


def issuer_url(text: str) -> str:
    """Return an issuer URL: https, or http on loopback; no slash at its end, no query, no fragment.

    Raises:
        ValueError: what was expected, and what was found.
    """
    try:
        origin = origin_of(text)
    except DestinationRefused as error:
        raise ValueError(f"{error}, found {shown(text)}") from None
    if text.endswith("/"):
        raise ValueError(f"expected no slash at the end, found {shown(text)}")
    try:
        demand_safe(origin)
    except DestinationRefused:
        raise ValueError(f"expected https, or http on loopback only, found {shown(text)}") from None
    parts = urlsplit(text)
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError(f"expected no query and no fragment, found {shown(text)}")
    if not _PATH.fullmatch(parts.path):
        raise ValueError(f"expected a plain path without escapes and dot segments, found {shown(text)}")
    return text


def shown(text: str) -> str:
    """Return text for a message: one line, escaped, cut, without the userinfo of a URL."""
    return ascii(re.sub(r"(?<=://)[^/@]*@", "…@", text)[:100])
