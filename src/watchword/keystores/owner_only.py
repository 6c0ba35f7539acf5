"""A folder that only its owner can look into: every file whole or absent, never readable by others.

Files are opened below the open folder and checked as they were opened, so that nothing can be put in
their place between a check and its use.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from watchword.errors import KeyFileUnsafe, KeyringError

_TEMPORARY = ".new-"
_LOCK = "lock"
_LARGEST = 1 << 20
_LINK_ERRORS = frozenset({errno.ELOOP, errno.EMLINK})


class OwnerOnlyFolder:
    """An open folder of mode 0700 that belongs to this process's user."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path) -> Iterator[Self | None]:
        """Open the folder for the time of a `with`; `None` if it does not exist.

        Raises:
            KeyFileUnsafe: not a folder of ours alone.
            KeyringError: it cannot be opened.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            if path.is_symlink() or error.errno in {*_LINK_ERRORS, errno.ENOTDIR}:
                raise KeyFileUnsafe(f"{path}: expected a folder, found a link or a file") from None
            raise _failure("open", path, error) from None
        try:
            _demand_ours(os.fstat(fd), path, widest=0o700)
            yield cls(path, fd)
        finally:
            _let_go(fd)

    @staticmethod
    def create(path: Path) -> None:
        """Make the folder, and the missing ones above it, for the owner only and whatever the umask is.

        Raises:
            KeyringError: it cannot be made.
        """
        try:
            if not path.parent.exists():
                OwnerOnlyFolder.create(path.parent)
            path.mkdir(mode=0o700)
            path.chmod(0o700)
        except FileExistsError:
            return
        except OSError as error:
            raise _failure("create the folder", path, error) from None

    def read(self, name: str) -> bytes | None:
        """Return what a file holds; `None` if there is none.

        Raises:
            KeyFileUnsafe: a link, a foreign owner, readable by others.
            KeyringError: it cannot be read.
        """
        path = self.path / name
        try:
            # O_NONBLOCK: a pipe put in the file's place must not make us wait
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(name, flags, dir_fd=self._fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in _LINK_ERRORS:
                raise KeyFileUnsafe(f"{path}: expected a file, found a symbolic link") from None
            raise _failure("read", path, error) from None
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileUnsafe(f"{path}: expected a file, found something else")
            if status.st_nlink > 1:  # none: it was replaced since it was opened, and is whole
                raise KeyFileUnsafe(f"{path}: expected one name, found {status.st_nlink} hard links")
            _demand_ours(status, path, widest=0o600)
            if status.st_size > _LARGEST:
                raise KeyringError(f"{path}: expected at most {_LARGEST} bytes, found {status.st_size}")
            return file.read()

    def write(self, name: str, content: bytes, *, mode: int = 0o600) -> None:
        """Put a file in place, whole and on the disk, or leave what was there.

        Its name is on the disk only after `sync`.

        Raises:
            KeyringError: it cannot be written; what was there is untouched.
        """
        temporary = _TEMPORARY + secrets.token_hex(16)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(temporary, flags, mode, dir_fd=self._fd)
            try:
                os.fchmod(fd, mode)  # a umask may have taken even the owner's rights
                _write_all(fd, content)
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
            return
        except OSError as error:
            failure = _failure("write", self.path / name, error)
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self._fd)
        del content  # a traceback that shows variables must not show a key
        raise failure

    def sync(self) -> None:
        """Wait until the names of the files are on the disk."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise _failure("sync", self.path, error) from None

    def names(self) -> list[str]:
        """Return the names of all files.

        Raises:
            KeyringError: the folder cannot be read.
        """
        try:
            return os.listdir(self._fd)
        except OSError as error:
            raise _failure("list", self.path, error) from None

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _failure("remove", self.path / name, error) from None

    def remove_unfinished(self) -> None:
        """Remove what a process that died while writing has left; call it under the lock."""
        for name in self.names():
            if name.startswith(_TEMPORARY):
                self.remove(name)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out for the time of a `with`; the system frees the lock of a dead process.

        Raises:
            KeyFileUnsafe: the lock file is a link or belongs to somebody else.
            KeyringError: it cannot be made.
        """
        path = self.path / _LOCK
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            try:
                fd = os.open(_LOCK, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._fd)
                os.fchmod(fd, 0o600)
            except FileExistsError:
                fd = os.open(_LOCK, flags, dir_fd=self._fd)
        except OSError as error:
            if error.errno in _LINK_ERRORS:
                raise KeyFileUnsafe(f"{path}: expected a file, found a symbolic link") from None
            raise _failure("write", path, error) from None
        try:
            _demand_ours(os.fstat(fd), path, widest=0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            _let_go(fd)


def _let_go(fd: int) -> None:
    with contextlib.suppress(OSError):  # nothing was written by it that close could lose
        os.close(fd)


def _write_all(fd: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(fd, left) :]


def _demand_ours(status: os.stat_result, path: Path, *, widest: int) -> None:
    if status.st_uid != os.geteuid():
        raise KeyFileUnsafe(
            f"{path}: expected owner {os.geteuid()} (who runs this), found {status.st_uid}; "
            f"run: chown {os.geteuid()} {path}"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & ~widest:
        raise KeyFileUnsafe(
            f"{path}: expected mode {widest:04o} or narrower, found {mode:04o}; run: chmod {widest:o} {path}"
        )


def _failure(deed: str, path: Path, error: OSError) -> KeyringError:
    reason = os.strerror(error.errno).lower() if error.errno else "unknown error"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        reason += f"; expected a folder that user {os.geteuid()} may write to"
    return KeyringError(f"cannot {deed} {path}: {reason}")
