"""The data folder held for a service of several processes, by one that never writes while they do."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.storage.connection import connect, make_durable
from watchword.storage.data_folder import DataFolder
from watchword.storage.installation import Installation, enter, leave
from watchword.storage.migrations import migrate, packaged
from watchword.storage.statements import translated


@contextmanager
def held_sqlite(path: Path, *, clock: Clock = SYSTEM_CLOCK) -> Iterator[Installation]:
    """Hold the folder of the database and bring its schema up to date, for the time of a `with`.

    Start and end are counted, as `open_sqlite` does. Within the block no connection is open here, so that
    this process may fork; its children inherit the lock of the folder, and it is free once all have ended.

    Raises:
        StoreUnavailable: the folder cannot be used, or another server uses it.
        StoreCorrupt: the file is no database, or its schema is not one that this version knows.
    """
    folder = DataFolder(path.parent)
    try:
        folder.make_private(path.name)
        try:
            with closing(connect(path)) as connection:
                make_durable(connection)
                migrate(connection, packaged(), clock.now())
                installation = enter(connection, folder, clock.now())
        except sqlite3.Error as error:
            raise translated(error) from error
        try:
            yield installation
        finally:
            _leave(path, folder)
    finally:
        folder.close()


def _leave(path: Path, folder: DataFolder) -> None:
    try:
        with closing(connect(path)) as connection:
            leave(connection, folder)
    except sqlite3.Error:
        return  # a full disk must not keep a server from stopping
