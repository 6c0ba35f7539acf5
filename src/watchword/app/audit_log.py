"""The audit log of a running service: who writes it, and what happens to whom while it cannot be written."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from watchword.app.config import ServerSettings
from watchword.audit.event import AuditEvent
from watchword.clock import Clock
from watchword.errors import AuditLogUnavailable
from watchword.grants.stores import Consumption, IssuedToken, Ledger
from watchword.storage.audit_log import AuditLog
from watchword.storage.audit_log_file import LogFile, RegularLogFile, StderrLog
from watchword.storage.sqlite import SqliteDatabase
from watchword.telemetry.board import Tally
from watchword.telemetry.exposition import Gauge

PATIENCE = 5.0
"""Seconds for which the log may be silent before anybody is refused."""

Demand = Callable[[], None]
"""Returns if the log can be written, and raises `AuditLogUnavailable` if not; never waits."""


def not_demanded() -> None:
    """Demand nothing: there is no log, or it is not needed."""


class LogHealth:
    """The sign of life of the log's writer, where every process of the service sees it.

    Args:
        tally: one cell; the process that writes the log writes it.
        clock: its monotonic time, which is one for all processes of a machine.
    """

    __slots__ = ("_clock", "_since", "_tally")

    def __init__(self, tally: Tally, clock: Clock) -> None:
        self._tally = tally
        self._clock = clock
        self._since = clock.monotonic()

    def alive(self) -> None:
        """Give a sign of life."""
        self._tally.own[0] = self._clock.monotonic()

    @property
    def silent_for(self) -> float:
        """Seconds since the log last took what there was; from the start of this process on."""
        return max(0.0, self._clock.monotonic() - max(self._since, self._tally.totals()[0]))

    def demand(self) -> None:
        """Return if the log can be written.

        Raises:
            AuditLogUnavailable: it is full or blocked.
        """
        if self.silent_for > PATIENCE:
            raise AuditLogUnavailable(
                f"the audit log was not written for {self.silent_for:.0f} s: look at its disk and its reader"
            )

    async def gauges(self) -> Sequence[Gauge]:
        """Return how long the log is silent."""
        return (
            Gauge(
                "watchword_audit_log_silent_seconds",
                "Since the audit log last took what there was; above 5 it is full or blocked.",
                {"": self.silent_for},
            ),
        )


class DemandingLedger:
    """A ledger that writes nothing while the log cannot be written."""

    __slots__ = ("_demand", "_ledger")

    def __init__(self, ledger: Ledger, demand: Demand) -> None:
        self._ledger = ledger
        self._demand = demand

    async def record(
        self,
        event: AuditEvent,
        *,
        consume: Sequence[Consumption] = (),
        issued: IssuedToken | None = None,
    ) -> None:
        """Record a deed durably; see `watchword.grants.stores.Ledger`."""
        self._demand()
        await self._ledger.record(event, consume=consume, issued=issued)

    async def count_refusal(self, reason: str, *, sample: AuditEvent) -> None:
        """Count a refusal: nothing was given, so no log is needed."""
        await self._ledger.count_refusal(reason, sample=sample)


@asynccontextmanager
async def audit_log(
    settings: ServerSettings, database: SqliteDatabase, health: LogHealth
) -> AsyncIterator[None]:
    """Write the log that the settings name, for the time of an `async with`."""
    if settings.audit_log is None:
        yield
        return
    path = settings.audit_log

    def open_log() -> LogFile:
        return StderrLog() if path == "-" else RegularLogFile(path)

    log = AuditLog(settings.database, database, open_log=open_log, alive=health.alive)
    log.start()
    try:
        yield
    finally:
        await asyncio.to_thread(log.close)
