"""SQLite as an engine of intents: one writer, group commit, `synchronous=FULL`."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import StoreUnavailable
from watchword.storage.batch import carry_out
from watchword.storage.connection import connect, make_durable
from watchword.storage.data_folder import DataFolder
from watchword.storage.database import Intent, Statement
from watchword.storage.group_commit import MAX_SECONDS, GroupCommit, Outcome
from watchword.storage.installation import Installation, enter, leave
from watchword.storage.migrations import migrate, packaged
from watchword.storage.statements import drive, execute, translated
from watchword.storage.turn import Turn

T = TypeVar("T")


def open_sqlite(path: Path, *, clock: Clock = SYSTEM_CLOCK) -> "SqliteDatabase":
    """Open the database at `path`, make it if it is not there, and bring its schema up to date.

    Its folder is the data folder: private, and held by one server at a time.

    Raises:
        StoreUnavailable: the folder cannot be used, or another server uses it.
        StoreCorrupt: the file is no database, or its schema is not one that this version knows.
    """
    folder = DataFolder(path.parent)
    try:
        folder.make_private(path.name)
        connection = connect(path)
        try:
            make_durable(connection)
            migrate(connection, packaged(), clock.now())
            installation = enter(connection, folder, clock.now())
        except BaseException:
            connection.close()
            raise
        return SqliteDatabase(path, folder, connection, installation=installation)
    except sqlite3.Error as error:
        folder.close()
        raise translated(error) from error
    except BaseException:
        folder.close()
        raise


def join_sqlite(path: Path, *, writer: str) -> "SqliteDatabase":
    """Open the database of a service of several processes, which `held_sqlite` keeps for all of them.

    Args:
        path: of the database.
        writer: names this process in each event; no two that live at once have the same.

    Raises:
        StoreUnavailable: the file cannot be opened now.
        StoreCorrupt: it is no database.
    """
    try:
        connection = connect(path)
        try:
            make_durable(connection)
            turn = Turn(path.parent)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise translated(error) from error
    installation = Installation(writer, restored=False)
    return SqliteDatabase(path, None, connection, installation=installation, turn=turn)


class SqliteDatabase:
    """A `Database` in one file; made by `open_sqlite` and `join_sqlite`."""

    def __init__(
        self,
        path: Path,
        folder: DataFolder | None,
        connection: sqlite3.Connection,
        *,
        installation: Installation,
        turn: Turn | None = None,
    ) -> None:
        self.path = path
        self.writer = installation.writer
        """Names the writer in each event."""
        self.restored = installation.restored
        """The database is older than its folder: somebody put a copy back."""
        self._folder = folder
        self._connection = connection
        self._hashes: dict[str, bytes] = {}  # the tail of each writer's chain, read when it first writes
        self._turn = turn
        self._commits = GroupCommit(self._carry_out, "watchword-sqlite-writer", turn=turn)
        self._reader: sqlite3.Connection | None = None
        self._glancer: sqlite3.Connection | None = None
        self._glancing = threading.Lock()
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="watchword-sqlite-reader")
        self._closed = False

    async def run(self, intent: Intent[T]) -> T:
        """Carry out an intent, all or nothing; durable on return."""
        value: T = await self._commits.run(intent)
        return value

    async def read(self, intent: Intent[T]) -> T:
        """Carry out an intent that changes nothing, on a connection that cannot write."""
        if self._closed:
            raise StoreUnavailable("the database is closed")
        reading = asyncio.get_running_loop().run_in_executor(self._reading, self._read, intent)
        try:
            async with asyncio.timeout(MAX_SECONDS):
                return await reading
        except TimeoutError:
            raise StoreUnavailable(f"the database could not be read for {MAX_SECONDS:g} s") from None

    def run_blocking(self, intent: Intent[T]) -> T:
        """Carry out an intent in the next batch; this thread waits for it."""
        value: T = self._commits.run_blocking(intent)
        return value

    def read_blocking(self, intent: Intent[T]) -> T:
        """Carry out a small intent that changes nothing, in this thread and on a connection for such."""
        with self._glancing:
            if self._closed:
                raise StoreUnavailable("the database is closed")
            try:
                if self._glancer is None:
                    self._glancer = connect(self.path, mode="ro")
                return _on_a_snapshot(intent, self._glancer)
            except sqlite3.Error as error:
                raise translated(error) from error

    async def version(self) -> int:
        """Return a number that changes whenever another process, or another connection of this one, commits.

        Raises:
            StoreUnavailable: the database cannot be read now.
        """
        return await self.read(_version())

    async def aclose(self) -> None:
        """Finish what was begun, then let go of file and folder."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self._reading.shutdown(wait=False, cancel_futures=True)
        if not self._commits.close():
            return  # the disk does not answer; the lock stays until this process ends
        self._reading.shutdown()
        if self._reader is not None:
            self._reader.close()
        with self._glancing:
            if self._glancer is not None:
                self._glancer.close()
        if self._folder is not None:
            leave(self._connection, self._folder)
        self._connection.close()
        if self._turn is not None:
            self._turn.close()
        if self._folder is not None:
            self._folder.close()

    def _carry_out(self, intents: Sequence[Intent[Any]]) -> list[Outcome]:
        return carry_out(intents, self._connection, self._hashes)

    def _read(self, intent: Intent[T]) -> T:
        try:
            if self._reader is None:
                self._reader = connect(self.path, mode="ro")
            return _on_a_snapshot(intent, self._reader)
        except sqlite3.Error as error:
            raise translated(error) from error


def _on_a_snapshot(intent: Intent[T], reader: sqlite3.Connection) -> T:
    reader.execute("BEGIN")  # one snapshot for all statements
    try:
        return drive(intent, lambda statement: execute(statement, reader)).value
    finally:
        reader.execute("ROLLBACK")


def _version() -> Intent[int]:
    found = yield Statement("PRAGMA data_version")
    return int(found.rows[0][0] or 0)
