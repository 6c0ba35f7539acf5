"""What a token service has before anybody listens: the same for a server and for an operator alone."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from watchword.app.audit_key import AuditKey, audit_key_store
from watchword.app.audit_log import Demand, not_demanded
from watchword.app.config import ServerSettings
from watchword.app.role import ALONE, Role
from watchword.authority.admin.operation import AdminContext
from watchword.authority.trust_in_force import TrustInForce
from watchword.clock import Clock
from watchword.keys.issuer import Issuer
from watchword.keys.rotation import RotationPolicy
from watchword.keystores import open_key_store
from watchword.storage.audit_trail import AuditTrail
from watchword.storage.key_events import KeyEvents
from watchword.storage.ledger import SqlLedger
from watchword.storage.recorded_keys import RecordedKeyStore
from watchword.storage.sqlite import SqliteDatabase, join_sqlite, open_sqlite
from watchword.storage.trust import SqlTrustStore

logger = logging.getLogger("watchword.app")


@dataclass(frozen=True, slots=True)
class Parts:
    """Keys and everything that is remembered, opened for one process."""

    database: SqliteDatabase
    issuer: Issuer
    trust_store: SqlTrustStore
    ledger: SqlLedger
    audit: AuditTrail
    audit_key: AuditKey
    clock: Clock

    def administration(
        self, trust: TrustInForce, policy: RotationPolicy, *, demand_log: Demand = not_demanded
    ) -> AdminContext:
        """Return what an operator works on."""
        return AdminContext(
            issuer=self.issuer,
            policy=policy,
            trust=trust,
            trust_store=self.trust_store,
            ledger=self.ledger,
            audit=self.audit,
            audit_keys=lambda: self.audit_key.public,
            database=self.database,
            writer=self.database.writer,
            clock=self.clock,
            demand_log=demand_log,
        )


@asynccontextmanager
async def opened_parts(settings: ServerSettings, *, role: Role = ALONE, clock: Clock) -> AsyncIterator[Parts]:
    """Open the data folder and the keys, for the time of an `async with`.

    Args:
        settings: where they are.
        role: whether this process is alone with them.
        clock: the time that decides.

    Raises:
        KeyringError: the signing keys cannot be used.
        StoreError: the database cannot be opened, or another process uses the folder.
    """
    async with AsyncExitStack() as stack:
        # first, because a process that is alone takes the data folder for itself
        database = (
            open_sqlite(settings.database, clock=clock)
            if role.writer is None
            else join_sqlite(settings.database, writer=role.writer)
        )
        stack.push_async_callback(database.aclose)
        if database.restored:
            logger.warning("the database is older than its folder: somebody put a copy of it back")
        events = KeyEvents(settings.issuer, database.writer, clock)
        keys = RecordedKeyStore(open_key_store(settings.keys), database, events)
        # a first key is made, and its event written: not on the event loop
        issuer = await asyncio.to_thread(
            Issuer, settings.issuer, keys, algorithm=settings.rotation.algorithm, clock=clock
        )
        ledger = SqlLedger(database, writer=database.writer)
        stack.push_async_callback(ledger.aclose)
        audit_key = AuditKey(audit_key_store(settings), clock)
        yield Parts(
            database=database,
            issuer=issuer,
            trust_store=SqlTrustStore(database, writer=database.writer),
            ledger=ledger,
            audit=AuditTrail(database, issuer=settings.issuer, sign=audit_key.sign, verify=audit_key.verify),
            audit_key=audit_key,
            clock=clock,
        )
