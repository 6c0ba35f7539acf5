"""A database that was put back from a copy is noticed, once, and goes on under a new name."""

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from watchword.audit.event import AuditEvent
from watchword.errors import StoreUnavailable
from watchword.storage.sqlite import open_sqlite

from .conftest import column, event, opened

pytestmark = pytest.mark.threat(169)


def visit(path: Path, *jtis: str) -> tuple[bool, str, list[AuditEvent]]:
    async def story() -> tuple[bool, str, list[AuditEvent]]:
        async with opened(path) as (database, ledger):
            for jti in jtis:
                await ledger.record(event(jti))
            return database.restored, database.writer, [e for _, e in await ledger.events()]

    return asyncio.run(story())


def test_an_old_copy_that_was_put_back_is_noticed_once(path: Path, tmp_path: Path) -> None:
    _, writer, _ = visit(path, "a")
    shutil.copy(path, tmp_path / "yesterday.db")
    assert visit(path, "b")[:2] == (False, writer)
    assert visit(path)[:2] == (False, writer)
    shutil.copy(tmp_path / "yesterday.db", path)
    restored, new_writer, events = visit(path, "c")
    assert restored
    assert [e.type for e in events] == ["token.issued", "store.restored", "token.issued"]
    assert events[1].reason is not None
    assert events[1].reason.startswith("epoch ")
    again, same_writer, events = visit(path)
    assert (again, same_writer) == (False, new_writer)
    assert [e.jti for e in events] == ["a", None, "c"]


def test_a_copy_of_the_time_before_another_was_put_back_is_noticed_too(path: Path, tmp_path: Path) -> None:
    visit(path)
    shutil.copy(path, tmp_path / "monday.db")
    for _ in range(3):
        visit(path)
    shutil.copy(path, tmp_path / "tuesday.db")
    shutil.copy(tmp_path / "monday.db", path)
    assert visit(path)[0]
    shutil.copy(tmp_path / "tuesday.db", path)
    assert visit(path)[0]


def test_its_sequence_numbers_are_not_taken_for_those_that_it_forgot(path: Path, tmp_path: Path) -> None:
    async def rows() -> list[str]:
        async with opened(path) as (database, _):
            return await database.read(column("SELECT writer || ' ' || sequence FROM audit_event"))

    visit(path)
    shutil.copy(path, tmp_path / "yesterday.db")
    visit(path, "a", "b")
    forgotten = asyncio.run(rows())
    shutil.copy(tmp_path / "yesterday.db", path)
    visit(path, "c")
    assert len(forgotten) == 2
    assert set(forgotten) & set(asyncio.run(rows())) == set()


def test_a_copy_that_was_taken_while_the_server_ran_is_noticed_too(path: Path, tmp_path: Path) -> None:
    async def copied() -> None:
        async with opened(path) as (_, ledger):
            await ledger.record(event("a"))
            target = str(tmp_path / "copy.db")
            source, copy = sqlite3.connect(path), sqlite3.connect(target)
            source.backup(copy)
            source.close()
            copy.close()

    asyncio.run(copied())
    shutil.copy(tmp_path / "copy.db", path)
    assert visit(path)[0]


def test_a_crash_is_no_alarm_and_neither_is_a_folder_without_the_file(path: Path) -> None:
    async def crashed() -> None:
        # the database was opened and counted, and never closed
        open_sqlite(path)._folder.close()

    asyncio.run(crashed())
    assert not visit(path)[0]
    (path.parent / "epoch").unlink()
    assert not visit(path)[0]
    assert not visit(path)[0]


def test_a_file_that_says_nothing_is_not_guessed_at(path: Path) -> None:
    visit(path)
    (path.parent / "epoch").write_text("three\n")
    with pytest.raises(StoreUnavailable, match=r"expected a number in .*epoch"):
        visit(path)
