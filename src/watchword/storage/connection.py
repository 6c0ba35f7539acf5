"""Connections to one SQLite file: to read, and to write durably."""

import sqlite3
from pathlib import Path

from watchword.errors import StoreUnavailable

BUSY_SECONDS = 5.0
"""How long a connection waits for one that writes."""


def connect(path: Path, *, mode: str = "rw", immutable: bool = False) -> sqlite3.Connection:
    """Return a connection that leaves transactions to us.

    Args:
        path: of the file.
        mode: `rw` or `ro`.
        immutable: nobody else has the file open, so that nothing is written beside it, either.

    Raises:
        sqlite3.Error: there is no such file, or it cannot be opened.
    """
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}&immutable={int(immutable)}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )


def make_durable(connection: sqlite3.Connection) -> None:
    """Let what is committed be on the disk, whatever happens then.

    Raises:
        StoreUnavailable: the file system cannot do that.
    """
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreUnavailable(f"expected a file system on which SQLite keeps a WAL, found mode {mode}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: to the disk, not to its cache
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute("PRAGMA foreign_keys = ON")
