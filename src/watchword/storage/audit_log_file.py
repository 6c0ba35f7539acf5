"""The audit log outside the database: lines in an owner-only file, or on stderr."""

import os
import stat
from pathlib import Path
from typing import NamedTuple, Protocol

from watchword.audit.lines import read_line
from watchword.errors import StoreCorrupt

_PRIVATE = 0o600
_TAIL = 4 << 20
"""So many bytes at the end of a file are searched for its last event."""
_STDERR = 2


class LastEvent(NamedTuple):
    """The last event that a log holds."""

    sequence: int
    hash: object


class LogFile(Protocol):
    """Where lines of the audit go. Everything here may block, and belongs into a thread of its own."""

    def last(self) -> LastEvent | None:
        """Return the last event that it holds; what was torn off behind it is gone after this."""
        ...

    def write(self, lines: list[bytes]) -> None:
        """Write lines, durably.

        Raises:
            OSError: not all of them were written; what was is taken back or begun anew by the next call.
        """
        ...

    def turned_over(self) -> bool:
        """Return whether another file belongs in its place: it was renamed or removed."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class RegularLogFile:
    """A file that is only ever appended to; made with mode 0600 if it is not there.

    Raises:
        OSError: it cannot be opened, or is no regular file of this user.
    """

    __slots__ = ("_descriptor", "_path", "_size")

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, _PRIVATE)
        try:
            found = os.fstat(self._descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                raise OSError(0, "expected a file of this user", str(path))
            if stat.S_IMODE(found.st_mode) != _PRIVATE:
                os.fchmod(self._descriptor, _PRIVATE)  # as a tool that turns logs over made it
            self._size = found.st_size
            _sync_folder(path.parent)
        except BaseException:
            os.close(self._descriptor)
            raise

    def last(self) -> LastEvent | None:
        """Return the last event; see `LogFile`."""
        begin = max(0, self._size - _TAIL)
        text = os.pread(self._descriptor, self._size - begin, begin)
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            self._cut(begin + whole)
        for line in reversed(text[:whole].splitlines(keepends=True)):
            try:
                event = read_line(line).event
            except StoreCorrupt:
                continue
            if event is not None:
                return LastEvent(int(str(event.values[0])), event.hash)
        return None

    def write(self, lines: list[bytes]) -> None:
        """Append lines; see `LogFile`."""
        if os.fstat(self._descriptor).st_size > self._size:
            self._cut(self._size)  # what the last call began and the disk did not take
        left = memoryview(b"".join(lines))
        size = len(left)
        while left:
            left = left[os.write(self._descriptor, left) :]
        os.fsync(self._descriptor)
        self._size = min(self._size + size, os.fstat(self._descriptor).st_size)  # or somebody emptied it

    def turned_over(self) -> bool:
        """Return whether it was; see `LogFile`."""
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return True
        own = os.fstat(self._descriptor)
        return (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _cut(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        self._size = size


class StderrLog:
    """Standard error, between the lines of the server's own log."""

    __slots__ = ("_torn",)

    def __init__(self) -> None:
        self._torn = False

    def last(self) -> LastEvent | None:
        """Return nothing: what was written there cannot be read."""
        return None

    def write(self, lines: list[bytes]) -> None:
        """Write lines, each at once, so that no other line comes in between."""
        for line in lines:
            left = memoryview(b"\n" + line if self._torn else line)
            self._torn = True
            while left:
                left = left[os.write(_STDERR, left) :]
            self._torn = False

    def turned_over(self) -> bool:
        """Return `False`: there is no other one."""
        return False

    def close(self) -> None:
        """Do nothing: it is everybody's."""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
