"""Both ledgers and both trust stores, held to the same contract."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from watchword.grants.stores import AuditReader, TrustStore
from watchword.storage.ledger import SqlLedger
from watchword.storage.memory import MemoryLedger, MemoryTrustStore
from watchword.storage.sqlite import open_sqlite
from watchword.storage.trust import SqlTrustStore
from watchword.testing.stores import FullLedger, LedgerContract, TrustStoreContract


class TestMemoryLedger(LedgerContract):
    durable = False

    @asynccontextmanager
    async def open(self, folder: Path) -> AsyncIterator[FullLedger]:
        yield MemoryLedger()


class TestSqliteLedger(LedgerContract):
    @asynccontextmanager
    async def open(self, folder: Path) -> AsyncIterator[FullLedger]:
        database = open_sqlite(folder / "data" / "watchword.db")
        ledger = SqlLedger(database, writer=database.writer)
        try:
            yield ledger
        finally:
            await ledger.aclose()
            await database.aclose()


class TestMemoryTrustStore(TrustStoreContract):
    durable = False

    @asynccontextmanager
    async def open(self, folder: Path) -> AsyncIterator[tuple[TrustStore, AuditReader]]:
        ledger = MemoryLedger()
        yield MemoryTrustStore(ledger), ledger


class TestSqliteTrustStore(TrustStoreContract):
    @asynccontextmanager
    async def open(self, folder: Path) -> AsyncIterator[tuple[TrustStore, AuditReader]]:
        database = open_sqlite(folder / "data" / "watchword.db")
        try:
            yield (
                SqlTrustStore(database, writer=database.writer),
                SqlLedger(database, writer=database.writer),
            )
        finally:
            await database.aclose()
