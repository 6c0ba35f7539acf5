"""Audit events stay for as long as the owner says, and not one longer or shorter."""

import asyncio
from pathlib import Path

from watchword.audit.event import AuditEvent
from watchword.storage.ledger import SqlLedger
from watchword.storage.sqlite import open_sqlite


def test_events_go_oldest_first_in_bounded_steps_and_their_numbers_never_come_back(tmp_path: Path) -> None:
    async def story() -> None:
        database = open_sqlite(tmp_path / "data" / "w.db")
        ledger = SqlLedger(database, writer=database.writer)
        for second in range(10):
            await ledger.record(AuditEvent(type="token.issued", time=float(second), jti=str(second)))
        assert await ledger.forget_expired(1_000.0) == 0  # nobody said how long
        assert [await ledger.forget_expired(106.0, limit=4, events_kept=100.0) for _ in range(3)] == [4, 2, 0]
        left = await ledger.events()
        assert [event.jti for _, event in left] == ["6", "7", "8", "9"]
        assert await ledger.forget_expired(1_000.0, events_kept=100.0) == 4
        await ledger.record(AuditEvent(type="token.issued", time=1_000.0, jti="new"))
        ((number, _),) = await ledger.events()
        assert number == left[-1][0] + 1
        await ledger.aclose()
        await database.aclose()

    asyncio.run(story())
