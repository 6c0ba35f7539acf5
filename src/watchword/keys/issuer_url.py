"""What an issuer may be called: the exact `iss`, and where its metadata stands (RFC 8414 §2)."""

import ipaddress
from urllib.parse import urlsplit

from watchword.errors import ConfigurationError


def demand_issuer_url(issuer: str) -> None:
    """Return if this can be an issuer identifier.

    Raises:
        ConfigurationError: it cannot; the message says what was expected.
    """
    expected = "issuer: expected the exact iss, an https URL without trailing slash (http on loopback)"
    if type(issuer) is not str or not issuer.isascii() or not issuer.isprintable() or " " in issuer:
        raise ConfigurationError(f"{expected}, found something else")
    try:
        url = urlsplit(issuer)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ConfigurationError(f"{expected}, found {issuer:.100}") from None
    plain = url.scheme == "http" and host is not None and _is_loopback(host)
    if not host or not (url.scheme == "https" or plain) or issuer.endswith("/"):
        raise ConfigurationError(f"{expected}, found {issuer:.100}")
    if "?" in issuer or "#" in issuer or "@" in url.netloc:
        raise ConfigurationError("issuer: expected a URL without user, query and fragment (RFC 8414 §2)")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
