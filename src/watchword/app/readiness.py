"""Whether a token could be issued now."""

from watchword.clock import Clock
from watchword.keys.issuer import Issuer
from watchword.storage.database import Database
from watchword.storage.probe import writable

MAX_AGE = 1.0
"""Seconds for which a good answer counts: whoever asks often does not make the disk work."""


class Readiness:
    """A key signs, and the database takes a transaction."""

    __slots__ = ("_clock", "_database", "_good_until", "_issuer")

    def __init__(self, issuer: Issuer, database: Database, clock: Clock) -> None:
        self._issuer = issuer
        self._database = database
        self._clock = clock
        self._good_until = float("-inf")

    async def demand(self) -> None:
        """Return if a token could be issued.

        Raises:
            NoActiveKey: no key signs.
            StoreError: nothing can be written down durably.
        """
        _ = self._issuer.keyring.active
        if self._clock.monotonic() >= self._good_until:
            await self._database.run(writable())
            self._good_until = self._clock.monotonic() + MAX_AGE
