"""What the token path needs to remember: protocols, so that memory, SQLite and PostgreSQL can keep it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from watchword.audit.event import AuditEvent
from watchword.trust.registration import Registration


class Consumption(NamedTuple):
    """A value that works once."""

    kind: str
    """What it is: `client_assertion`."""
    id: str
    """Unique within its kind."""
    expires: float
    """When it may be forgotten, seconds since the epoch."""


class IssuedToken(NamedTuple):
    """What the planner of key changes must know of a token: which key it needs, and until when."""

    kid: str
    expires: float


class Ledger(Protocol):
    """Remembers deeds. Its exported contract suite is `watchword.testing.stores`."""

    async def record(
        self,
        event: AuditEvent,
        *,
        consume: Sequence[Consumption] = (),
        issued: IssuedToken | None = None,
    ) -> None:
        """Write the event, use up what works once and count the token: all or nothing, durable on return.

        Raises:
            AlreadyConsumed: one of `consume` was used before; nothing was written.
            StoreUnavailable: nothing was written; the same call may work later.
        """
        ...

    async def count_refusal(self, reason: str, *, sample: AuditEvent) -> None:
        """Count a refusal of somebody who proved nothing: per reason and minute, the first samples kept."""
        ...


class AppliedTrust(NamedTuple):
    """The trust document in force, as it was applied."""

    digest: str
    source_digest: str | None
    """Digest of the file that it came from, if it came from one."""
    document: bytes
    applied_at: float


NO_DOCUMENT = ""
"""Instead of a digest: nothing was ever applied."""


class TrustStore(Protocol):
    """Remembers which trust document is in force, and what operators registered beside it."""

    async def applied(self) -> AppliedTrust | None:
        """Return the document in force; `None` if none was ever applied."""
        ...

    async def version(self) -> int:
        """Return a number that changes with each applied document and changed client; cheap to ask for."""
        ...

    async def registrations(self) -> tuple[Registration, ...]:
        """Return what is registered beside the document, by `client_id`."""
        ...

    async def register(self, registration: Registration, *, event: AuditEvent) -> None:
        """Replace the registration of a client and write the event that says so, in one transaction.

        Raises:
            ChangedMeanwhile: its version is not the stored one; nothing was written.
            StoreUnavailable: nothing was written.
        """
        ...

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
        """Put a document in force and write the event that says so, in one transaction.

        Args:
            document: in its stored form.
            digest: of the document.
            source_digest: of the file that it came from, or that the document before it came from.
            event: that says so.
            expected: the digest that must be in force until now, `NO_DOCUMENT` for none; `None`: whatever is.
            ended: registrations that end with the document before, as `register` would write them.

        Raises:
            ChangedMeanwhile: another document is in force, or a registration changed; nothing was written.
            StoreUnavailable: nothing was written.
        """
        ...


class AuditReader(Protocol):
    """Reads what was recorded."""

    async def events(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, AuditEvent]]:
        """Return events with a sequence number above `after`, oldest first, with their numbers."""
        ...
