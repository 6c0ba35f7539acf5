"""The SQLite engine under faults: crashes, full disks, strange folders, old copies, other versions."""

import ast
import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from watchword.audit.event import AuditEvent
from watchword.errors import StoreCorrupt, StoreUnavailable
from watchword.storage.database import Intent, Statement
from watchword.storage.ledger import SqlLedger
from watchword.storage.migrations import Migration, migrate, packaged
from watchword.storage.sqlite import SqliteDatabase, open_sqlite

SOAK = os.environ.get("WATCHWORD_SOAK") == "1"


def event(jti: str) -> AuditEvent:
    return AuditEvent(type="token.issued", time=1.0, jti=jti)


def close(database: SqliteDatabase) -> None:
    asyncio.run(database.aclose())


def insert(jti: str) -> Intent[None]:
    yield Statement("INSERT INTO consumed (kind, id, expires) VALUES ('code', ?1, 1.0)", (jti,))


def count() -> Intent[int]:
    found = yield Statement("SELECT COUNT(*) FROM consumed")
    return int(found.rows[0][0] or 0)


def test_an_intent_that_raises_takes_nobody_of_its_batch_with_it(tmp_path: Path) -> None:
    def broken() -> Intent[None]:
        yield from insert("half")
        raise ValueError("changed my mind")

    def wrong() -> Intent[None]:
        yield Statement("INSERT INTO nowhere VALUES (1)")

    async def story() -> None:
        database = open_sqlite(tmp_path / "data" / "w.db")
        outcomes = await asyncio.gather(
            *(database.run(insert(str(n))) for n in range(20)),
            database.run(broken()),
            database.run(wrong()),
            *(database.run(insert(str(n))) for n in range(20, 40)),
            return_exceptions=True,
        )
        assert sum(o is None for o in outcomes) == 40
        assert {type(o) for o in outcomes if o is not None} == {ValueError, StoreUnavailable}
        assert await database.read(count()) == 40
        await database.aclose()

    asyncio.run(story())


def test_a_caller_who_gives_up_does_not_harm_the_others(tmp_path: Path) -> None:
    async def story() -> None:
        database = open_sqlite(tmp_path / "data" / "w.db")
        tasks = [asyncio.create_task(database.run(insert(str(n)))) for n in range(50)]
        await asyncio.wait(tasks[:1], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks[1::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(o is None for o in outcomes[::2])
        await database.run(insert("after"))
        await database.aclose()

    asyncio.run(story())


def test_a_closed_database_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        database = open_sqlite(tmp_path / "data" / "w.db")
        await database.aclose()
        with pytest.raises(StoreUnavailable, match="closed"):
            await database.run(insert("late"))

    asyncio.run(story())


@pytest.mark.threat(178)
def test_a_full_disk_is_unavailable_leaves_nothing_half_and_recovers_without_a_restart(
    tmp_path: Path,
) -> None:
    def limit(pages: int) -> Intent[None]:
        yield Statement(f"PRAGMA max_page_count = {pages}")

    async def story() -> None:
        database = open_sqlite(tmp_path / "data" / "w.db")
        await database.run(limit(1))  # as many pages as there are now
        refused = 0
        for n in range(3_000):
            try:
                await database.run(insert("x" * 500 + str(n)))
            except StoreUnavailable:
                refused += 1
                break
        assert refused == 1
        before = await database.read(count())
        assert before == n
        await database.run(limit(1_000_000))
        await database.run(insert("room again"))
        assert await database.read(count()) == before + 1
        await database.aclose()

    asyncio.run(story())


WRITER = """
import asyncio, sys
from pathlib import Path
from watchword.audit.event import AuditEvent
from watchword.grants.stores import Consumption
from watchword.storage.ledger import SqlLedger
from watchword.storage.sqlite import open_sqlite

async def one(ledger, name):
    event = AuditEvent(type="token.issued", time=1.0, jti=name)
    await ledger.record(event, consume=[Consumption("code", name, 1e12)])
    print(name, flush=True)

async def main():
    database = open_sqlite(Path(sys.argv[1]))
    ledger = SqlLedger(database, writer=database.writer)
    number = 0
    while True:
        await asyncio.gather(*(one(ledger, f"{sys.argv[2]}-{number + i}") for i in range(8)))
        number += 8

asyncio.run(main())
"""


@pytest.mark.threat(175, 199)
def test_what_was_answered_survives_kill_9_and_nothing_is_half(tmp_path: Path) -> None:
    path = tmp_path / "data" / "w.db"
    answered: list[str] = []
    for cycle in range(500 if SOAK else 12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(cycle)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        answered += [writer.stdout.readline().strip() for _ in range(1 + 7 * cycle % 40)]
        writer.send_signal(signal.SIGKILL)
        answered += [line.strip() for line in writer.stdout if line.endswith("\n")]
        writer.wait(timeout=30)

    async def story() -> None:
        database = open_sqlite(path)
        ledger = SqlLedger(database, writer=database.writer)
        events = {str(e.jti) for _, e in await ledger.events(limit=1_000_000)}
        consumed = await database.read(consumed_ids())
        assert set(answered) <= events
        assert events == consumed  # the deed and what it used up are there together or not at all
        await database.aclose()

    asyncio.run(story())


def consumed_ids() -> Intent[set[str]]:
    found = yield Statement("SELECT id FROM consumed")
    return {str(row[0]) for row in found.rows}


@pytest.mark.parametrize("umask", [0o000, 0o777], ids=["umask 000", "umask 777"])
def test_only_the_owner_can_read_anything_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    code = (
        "import asyncio, os, sys; from pathlib import Path; os.umask(int(sys.argv[2]))\n"
        "from watchword.storage.sqlite import open_sqlite\n"
        "database = open_sqlite(Path(sys.argv[1]))\n"
        "print(sorted((p.name, oct(p.stat().st_mode & 0o777)) for p in Path(sys.argv[1]).parent.iterdir()))\n"
        "asyncio.run(database.aclose())"
    )
    folder = tmp_path / "data"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(folder / "w.db"), str(umask)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = dict(ast.literal_eval(ran.stdout))
    assert {"w.db", "w.db-wal", "w.db-shm", "lock", "epoch"} <= modes.keys()
    assert set(modes.values()) == {"0o600"}


def test_a_folder_that_others_can_read_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(StoreUnavailable, match=r"found mode 0755: chmod 700 "):
        open_sqlite(folder / "w.db")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreUnavailable, match="expected a data folder"):
        open_sqlite(tmp_path / "file" / "data" / "w.db")


def test_two_servers_never_share_a_folder_and_the_second_learns_who_has_it(tmp_path: Path) -> None:
    first = open_sqlite(tmp_path / "data" / "w.db")
    with pytest.raises(StoreUnavailable, match=rf"process {os.getpid()}\) uses the data folder"):
        open_sqlite(tmp_path / "data" / "w.db")
    close(first)
    close(open_sqlite(tmp_path / "data" / "w.db"))


@pytest.mark.threat(169)
def test_an_old_copy_that_was_put_back_is_noticed_once(tmp_path: Path) -> None:
    path = tmp_path / "data" / "w.db"
    close(open_sqlite(path))
    shutil.copy(path, tmp_path / "yesterday.db")
    close(open_sqlite(path))
    again = open_sqlite(path)
    assert not again.restored
    close(again)
    shutil.copy(tmp_path / "yesterday.db", path)
    restored = open_sqlite(path)
    assert restored.restored
    close(restored)
    after = open_sqlite(path)
    assert not after.restored
    close(after)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    (folder / "w.db").write_text("dear diary, " * 500)
    with pytest.raises(StoreCorrupt):
        open_sqlite(folder / "w.db")


@pytest.fixture
def connection(tmp_path: Path) -> Generator[sqlite3.Connection, None, None]:
    opened = sqlite3.connect(tmp_path / "plain.db", isolation_level=None)
    yield opened
    opened.close()


STEPS = (
    Migration(1, "0001_a.sql", "CREATE TABLE a (x TEXT);\nCREATE TABLE b (x TEXT);\n"),
    Migration(2, "0002_b.sql", "ALTER TABLE a ADD COLUMN y TEXT;\nCREATE TABLE c (x TEXT);\n"),
)


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


def test_a_migration_whose_text_changed_is_refused(connection: sqlite3.Connection) -> None:
    migrate(connection, STEPS, 1.0)
    with pytest.raises(StoreCorrupt, match=r"0002_b\.sql was applied with another text"):
        migrate(connection, (STEPS[0], STEPS[1]._replace(text="SELECT 1;\n")), 2.0)


def test_a_database_of_a_newer_version_is_refused(connection: sqlite3.Connection) -> None:
    migrate(connection, STEPS, 1.0)
    with pytest.raises(StoreCorrupt, match=r"0002_b\.sql, which this version does not know"):
        migrate(connection, STEPS[:1], 2.0)


def test_the_packaged_migrations_are_numbered_without_a_gap() -> None:
    assert [m.number for m in packaged()] == list(range(1, len(packaged()) + 1))
