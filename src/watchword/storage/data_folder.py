"""The data folder: its owner's alone, used by one server at a time, and aware of restored databases."""

import fcntl
import os
import secrets
import stat
from pathlib import Path

from watchword.errors import StoreUnavailable


class DataFolder:
    """The folder of one installation, held exclusively while this object lives.

    Raises:
        StoreUnavailable: the folder cannot be made or written, is not private, or another server holds it.
    """

    __slots__ = ("_lock", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if not path.exists():
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.chmod(0o700)  # whatever the umask took away
            _demand_private(path)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StoreUnavailable(
                f"expected a data folder that can be written at {path}: {error.strerror}"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._lock, 20).decode("ascii", "replace").strip()
            os.close(self._lock)
            raise StoreUnavailable(
                f"another watchword (process {holder or 'unknown'}) uses the data folder {path}: stop it,"
                " or name another folder in WATCHWORD_DATABASE"
            ) from None
        os.fchmod(self._lock, 0o600)
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"{os.getpid()}\n".encode())

    def make_private(self, name: str) -> None:
        """Make a file that only its owner can read, whatever the umask, unless it exists."""
        file = self.path / name
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o600:
                    os.fchmod(descriptor, 0o600)
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
        temporary = self.path / f".epoch-{secrets.token_hex(8)}"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.fchmod(descriptor, 0o600)  # whatever the umask took away
            try:
                os.write(descriptor, f"{number}\n".encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.rename(self.path / "epoch")
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StoreUnavailable(f"cannot write {self.path / 'epoch'}: {error.strerror}") from None

    def close(self) -> None:
        """Let another server have the folder."""
        os.close(self._lock)


def _demand_private(path: Path) -> None:
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise StoreUnavailable(
            f"expected the data folder {path} to belong to this user (uid {os.geteuid()}),"
            f" found uid {found.st_uid}"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise StoreUnavailable(
            f"expected only its owner to see the data folder {path}, found mode"
            f" {stat.S_IMODE(found.st_mode):04o}: chmod 700 {path}"
        )
