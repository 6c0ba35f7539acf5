"""How often one network may ask, decided before anything of its request is read."""

import ipaddress
from collections.abc import Awaitable, Callable
from functools import lru_cache

from watchword.errors import TooManyRequests
from watchword.server.rate import RateLimiter

Count = Callable[[TooManyRequests, str], Awaitable[None]]
"""Counts a refusal, with the request id."""


class AddressLimit:
    """One account per network: an IPv4 address, or the /64 that a whole IPv6 link shares.

    The address is the socket's; no header can name another one.

    Args:
        limiter: keeps the accounts.
        count: told of each refusal.
    """

    __slots__ = ("_count", "_limiter")

    def __init__(self, limiter: RateLimiter, count: Count) -> None:
        self._limiter = limiter
        self._count = count

    async def demand(self, address: str | None, request_id: str) -> None:
        """Return if this address may ask now.

        Args:
            address: of the peer; those without one (a Unix socket, a broken connection) share an account.
            request_id: for the sample of a refusal.

        Raises:
            TooManyRequests: and when it may ask again.
        """
        network = network_of(address or "")
        wait = self._limiter.take(network)
        if wait:
            error = TooManyRequests(
                f"expected at most {self._limiter.rate} requests per second from {network}", retry_after=wait
            )
            await self._count(error, request_id)
            raise error


@lru_cache(maxsize=4_096)
def network_of(address: str) -> str:
    """Return the network that an address counts for; a mapped IPv4 address is the IPv4 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"  # a peer that the system cannot name: all of them share one account
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(found) >> 64 << 64)}/64"
