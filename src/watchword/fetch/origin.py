"""Origins: scheme, host and port of a URL, read so strictly that two parsers cannot disagree (RFC 6454)."""

import ipaddress
import re
from collections.abc import Collection
from typing import NamedTuple

from watchword.errors import DestinationRefused

_DEFAULT_PORTS = {"http": 80, "https": 443}

# No userinfo, backslash, blank, control or letter outside ASCII: parsers differ over each of them.
_URL = re.compile(
    r"(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>(?:[/?#][\x21-\x5B\x5D-\x7E]*)?)"
)


class Origin(NamedTuple):
    """Scheme, host and port; two URLs share an origin only if all three are equal."""

    scheme: str
    host: str
    """Lower case; an IPv6 address without brackets."""
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (
            "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        )


def origin_of(url: str) -> Origin:
    """Return the origin of an absolute http or https URL.

    Raises:
        DestinationRefused: another scheme, userinfo, or anything that parsers read differently.
    """
    return split(url)[0]


def split(url: str) -> tuple[Origin, str]:
    """Return the origin of a URL and its request target: path and query, without the fragment.

    Raises:
        DestinationRefused: as `origin_of`.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise DestinationRefused("expected an absolute http or https URL in ASCII, without userinfo")
    scheme, host = match["scheme"].lower(), match["host"].lower()
    if host.startswith("["):
        try:
            host = ipaddress.IPv6Address(host[1:-1]).compressed
        except ValueError:
            raise DestinationRefused("expected an IPv6 address between the brackets") from None
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[scheme]
    if not 0 < port < 65_536:
        raise DestinationRefused(f"expected a port from 1 to 65535, found {port}")
    target = match["rest"].partition("#")[0]
    return Origin(scheme, host, port), target if target.startswith("/") else f"/{target}"


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine by its name alone: `localhost`, 127.0.0.0/8 or ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def demand_safe(origin: Origin, insecure_http_hosts: Collection[str] = ()) -> None:
    """Refuse plain http, except on loopback and for hosts (`host` or `host:port`) that are listed.

    Raises:
        DestinationRefused: a token or a key set would travel in clear (RFC 6750 §5.3).
    """
    if origin.scheme == "https" or is_loopback(origin.host):
        return
    if not {origin.host, f"{origin.host}:{origin.port}"} & set(insecure_http_hosts):
        raise DestinationRefused(
            f"expected https, found {origin}; plain http is for loopback and for hosts in INSECURE_HTTP_HOSTS"
        )
