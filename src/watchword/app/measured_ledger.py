"""A ledger that is timed: how long requests wait for the database."""

from collections.abc import Sequence

from watchword.audit.event import AuditEvent
from watchword.clock import Clock
from watchword.grants.stores import Consumption, IssuedToken, Ledger
from watchword.telemetry.exposition import Histogram


class MeasuredLedger:
    """Passes everything on and observes how long it took, whichever way it ended."""

    __slots__ = ("_clock", "_ledger", "_seconds")

    def __init__(self, ledger: Ledger, seconds: Histogram, clock: Clock) -> None:
        self._ledger = ledger
        self._seconds = seconds
        self._clock = clock

    async def record(
        self,
        event: AuditEvent,
        *,
        consume: Sequence[Consumption] = (),
        issued: IssuedToken | None = None,
    ) -> None:
        """Record a deed durably; see `watchword.grants.stores.Ledger`."""
        started = self._clock.monotonic()
        try:
            await self._ledger.record(event, consume=consume, issued=issued)
        finally:
            self._seconds.observe("record", self._clock.monotonic() - started)

    async def count_refusal(self, reason: str, *, sample: AuditEvent) -> None:
        """Count a refusal; nobody waits for a disk here, so nothing is timed."""
        await self._ledger.count_refusal(reason, sample=sample)
