"""The reference of what the stores must do, in memory: for tests, and to be read first."""

from collections.abc import Sequence
from dataclasses import replace

from msgspec import convert
from msgspec.structs import asdict

from watchword.audit.event import AuditEvent
from watchword.audit.event_types import demand_known, surplus
from watchword.errors import AlreadyConsumed, ChangedMeanwhile
from watchword.grants.stores import AppliedTrust, Consumption, IssuedToken
from watchword.storage.events import storable
from watchword.storage.trust import demand_expected
from watchword.trust.registration import Registration


class MemoryLedger:
    """A `Ledger` and `AuditReader` that forgets everything when the process ends."""

    def __init__(self) -> None:
        self._events: list[AuditEvent] = []
        self._consumed: dict[tuple[str, str], float] = {}
        self._refusals: dict[str, int] = {}
        self._expiries: dict[tuple[int, str], int] = {}

    async def record(
        self,
        event: AuditEvent,
        *,
        consume: Sequence[Consumption] = (),
        issued: IssuedToken | None = None,
    ) -> None:
        """Write the event, use up what works once and count the token: all or nothing."""
        demand_known(event)
        if unknown := surplus(event):
            raise ValueError(f"expected only what {event.type} tells, found {', '.join(sorted(unknown))}")
        keys = [(value.kind, value.id) for value in consume]
        if len(set(keys)) < len(keys) or any(key in self._consumed for key in keys):
            raise AlreadyConsumed("a value that works once was used before")
        self._consumed |= {(value.kind, value.id): value.expires for value in consume}
        if issued is not None:
            key = (int(issued.expires // 60), issued.kid)
            self._expiries[key] = self._expiries.get(key, 0) + 1
        members = {name: storable(value) for name, value in asdict(event).items()}
        self._events.append(convert(members, AuditEvent))

    async def count_refusal(self, reason: str, *, sample: AuditEvent) -> None:
        """Count a refusal of somebody who proved nothing."""
        self._refusals[reason] = self._refusals.get(reason, 0) + 1

    async def events(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, AuditEvent]]:
        """Return events with a sequence number above `after`, oldest first, with their numbers."""
        return list(enumerate(self._events, start=1))[after : after + limit]

    async def refusals(self) -> dict[str, int]:
        """Return how often each reason was counted."""
        return dict(sorted(self._refusals.items()))

    async def live_tokens(self, now: float) -> dict[str, int]:
        """Return how many tokens that have not expired each `kid` has signed; exact to the minute."""
        live: dict[str, int] = {}
        for (minute, kid), tokens in sorted(self._expiries.items()):
            if minute >= now // 60:
                live[kid] = live.get(kid, 0) + tokens
        return live

    async def forget_expired(self, now: float, *, limit: int = 1_000) -> int:
        """Forget what is over, at most `limit` of each kind; `limit` comes back if there may be more."""
        values = [key for key, expires in self._consumed.items() if expires < now][:limit]
        for key in values:
            del self._consumed[key]
        minutes = [key for key in self._expiries if key[0] < now // 60][:limit]
        for minute in minutes:
            del self._expiries[minute]
        return max(len(values), len(minutes))


class MemoryTrustStore:
    """A `TrustStore` beside a ledger in memory."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._applied: AppliedTrust | None = None
        self._registered: dict[str, Registration] = {}
        self._version = 0

    async def applied(self) -> AppliedTrust | None:
        """Return the document in force; `None` if none was ever applied."""
        return self._applied

    async def version(self) -> int:
        """Return a number that changes whenever a document is applied or a client changes."""
        return self._version

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
        """Put a document in force and write the event that says so."""
        if expected is not None:
            demand_expected(self._applied, expected)
        for registration, _ in ended:
            self._demand_version(registration)
        self._applied = AppliedTrust(digest, source_digest, document, event.time)
        self._version += 1
        await self._ledger.record(event)
        for registration, end in ended:
            await self.register(registration, event=end)

    async def registrations(self) -> tuple[Registration, ...]:
        """Return what is registered beside the document, by `client_id`."""
        return tuple(self._registered[name] for name in sorted(self._registered))

    async def register(self, registration: Registration, *, event: AuditEvent) -> None:
        """Replace the registration of a client and write the event that says so."""
        self._demand_version(registration)
        self._registered[registration.client_id] = replace(registration, version=registration.version + 1)
        self._version += 1
        await self._ledger.record(event)

    def _demand_version(self, registration: Registration) -> None:
        held = self._registered.get(registration.client_id)
        if registration.version != (0 if held is None else held.version):
            raise ChangedMeanwhile(f"somebody else changed the client {registration.client_id}")
