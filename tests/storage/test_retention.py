"""Audit events stay for as long as the owner says, and what is left can still be verified."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from watchword.audit.checkpoint import CHECKPOINT, verified
from watchword.audit.event import AuditEvent
from watchword.errors import CheckpointInvalid, StoreCorrupt
from watchword.storage.ledger import SqlLedger

from .conftest import AUDIT_KEYS, opened, trail, verify


def at(second: int) -> AuditEvent:
    return AuditEvent(type="token.issued", time=float(second), jti=str(second))


def fill(path: Path, count: int = 10) -> None:
    async def story() -> None:
        async with opened(path) as (database, ledger):
            other = SqlLedger(database, writer="other")
            for second in range(count):
                await (other if second % 3 == 1 else ledger).record(at(second))

    asyncio.run(story())


def forget(path: Path, now: float, *, kept: float = 100.0, limit: int = 1_000) -> int:
    async def story() -> int:
        async with opened(path) as (database, _):
            return await trail(database).forget(now, kept=kept, limit=limit)

    return asyncio.run(story())


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_events_go_oldest_first_in_bounded_steps_and_their_numbers_never_come_back(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (database, ledger):
            keeper = trail(database)
            for second in range(10):
                await ledger.record(at(second))
            assert await keeper.forget(106.0, kept=1_000.0) == 0
            assert [await keeper.forget(106.0, kept=100.0, limit=4) for _ in range(3)] == [4, 2, 0]
            left = await ledger.events()
            assert [event.jti for _, event in left] == ["6", "7", "8", "9"]
            assert await keeper.forget(1_000.0, kept=100.0) == 4
            await ledger.record(at(1_000))
            ((number, _),) = await ledger.events()
            assert number == left[-1][0] + 1

    asyncio.run(story())
    report = verify(path)
    assert (report.whole, report.events, report.forgotten) == (True, 1, 10)


@pytest.mark.threat(198)
def test_what_is_left_is_verified_from_the_signed_anchor_on(path: Path) -> None:
    fill(path)
    for now in (103.0, 106.0, 108.0):
        assert forget(path, now) > 0
        report = verify(path)
        assert report.whole
        assert report.forgotten == now - 100
    assert sorted(tail.events for tail in report.chains) == [3, 7]  # the forgotten ones too


@pytest.mark.threat(198)
@pytest.mark.parametrize("statement", [None, "checkpoint"])
def test_a_beginning_that_somebody_deleted_by_hand_is_found(path: Path, statement: str | None) -> None:
    fill(path)

    async def checkpoint() -> str:
        async with opened(path) as (database, _):
            return await trail(database).checkpoint(50.0)

    signed = asyncio.run(checkpoint())
    fill(path)
    execute(path, "DELETE FROM audit_event WHERE sequence <= 10")
    if statement is not None:  # a checkpoint excuses no deletion, though it says where the chains were
        execute(path, f"INSERT INTO audit_anchor VALUES (1, 10, '{signed}')")
    assert not verify(path).whole
    with pytest.raises(CheckpointInvalid if statement else StoreCorrupt):  # nor is it forgotten by rule later
        forget(path, 1_000.0)
    assert not verify(path).whole


@pytest.mark.threat(198)
def test_changed_events_are_not_forgotten_but_stay_as_evidence(path: Path) -> None:
    fill(path)
    execute(path, "UPDATE audit_event SET jti = 'x' WHERE sequence = 3")
    with pytest.raises(StoreCorrupt, match="event 3 is not as it was written"):
        forget(path, 1_000.0)
    assert not verify(path).whole


@pytest.mark.threat(198)
def test_an_older_anchor_does_not_fit_what_is_left(path: Path) -> None:
    fill(path)
    forget(path, 103.0)
    with closing(sqlite3.connect(path)) as connection:
        (old,) = connection.execute("SELECT statement FROM audit_anchor").fetchone()
    forget(path, 106.0)
    execute(path, f"UPDATE audit_anchor SET sequence = 3, statement = '{old}'")
    assert not verify(path).whole


def test_checkpoints_of_what_was_forgotten_go_with_it(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (database, ledger):
            keeper = trail(database)
            kept = []
            for second in range(6):
                await ledger.record(at(second))
                kept.append(verified(await keeper.checkpoint(float(second)), AUDIT_KEYS, typ=CHECKPOINT))
            await keeper.forget(104.0, kept=100.0)
            assert all(verify(path, checkpoint).whole for checkpoint in kept)

    asyncio.run(story())
    assert verify(path).statements == 4  # the anchor, its own checkpoint and the two behind it
