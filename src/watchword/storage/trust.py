"""The trust document in force, in SQL. Old ones are kept: what was allowed when is part of the audit."""

from watchword.audit.event import AuditEvent
from watchword.errors import ChangedMeanwhile
from watchword.grants.stores import NO_DOCUMENT, AppliedTrust
from watchword.storage.database import Database, Intent, Statement
from watchword.storage.events import append

_APPLY = "INSERT INTO trust_document (digest, source_digest, document, applied_at) VALUES (?1, ?2, ?3, ?4)"
_APPLIED = (
    "SELECT digest, source_digest, document, applied_at FROM trust_document ORDER BY version DESC LIMIT 1"
)


def demand_expected(found: AppliedTrust | None, expected: str) -> None:
    """Demand that the document in force is the one that somebody looked at.

    Raises:
        ChangedMeanwhile: it is another one.
    """
    digest = NO_DOCUMENT if found is None else found.digest
    if digest != expected:
        raise ChangedMeanwhile(
            f"expected the document with digest {expected or 'of nothing'} in force, found"
            f" {digest or 'none'}: somebody applied another one; nothing was changed, plan again"
        )


class SqlTrustStore:
    """A `TrustStore` on any database that carries out intents.

    Args:
        database: where to.
        writer: names the writer in each event.
    """

    __slots__ = ("_database", "_writer")

    def __init__(self, database: Database, *, writer: str) -> None:
        self._database = database
        self._writer = writer

    async def applied(self) -> AppliedTrust | None:
        """Return the document in force; `None` if none was ever applied."""
        return await self._database.read(_applied())

    async def version(self) -> int:
        """Return how many documents were applied so far."""
        return await self._database.read(_version())

    async def apply(
        self,
        document: bytes,
        *,
        digest: str,
        source_digest: str | None,
        event: AuditEvent,
        expected: str | None = None,
    ) -> None:
        """Put a document in force and write the event that says so, in one transaction."""
        await self._database.run(self._apply(document, digest, source_digest, event, expected))

    def _apply(
        self,
        document: bytes,
        digest: str,
        source_digest: str | None,
        event: AuditEvent,
        expected: str | None,
    ) -> Intent[None]:
        if expected is not None:
            found = yield from _applied()
            demand_expected(found, expected)
        yield Statement(_APPLY, (digest, source_digest, document, event.time))
        yield append(event, writer=self._writer)


def _applied() -> Intent[AppliedTrust | None]:
    found = yield Statement(_APPLIED)
    for digest, source_digest, document, applied_at in found.rows:
        return AppliedTrust(
            str(digest),
            None if source_digest is None else str(source_digest),
            document if isinstance(document, bytes) else b"",
            float(applied_at or 0),
        )
    return None


def _version() -> Intent[int]:
    found = yield Statement("SELECT MAX(version) FROM trust_document")
    return int(found.rows[0][0] or 0)
