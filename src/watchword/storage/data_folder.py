"""The data folder: its owner's alone, used by one server at a time, and aware of restored databases."""

import fcntl
import os
import stat
from pathlib import Path

from watchword.errors import DataFolderInUse, StoreUnavailable

_PRIVATE = 0o600


class DataFolder:
    """The folder of one installation, held exclusively while this object lives.

    Raises:
        StoreUnavailable: the folder cannot be made or written, is not private, or another server holds it.
    """

    __slots__ = ("_lock", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            _make(path)
            _demand_private(path)
            self._lock = os.open(
                path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE
            )
        except OSError as error:
            raise StoreUnavailable(
                f"expected a data folder that can be written at {path}: {error.strerror}"
            ) from None
        try:
            self._hold()
        except BaseException:
            os.close(self._lock)
            raise

    def _hold(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._lock, 20).decode("ascii", "replace").strip()
            raise DataFolderInUse(
                f"another watchword (process {holder or 'unknown'}) uses the data folder {self.path}:"
                " stop it, or name another folder in WATCHWORD_DATABASE",
                holder=holder or "unknown",
            ) from None
        except OSError as error:
            raise StoreUnavailable(
                f"expected a data folder that can be locked at {self.path}: {error.strerror}"
            ) from None
        try:
            os.fchmod(self._lock, _PRIVATE)
            os.ftruncate(self._lock, 0)
            os.write(self._lock, f"{os.getpid()}\n".encode())
        except OSError as error:
            raise StoreUnavailable(f"cannot write {self.path / 'lock'}: {error.strerror}") from None

    def make_private(self, name: str) -> None:
        """Make a file that only its owner can read, whatever the umask, unless it exists."""
        file = self.path / name
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE)
            try:
                if stat.S_IMODE(os.fstat(descriptor).st_mode) != _PRIVATE:
                    os.fchmod(descriptor, _PRIVATE)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StoreUnavailable(f"cannot open {file}: {error.strerror}") from None

    def epoch(self) -> int:
        """Return the number in the file `epoch`; 0 if there is none."""
        try:
            return int((self.path / "epoch").read_text())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError):
            raise StoreUnavailable(f"expected a number in {self.path / 'epoch'}") from None

    def write_epoch(self, number: int) -> None:
        """Replace the number in the file `epoch`, durably and all at once."""
        temporary = self.path / ".epoch.new"  # one name is enough: nobody else writes in this folder
        try:
            descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE
            )
            try:
                os.fchmod(descriptor, _PRIVATE)  # whatever the umask took away
                os.write(descriptor, f"{number}\n".encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.rename(self.path / "epoch")
            _sync(self.path)
        except OSError as error:
            raise StoreUnavailable(f"cannot write {self.path / 'epoch'}: {error.strerror}") from None

    def close(self) -> None:
        """Let another server have the folder."""
        os.close(self._lock)


def _make(path: Path) -> None:
    """Make the folder and every folder above it that is missing, each for its owner alone."""
    if path.exists():
        return
    _make(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)  # whatever the umask took away
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _demand_private(path: Path) -> None:
    found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(0, "it is not a folder")
    if found.st_uid != os.geteuid():
        raise StoreUnavailable(
            f"expected the data folder {path} to belong to this user (uid {os.geteuid()}),"
            f" found uid {found.st_uid}"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        # `chmod 700 /tmp` would be a bad advice
        remedy = (
            "name a folder of its own" if mode & 0o022 else f"chmod 700 {path}, or name a folder of its own"
        )
        raise StoreUnavailable(
            f"expected only its owner to see the data folder {path}, found mode {mode:04o}:"
            f" {remedy} in WATCHWORD_DATABASE"
        )
