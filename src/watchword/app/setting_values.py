"""What the texts of settings mean. Each reader raises `ValueError`: what was expected, and what was found."""

import ipaddress
import re
from typing import NamedTuple

from watchword.fetch import is_loopback, origin_of
from watchword.keys.issuer_url import issuer_url as issuer
from watchword.keys.issuer_url import shown
from watchword.server.rate import Rate

__all__ = [
    "Address",
    "address",
    "default_address",
    "duration",
    "issuer",
    "loopback",
    "rate",
    "shown",
    "workers",
]

_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([smhd])?")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(?:/([0-9]{1,6}))?")
MOST_WORKERS = 64
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})")


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    """A name or an IP address, IPv6 without brackets."""
    port: int
    """0: any free one."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: str) -> Address:
    """Return `host:port`; an IPv6 address stands in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise ValueError(f"expected host:port, as in 127.0.0.1:9000, found {shown(text)}")
    if host.startswith("[") and host.endswith("]"):
        try:
            return Address(ipaddress.IPv6Address(host[1:-1]).compressed, int(port))
        except ValueError:
            raise ValueError(f"expected an IPv6 address in the brackets, found {shown(text)}") from None
    if ":" in host:
        raise ValueError(f"expected an IPv6 address in brackets, as in [::1]:9000, found {shown(text)}")
    if not _HOST.fullmatch(host):
        raise ValueError(f"expected host:port, as in 127.0.0.1:9000, found {shown(text)}")
    return Address(host, int(port))


def loopback(text: str) -> Address:
    """Return `host:port` on this machine only."""
    found = address(text)
    if not is_loopback(found.host):
        raise ValueError(f"expected a loopback address, as in 127.0.0.1:9001, found {shown(text)}")
    return found


def default_address(issuer_url: str) -> Address:
    """Return loopback with the issuer's port; the issuer's own loopback address if it names one."""
    origin = origin_of(issuer_url)
    own_address = origin.host != "localhost" and is_loopback(origin.host)
    return Address(origin.host if own_address else "127.0.0.1", origin.port)


def duration(text: str, *, longest: float) -> float:
    """Return seconds: a number, alone or with `s`, `m`, `h` or `d` behind it, from 0 to `longest`."""
    match = _DURATION.fullmatch(text)
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else -1.0
    if not 0 <= seconds <= longest:
        raise ValueError(f"expected 0 to {longest:g} seconds, as in 5s, found {shown(text)}")
    return seconds


def rate(text: str) -> Rate | None:
    """Return `<per second>/<burst>`; without a burst it is twice as many, `None` for 0: no limit."""
    match = _RATE.fullmatch(text)
    per_second = float(match[1]) if match else -1.0
    burst = int(match[2]) if match and match[2] else max(1, round(2 * per_second))
    if per_second < 0 or burst < 1:
        raise ValueError(
            f"expected requests per second and a burst, as in 100/200, or 0, found {shown(text)}"
        )
    return Rate(per_second, burst) if per_second else None


def workers(text: str) -> int:
    """Return how many processes answer requests, 1 to 64."""
    number = int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0
    if not 1 <= number <= MOST_WORKERS:
        raise ValueError(f"expected 1 to {MOST_WORKERS} processes, found {shown(text)}")
    return number
