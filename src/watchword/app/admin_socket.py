"""The operator's Unix socket: a file that only its owner can open, made at start and removed at the end."""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from watchword.errors import AddressUnavailable, ConfigurationError

_PRIVATE = 0o600
MAX_PATH = 107
"""Bytes that the kernel takes as the name of a Unix socket."""


@contextmanager
def admin_socket(path: Path) -> Iterator[socket.socket]:
    """Bind the socket for the time of a `with`; one that a killed server left behind is replaced.

    Raises:
        ConfigurationError: the folder is missing or others can write to it, or something else stands there.
        AddressUnavailable: another process listens there.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _wrong(f"expected a folder at {path.parent}: {(error.strerror or 'error').lower()}") from None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _demand_unshared(folder, path.parent)
        # a long path is reached through the open folder: the name of a socket must be short
        place = str(path) if len(os.fsencode(path)) <= MAX_PATH else f"/proc/self/fd/{folder}/{path.name}"
        _remove_left_behind(path, place)
        try:
            listener.bind(place)  # under a umask that lets nobody else in
            path.chmod(_PRIVATE)
        except OSError as error:
            raise _wrong(
                f"cannot make a socket at {path}: {(error.strerror or str(error)).lower()}"
            ) from None
        made = path.lstat().st_ino
        try:
            yield listener
        finally:
            with contextlib.suppress(OSError):
                if path.lstat().st_ino == made:  # not somebody else's by now
                    path.unlink()
    finally:
        listener.close()
        os.close(folder)


def _demand_unshared(folder: int, path: Path) -> None:
    found = os.fstat(folder)
    if found.st_uid not in (0, os.geteuid()) or stat.S_IMODE(found.st_mode) & 0o022:
        raise _wrong(f"expected a folder that nobody else can write to, found {path}")


def _remove_left_behind(path: Path, place: str) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise _wrong(f"expected a socket or nothing at {path}, found another file")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1)
        try:
            asking.connect(place)
        except ConnectionRefusedError:
            path.unlink()  # nobody listens: its server was killed
            return
        except OSError as error:
            raise _wrong(f"cannot use {path}: {(error.strerror or str(error)).lower()}") from None
    raise AddressUnavailable(
        f"another process listens at {path}; name another path in WATCHWORD_ADMIN_SOCKET"
    )


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError(f"WATCHWORD_ADMIN_SOCKET: {problem}")
