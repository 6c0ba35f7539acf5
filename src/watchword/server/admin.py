"""The operator's own door: an application apart from the public one, on a socket that asks who comes."""

import os
import socket
import struct
from asyncio import BaseTransport, Transport
from functools import partial
from typing import cast

from watchword.authority.admin.operation import OPERATOR_SPACE, AdminContext
from watchword.authority.admin.perform import perform
from watchword.authority.admin.table import OPERATIONS
from watchword.server.application import Application
from watchword.server.endpoints.administer import AdministerEndpoint
from watchword.server.endpoints.metrics import MetricsEndpoint
from watchword.server.metrics import Metrics
from watchword.server.protocol import BoundedProtocol
from watchword.server.request import OPERATOR
from watchword.server.routes import Route
from watchword.server.stop_sign import StopSign

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid, as the kernel saw them at connect(2)


def metrics_application(metrics: Metrics, stop_sign: StopSign) -> Application:
    """Return what a listener for Prometheus serves: metrics, and no operation."""
    return Application(_metrics(metrics), stop_sign)


def admin_application(metrics: Metrics, context: AdminContext | None, stop_sign: StopSign) -> Application:
    """Return what the operator's socket serves: metrics and every operation."""
    routes = _metrics(metrics)
    if context is not None:
        routes |= {
            path_of(name): Route("POST", AdministerEndpoint(partial(perform, context, name)), "operator")
            for name in OPERATIONS
        }
    return Application(routes, stop_sign)


def path_of(operation: str) -> bytes:
    """Return the one path of an operation: `/admin/keys/show`."""
    return b"/admin/" + operation.replace(".", "/").encode("ascii")


def _metrics(metrics: Metrics) -> dict[bytes, Route]:
    return {b"/metrics": Route("GET", MetricsEndpoint(metrics), "problem")}


class OwnerProtocol(BoundedProtocol):
    """A connection on a Unix socket: whoever is neither this user nor root is gone before a word."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin, or end at once."""
        super().connection_made(transport)
        uid = peer_uid(transport.get_extra_info("socket"))
        if not _is_owner(uid):
            cast(Transport, transport).abort()
            return
        # where the system does not tell, only this user and root can have opened the socket
        self.app_state[OPERATOR] = f"{OPERATOR_SPACE}{os.geteuid() if uid is None else uid}"


def peer_uid(connection: socket.socket) -> int | None:
    """Return the user at the other end of a Unix socket; `None` where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def _is_owner(uid: int | None) -> bool:
    # without an answer the folder and the mode of the socket decide alone
    return uid is None or uid in (0, os.geteuid())
