"""Whether a token could be issued now."""

from watchword.app.audit_log import Demand, not_demanded
from watchword.clock import Clock
from watchword.keys.issuer import Issuer
from watchword.storage.database import Database
from watchword.storage.probe import writable

MAX_AGE = 1.0
"""Seconds for which a good answer counts: whoever asks often does not make the disk work."""


class Readiness:
    """A key signs, the database takes a transaction, and the audit log is written where it is demanded."""

    __slots__ = ("_clock", "_database", "_demand_log", "_good_until", "_issuer")

    def __init__(
        self, issuer: Issuer, database: Database, clock: Clock, *, demand_log: Demand = not_demanded
    ) -> None:
        self._issuer = issuer
        self._database = database
        self._clock = clock
        self._demand_log = demand_log
        self._good_until = float("-inf")

    async def demand(self) -> None:
        """Return if a token could be issued.

        Raises:
            NoActiveKey: no key signs.
            StoreError: nothing can be written down durably, in the database or in a log that is demanded.
        """
        _ = self._issuer.keyring.active
        self._demand_log()
        if self._clock.monotonic() >= self._good_until:
            await self._database.run(writable())
            self._good_until = self._clock.monotonic() + MAX_AGE
