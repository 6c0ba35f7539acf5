"""The operator's own door: an application apart from the public one, on a socket that asks who comes."""

import os
import socket
import struct
from asyncio import BaseTransport, Transport
from typing import cast

from watchword.server.application import Application
from watchword.server.endpoints.metrics import MetricsEndpoint
from watchword.server.metrics import Metrics
from watchword.server.protocol import BoundedProtocol
from watchword.server.routes import Route
from watchword.server.stop_sign import StopSign

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid, as the kernel saw them at connect(2)


def admin_application(metrics: Metrics, stop_sign: StopSign) -> Application:
    """Return what the operator's listeners serve."""
    return Application({b"/metrics": Route("GET", MetricsEndpoint(metrics), "problem")}, stop_sign)


class OwnerProtocol(BoundedProtocol):
    """A connection on a Unix socket: whoever is neither this user nor root is gone before a word."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin, or end at once."""
        super().connection_made(transport)
        if not _is_owner(peer_uid(transport.get_extra_info("socket"))):
            cast(Transport, transport).abort()


def peer_uid(connection: socket.socket) -> int | None:
    """Return the user at the other end of a Unix socket; `None` where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def _is_owner(uid: int | None) -> bool:
    # without an answer the folder and the mode of the socket decide alone
    return uid is None or uid in (0, os.geteuid())
