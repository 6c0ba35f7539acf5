"""The reference of what the stores must do, in memory: for tests, and to be read first."""

from collections.abc import Sequence

from watchword.audit.event import AuditEvent
from watchword.errors import AlreadyConsumed
from watchword.grants.stores import AppliedTrust, Consumption, IssuedToken


class MemoryLedger:
    """A `Ledger` and `AuditReader` that forgets everything when the process ends."""

    def __init__(self) -> None:
        self._events: list[AuditEvent] = []
        self._consumed: dict[tuple[str, str], float] = {}
        self._refusals: dict[str, int] = {}
        self.expiries: dict[tuple[str, int], int] = {}
        """Live tokens by `kid` and minute of expiry."""

    async def record(
        self,
        event: AuditEvent,
        *,
        consume: Sequence[Consumption] = (),
        issued: IssuedToken | None = None,
    ) -> None:
        """Write the event, use up what works once and count the token: all or nothing."""
        keys = [(value.kind, value.id) for value in consume]
        if len(set(keys)) < len(keys) or any(key in self._consumed for key in keys):
            raise AlreadyConsumed("a value that works once was used before")
        self._consumed |= {(value.kind, value.id): value.expires for value in consume}
        if issued is not None:
            key = (issued.kid, int(issued.expires // 60))
            self.expiries[key] = self.expiries.get(key, 0) + 1
        self._events.append(event)

    async def count_refusal(self, reason: str, *, sample: AuditEvent) -> None:
        """Count a refusal of somebody who proved nothing."""
        self._refusals[reason] = self._refusals.get(reason, 0) + 1

    async def events(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, AuditEvent]]:
        """Return events with a sequence number above `after`, oldest first, with their numbers."""
        return list(enumerate(self._events, start=1))[after : after + limit]

    async def refusals(self) -> dict[str, int]:
        """Return how often each reason was counted."""
        return dict(sorted(self._refusals.items()))

    async def forget_expired(self, now: float, *, limit: int = 1_000) -> int:
        """Forget at most `limit` single-use values whose time is over; return how many."""
        over = [key for key, expires in self._consumed.items() if expires < now][:limit]
        for key in over:
            del self._consumed[key]
        return len(over)


class MemoryTrustStore:
    """A `TrustStore` beside a ledger in memory."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._applied: AppliedTrust | None = None

    async def applied(self) -> AppliedTrust | None:
        """Return the document in force; `None` if none was ever applied."""
        return self._applied

    async def apply(
        self, document: bytes, *, digest: str, source_digest: str | None, event: AuditEvent
    ) -> None:
        """Put a document in force and write the event that says so."""
        self._applied = AppliedTrust(digest, source_digest, document, event.time)
        await self._ledger.record(event)
