"""Asks a running server for an operation, over the operator's Unix socket."""

import http.client
import os
import socket
from pathlib import Path
from typing import Any

import msgspec

from watchword.app.admin_socket import MAX_PATH
from watchword.errors import OperationRefused, OperatorUnreachable

_SECONDS = 60.0
"""For one operation: an RSA key on a slow machine, a large trust document."""
_LARGEST = 64 * 1024 * 1024


class _Answer(msgspec.Struct):
    code: str
    problems: list[str]


class NobodyListens(Exception):
    """No server has its socket there; never leaves this floor."""


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        if len(os.fsencode(self._path)) <= MAX_PATH:
            self.sock.connect(str(self._path))
            return
        # a long path is reached through the open folder: the name of a socket must be short
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


def is_there(path: Path) -> bool:
    """Tell whether somebody listens at this socket, or whether that cannot be told."""
    connection = _SocketConnection(path)
    try:
        connection.connect()
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return False
    except OSError:
        return True
    finally:
        connection.close()
    return True


def perform_at(path: Path, name: str, body: bytes) -> dict[str, Any]:
    """Have the server at this socket carry out an operation; return what it tells.

    Raises:
        NobodyListens: there is no socket, or nobody behind it.
        OperatorUnreachable: the socket belongs to somebody else, or the server does not answer.
        OperationRefused: the server said no.
    """
    connection = _SocketConnection(path)
    try:
        connection.connect()
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        connection.close()
        raise NobodyListens from None
    except OSError as error:
        connection.close()
        raise OperatorUnreachable(
            f"cannot use the server's socket {path}: {(error.strerror or 'error').lower()};"
            " run this as the user that runs the server"
        ) from None
    try:
        connection.request(
            "POST",
            f"/admin/{name.replace('.', '/')}",
            body=body,
            headers={"Content-Type": "application/json", "Connection": "close"},
        )
        answer = connection.getresponse()
        content = answer.read(_LARGEST)
    except (OSError, http.client.HTTPException):
        raise OperatorUnreachable(
            f"the server at {path} did not answer, so nobody knows whether it was done; its log says more."
            " A socket answers only the user that runs the server, and root"
        ) from None
    finally:
        connection.close()
    return _read(answer.status, content, path)


def _read(status: int, content: bytes, path: Path) -> dict[str, Any]:
    try:
        if status == 200:
            return msgspec.json.decode(content, type=dict[str, Any])
        if status == 404:
            raise OperatorUnreachable(
                f"the server at {path} does not know this operation: it is of another version, restart it"
            )
        refusal = msgspec.json.decode(content, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise OperatorUnreachable(f"what answers at {path} is no token service") from None
    raise OperationRefused(refusal.code, refusal.problems, usage=status == 400)
