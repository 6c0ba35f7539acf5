"""What the tests of the storage share: small intents, and a way to have many in one batch."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from watchword.audit.checkpoint import Checkpoint, signed, verified
from watchword.audit.event import AuditEvent
from watchword.audit.report import Report, Statements
from watchword.storage.audit_file import AuditFile, open_audit
from watchword.storage.audit_trail import AuditTrail
from watchword.storage.audit_verify import verify_database
from watchword.storage.database import Intent, Statement
from watchword.storage.ledger import SqlLedger
from watchword.storage.sqlite import SqliteDatabase, open_sqlite
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.private_key import PrivateKey

HANG = 30
ISSUER = "http://127.0.0.1:9000"
AUDIT_KEY = PrivateKey.generate()
AUDIT_KEYS = JWKSet([AUDIT_KEY.public])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "w.db"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[tuple[SqliteDatabase, SqlLedger]]:
    database = open_sqlite(path)
    ledger = SqlLedger(database, writer=database.writer)
    try:
        yield database, ledger
    finally:
        await ledger.aclose()
        await database.aclose()


def event(jti: str, **members: Any) -> AuditEvent:
    return AuditEvent(type="token.issued", time=1.0, jti=jti, **members)


def trail(database: SqliteDatabase) -> AuditTrail:
    return AuditTrail(
        database,
        issuer=ISSUER,
        sign=lambda checkpoint, typ: signed(checkpoint, AUDIT_KEY, typ=typ),
        verify=lambda statement, typ: verified(statement, AUDIT_KEYS, typ=typ),
    )


def verify(audit: Path | AuditFile, *exported: Checkpoint) -> Report:
    """Verify an audit with nothing but the public key, and checkpoints that were kept elsewhere."""
    if isinstance(audit, Path):
        with open_audit(audit) as opened_audit:
            return verify(opened_audit, *exported)
    return verify_database(audit, Statements(AUDIT_KEYS, issuer=ISSUER, exported=exported))


def insert(name: str) -> Intent[None]:
    yield Statement("INSERT INTO consumed (kind, id, expires) VALUES ('code', ?1, 1e12)", (name,))


def change(sql: str) -> Intent[None]:
    yield Statement(sql)


def column(sql: str) -> Intent[list[Any]]:
    found = yield Statement(sql)
    return [row[0] for row in found.rows]


def names() -> Intent[list[Any]]:
    return column("SELECT id FROM consumed ORDER BY id")


async def in_one_batch(database: SqliteDatabase, *awaitables: Awaitable[Any]) -> list[Any]:
    """Return the outcomes of all; the writer is held until everybody stands in its queue."""
    reached, go_on = threading.Event(), threading.Event()

    def holding() -> Intent[None]:
        reached.set()
        assert go_on.wait(HANG)
        return
        yield

    held = asyncio.ensure_future(database.run(holding()))
    await asyncio.get_running_loop().run_in_executor(None, reached.wait, HANG)
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    await asyncio.sleep(0)  # each task runs up to its wait
    go_on.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    await held
    return outcomes
