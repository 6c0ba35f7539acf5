"""A database that is only looked at: by somebody who holds no folder and changes nothing."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NoReturn, TypeVar

from watchword.errors import StoreUnavailable
from watchword.storage.connection import connect
from watchword.storage.database import Intent
from watchword.storage.statements import drive, execute, translated

T = TypeVar("T")


class Looking:
    """Reads what is committed, also while a server runs; refuses to write.

    Args:
        path: of the database, which exists.
    """

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def read_blocking(self, intent: Intent[T]) -> T:
        """Carry out an intent that changes nothing, on one snapshot.

        Raises:
            StoreUnavailable: the database cannot be read now.
            StoreCorrupt: it is none.
        """
        try:
            # without a WAL no server runs: then no file is made beside the database, which could be root's
            at_rest = not self._path.with_name(f"{self._path.name}-wal").exists()
            with closing(connect(self._path, mode="ro", immutable=at_rest)) as connection:
                connection.execute("BEGIN")
                return drive(intent, lambda statement: execute(statement, connection)).value
        except sqlite3.Error as error:
            raise translated(error) from error

    def run_blocking(self, intent: Intent[T]) -> NoReturn:
        """Refuse.

        Raises:
            StoreUnavailable: always.
        """
        raise StoreUnavailable(f"{self._path} is only looked at")
