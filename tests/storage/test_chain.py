"""Every event is sealed in the transaction that writes it, whatever happens around it."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from watchword.audit.chain import COVERED, GENESIS, link
from watchword.audit.checkpoint import verified
from watchword.audit.event import AuditEvent
from watchword.errors import StoreCorrupt, StoreUnavailable
from watchword.grants.stores import Consumption
from watchword.storage.ledger import SqlLedger
from watchword.storage.migrations import migrate, packaged
from watchword.storage.sqlite import open_sqlite

from .conftest import AUDIT_KEYS, change, event, in_one_batch, opened, trail, verify

pytestmark = pytest.mark.threat(198)


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        names = ", ".join((*COVERED, "previous_hash", "hash"))
        return connection.execute(f"SELECT {names} FROM audit_event ORDER BY sequence").fetchall()


def record(path: Path, *events: AuditEvent) -> None:
    async def story() -> None:
        async with opened(path) as (_, ledger):
            for one in events:
                await ledger.record(one)

    asyncio.run(story())


def test_each_event_hangs_on_the_one_before_it_over_batches_and_restarts(path: Path) -> None:
    async def story(names: str) -> None:
        async with opened(path) as (database, ledger):
            await in_one_batch(database, *(ledger.record(event(name)) for name in names))
            await ledger.record(event("alone"))

    asyncio.run(story("abc"))
    asyncio.run(story("de"))
    previous = GENESIS
    for *values, before, sealed in rows(path):
        assert before == previous
        assert sealed == link(previous, values)  # type: ignore[arg-type]
        previous = sealed  # type: ignore[assignment]
    report = verify(path)
    assert (report.whole, report.events, report.chains[0].events) == (True, 7, 7)


def test_whatever_an_event_says_it_is_verified_as_it_was_stored(path: Path) -> None:
    hostile = ["\0", "\ud800", "a" * 5_000, "é\n\x1b[31m\u202e", "", "\U0001f600"]
    times = [0, -0.0, 1, 1e300, 1_790_000_000.123456, 2**53, float("inf"), -1.5]
    record(
        path,
        *(AuditEvent(type="token.issued", time=2.0, subject=text, reason=text) for text in hostile),
        *(AuditEvent(type="token.issued", time=time) for time in times),
    )
    assert verify(path).whole


def test_a_deed_that_fails_leaves_no_hole_in_the_chain(path: Path) -> None:
    trigger = (
        "CREATE TRIGGER t BEFORE INSERT ON audit_event WHEN NEW.jti = 'bad'"
        " BEGIN SELECT RAISE(FAIL, 'no'); END"
    )

    async def story() -> None:
        async with opened(path) as (database, ledger):
            await ledger.record(event("first"))
            await database.run(change(trigger))
            once = [Consumption("code", "x", 1e12)]
            outcomes = await in_one_batch(
                database,
                ledger.record(event("a")),
                ledger.record(event("bad")),
                ledger.record(event("b"), consume=once),
                ledger.record(event("used"), consume=once),
                ledger.record(event("c")),
            )
            assert [type(outcome) for outcome in outcomes][:3] == [type(None), StoreCorrupt, type(None)]
            await ledger.record(event("last"))

    asyncio.run(story())
    assert [row[COVERED.index("jti")] for row in rows(path)] == ["first", "a", "b", "c", "last"]
    assert verify(path).whole


def test_a_batch_that_was_rolled_back_is_not_in_the_chain(path: Path) -> None:
    trigger = (
        "CREATE TRIGGER t BEFORE INSERT ON audit_event WHEN NEW.jti = 'bad'"
        " BEGIN SELECT RAISE(ROLLBACK, 'the disk is ill'); END"
    )

    async def story() -> None:
        async with opened(path) as (database, ledger):
            await database.run(change(trigger))
            await ledger.record(event("first"))
            outcomes = await in_one_batch(database, *(ledger.record(event(n)) for n in ("a", "bad", "b")))
            assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
            await ledger.record(event("last"))

    asyncio.run(story())
    assert [row[0] for row in rows(path)] == [1, 2]
    assert verify(path).whole


@pytest.mark.threat(205)
def test_writers_of_one_database_have_chains_of_their_own(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (database, ledger):
            other = SqlLedger(database, writer="other")
            await in_one_batch(
                database,
                *((ledger, other)[n % 2].record(event(str(n))) for n in range(9)),
                ledger.record(event("x")),
            )
            await other.record(event("y"))

    asyncio.run(story())
    report = verify(path)
    assert report.whole
    assert sorted(tail.events for tail in report.chains) == [5, 6]
    firsts = {row[1]: row[-2] for row in reversed(rows(path))}
    assert set(firsts.values()) == {GENESIS}


def test_what_somebody_else_puts_behind_our_last_event_is_never_taken_for_ours(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (_, ledger):
            await ledger.record(event("a"))
            *values, _, sealed = rows(path)[-1]
            forged = (2, *values[1:])
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute(
                    f"INSERT INTO audit_event VALUES ({', '.join('?' * 17)})",
                    (*forged, sealed, link(sealed, forged)),  # type: ignore[arg-type]
                )
            await ledger.record(event("b"))

    asyncio.run(story())
    assert [found.kind for found in verify(path).findings] == ["unlinked", "cut"]


def test_a_start_without_an_event_and_a_crash_begin_nothing(path: Path) -> None:
    record(path)
    open_sqlite(path)._folder.close()  # opened, and never closed
    record(path, event("a"))
    assert verify(path).whole


@pytest.mark.threat(169)
def test_a_restored_database_begins_a_new_chain_beside_the_old_one(path: Path, tmp_path: Path) -> None:
    record(path, event("a"))
    shutil.copy(path, tmp_path / "yesterday.db")
    record(path, event("b"))
    shutil.copy(tmp_path / "yesterday.db", path)
    record(path, event("c"))
    report = verify(path)
    assert report.whole
    assert sorted(tail.events for tail in report.chains) == [1, 2]


def test_events_from_before_the_chain_are_counted_and_not_vouched_for(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        migrate(old, packaged()[:1], 0.0)
        for number in (3, 4, 6):
            old.execute(
                "INSERT INTO audit_event (sequence, writer, time, type, outcome)"
                " VALUES (?, 'w', 1, 't.x', 'allowed')",
                (number,),
            )
    record(path, event("a"), event("b"))
    report = verify(path)
    assert (report.whole, report.unchained, report.events, report.last) == (True, 3, 2, 8)

    async def checkpoint() -> str:
        async with opened(path) as (database, _):
            return await trail(database).checkpoint(1.0)

    kept = verified(asyncio.run(checkpoint()), AUDIT_KEYS)
    assert verify(path, kept).whole
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE audit_event SET hash = NULL, previous_hash = NULL WHERE sequence = 7")
        connection.execute("UPDATE audit_unchained SET sequence = 7")
    assert not verify(path).whole  # nobody can say afterwards that an event was never sealed
    assert "begins after event 6" in verify(path, kept).findings[0].text


@pytest.mark.threat(204)
def test_numbers_order_events_when_the_clock_goes_back(path: Path) -> None:
    record(
        path, *(AuditEvent(type="token.issued", time=time, jti=str(time)) for time in (9.0, 3.0, 7.0, 1.0))
    )
    assert verify(path).whole
    assert [row[COVERED.index("time")] for row in rows(path)] == [9.0, 3.0, 7.0, 1.0]

    async def forgotten() -> int:
        async with opened(path) as (database, _):
            return await trail(database).forget(10.0, kept=5.0)

    assert asyncio.run(forgotten()) == 0  # the first is young, so what stands behind it stays too
    assert verify(path).whole
