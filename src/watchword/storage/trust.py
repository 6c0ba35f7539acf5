"""The trust document in force, in SQL. Old ones are kept: what was allowed when is part of the audit."""

from collections.abc import Sequence

from watchword.audit.event import AuditEvent
from watchword.errors import ChangedMeanwhile
from watchword.grants.stores import NO_DOCUMENT, AppliedTrust
from watchword.storage.clients import VERSION, registrations, save
from watchword.storage.database import Database, Intent, Statement, Value
from watchword.storage.events import append
from watchword.trust.registration import Registration

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
        """Return a number that changes whenever a document is applied or a client changes."""
        return await self._database.read(_version())

    async def apply(
        self,
        document: bytes,
        *,
        digest: str,
        source_digest: str | None,
        event: AuditEvent,
        expected: str | None = None,
        ended: Sequence[tuple[Registration, AuditEvent]] = (),
    ) -> None:
        """Put a document in force and write the event that says so, in one transaction."""
        row = (digest, source_digest, document, event.time)
        await self._database.run(self._apply(row, event, expected, ended))

    async def registrations(self) -> tuple[Registration, ...]:
        """Return what is registered beside the document, by `client_id`."""
        return await self._database.read(registrations())

    async def register(self, registration: Registration, *, event: AuditEvent) -> None:
        """Replace the registration of a client and write the event that says so, in one transaction."""
        await self._database.run(self._register(registration, event))

    def _register(self, registration: Registration, event: AuditEvent) -> Intent[None]:
        yield from save(registration)
        yield append(event, writer=self._writer)

    def _apply(
        self,
        row: tuple[Value, ...],
        event: AuditEvent,
        expected: str | None,
        ended: Sequence[tuple[Registration, AuditEvent]],
    ) -> Intent[None]:
        if expected is not None:
            found = yield from _applied()
            demand_expected(found, expected)
        yield Statement(_APPLY, row)
        yield append(event, writer=self._writer)
        for registration, end in ended:
            yield from self._register(registration, end)


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
    found = yield Statement(f"SELECT (SELECT COALESCE(MAX(version), 0) FROM trust_document) + ({VERSION})")  # noqa: S608
    return int(found.rows[0][0] or 0)
