"""What a token service has before anybody listens: the same for a server and for an operator alone."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from watchword.app.audit_key import AuditKey
from watchword.app.audit_log import Demand, not_demanded
from watchword.app.config import ServerSettings
from watchword.app.key_places import AUDIT, KeyPlaces, keyring_problems
from watchword.app.role import ALONE, Role
from watchword.authority.admin.operation import AdminContext
from watchword.authority.trust_in_force import TrustInForce
from watchword.clock import Clock
from watchword.errors import KeyRejected
from watchword.keys.issuer import Issuer
from watchword.keys.rotation import RotationPolicy
from watchword.keys.sealed_keyring import TOKENS
from watchword.storage.audit_trail import AuditTrail
from watchword.storage.key_events import KeyEvents
from watchword.storage.ledger import SqlLedger
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
    sealing_key: str | None
    """Its name; `None`: nothing is sealed."""
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
            reseal=self._reseal,
            database=self.database,
            writer=self.database.writer,
            clock=self.clock,
            demand_log=demand_log,
        )

    def _reseal(self, operator: str) -> str | None:
        if self.sealing_key is not None:
            self.issuer.change_keys(lambda keyring: keyring, by=operator)
            self.audit_key.reseal()
        return self.sealing_key


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
        # keys are made, and their events written: not on the event loop
        issuer, audit_key, sealing_key = await asyncio.to_thread(_keys, settings, database, clock)
        ledger = SqlLedger(database, writer=database.writer)
        stack.push_async_callback(ledger.aclose)
        yield Parts(
            database=database,
            issuer=issuer,
            trust_store=SqlTrustStore(database, writer=database.writer),
            ledger=ledger,
            audit=AuditTrail(database, issuer=settings.issuer, sign=audit_key.sign, verify=audit_key.verify),
            audit_key=audit_key,
            sealing_key=sealing_key,
            clock=clock,
        )


def _keys(
    settings: ServerSettings, database: SqliteDatabase, clock: Clock
) -> tuple[Issuer, AuditKey, str | None]:
    places = KeyPlaces(settings, database, KeyEvents(settings.issuer, database.writer, clock))
    tokens = places.store(TOKENS)
    issuer = Issuer(settings.issuer, tokens, algorithm=settings.rotation.algorithm, clock=clock)
    for problem in keyring_problems(tokens):
        logger.error("%s; the other keys go on working", problem)
    audit_key = AuditKey(places.store(AUDIT), clock)
    if audit_key.thumbprints & {entry.key.public.thumbprint() for entry in issuer.keyring.entries}:
        raise KeyRejected("a key that signs tokens is also the audit's: one key, one purpose")
    return issuer, audit_key, places.sealing_key
