"""Numbered migrations with checksums, each in one transaction; what was interrupted goes on."""

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import NamedTuple

from watchword.errors import StoreCorrupt

_NAME = re.compile(r"(\d{4})_\w+\.sql")


class Migration(NamedTuple):
    """One step of the schema."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def packaged() -> tuple[Migration, ...]:
    """Return the migrations that this version brings, in order."""
    found = []
    for entry in files("watchword.storage").joinpath("schema").iterdir():
        match = _NAME.fullmatch(entry.name)
        if match:
            found.append(Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8")))
    return tuple(sorted(found))


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration], now: float) -> None:
    """Bring the schema up to date.

    Raises:
        StoreCorrupt: an applied migration is not the one that this version knows, or a newer version of
            Watchword was here.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
        " checksum TEXT NOT NULL, applied_at REAL NOT NULL) STRICT"
    )
    known = {migration.number: migration for migration in migrations}
    applied = connection.execute("SELECT number, name, checksum FROM schema_migration").fetchall()
    for number, name, checksum in applied:
        if number not in known:
            raise StoreCorrupt(
                f"the database has migration {name}, which this version does not know:"
                " expected the version of watchword that wrote it, or a newer one"
            )
        if known[number].checksum != checksum:
            raise StoreCorrupt(f"migration {name} was applied with another text than this version has")
    done = {number for number, _, _ in applied}
    for migration in migrations:
        if migration.number not in done:
            _apply(connection, migration, now)


def _apply(connection: sqlite3.Connection, migration: Migration, now: float) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements(migration.text):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO schema_migration VALUES (?, ?, ?, ?)",
            (migration.number, migration.name, migration.checksum, now),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(text: str) -> Iterator[str]:
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
