"""A disk that is full or held by somebody: unavailable, never half, and over when it is over."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path

import pytest

from watchword.errors import StoreUnavailable
from watchword.storage.database import Statement
from watchword.storage.probe import writable

from .conftest import HANG, change, column, event, in_one_batch, insert, names, opened, verify


async def done(writing: Awaitable[None]) -> bool:
    try:
        await writing
    except StoreUnavailable:
        return False
    return True


@pytest.mark.threat(178)
def test_a_full_disk_is_unavailable_leaves_nothing_half_and_is_over_when_there_is_room(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (database, ledger):
            await database.run(change("PRAGMA max_page_count = 1"))  # as many pages as there are now
            written = 0
            while await done(database.run(insert(f"{written:0500}"))):
                written += 1
            assert written < 3_000
            assert len(await database.read(names())) == written
            outcomes = await in_one_batch(
                database,
                *(database.run(insert(f"{n:09000}")) for n in range(5)),
                *(ledger.record(event("x" * 1_000)) for _ in range(200)),
            )
            succeeded = sum(outcome is None for outcome in outcomes)
            assert {type(outcome) for outcome in outcomes} <= {type(None), StoreUnavailable}
            assert succeeded < 205
            found = len(await database.read(names())) + len(await ledger.events(limit=999))
            assert found == written + succeeded
            await database.run(change("PRAGMA max_page_count = 1000000"))
            await database.run(insert("room again"))
            assert "room again" in await database.read(names())
            await ledger.record(event("room again"))

    asyncio.run(story())
    assert verify(path).whole


LIMITED = """
import asyncio, json, os, resource, sys
from pathlib import Path
from watchword.audit.event import AuditEvent
from watchword.errors import StoreUnavailable
from watchword.storage.ledger import SqlLedger
from watchword.storage.sqlite import open_sqlite

async def write(ledger, name):
    try:
        await ledger.record(AuditEvent(type="token.issued", time=1.0, jti=name, subject="x" * 900))
    except StoreUnavailable:
        return None
    return name

async def main():
    path = Path(sys.argv[1])
    database = open_sqlite(path)
    ledger = SqlLedger(database, writer=database.writer)
    answered = [await write(ledger, "before")]
    wal = path.with_name(path.name + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 10_000, resource.RLIM_INFINITY))
    refused = 0
    for turn in range(20):
        outcomes = await asyncio.gather(*(write(ledger, f"{turn}-{n}") for n in range(8)))
        refused += outcomes.count(None)
        answered += filter(None, outcomes)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    answered.append(await write(ledger, "after"))
    there = [event.jti for _, event in await ledger.events(limit=1_000)]
    await database.aclose()
    print(json.dumps({"answered": answered, "refused": refused, "there": there}))

asyncio.run(main())
"""


@pytest.mark.threat(178)
def test_a_write_that_the_system_refuses_is_unavailable_and_over_without_a_restart(path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)],
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["refused"] > 0
    assert told["answered"][0] == "before"
    assert told["answered"][-1] == "after"
    assert sorted(told["there"]) == sorted(told["answered"])

    async def story() -> None:
        async with opened(path) as (_, ledger):
            assert [e.jti for _, e in await ledger.events(limit=1_000)] == told["there"]

    asyncio.run(story())
    assert verify(path).whole  # what the disk refused is not in the chain


@pytest.mark.threat(179)
def test_a_stranger_who_holds_the_database_is_waited_for_a_bounded_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchword.storage.connection.BUSY_SECONDS", 0.05)

    async def story() -> None:
        async with opened(path) as (database, _):
            stranger = sqlite3.connect(path, isolation_level=None)
            stranger.execute("BEGIN IMMEDIATE")
            outcomes = await asyncio.gather(
                *(database.run(insert(str(n))) for n in range(50)), return_exceptions=True
            )
            assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
            with pytest.raises(StoreUnavailable):
                await database.run(writable())
            assert await database.read(names()) == []
            stranger.execute("COMMIT")
            stranger.close()
            await database.run(insert("a"))
            assert await database.read(names()) == ["a"]

    asyncio.run(story())


@pytest.mark.threat(179)
def test_a_reader_who_blocks_the_checkpoint_blocks_no_writer(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (database, ledger):
            await database.run(change("PRAGMA wal_autocheckpoint = 100"))
            await database.run(insert("seen"))
            stranger = sqlite3.connect(path, isolation_level=None)
            stranger.execute("BEGIN")
            assert stranger.execute("SELECT COUNT(*) FROM consumed").fetchone() == (1,)
            for n in range(40):
                await asyncio.gather(
                    *(ledger.record(event(f"{n}-{i}", subject="x" * 1_000)) for i in range(50))
                )
            assert path.with_name("w.db-wal").stat().st_size > 300 * 4_096  # nothing could be moved
            assert stranger.execute("SELECT COUNT(*) FROM audit_event").fetchone() == (0,)
            stranger.close()
            assert len(await ledger.events(limit=9_999)) == 2_000

    asyncio.run(story())


def test_reading_sees_one_moment_and_cannot_write(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (database, _):
            counts = [await database.read(column("SELECT COUNT(*) FROM consumed"))]

            def twice():
                first = yield Statement("SELECT COUNT(*) FROM consumed")
                asyncio.run_coroutine_threadsafe(database.run(insert("between")), loop).result(HANG)
                second = yield Statement("SELECT COUNT(*) FROM consumed")
                return [*first.rows, *second.rows]

            loop = asyncio.get_running_loop()
            assert await database.read(twice()) == [(0,), (0,)]
            counts += [await database.read(column("SELECT COUNT(*) FROM consumed"))]
            assert counts == [[0], [1]]
            with pytest.raises(StoreUnavailable, match="readonly"):
                await database.read(insert("by the reader"))

    asyncio.run(story())


def test_a_closed_database_says_so(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (database, _):
            await database.aclose()
            with pytest.raises(StoreUnavailable, match="closed"):
                await database.run(insert("late"))
            with pytest.raises(StoreUnavailable, match="closed"):
                await database.read(names())

    asyncio.run(story())


def test_the_database_is_as_durable_as_it_says(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (database, _):
            for pragma, value in {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}.items():
                assert await database.run(column(f"PRAGMA {pragma}")) == [value]

    asyncio.run(story())
