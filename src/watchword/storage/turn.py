"""Whose turn it is to write, among processes with one database: one after the other, as they came.

SQLite lets only one write at a time, but whoever finds it busy sleeps and looks again, up to a tenth of a
second: a process that writes all the time keeps the others out. Here the kernel wakes up who is next.
"""

import contextlib
import fcntl
import os
from pathlib import Path

from watchword.errors import StoreUnavailable

_PRIVATE = 0o600
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Turn:
    """Held for the time of a `with`; the kernel takes it from a process that dies.

    There are two locks: whoever has the first is next, and waits for the second. One who has just written
    stands behind them. It is for fairness alone: what protects the data is SQLite's own lock, so a file
    system without this kind of lock does no harm.

    Args:
        folder: where the two files stand.

    Raises:
        StoreUnavailable: they cannot be made.
    """

    __slots__ = ("_next", "_writing")

    def __init__(self, folder: Path) -> None:
        try:
            self._next = os.open(folder / "next-writer", _FLAGS, _PRIVATE)
            self._writing = os.open(folder / "writer", _FLAGS, _PRIVATE)
        except OSError as error:
            raise StoreUnavailable(f"cannot open the locks in {folder}: {error.strerror}") from None

    def __enter__(self) -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(self._next, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._writing, fcntl.LOCK_EX)
            finally:
                fcntl.flock(self._next, fcntl.LOCK_UN)

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(self._writing, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the files."""
        os.close(self._next)
        os.close(self._writing)
