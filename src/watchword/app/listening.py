"""The sockets of a service: bound before anybody answers there, so that a mistake is told at once."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from watchword.app.admin_socket import admin_socket
from watchword.app.config import ServerSettings
from watchword.app.setting_values import Address
from watchword.errors import AddressUnavailable, ConfigurationError, WatchwordError


@contextmanager
def operators_sockets(settings: ServerSettings) -> Iterator[list[socket.socket]]:
    """Bind the admin socket, and `METRICS_LISTEN` if it is set, for the time of a `with`.

    Raises:
        ConfigurationError: one of them cannot be made.
        AddressUnavailable: another process listens there.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(admin_socket(settings.operators_socket))]
        if settings.metrics_listen is not None:
            sockets.append(listening_socket(settings.metrics_listen, setting="METRICS_LISTEN"))
            stack.callback(sockets[-1].close)
        yield sockets


def listening_socket(address: Address, *, setting: str = "LISTEN") -> socket.socket:
    """Return a socket bound to an address; it refuses connections until somebody listens.

    Args:
        address: where.
        setting: that named it, for messages.

    Raises:
        ConfigurationError: there is no such address here, or this user may not have the port.
        AddressUnavailable: the port is taken.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigurationError(
            f"WATCHWORD_{setting}: {address} is no address of this machine: {error.strerror}"
        ) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place)
    except OSError as error:
        listener.close()
        raise _not_bound(address, error, setting) from None
    return listener


def _not_bound(address: Address, error: OSError, setting: str) -> WatchwordError:
    if error.errno == errno.EADDRINUSE:
        return AddressUnavailable(
            f"{address} is taken by another process; stop it, or name another address in WATCHWORD_{setting}"
        )
    if error.errno == errno.EACCES:
        return ConfigurationError(
            f"WATCHWORD_{setting}: this user may not listen at {address}; name a port above 1023"
        )
    return ConfigurationError(
        f"WATCHWORD_{setting}: {address} is no address of this machine: {(error.strerror or 'error').lower()}"
    )
