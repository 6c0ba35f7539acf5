"""The schema: each step whole or not at all, the same text everywhere, never a newer one than the code."""

import sqlite3
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from watchword.errors import StoreCorrupt
from watchword.storage.migrations import Migration, migrate, packaged
from watchword.storage.sqlite import open_sqlite

from .conftest import HANG

STEPS = (
    Migration(1, "0001_a.sql", "CREATE TABLE a (x TEXT);\nCREATE TABLE b (x TEXT);\n"),
    Migration(
        2,
        "0002_b.sql",
        "-- a comment; with a semicolon\nALTER TABLE a ADD COLUMN y TEXT;\nCREATE TRIGGER t AFTER INSERT ON a"
        " BEGIN\n  UPDATE a SET y = ';';\nEND;\nCREATE TABLE c (x TEXT);\n",
    ),
)


@pytest.fixture
def connection(tmp_path: Path) -> Generator[sqlite3.Connection, None, None]:
    opened = sqlite3.connect(tmp_path / "plain.db", isolation_level=None)
    yield opened
    opened.close()


def tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


@pytest.mark.threat(184)
def test_a_migration_that_fails_half_way_leaves_nothing_and_the_next_start_goes_on(
    connection: sqlite3.Connection,
) -> None:
    broken = (STEPS[0], Migration(2, "0002_b.sql", STEPS[1].text + "CREATE TABLE broken (;\n"))
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, broken, 1.0)
    assert tables(connection) == {"schema_migration", "a", "b"}
    migrate(connection, STEPS, 2.0)
    assert tables(connection) == {"schema_migration", "a", "b", "c"}
    migrate(connection, STEPS, 3.0)
    assert connection.execute("SELECT number, applied_at FROM schema_migration").fetchall() == [
        (1, 1.0),
        (2, 2.0),
    ]


KILLED = """
import os, signal, sqlite3, sys
from watchword.storage.migrations import migrate, packaged

class Killing(sqlite3.Connection):
    left = 0

    def execute(self, *call):
        if Killing.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        Killing.left -= 1
        return super().execute(*call)

for kills in range(1_000):
    child = os.fork()
    if child == 0:
        Killing.left = kills
        migrate(sqlite3.connect(sys.argv[1], isolation_level=None, factory=Killing), packaged(), 1.0)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        print(kills)
        break
"""


@pytest.mark.threat(184)
def test_killed_before_each_statement_in_turn_it_still_arrives_at_the_same_schema(
    tmp_path: Path, connection: sqlite3.Connection
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed.db")],
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 10
    migrate(connection, packaged(), 1.0)
    survivor = sqlite3.connect(tmp_path / "killed.db")
    for query in (
        "SELECT type, name, sql FROM sqlite_schema ORDER BY name",
        "SELECT * FROM schema_migration",
    ):
        assert survivor.execute(query).fetchall() == connection.execute(query).fetchall()
    survivor.close()


def test_an_older_schema_is_brought_up_to_date(connection: sqlite3.Connection) -> None:
    migrate(connection, STEPS[:1], 1.0)
    migrate(connection, STEPS, 2.0)
    assert "c" in tables(connection)


def test_a_migration_whose_text_changed_is_refused(connection: sqlite3.Connection) -> None:
    migrate(connection, STEPS, 1.0)
    with pytest.raises(StoreCorrupt, match=r"0002_b\.sql was applied with another text"):
        migrate(connection, (STEPS[0], STEPS[1]._replace(text="SELECT 1;\n")), 2.0)


def test_a_database_of_a_newer_version_is_refused(connection: sqlite3.Connection) -> None:
    migrate(connection, STEPS, 1.0)
    with pytest.raises(StoreCorrupt, match=r"0002_b\.sql, which this version does not know"):
        migrate(connection, STEPS[:1], 2.0)


def test_a_refused_database_is_left_as_it_is_and_its_folder_is_free(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    later = (*packaged(), Migration(9_999, "9999_later.sql", "CREATE TABLE later (x TEXT);\n"))
    plain = sqlite3.connect(path, isolation_level=None)
    migrate(plain, later, 1.0)
    before = tables(plain)
    for _ in range(2):
        with pytest.raises(StoreCorrupt, match=r"9999_later\.sql, which this version does not know"):
            open_sqlite(path)
    assert tables(plain) == before
    plain.close()


def test_the_packaged_migrations_are_numbered_without_a_gap() -> None:
    assert [m.number for m in packaged()] == list(range(1, len(packaged()) + 1))
    assert packaged()
