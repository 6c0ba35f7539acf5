"""SQLite as an engine of intents: one writer, group commit, `synchronous=FULL`."""

import asyncio
import secrets
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import StoreCorrupt, StoreError, StoreUnavailable
from watchword.storage.data_folder import DataFolder
from watchword.storage.database import Intent, Rows, Statement
from watchword.storage.group_commit import GroupCommit, Outcome
from watchword.storage.migrations import migrate, packaged

T = TypeVar("T")

_BUSY_SECONDS = 5.0


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
        connection = _connect(path)
        try:
            migrate(connection, packaged(), clock.now())
            writer, restored = _enter(connection, folder)
        except BaseException:
            connection.close()
            raise
        return SqliteDatabase(path, folder, connection, writer=writer, restored=restored)
    except sqlite3.Error as error:
        folder.close()
        raise translated(error) from error
    except BaseException:
        folder.close()
        raise


class SqliteDatabase:
    """A `Database` in one file; made by `open_sqlite`."""

    def __init__(
        self, path: Path, folder: DataFolder, connection: sqlite3.Connection, *, writer: str, restored: bool
    ) -> None:
        self.path = path
        self.writer = writer
        """Names this installation in the audit."""
        self.restored = restored
        """The file is older than the folder's `epoch`: somebody put a copy back."""
        self._folder = folder
        self._connection = connection
        self._commits = GroupCommit(self._carry_out, "watchword-sqlite-writer")
        self._reader: sqlite3.Connection | None = None
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="watchword-sqlite-reader")

    async def run(self, intent: Intent[T]) -> T:
        """Carry out an intent, all or nothing; durable on return."""
        value: T = await self._commits.run(intent)
        return value

    async def read(self, intent: Intent[T]) -> T:
        """Carry out an intent that changes nothing, on a connection of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._read, intent)

    async def aclose(self) -> None:
        """Finish what was begun, then let go of file and folder."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self._commits.close()
        self._reading.shutdown()
        if self._reader is not None:
            self._reader.close()
        self._connection.close()
        self._folder.close()

    def _read(self, intent: Intent[T]) -> T:
        try:
            if self._reader is None:
                self._reader = _connect(self.path)
                self._reader.execute("PRAGMA query_only = ON")
            return _drive(intent, self._reader)
        except sqlite3.Error as error:
            raise translated(error) from error

    def _carry_out(self, intents: Sequence[Intent[Any]]) -> list[Outcome]:
        """Carry out a batch in one transaction; one intent that fails takes nobody with it."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [_within_savepoint(intent, connection) for intent in intents]
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            for intent in intents:
                intent.close()
            # nothing of this batch is on disk, so nobody may be told that it is
            return [Outcome(error=translated(error))] * len(intents)
        return outcomes

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            return  # SQLite rolled back by itself; the next BEGIN will tell if it is still unwell


def _within_savepoint(intent: Intent[Any], connection: sqlite3.Connection) -> Outcome:
    connection.execute("SAVEPOINT intent")
    try:
        outcome = Outcome(_drive(intent, connection))
    except sqlite3.Error as error:
        if not connection.in_transaction:
            raise  # a full disk or a failed write ends the whole transaction, not this intent alone
        outcome = Outcome(error=translated(error))
    except BaseException as error:  # noqa: BLE001  # it is handed to whoever asked, and to nobody else
        outcome = Outcome(error=error)
    if outcome.error is not None:
        connection.execute("ROLLBACK TO intent")
    connection.execute("RELEASE intent")
    return outcome


def _drive(intent: Intent[T], connection: sqlite3.Connection) -> T:
    try:
        statement: Statement = next(intent)
        while True:
            cursor = connection.execute(statement.sql, statement.parameters)
            statement = intent.send(Rows(cursor.fetchall(), cursor.rowcount))
    except StopIteration as done:
        value: T = done.value
        return value


def translated(error: sqlite3.Error) -> StoreError:
    """Return our error for one of SQLite's; its message names no value."""
    if isinstance(error, sqlite3.OperationalError):
        return StoreUnavailable(f"the database cannot be used now: {error}")
    return StoreCorrupt(f"the database refuses: {error}")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _enter(connection: sqlite3.Connection, folder: DataFolder) -> tuple[str, bool]:
    """Count this start in the database and beside it; tell whether the database is older than the folder."""
    row = connection.execute("SELECT writer, epoch FROM installation").fetchone()
    writer, epoch = row or (secrets.token_hex(8), 0)
    beside = folder.epoch()
    following = max(epoch, beside) + 1
    connection.execute(
        "INSERT INTO installation (id, writer, epoch) VALUES (1, ?1, ?2)"
        " ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch",
        (writer, following),
    )
    folder.write_epoch(following)  # the database first: a crash between the two is no alarm
    return writer, beside > epoch
