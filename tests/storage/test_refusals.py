"""A flood of refusals is a number: bounded in memory and on disk, and not lost when the disk is."""

import asyncio
import json
from pathlib import Path

import pytest

from watchword.audit.event import AuditEvent
from watchword.errors import StoreUnavailable
from watchword.storage.forgetting import KEPT_COUNTS, KEPT_SAMPLES
from watchword.storage.refusals import MAX_COUNTERS, MAX_SAMPLES, RefusalCounter

from .conftest import change, column, event, opened


def refused(jti: str, *, minute: int = 0) -> AuditEvent:
    return AuditEvent(type="token.refused", time=60.0 * minute, outcome="refused", jti=jti)


@pytest.mark.threat(243)
def test_a_flood_costs_few_rows_little_room_and_one_write(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (database, ledger):
            await ledger.record(event("before"))
            room = sum(file.stat().st_size for file in path.parent.iterdir())
            commits = await database.read(column("PRAGMA data_version"))
            for n in range(100_000):
                await ledger.count_refusal("invalid_client", sample=refused(str(n), minute=n // 50_000))
            assert await database.read(column("PRAGMA data_version")) == commits
            await ledger.record(event("issuing goes on"))
            assert await ledger.refusals() == {"invalid_client": 100_000}
            assert sum(file.stat().st_size for file in path.parent.iterdir()) - room < 100_000
            samples = await database.read(column("SELECT event FROM refusal_sample ORDER BY minute, number"))
            assert [json.loads(sample)["jti"] for sample in samples] == [
                "0",
                "1",
                "2",
                "50000",
                "50001",
                "50002",
            ]
            assert len(await ledger.events()) == 2

    asyncio.run(story())


@pytest.mark.threat(243)
def test_reasons_without_end_are_counted_without_keeping_them_apart() -> None:
    counter = RefusalCounter()
    for n in range(5 * MAX_COUNTERS):
        counter.count(f"reason {n}", refused(str(n)))
    counted = counter.take()
    assert len(counted) <= MAX_COUNTERS + 1
    assert sum(c.refusals for c in counted.values()) == 5 * MAX_COUNTERS
    assert max(len(c.samples) for c in counted.values()) <= MAX_SAMPLES
    assert counter.take() == {}


def test_what_cannot_be_written_now_is_written_later_and_counted_once(path: Path) -> None:
    async def story() -> None:
        async with opened(path) as (database, ledger):
            await ledger.count_refusal("a", sample=refused("1"))
            await database.run(change("ALTER TABLE refusal RENAME TO away"))
            with pytest.raises(StoreUnavailable):
                await ledger.flush()
            await ledger.count_refusal("a", sample=refused("2"))
            await ledger.count_refusal("b", sample=refused("3"))
            await database.run(change("ALTER TABLE away RENAME TO refusal"))
            assert await ledger.refusals() == {"a": 2, "b": 1}
            await ledger.flush()
            assert await ledger.refusals() == {"a": 2, "b": 1}

    asyncio.run(story())


def test_what_was_counted_is_written_at_the_end_even_if_nobody_asks(path: Path) -> None:
    async def counting() -> None:
        async with opened(path) as (_, ledger):
            await ledger.count_refusal("a", sample=refused("1"))

    async def reading() -> None:
        async with opened(path) as (_, ledger):
            assert await ledger.refusals() == {"a": 1}

    asyncio.run(counting())
    asyncio.run(reading())


@pytest.mark.threat(187)
def test_old_counts_and_older_samples_are_forgotten_in_bounded_steps(path: Path) -> None:
    last = KEPT_COUNTS + 10

    async def story() -> None:
        async with opened(path) as (database, ledger):
            for minute in range(10):
                await ledger.count_refusal("old", sample=refused("x", minute=minute))
            await ledger.count_refusal("kept", sample=refused("x", minute=last - KEPT_SAMPLES - 1))
            await ledger.count_refusal("new", sample=refused("x", minute=last))
            await ledger.flush()
            assert [await ledger.forget_expired(60.0 * last, limit=4) for _ in range(4)] == [4, 4, 3, 0]
            assert await ledger.refusals() == {"kept": 1, "new": 1}
            assert await database.read(column("SELECT reason FROM refusal_sample")) == ["new"]

    asyncio.run(story())
